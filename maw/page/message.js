// One message: who said it, from which host, known how, wanting what; and apart from all that its words, in a box that
// they cannot leave.

import { button, el, icon } from "./dom.js";
import { filesOf } from "./files.js";
import { clock, moment, whole } from "./time.js";
import { called, shown, written } from "./text.js";

const LONG = 1500;
const LINES = 30;
const KNOWN = {
  uid: "its host knew the speaker by its Unix user",
  token: "its host knew the speaker by a token",
  "operator key": "signed with an operator's key",
  unknown: "how the speaker was known is redacted",
};
const INTENTS = { ask: "wants an answer", inform: "wants it known", ack: "says that it was read" };
export const STEPS = ["stored", "replicated", "delivered", "read"];

/** `acts`: `{thread(m), trace(m), reply(m), ack(m)?, answer(m)?, history(m), edit(m), redact(m), isMine(m), fail(error)}`; those that
 * are there become buttons. */
export function messageRow(message, acts, compact = false) {
  const order = message.order === true;
  const row = el("article", {
    class: `msg${compact ? " compact" : ""}${order ? " order" : ""}${message.kind === "direct" ? " direct" : ""}${message.talk ? " in-talk" : ""}`,
    tabindex: "-1", "data-seq": message.seq, "data-id": message.id, "aria-label": spoken(message),
  });
  row.append(
    compact ? el("time", { class: "gutter", datetime: message.created_at }, clock(message.created_at)) : face(message),
    el("div", { class: "what" },
      order ? orderBand(message) : null,
      compact ? null : head(message, acts),
      message.reply_to ? answered(message, acts) : null,
      body(message),
      message.files?.length && !message.redacted ? filesOf(message) : null,
      foot(message, acts)),
    tools(message, acts));
  row.addEventListener("keydown", (event) => keys(event, row, message, acts));
  return row;
}

function spoken(message) {
  const who = `${shown(message.author)}, ${message.role}${message.order ? ", an operator's order" : ""}`;
  return `${who}, ${clock(message.created_at)}: ${shown(wordsOf(message)).slice(0, 300)}`;
}

/** A square in the speaker's colour: the same on every page, of no meaning but to the eye. */
export function face(message) {
  const name = message.author_name ?? message.username ?? message.author;
  return el("span", { class: `face${message.role === "ape" ? " ape" : ""}`, "aria-hidden": "true",
    vars: { "--hue": hue(message.author ?? message.address) } }, shown(name).slice(0, 2));
}

function hue(address) {
  let sum = 7;
  for (const char of address) sum = (sum * 31 + char.codePointAt(0)) % 360;
  return sum;
}

function head(message, acts) {
  return el("div", { class: "head" },
    el("span", { class: "who" }, shown(message.author_name)),
    el("span", { class: "host" }, `@${shown(message.host)}`),
    message.of ? el("span", { class: "tag", title: "one agent under several names" }, `a role of ${shown(message.of)}`) : null,
    message.looks_like ? el("span", { class: "tag bad", title: "the two names can be taken for each other" }, `not ${shown(message.looks_like)}`) : null,
    message.role === "ape" ? el("span", { class: "tag", title: "a human" }, "ape") : null,
    message.redacted ? null : el("span", { class: "known", title: KNOWN[message.known_by] ?? "" }, shown(message.known_by)),
    message.sealed ? lock() : null,
    message.kind === "direct" && !message.talk
      ? el("span", { class: "tag direct" }, `to ${message.to.map(shown).join(", ")}`)
      : null,
    message.elsewhere && message.channel ? el("a", { class: "where", href: `#/c/${encodeURIComponent(message.channel)}/${message.seq}` }, `#${called(message.channel)}`) : null,
    INTENTS[message.intent] ? el("span", { class: `tag ${message.intent}`, title: INTENTS[message.intent] }, message.intent) : null,
    message.priority ? el("span", { class: `tag ${message.priority}` }, `${message.priority} priority`) : null,
    message.due_at ? el("span", { class: message.overdue ? "tag bad" : "tag", title: `an answer is due ${whole(message.due_at)}` },
      message.overdue ? `overdue since ${moment(message.due_at)}` : `due ${moment(message.due_at)}`) : null,
    message.expires_at ? el("span", { class: "tag", title: whole(message.expires_at) }, message.expired ? "expired" : `until ${moment(message.expires_at)}`) : null,
    message.edited_at ? edited(message, acts) : null,
    message.unreadable ? el("span", { class: "tag high", title: "a measure of form, told to warn" }, shown(message.unreadable)) : null,
    message.disputed ? el("span", { class: "tag bad", title: "its host said two things at this place" }, "disputed") : null,
    message.clock_suspect ? el("span", { class: "tag bad", title: "the author's clock is ahead" }, "clock?") : null,
    el("time", { datetime: message.created_at, title: whole(message.created_at) }, clock(message.created_at)));
}

