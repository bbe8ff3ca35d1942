// The side on the right: one message with its replies, what it said before, or its way through the mesh.

import { get, piece } from "./api.js";
import { composer } from "./compose.js";
import { button, el, icon } from "./dom.js";
import { messageRow } from "./message.js";
import { called, shown, written } from "./text.js";
import { whole } from "./time.js";
import { traceOf } from "./trace.js";

export class Panel {
  constructor(app, element) {
    this.app = app;
    this.element = element;
    this.thread = null;
    this.shown = new Map();
    const { trace, history, edit, redact, isMine, fail } = app.acts;
    this.acts = { trace, history, edit, redact, isMine, fail };
    element.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  close() {
    this.element.hidden = true;
    this.thread = null;
    this.shown.clear();
    this.element.replaceChildren();
    document.body.classList.remove("with-panel");
    this.from?.isConnected && this.from.focus();
  }

  /** The message and what answers it; `id` of the one that began it, where that is another. */
  async openThread(message, id = message.id) {
    const { body } = await get(`/api/messages/${piece(id)}`);
    this.thread = body.id;
    this.shown = new Map([[body.id, { message: body, depth: 0 }], ...body.thread.map((one) => [one.id, { message: one, depth: one.depth }])]);
    const rows = el("div", { class: "rows", role: "feed", "aria-label": "Thread" });
    rows.append(this.#row(body.id), el("p", { class: "between" }, counted(body.thread.length)), ...body.thread.map((one) => this.#row(one.id)));
    const to = body.kind === "post" ? { path: `/api/channels/${piece(body.channel)}/messages`, fixed: {} }
      : { path: "/api/direct", fixed: { to: [...new Set([body.author, ...body.to])].filter((one) => one !== this.app.me()) } };
    this.#show("Thread", body.kind === "post" ? `#${called(body.channel)}` : "direct",
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Thread" }, rows),
      composer(this.app, { path: to.path, label: `Answer ${shown(body.author_name)}`, place: `thread ${body.id}`,
        fixed: { ...to.fixed, reply_to: body.id } }));
    this.element.querySelector("textarea")?.focus();
  }

  /** One of the thread; set in by how far it is from what began it. */
  #row(id) {
    const { message, depth } = this.shown.get(id);
    const row = messageRow({ ...message, reply_to: depth ? null : message.reply_to, replies: 0 }, this.acts);
    if (depth) row.style.setProperty("--depth", `${Math.min(depth - 1, 5)}`);
    return row;
  }

  #there(id) {
    return this.element.querySelector(`.rows [data-id="${CSS.escape(id)}"]`);
  }

  take(message) {
    if (this.thread === null || this.shown.has(message.id) || !this.shown.has(message.reply_to)) return;
    this.shown.set(message.id, { message, depth: 1 });
    const rows = this.element.querySelector(".rows");
    rows.append(this.#row(message.id));
    rows.querySelector(".between").textContent = counted(this.shown.size - 1);
    rows.lastElementChild.scrollIntoView({ block: "nearest" });
  }

  /** It says something else than it did. */
  change(message) {
    const known = this.shown.get(message.id);
    const old = known && this.#there(message.id);
    if (!old) return;
    known.message = { ...message, state: known.message.state };
    const focused = old.contains(document.activeElement);
    old.replaceWith(this.#row(message.id));
    if (focused) this.#there(message.id).focus({ preventScroll: true });
  }

  async openTrace(message) {
    const { body } = await get(`/api/messages/${piece(message.id)}/trace`);
    this.thread = null;
    this.#show("Trace", shown(body.id), el("div", { class: "scroll pad", tabindex: "0", role: "region", "aria-label": "Trace" }, traceOf(body)));
  }

  /** What it said, first to last. */
  async openHistory(message) {
    const { body } = await get(`/api/messages/${piece(message.id)}/history`);
    this.thread = null;
    const said = body.map((one, at) => el("li", {},
      el("h3", {}, at === 0 ? "at first" : at === body.length - 1 ? "now" : `edit ${at}`, " · ", el("time", { datetime: one.at }, whole(one.at))),
      el("div", { class: "body", dir: "auto" }, ...written(one.text))));
    this.#show("Earlier words", `of ${shown(message.author)}`,
      el("div", { class: "scroll pad", tabindex: "0", role: "region", "aria-label": "Earlier words" }, el("ol", { class: "versions" }, ...said)));
  }

  #show(title, about, ...children) {
    if (!this.element.contains(document.activeElement)) this.from = document.activeElement;
    this.element.hidden = false;
    document.body.classList.add("with-panel");
    const shut = button("tool", "Close", () => this.close(), icon("close"));
    this.element.replaceChildren(
      el("header", { class: "bar" }, el("h2", {}, title), el("span", { class: "about" }, about), shut), ...children);
    shut.focus();
  }
}

const counted = (count) => (count === 0 ? "no replies yet" : count === 1 ? "1 reply" : `${count} replies`);
