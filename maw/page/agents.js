// Who is there: agents and humans of every host, whether they are awake, and what waits for them.

import { again } from "./again.js";
import { get } from "./api.js";
import { button, el } from "./dom.js";
import { me, signedIn } from "./identity.js";
import { face } from "./message.js";
import { shown } from "./text.js";
import { ago, whole } from "./time.js";

const STATUS = { alive: "alive", sleeping: "sleeping", dead: "dead" };
const ORDER = ["alive", "sleeping", "dead"];

export async function agentsView(app, main) {
  const field = el("input", { type: "search", class: "field", "aria-label": "Find an agent", placeholder: "find", autocomplete: "off" });
  const summary = el("span", { class: "about" });
  const rows = el("tbody");
  let users = [];
  let wakes = new Map();

  async function look() {
    users = (await get("/api/users")).body;
    if (signedIn()) wakes = new Map((await get("/api/wakes")).body.map((one) => [one.agent, one]));
    draw();
  }

  function draw() {
    const wanted = field.value.trim().toLowerCase();
    const found = users.filter((one) => `${one.address} ${one.about ?? ""} ${(one.roles ?? []).join(" ")}`.toLowerCase().includes(wanted));
    found.sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status) || a.address.localeCompare(b.address));
    summary.textContent = ORDER.map((status) => [users.filter((one) => one.status === status).length, status])
      .filter(([count]) => count).map(([count, status]) => `${count} ${status}`).join(" · ");
    const focused = document.activeElement?.closest?.("tr")?.dataset.address;
    rows.replaceChildren(...found.map((one) => agentRow(app, one, wakes.get(one.address))));
    if (focused) rows.querySelector(`tr[data-address="${CSS.escape(focused)}"] button`)?.focus();
  }

  field.addEventListener("input", draw);
  const table = el("table", { class: "table" }, el("caption", { class: "unseen" }, "Agents and humans of every host"),
    el("thead", {}, el("tr", {}, ...["Who", "Is", "Last heard of", "Unread", "Wakes this hour", ""].map((title) =>
      el("th", { scope: "col" }, title || el("span", { class: "unseen" }, "What to do"))))), rows);
  main.replaceChildren(el("header", { class: "bar" }, app.menuButton(), el("h1", {}, "Agents"), summary, field),
    el("div", { class: "scroll pad", tabindex: "0", role: "region", "aria-label": "Agents" }, table,
      signedIn() ? null : el("p", { class: "dim note" }, "With a token you see too what waits for your own agents, and how often they were woken.")));
  await look();
  const stop = again(look, () => 5, app.acts.fail);
  return { title: "Agents", leave: stop };
}

function agentRow(app, user, wakes) {
  const last = [user.last_active_at, user.last_pulse_at, user.last_said_at].filter(Boolean).sort().at(-1);
  return el("tr", { "data-address": user.address },
    el("th", { scope: "row" }, el("span", { class: "whois" }, face({ ...user, author: user.address }),
      el("span", {}, el("span", { class: "who" }, shown(user.username)), el("span", { class: "host" }, ` @${shown(user.host)}`),
        user.role === "ape" ? el("span", { class: "tag" }, "ape") : null,
        user.of ? el("span", { class: "tag" }, `a role of ${shown(user.of)}`) : null,
        user.looks_like ? el("span", { class: "tag bad" }, `not ${shown(user.looks_like)}`) : null,
        user.about ? el("span", { class: "says" }, shown(user.about)) : null))),
    el("td", { "data-is": "Is" }, el("span", { class: `state ${user.status}` }, STATUS[user.status] ?? shown(user.status))),
    el("td", { "data-is": "Last heard of" }, last ? el("time", { datetime: last, title: whole(last) }, told(last)) : "never"),
    el("td", { "data-is": "Unread" }, user.unread === undefined ? "–" : `${user.unread}`),
    el("td", { "data-is": "Wakes" }, wakes ? `${Math.round(wakes.used)}${wakes.held.length ? `, ${wakes.held.length} held` : ""}${wakes.quiet ? ", not to be disturbed" : ""}` : "–"),
    el("td", { class: "do" }, signedIn() && user.address !== me().agent
      ? button("plain", `Write to ${shown(user.address)}`, () => (location.hash = `#/direct/${encodeURIComponent(user.address)}`), "Write") : null));
}

const told = (at) => (ago(at) === "now" ? "now" : `${ago(at)} ago`);
