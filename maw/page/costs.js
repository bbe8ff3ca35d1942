// What agents cost: a row for each with a bar for each day, how far caps are spent, and all of it as CSV. Days are of UTC.

import { again } from "./again.js";
import { get } from "./api.js";
import { button, el } from "./dom.js";
import { shown } from "./text.js";
import { size, span } from "./time.js";

const COUNTS = ["wakes", "pulses", "messages", "bytes", "runs", "unpriced_runs", "untold_runs", "runner_s", "input_tokens",
  "output_tokens", "cache_tokens", "usd"];
const DAY_MS = 86_400_000;

export async function costsView(app, main) {
  const summary = el("span", { class: "about" });
  const days = choice("Days", [[7, "7 days"], [30, "30 days"], [90, "90 days"]]);
  const scope = choice("Whose agents", [["host", "this host"], ["colony", "all hosts"]]);
  const box = el("div", { class: "scroll pad", tabindex: "0", role: "region", "aria-label": "Costs" });
  main.replaceChildren(el("header", { class: "bar" }, app.menuButton(), el("h1", {}, "Costs"), summary, scope, days,
    button("plain", "Save as CSV", () => save(found))), box);
  let found = null;
  let drawn = "";

  async function look() {
    const query = { scope: scope.value };
    let { body } = await get("/api/costs", query);
    if (days.value !== "7") {
      const since = new Date(Date.parse(body.today) - (days.value - 1) * DAY_MS).toISOString().slice(0, 10);
      ({ body } = await get("/api/costs", { ...query, since, until: body.today }));
    }
    found = body;
    const now = JSON.stringify(body);
    if (now === drawn) return;
    drawn = now;
    const { usd, runs, unpriced_runs: unpriced } = body.total;
    summary.textContent = `${dollars(usd)} in ${counted(runs)}${unpriced ? `, ${unpriced.toLocaleString()} of unknown price` : ""}`;
    box.replaceChildren(...halted(body.halted), ...caps(body.caps, body.unseen), ...agents(body));
  }

  const anew = () => look().catch(app.acts.fail);
  days.addEventListener("change", anew);
  scope.addEventListener("change", anew);
  await look();
  const stop = again(look, () => 15, app.acts.fail);
  return { title: "Costs", leave: stop };
}

function choice(label, options) {
  return el("select", { class: "field", "aria-label": label }, ...options.map(([value, words]) => el("option", { value }, words)));
}

function halted(all) {
  return all.length ? [el("ul", { class: "now" }, ...all.map((one) => el("li", {}, el("b", {}, shown(one.agent)), ` is ${shown(one.why)}`)))] : [];
}

function caps(all, unseen) {
  if (!all.length) return [];
  return [el("h2", { class: "above" }, "Caps, today (UTC)"), el("ul", { class: "caps" }, ...all.map((cap) => el("li", {},
    el("span", {}, shown(cap.of)),
    el("span", { class: `meter${cap.percent >= 100 ? " spent" : cap.percent >= 80 ? " near" : ""}`, role: "meter", "aria-label": `${shown(cap.of)}, ${cap.unit}`,
      "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": `${Math.min(100, cap.percent)}`, vars: { "--part": `${Math.min(100, cap.percent)}%` } }),
    el("span", { class: "dim" }, `${amount(cap.unit, cap.spent)} of ${amount(cap.unit, cap.limit)} · ${cap.percent} %`,
      cap.assumed ? ` · assumed ${amount(cap.unit, cap.assumed)}` : "", cap.unknown_runs ? ` · ${counted(cap.unknown_runs)} of unknown cost` : "")))),
    unseen.length ? el("p", { class: "dim note" }, `What ${shown(unseen.join(", "))} spend in a session of their own no cap sees.`) : null].filter(Boolean);
}

