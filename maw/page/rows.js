// A window onto a long list of messages: only what is near the reader's eye is in the document, however many there are.

import { button, el, icon } from "./dom.js";
import { messageRow } from "./message.js";
import { dayName, dayOf } from "./time.js";

export const PAGE = 60;
const MOST = 240;
const NEAR_PX = 900;
const SAME_BREATH_MS = 5 * 60_000;

export class Rows {
  /**
   * `older(seq)`, `newer(seq)`: a page of messages below or above it, ascending; `latest()`: the newest page.
   * `acts`: what can be done with a message. `seen(seq)`: everything up to there was in front of the reader.
   */
  constructor({ label, older, newer, latest, acts, seen = () => {}, empty = "Nothing was said here yet." }) {
    Object.assign(this, { older, newer, latest, acts, seen, empty });
    this.items = [];
    this.nodes = new Map();
    this.atTop = false;
    this.atEnd = false;
    this.busy = false;
    this.fresh = 0;
    this.early = [];
    this.changes = [];
    this.list = el("div", { class: "rows", role: "feed", "aria-label": label, "aria-busy": "true" });
    this.pill = button("pill", "Go to the newest message", () => this.toEnd());
    this.pill.hidden = true;
    this.box = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label,
      on: { scroll: () => this.#scrolled() } }, this.list);
    this.element = el("div", { class: "window" }, this.box, this.pill);
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.atBottom = false; // as of the last time the reader, or we, scrolled
    new ResizeObserver(() => this.atBottom && this.#toBottom()).observe(this.box);
  }

  /** The newest page; the reader is at its end. */
  async open() {
    this.#begin(await this.#asked(() => this.latest()), true);
    this.#toBottom();
  }

  /** Around this message, which is pointed out. */
  async openAt(seq) {
    const [before, after] = await this.#asked(() => Promise.all([this.older(seq + 1), this.newer(seq)]));
    this.#begin([...before, ...after], after.length < PAGE);
    const row = this.nodes.get(seq);
    if (row) {
      row.element.scrollIntoView({ block: "center" });
      row.element.classList.add("pointed");
      row.element.focus({ preventScroll: true });
    } else this.#toBottom();
  }

  async toEnd() {
    if (this.atEnd) this.#toBottom();
    else await this.open();
    this.#tellFresh(0);
  }

  /** One that was said just now. Those that came before the first page wait for it. */
  take(message) {
    if (this.busy && !this.items.length) {
      this.early.push(message);
      return;
    }
    const last = this.items.at(-1);
    if (last && message.seq <= last.seq) return;
    if (!this.atEnd) {
      this.#tellFresh(this.fresh + 1);
      return;
    }
    const following = this.#following();
    this.items.push(message);
    if (following && this.items.length > MOST) {
      this.items.splice(0, this.items.length - MOST);
      this.atTop = false;
    }
    this.#draw();
    if (following) this.#toBottom();
    else this.#tellFresh(this.fresh + 1);
  }

  /** It says something else than it did: what is known of it only here stays. */
  change(message) {
    if (this.busy) this.changes.push(message); // the page on its way may be of before
    const old = this.items.find((one) => one.seq === message.seq);
    if (!old) return;
    const { elsewhere, talk, unread, state, recipients, why } = old;
    this.items[this.items.indexOf(old)] = { elsewhere, talk, unread, state, recipients, why, ...message };
    this.renew(message.seq, {});
  }

  /** Draw this one again: something about it changed. */
  renew(seq, change) {
    const at = this.items.findIndex((one) => one.seq === seq);
    if (at < 0) return;
    this.items[at] = { ...this.items[at], ...change };
    const old = this.nodes.get(seq)?.element;
    const focused = old?.contains(document.activeElement);
    this.nodes.delete(seq);
    this.#keepPlace(() => {
      old?.remove();
      this.#draw();
    });
    if (focused) this.nodes.get(seq).element.focus({ preventScroll: true });
  }

