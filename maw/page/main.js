// The beginning: who is looking, what is where, and one live stream that every view hears.

import { Refusal, get } from "./api.js";
import { channelView } from "./channel.js";
import { button, el, icon } from "./dom.js";
import { dropDrafts } from "./drafts.js";
import { forget, me, recognise, signedIn, token } from "./identity.js";
import { Live } from "./live.js";
import { editMessage, redactMessage } from "./changing.js";
import { Panel } from "./panel.js";
import { Places } from "./places.js";
import { Receipts } from "./receipts.js";
import { listenForKeys } from "./keys.js";
import { Sidebar } from "./sidebar.js";
import { askForToken } from "./signin.js";
import { Talks } from "./talks.js";
import { VIEWS } from "./views.js";

const side = document.getElementById("side");
const main = document.getElementById("main");
const said = document.getElementById("said");

const app = {
  live: new Live(),
  receipts: new Receipts(),
  talks: new Talks(),
  places: null,
  panel: null,
  route: { view: "", name: null },
  view: null,
  me: () => me().agent,
  counts: {},

  acts: {
    thread: (message, id) => attempt(() => app.panel.openThread(message, id)),
    reply: (message) => attempt(() => app.panel.openThread(message)),
    trace: (message) => attempt(() => app.panel.openTrace(message)),
    history: (message) => attempt(() => app.panel.openHistory(message)),
    edit: (message) => editMessage(message, app),
    redact: (message) => redactMessage(message, app),
    isMine: (message) => signedIn() && message.author === me().agent,
    fail: (error) => tell(error),
  },

  /** The places beside the channels that this reader may see. */
  views: () => VIEWS.filter((one) => one.title && (one.open || signedIn()))
    .map((one) => ({ ...one, count: app.counts[one.name] })),

  menuButton: () => button("tool menu", "Channels and views", () => document.body.classList.toggle("with-side"), icon("menu")),

  /** For those who listen: what happened, once it is quiet. */
  say(words) {
    said.textContent = words;
  },

  /** What was just sent is in the stream too; its receipt is only here. */
  posted(receipt) {
    app.receipts.take(receipt);
    app.view?.posted?.(receipt);
  },

  /** A message from before is edited or redacted: wherever it is shown it says so. */
  changed(message) {
    app.places.change(message);
    app.talks.change(message);
    app.panel.change(message);
    app.view?.change?.(message);
    app.say(message.redacted ? "a message was redacted" : "a message was edited");
  },

  /** Whether it is the reader's to answer: said to him alone, or calling him. Groups are the node's to work out. */
  isForMe(message) {
    const { name, agent, role } = me();
    if (!agent || message.author === agent) return false;
    const words = new Set([name, agent, "all", role === "ape" ? "apes" : "agents"]);
    return message.to.includes(agent) || message.mentions.some((word) => words.has(word)) || Boolean(message.groups?.length);
  },

  /** What waits, counted anew. */
  recount: () => countWaiting(),

  async signIn() {
    if (await askForToken()) await begin();
  },

  /** Nothing of what was shown stays, on the page or behind it. */
  signOut(typed = true) {
    forget();
    if (typed) dropDrafts();
    location.reload();
  },

  count(name, number) {
    app.counts[name] = number;
    app.side.draw();
  },
};

async function attempt(act) {
  try {
    await act();
  } catch (error) {
    tell(error);
  }
}

/** A refusal is told where it can be read; a fault of ours goes to the console too. */
function tell(error) {
  if (error.name === "AbortError") return;
  if (!(error instanceof Refusal)) console.error(error);
  const shut = () => note.remove();
  const note = el("div", { class: "toast", role: "alert" }, el("p", {}, error.words ?? "a fault in this page; the console has it"),
    button("tool", "Dismiss", shut, icon("close")));
  document.querySelectorAll(".toast").forEach((old) => old.remove());
  document.body.append(note);
  setTimeout(shut, 12_000);
}

