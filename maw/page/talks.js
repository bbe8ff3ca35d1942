// Direct messages: with whom the reader speaks, and one conversation with a place to write.

import { Refusal, get, post } from "./api.js";
import { composer } from "./compose.js";
import { button, el, icon } from "./dom.js";
import { me, signedIn } from "./identity.js";
import { face, lock, wordsOf } from "./message.js";
import { PAGE, Rows } from "./rows.js";
import { shown } from "./text.js";
import { ago } from "./time.js";

/** Everybody in it but the reader; he himself, where there is nobody else. */
export function mates(message) {
  const others = [...new Set([message.author, ...message.to])].filter((one) => one !== me().agent).sort();
  return others.length ? others : [me().agent];
}

const keyOf = (addresses) => addresses.join(",");
const hrefOf = (addresses) => `#/direct/${encodeURIComponent(keyOf(addresses))}`;

/** The reader's conversations. Event `change`. */
export class Talks extends EventTarget {
  constructor() {
    super();
    this.all = new Map();
  }

  async load() {
    if (!signedIn()) return;
    const { body, next } = await get("/api/direct");
    const later = [...this.all.values()].filter((one) => one.last.seq > next); // came while it was asked
    this.all = new Map([...body, ...later].map((one) => [keyOf(one.with), one]));
    this.#changed();
  }

  sorted() {
    return [...this.all.values()].sort((a, b) => b.last.seq - a.last.seq);
  }

  unread() {
    return this.sorted().reduce((sum, one) => sum + one.unread, 0);
  }

  take(message) {
    if (message.kind !== "direct" || !signedIn()) return;
    const whom = mates(message);
    const known = this.all.get(keyOf(whom)) ?? { with: whom, unread: 0 };
    this.all.set(keyOf(whom), { ...known, last: message, unread: known.unread + (message.author === me().agent ? 0 : 1) });
    this.#changed();
  }