  async #asked(question) {
    this.busy = true;
    this.list.setAttribute("aria-busy", "true");
    try {
      return await question();
    } finally {
      this.busy = false;
      this.list.setAttribute("aria-busy", "false");
    }
  }

  #begin(items, atEnd) {
    this.items = items;
    this.atTop = items.length < PAGE;
    this.atEnd = atEnd;
    this.nodes.clear();
    this.list.replaceChildren();
    const early = this.early.splice(0);
    this.#draw();
    early.forEach((message) => this.take(message));
    this.#changeAgain();
  }

  #scrolled() {
    this.atBottom = this.#following();
    if (this.atBottom) {
      if (this.atEnd) this.#tellFresh(0);
      this.#noteSeen();
    }
    if (this.busy || !this.items.length) return;
    const { scrollTop, scrollHeight, clientHeight } = this.box;
    if (!this.atTop && scrollTop < NEAR_PX) this.#grow(true);
    else if (!this.atEnd && scrollHeight - scrollTop - clientHeight < NEAR_PX) this.#grow(false);
  }

  async #grow(upwards) {
    const edge = upwards ? this.items[0].seq : this.items.at(-1).seq;
    let page;
    try {
      page = await this.#asked(() => (upwards ? this.older(edge) : this.newer(edge)));
    } catch (error) {
      this.acts.fail(error);
      return;
    }
    this.#keepPlace(() => {
      if (upwards) {
        this.items.unshift(...page);
        this.atTop = page.length < PAGE;
        if (this.items.length > MOST) {
          this.items.length = MOST;
          this.atEnd = false;
        }
      } else {
        this.items.push(...page);
        this.atEnd = page.length < PAGE;
        if (this.items.length > MOST) {
          this.items.splice(0, this.items.length - MOST);
          this.atTop = false;
        }
      }
      this.#draw();
    });
    this.#changeAgain();
    this.#scrolled();
  }

  #changeAgain() {
    this.changes.splice(0).forEach((message) => this.change(message));
  }

  /** Whatever comes above or goes below, what the reader looks at stays where it is. */
  #keepPlace(change) {
    const top = this.box.getBoundingClientRect().top;
    const placeOf = (message) => this.nodes.get(message?.seq)?.element.getBoundingClientRect();
    const anchor = this.items.find((one) => (placeOf(one)?.bottom ?? -Infinity) > top);
    const before = placeOf(anchor)?.top;
    change();
    const after = placeOf(anchor)?.top; // drawn anew, perhaps: without its head, or with one
    if (before !== undefined && after !== undefined) this.box.scrollTop += after - before;
  }

  /** Makes the document hold the items in their order, touching only what changed. */
  #draw() {
    const wanted = [];
    const here = new Map(this.items.map((one) => [one.id, one]));
    const answers = new Map();
    for (const one of this.items) if (one.reply_to) answers.set(one.reply_to, (answers.get(one.reply_to) ?? 0) + 1);
    let before = null;
    for (const message of this.items) {
      const newDay = !before || dayOf(before.created_at) !== dayOf(message.created_at);
      if (newDay) wanted.push(this.#day(message));
      const around = { compact: !newDay && sameBreath(before, message), replies: answers.get(message.id) ?? 0,
        parent: here.get(message.reply_to) };
      wanted.push(this.#row(message, around));
      before = message;
    }
    const keep = new Set(wanted);
    for (const [key, row] of this.nodes) {
      if (!keep.has(row.element)) {
        row.element.remove();
        this.nodes.delete(key);
      }
    }
    this.list.querySelector(":scope > .nothing")?.remove();
    if (!wanted.length) wanted.push(el("p", { class: "nothing" }, this.empty));
    this.list.setAttribute("role", this.items.length ? "feed" : "group"); // a feed is one of articles
    wanted.forEach((element, at) => {
      const there = this.list.children[at];
      if (there !== element) this.list.insertBefore(element, there ?? null);
    });
  }

  #day(message) {
    const key = `day ${dayOf(message.created_at)} ${message.seq}`;
    let row = this.nodes.get(key);
    if (!row) {
      row = { element: el("div", { class: "day", role: "presentation" }, el("span", {}, dayName(message.created_at))) };
      this.nodes.set(key, row);
    }
    return row.element;
  }

  #row(message, around) {
    const old = this.nodes.get(message.seq);
    const { parent } = around;
    const key = `${around.compact} ${around.replies} ${parent?.id} ${parent?.edited_at} ${Boolean(parent?.redacted)}`;
    if (old?.key === key) return old.element;
    const element = messageRow({ ...message, replies: around.replies, parent: around.parent }, this.acts, around.compact);
    const focused = old?.element.contains(document.activeElement);
    if (old?.element.isConnected) old.element.replaceWith(element);
    if (focused) element.focus({ preventScroll: true });
    this.nodes.set(message.seq, { key, element });
    return element;
  }

  #following() {
    const { scrollTop, scrollHeight, clientHeight } = this.box;
    return this.atEnd && scrollHeight - scrollTop - clientHeight < 80;
  }

  #toBottom() {
    this.box.scrollTop = this.box.scrollHeight;
    this.atBottom = this.atEnd;
    this.#noteSeen();
  }

  #noteSeen() {
    if (this.items.length && document.visibilityState === "visible") this.seen(this.items.at(-1).seq);
  }

  #tellFresh(count) {
    this.fresh = count;
    this.pill.hidden = count === 0;
    this.pill.replaceChildren(icon("down"), `${count} new`);
  }

  #key(event) {
    const rows = [...this.list.querySelectorAll(".msg")];
    const at = rows.indexOf(document.activeElement);
    const to = { ArrowUp: at < 0 ? rows.length - 1 : at - 1, ArrowDown: at + 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey || (at < 0 && event.target !== this.box)) return;
    if (event.key === "End" && !this.atEnd) return void this.toEnd();
    if (!rows[to]) return;
    event.preventDefault();
    rows[to].focus();
    rows[to].scrollIntoView({ block: "nearest" });
  }
}

/** Whether the second goes on where the first ended: the same mouth, known in the same way, a moment later. */
function sameBreath(one, other) {
  return one.author === other.author && one.known_by === other.known_by && one.role === other.role
    && one.kind === other.kind && !one.order && !other.order && !one.operator && !other.operator
    && !other.priority && !other.due_at && !other.expires_at && !other.edited_at && !other.unreadable && other.intent === "chat" && !other.reply_to && !one.redacted && !other.redacted
    && new Date(other.created_at) - new Date(one.created_at) < SAME_BREATH_MS
    && one.channel === other.channel && one.sealed === other.sealed;
}