function read(hash) {
  const [view, name, seq] = hash.replace(/^#\/?/, "").split("/").map(decode);
  return { view: view || "c", name: name ?? null, more: seq ?? null, seq: /^\d+$/.test(seq ?? "") ? Number(seq) : null };
}

function decode(word) {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}

let turn = 0;

async function go() {
  if (!app.side) return; // not begun: it goes there when it is
  const mine = ++turn;
  const route = read(location.hash);
  if (route.view === "c" && route.name === null) route.name = firstPlace();
  app.view?.leave?.();
  app.route = route;
  app.view = null;
  main.setAttribute("aria-busy", "true");
  document.body.classList.remove("with-side");
  app.side.draw();
  try {
    const view = await showing(route);
    if (mine !== turn) return view.leave?.();
    app.view = view;
    document.title = `${view.title} · ${me().host}`;
  } catch (error) {
    if (mine === turn) wrong(error);
  } finally {
    if (mine === turn) main.setAttribute("aria-busy", "false");
  }
}

async function showing(route) {
  const view = VIEWS.find((one) => one.name === route.view);
  if (view) return view.show(app, main, route);
  if (route.view === "c" && route.name) return channelView(app, main, route);
  main.replaceChildren(el("header", { class: "bar" }, app.menuButton(), el("h1", {}, "Nothing here yet")),
    el("p", { class: "nothing" }, "No channel was opened so far."));
  return { title: "maw" };
}

function wrong(error) {
  if (!(error instanceof Refusal)) console.error(error);
  main.replaceChildren(el("header", { class: "bar" }, app.menuButton(), el("h1", {}, "Not to be shown")),
    el("div", { class: "pad" }, el("p", { class: "trouble" }, error.words ?? "a fault in this page; the console has it"),
      error.status === 401 ? button("primary", "Sign in with a token", () => app.signIn()) : null));
}

function firstPlace() {
  const all = app.places.sorted();
  return (all.find((one) => one.name === "general") ?? all[0])?.name ?? null;
}

/** As whoever the token says, from the beginning. */
async function begin() {
  main.setAttribute("aria-busy", "true");
  if (token()) {
    try {
      recognise((await get("/api/whoami")).body);
    } catch (error) {
      if (error.status !== 401 && error.code !== "wrong_agent") throw error;
      forget();
    }
  }
  if (!token()) recognise((await get("/api/whoami")).body);
  app.places ??= new Places(me().node_key);
  const from = await app.places.load();
  side.hidden = false;
  app.panel?.close(); // what it shows may be for somebody else's eyes
  app.panel ??= new Panel(app, document.getElementById("panel"));
  app.side ??= new Sidebar(app, side);
  app.side.draw();
  app.live.start(from);
  await go();
  app.places.loadWords().catch(tell);
  await countWaiting();
}

/** How much waits for the reader, and whether the node is well. */
async function countWaiting() {
  app.counts = {};
  if (!signedIn()) return;
  const [inbox, status, asks] = await Promise.all([get("/api/inbox", { limit: 500 }), get("/api/status"),
    get("/api/asks", { whose: "of_me" }), app.talks.load()]);
  app.counts = { inbox: inbox.body.length, asks: asks.body.length, direct: app.talks.unread(), alerts: status.body.alerts.length };
  app.side.draw();
}

app.talks.addEventListener("change", () => app.side && app.count("direct", app.talks.unread()));
app.receipts.addEventListener("change", ({ detail }) => {
  for (const one of detail) app.view?.renew?.(one.seq, { state: one.state, recipients: one.recipients });
});
app.live.addEventListener("message", ({ detail: message }) => {
  if (app.isForMe(message) && app.route.view !== "inbox") app.count("inbox", (app.counts.inbox ?? 0) + 1);
  app.places.take(message);
  app.talks.take(message);
  app.panel.take(message);
  app.view?.take?.(message);
});
app.live.addEventListener("change", ({ detail: message }) => app.changed(message));
app.live.addEventListener("reset", () => attempt(async () => {
  await app.places.load();
  await go();
  await countWaiting();
}));
app.live.addEventListener("state", ({ detail: state }) => {
  app.say(state === "away" ? "the daemon is away" : "");
  if (state === "refused" && token()) app.signOut(false); // it was withdrawn: what it let us see goes with it, not what he typed
});
listenForKeys();
addEventListener("hashchange", () => go());
addEventListener("online", () => app.live.hurry());
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && app.live.hurry());
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
document.addEventListener("click", (event) => {
  if (!side.contains(event.target) && !event.target.closest(".menu")) document.body.classList.remove("with-side");
});

/** Where nobody reads without a token. */
function locked() {
  app.panel?.close();
  main.setAttribute("aria-busy", "false");
  side.hidden = true;
  main.replaceChildren(el("div", { class: "pad center" }, el("h1", {}, "This node answers nobody without a token"),
    button("primary", "Sign in with a token", () => app.signIn())));
}

begin().catch((error) => (error.status === 401 ? locked() : wrong(error)));