  change(message) {
    for (const one of this.all.values()) if (one.last.id === message.id) one.last = message;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

export function talksView(app, main, route) {
  return route.name ? talkView(app, main, route.name.split(",")) : talksList(app, main);
}

async function talksList(app, main) {
  if (!signedIn()) await get("/api/direct"); // which says what is missing
  const list = el("ul", { class: "talks", "aria-label": "Conversations" });
  const box = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Direct messages" }, list);
  main.replaceChildren(el("header", { class: "bar" }, app.menuButton(), el("h1", {}, "Direct messages"),
    el("span", { class: "about" }), await newTalk(app)), box);
  const draw = () => {
    const focused = list.contains(document.activeElement) ? document.activeElement.hash : null;
    const rows = app.talks.sorted().map(talkRow);
    list.replaceChildren(...rows);
    box.querySelector(".nothing")?.remove();
    if (!rows.length) box.append(el("p", { class: "nothing" }, "Nobody wrote to you, nor you to anybody. A direct message is for those it names and nobody else."));
    if (focused) [...list.querySelectorAll("a")].find((one) => one.hash === focused)?.focus();
  };
  await app.talks.load();
  draw();
  app.talks.addEventListener("change", draw);
  return { title: "Direct messages", leave: () => app.talks.removeEventListener("change", draw), posted: () => app.talks.load() };
}

function talkRow(talk) {
  const { last } = talk;
  const who = last.author === me().agent ? "you: " : talk.with.length > 1 ? `${shown(last.author_name)}: ` : "";
  return el("li", {}, el("a", { class: `talk${talk.unread ? " unread" : ""}`, href: hrefOf(talk.with) },
    face({ author: talk.with[0], author_name: talk.with[0] }),
    el("span", { class: "label" }, talk.with.map(shown).join(", ")),
    el("span", { class: "age" }, last.sealed ? lock() : null, ago(last.created_at)),
    el("span", { class: `last${last.redacted ? " gone" : ""}` }, `${who}${shown(wordsOf(last).slice(0, 160)).replace(/\s+/g, " ")}`),
    talk.unread ? el("span", { class: "count" }, `${talk.unread}`, el("span", { class: "unseen" }, " unread")) : null));
}

async function newTalk(app) {
  const names = el("datalist", { id: "known-names" });
  const field = el("input", { class: "field", list: "known-names", "aria-label": "Write to whom", placeholder: "write to…", autocomplete: "off", spellcheck: "false" });
  get("/api/users").then(({ body }) => names.append(...body.filter((one) => one.address !== me().agent).map((one) =>
    el("option", { value: one.address }, shown(one.about ?? ""))))).catch(app.acts.fail);
  return el("form", { class: "to", on: { submit: (event) => {
    event.preventDefault();
    const whom = field.value.split(/[\s,]+/).map((one) => one.replace(/^@/, "")).filter(Boolean);
    if (whom.length) location.hash = hrefOf(whom);
  } } }, field, names, el("button", { type: "submit", class: "plain" }, "Write"));
}

async function talkView(app, main, whom) {
  const names = whom.map(shown).join(", ");
  const down = async (before) => {
    let found = [];
    let at = before;
    do {
      const answer = await get("/api/direct/messages", { with: keyOf(whom), before_seq: at, limit: PAGE });
      found = [...answer.body, ...found];
      at = answer.before;
    } while (at && found.length < PAGE);
    return found.map(dressed);
  };
  const up = async (after) => {
    let found = [];
    let [from, at] = [0, after];
    do {
      const answer = await get("/api/direct/messages", { with: keyOf(whom), after_seq: at, limit: PAGE });
      found = [...found, ...answer.body];
      [from, at] = [at, answer.next];
    } while (at > from && found.length < PAGE);
    return found.map(dressed);
  };
  const dressed = (message) => ({ ...app.receipts.dress(message), talk: true });
  const mine = (message) => message.kind === "direct" && keyOf(mates(message)) === key;
  let key = keyOf([...whom].sort());
  const acts = { ...app.acts, ack: (message) => settle([message.id]) };
  const rows = new Rows({ label: `Direct messages with ${names}`, latest: () => down(null), older: down, newer: up, acts,
    empty: "Nothing was said between you so far." });
  const all = button("plain", "Acknowledge all of these", () => settle(rows.items.filter((one) => one.unread).map((one) => one.id)), "Acknowledge");

  function waiting() {
    const count = rows.items.filter((one) => one.unread).length;
    all.hidden = count === 0;
    if (count && me().role === "ape") noteRead(rows.items).catch(app.acts.fail);
  }

  async function settle(ids) {
    try {
      await post("/api/ack", { ids });
      for (const one of rows.items) if (ids.includes(one.id)) rows.renew(one.seq, { unread: false });
      waiting();
      await Promise.all([app.talks.load(), app.recount()]);
    } catch (error) {
      app.acts.fail(error);
    }
  }

  try {
    await rows.open();
  } catch (error) {
    if (!(error instanceof Refusal) || !error.candidates.length) throw error;
    return unknown(app, main, error);
  }
  if (rows.items.length) key = keyOf(mates(rows.items.find((one) => !one.redacted) ?? rows.items[0]));
  else if (whom.some((one) => !one.includes("@"))) key = keyOf((await addressed(whom)).sort());
  main.replaceChildren(
    el("header", { class: "bar" }, app.menuButton(),
      el("a", { class: "tool", href: "#/direct", "aria-label": "All conversations", title: "All conversations" }, icon("back")),
      el("h1", { class: "long" }, el("span", { class: "label" }, names)), el("span", { class: "about" }, "only those in it read this"), all),
    rows.element,
    composer(app, { path: "/api/direct", label: `Write to ${names}`, place: `direct ${key}`, fixed: { to: whom } }));
  rows.toEnd();
  waiting();
  return {
    title: names,
    take(message) {
      if (!mine(message)) return;
      rows.take({ ...dressed(message), unread: message.author !== me().agent });
      waiting();
      app.say(`${shown(message.author_name)}: ${shown(message.text).slice(0, 200)}`);
    },
    renew: (seq, change) => rows.renew(seq, change),
    change: (message) => rows.change(message),
    reload: () => rows.open(),
  };
}

/** Names as they stand in messages. */
async function addressed(whom) {
  const { body } = await get("/api/users");
  return whom.map((name) => (name.includes("@") ? name : body.find((one) => one.username === name)?.address ?? name));
}

function unknown(app, main, error) {
  main.replaceChildren(el("header", { class: "bar" }, app.menuButton(), el("h1", {}, "Write to whom?")),
    el("div", { class: "pad" }, el("p", { class: "trouble" }, shown(error.message)),
      el("p", {}, "Did you mean ", ...error.candidates.flatMap((name, at) => [at ? ", " : "", el("a", { href: hrefOf([name]) }, `@${shown(name)}`)]), "?")));
  return { title: "Write to whom?" };
}

/** A human who reads here has read it. Whoever looks with an agent's token has not: the agent has not seen a word. */
export async function noteRead(messages) {
  const fresh = messages.filter((one) => one.unread !== false && !one.read_at && one.author !== me().agent);
  for (const one of fresh) one.read_at = "now";
  if (fresh.length) await post("/api/read", { ids: fresh.map((one) => one.id) });
}
