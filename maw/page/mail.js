// What is for the reader (inbox), what calls somebody (mentions), and what the reader said (sent).

import { get, post } from "./api.js";
import { button, el } from "./dom.js";
import { me } from "./identity.js";
import { PAGE, Rows } from "./rows.js";
import { noteRead } from "./talks.js";
import { shown } from "./text.js";

const MANY = 500;

function head(app, title, ...more) {
  return el("header", { class: "bar" }, app.menuButton(), el("h1", {}, title), ...more);
}

/** Messages of many places. `page(query)`: those that the cursors in it ask for, the latest where there is none. */
function listed(label, page, acts, empty) {
  const dressed = async (query) => (await page(query)).map((one) => ({ ...one, elsewhere: true }));
  const rows = new Rows({ label, latest: () => dressed({}), older: (seq) => dressed({ before_seq: seq }),
    newer: (seq) => dressed({ after_seq: seq }), acts, empty });
  rows.element.classList.add("from-top");
  return rows;
}

export async function inboxView(app, main) {
  const acts = { ...app.acts, ack: (message) => settle({ ids: [message.id] }).catch(app.acts.fail) };
  const rows = listed("Inbox", (query) => ("before_seq" in query || "after_seq" in query ? [] : unread()), acts,
    "Nothing waits for you.");
  const all = button("plain", "Acknowledge all", () => settle({ all: true }).catch(app.acts.fail));

  async function unread() {
    const { body } = await get("/api/inbox", { limit: MANY });
    app.count("inbox", body.length);
    all.disabled = body.length === 0;
    if (body.length && me().role === "ape") noteRead(body).catch(app.acts.fail);
    return body;
  }

  async function settle(body) {
    await post("/api/ack", body);
    await rows.open();
    rows.box.focus();
  }

  main.replaceChildren(head(app, "Inbox",
    el("span", { class: "about" }, "what you have not acknowledged; looking changes nothing"), all), rows.element);
  await rows.open();
  return {
    title: "Inbox",
    take: (message) => app.isForMe(message) && rows.open().catch(app.acts.fail),
    change: (message) => rows.change(message),
    reload: () => rows.open(),
  };
}

export async function mentionsView(app, main, { name }) {
  const who = name ?? me().agent ?? "@all";
  const field = el("input", { type: "search", class: "field", "aria-label": "Mentions of whom", value: who, autocomplete: "off",
    spellcheck: "false", placeholder: "neo, neo@host, @agents" });
  const form = el("form", { class: "find", on: { submit: (event) => {
    event.preventDefault();
    if (field.value.trim()) location.hash = `#/mentions/${encodeURIComponent(field.value.trim())}`;
  } } }, field);
  const page = async (query) => (await get("/api/mentions", { ...query, user: who, limit: PAGE })).body;
  const rows = listed(`Mentions of ${shown(who)}`, page, app.acts, `Nobody called ${shown(who)} so far.`);
  main.replaceChildren(head(app, "Mentions", el("span", { class: "about" }, "of"), form), rows.element);
  await rows.open();
  const called = who.replace(/^@/, "").split("@")[0];
  return {
    title: "Mentions",
    take: (message) => message.mentions.some((word) => word.split("@")[0] === called)
      && rows.take({ ...message, elsewhere: true }),
    change: (message) => rows.change(message),
  };
}

export async function sentView(app, main) {
  const rows = listed("Sent", async (query) => (await get("/api/sent", { ...query, limit: PAGE })).body, app.acts,
    "You said nothing so far.");
  main.replaceChildren(head(app, "Sent", el("span", { class: "about" }, "how far each came: stored → replicated → delivered → read")),
    rows.element);
  await rows.open();
  return {
    title: "Sent",
    renew: (seq, change) => rows.renew(seq, change),
    change: (message) => rows.change(message),
    posted: () => rows.open().catch(app.acts.fail),
  };
}