function agents(body) {
  const rows = new Map();
  for (const line of body.items) {
    const row = rows.get(line.agent) ?? rows.set(line.agent, { agent: line.agent, days: new Map(), models: new Set(), ...none() }).get(line.agent);
    const day = row.days.get(line.day) ?? row.days.set(line.day, none()).get(line.day);
    for (const name of COUNTS) {
      row[name] += line[name];
      day[name] += line[name];
    }
    if (line.model) row.models.add(line.model);
  }
  if (!rows.size) return [el("p", { class: "nothing" }, "Nothing was counted in these days.")];
  const all = [...rows.values()].sort((a, b) => b.usd - a.usd || b.runner_s - a.runner_s || a.agent.localeCompare(b.agent));
  const money = all.some((row) => row.usd);
  const of = (counts) => (money ? counts.usd : counts.runner_s);
  const most = Math.max(...all.flatMap((row) => [...row.days.values()].map(of)));
  const table = el("table", { class: "table" }, el("caption", { class: "unseen" }, "What each agent cost"),
    el("thead", {}, el("tr", {}, ...["Who", `${money ? "Dollars" : "Runner"} a day`, "Dollars", "Runs", "Tokens", "Runner", "Messages"]
      .map((title) => el("th", { scope: "col" }, title)))),
    el("tbody", {}, ...all.map((row) => el("tr", { "data-agent": row.agent },
      el("th", { scope: "row" }, shown(row.agent), el("span", { class: "says dim" }, shown([...row.models].join(", ")))),
      el("td", { "data-is": "By day" }, bars(body, row, of, most, money)),
      el("td", { "data-is": "Dollars" }, dollars(row.usd) + (row.unpriced_runs ? " + ?" : "")),
      el("td", { "data-is": "Runs" }, row.runs.toLocaleString()),
      el("td", { "data-is": "Tokens" }, (row.input_tokens + row.output_tokens + row.cache_tokens).toLocaleString()),
      el("td", { "data-is": "Runner" }, span(row.runner_s)),
      el("td", { "data-is": "Messages" }, row.messages ? `${row.messages.toLocaleString()} · ${size(row.bytes)}` : "0")))));
  return [el("h2", { class: "above" }, "Agents"), table,
    body.more ? el("p", { class: "dim note" }, "There is more than is shown: choose fewer days.") : null,
    el("p", { class: "dim note" }, "Money as the runners told it; what they did not tell is not in it.")].filter(Boolean);
}

/** A bar for each day, the newest at the right; its words are for who cannot see it. */
function bars(body, row, of, most, money) {
  const made = [];
  const told = [];
  for (let at = Date.parse(body.since); at <= Date.parse(body.until); at += DAY_MS) {
    const day = new Date(at).toISOString().slice(0, 10);
    const counts = row.days.get(day);
    const value = counts ? of(counts) : 0;
    const words = `${day}: ${money ? dollars(value) : span(value)}`;
    if (value) told.push(words);
    made.push(el("span", { title: words, vars: { "--part": `${most ? Math.max(value ? 4 : 0, (100 * value) / most) : 0}%` } }));
  }
  return el("span", { class: "bars", role: "img", "aria-label": told.join("; ") || "nothing" }, ...made);
}

const counted = (runs) => `${runs.toLocaleString()} run${runs === 1 ? "" : "s"}`;
const none = () => Object.fromEntries(COUNTS.map((name) => [name, 0]));

/** As `maw cost` shows it. */
function dollars(usd) {
  if (usd > 0 && usd < 0.0001) return "<$0.0001";
  const digits = usd < 0.99995 ? 4 : 2;
  return `$${usd.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

const amount = (unit, value) => (unit === "usd" ? dollars(value) : unit === "tokens" ? `${value.toLocaleString()} tokens` : span(value));

// -- CSV: as `maw cost --csv` -------------------------------------------------------------------------

function cell(name, value) {
  if (name === "usd") return value.toFixed(6);
  if (name === "runner_s") return value.toFixed(3);
  let text = `${value ?? ""}`;
  if (/^[=+\-@\t\r\n|%]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function save(found) {
  if (!found) return;
  const columns = ["day", "agent", "model", ...COUNTS];
  const lines = [columns.join(","), ...found.items.map((line) => columns.map((name) => cell(name, line[name])).join(","))];
  const address = URL.createObjectURL(new Blob([lines.map((line) => `${line}\r\n`).join("")], { type: "text/csv" }));
  el("a", { href: address, download: `costs-${found.since}-${found.until}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