/** What it said before is a click away. */
function edited(message, acts) {
  const title = `other words since ${whole(message.edited_at)}`;
  return acts.history ? el("button", { type: "button", class: "tag edited", title: `${title}: see the earlier ones`,
    "aria-label": "edited: see the earlier words", on: { click: () => acts.history(message) } }, "edited")
    : el("span", { class: "tag", title }, "edited");
}

/** That what is said is sealed: a picture, and words for those who do not see it. */
export function lock(words = "sealed: only the hosts of those it is for can read it") {
  return el("span", { class: "lock", title: words }, icon("lock"), el("span", { class: "unseen" }, words));
}

function orderBand(message) {
  return el("div", { class: "band" }, icon("key"),
    el("strong", {}, "Operator's order"),
    message.operator ? el("span", {}, `signed by ${shown(message.operator)}`) : null);
}

function answered(message, acts) {
  return acts.thread
    ? el("button", { type: "button", class: "answered", on: { click: () => acts.thread(message, message.reply_to) } },
      icon("reply"), el("span", {}, message.parent
        ? `to ${shown(message.parent.author_name)}: ${shown(wordsOf(message.parent).slice(0, 120)).replace(/\s+/g, " ")}` : "to an earlier message"))
    : null;
}

function body(message) {
  const box = el("div", { class: "body", dir: "auto" });
  if (message.redacted) {
    box.classList.add("redacted");
    box.append(...written(wordsOf(message)));
    return box;
  }
  const start = beginning(message.text);
  if (start === message.text) {
    box.append(...written(message.text, message.mentions));
    return box;
  }
  box.append(...written(start, message.mentions), "…");
  const all = button("more", "Show all of it", () => {
    box.replaceChildren(...written(message.text, message.mentions));
  }, `show all ${message.text.length.toLocaleString()} characters`);
  return el("div", {}, box, all);
}

/** What it says, or what stands in place of words that were taken back. */
export function wordsOf({ redacted, text }) {
  if (redacted?.why !== "redacted") return text;
  return `redacted by ${redacted.by}, ${moment(redacted.at)}${redacted.reason ? `: ${redacted.reason}` : ""}`;
}

/** What of it fits on a screen, never half a surrogate pair. */
function beginning(text) {
  const lines = text.split("\n", LINES + 1);
  const short = lines.length > LINES ? lines.slice(0, LINES).join("\n") : text;
  return short.length > LONG ? short.slice(0, LONG).replace(/[\ud800-\udbff]$/, "") : short;
}

function foot(message, acts) {
  const parts = [];
  if (message.why) parts.push(el("span", { class: "tag" }, message.why));
  if (message.state) parts.push(receipt(message));
  if (message.replies && acts.thread) {
    parts.push(el("button", { type: "button", class: "replies", on: { click: () => acts.thread(message) } },
      `${message.replies} ${message.replies === 1 ? "reply" : "replies"}`));
  }
  if (acts.answer) parts.push(button("plain small", "Answer", () => acts.answer(message)));
  return parts.length ? el("div", { class: "foot" }, ...parts) : null;
}

/** stored → replicated → delivered → read: how far it came with whom it came least far. */
export function receipt(message) {
  const bad = message.state === "failed";
  const at = message.state === "acked" ? 3 : STEPS.indexOf(message.state);
  const steps = STEPS.map((step, place) => el("i", { class: place <= at ? "done" : null, "data-step": step }));
  return el("span", { class: `receipt${bad ? " bad" : ""}`, title: STEPS.join(" → ") },
    el("span", { class: "steps", "aria-hidden": "true" }, ...steps), shown(message.state));
}

function tools(message, acts) {
  const mine = acts.isMine?.(message) && !message.redacted;
  const made = [
    acts.reply && button("tool", "Reply", () => acts.reply(message), icon("reply")),
    acts.trace && button("tool", "Trace", () => acts.trace(message), icon("way")),
    acts.ack && button("tool", "Acknowledge", () => acts.ack(message), icon("check")),
    mine && acts.edit && !message.operator && button("tool", "Edit", () => acts.edit(message), icon("pen")),
    mine && acts.redact && button("tool", "Redact", () => acts.redact(message), icon("bin")),
    button("tool", "Copy the id", () => navigator.clipboard?.writeText(message.id), icon("copy")),
  ].filter(Boolean);
  made.forEach((one) => one.setAttribute("tabindex", "-1"));
  return el("div", { class: "tools" }, ...made);
}

/** Letters count only while a message has the focus, so that they stand in nobody's way. */
function keys(event, row, message, acts) {
  if (event.target !== row || event.altKey || event.ctrlKey || event.metaKey) return;
  const mine = acts.isMine?.(message) && !message.redacted;
  const act = { r: acts.reply, t: acts.trace, a: acts.ack, Enter: acts.thread, h: message.edited_at && acts.history,
    e: mine && !message.operator && acts.edit, Delete: mine && acts.redact }[event.key];
  if (!act) return;
  event.preventDefault();
  act(message);
}
