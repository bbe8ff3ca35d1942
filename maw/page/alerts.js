// What this node wants a human to know: what is wrong now, and since when alerts came, the newest first.

import { again } from "./again.js";
import { get } from "./api.js";
import { button, el } from "./dom.js";
import { signedIn } from "./identity.js";
import { shown } from "./text.js";
import { clock, dayName, dayOf, size, span, whole } from "./time.js";

export async function alertsView(app, main) {
  const box = el("div", { class: "scroll pad", tabindex: "0", role: "region", "aria-label": "Alerts" });
  main.replaceChildren(el("header", { class: "bar" }, app.menuButton(), el("h1", {}, "Alerts"),
    el("span", { class: "about" }, "what this node wants a human to know")), box);
  if (!signedIn()) {
    box.append(el("p", { class: "dim" }, "How a node does is for those who have a token. "),
      button("primary", "Sign in with a token", () => app.signIn()));
    return { title: "Alerts" };
  }
  let drawn = "";
  async function look() {
    const { body } = await get("/api/status");
    const now = JSON.stringify([body.alerts, body.trouble, body.trouble_with, body.frozen, body.links_up, body.disk_free_bytes >> 28]);
    if (now === drawn) return;
    drawn = now;
    app.count("alerts", body.alerts.length);
    box.replaceChildren(...facts(body), ...troubles(body), ...timeline(body.alerts));
  }
  await look();
  const stop = again(look, () => 5, app.acts.fail);
  return { title: "Alerts", leave: stop };
}

function facts(status) {
  const host = status.host ?? {};
  const cards = [
    ["state", status.state === "running" ? "running" : "read-only", `for ${span(status.uptime_s)}`],
    ["links", `${status.links_up} of ${status.peers_known}`, "peers linked"],
    ["messages", status.messages.toLocaleString(), `database ${size(status.database_bytes)}`],
    ["disk", size(status.disk_free_bytes), "free"],
    ["memory", size(host.memory_available_bytes), "left on this host"],
  ];
  return [el("dl", { class: "cards" }, ...cards.map(([name, value, more]) =>
    el("div", { class: "card" }, el("dt", {}, name), el("dd", {}, value, el("small", {}, more)))))];
}

function troubles(status) {
  const now = [
    status.trouble,
    ...(status.frozen ?? []),
    ...(status.trouble_with ?? []).map((one) => `${one.peer}: ${one.trouble.join(", ")}`),
    ...(status.without_keeper ?? []).map((one) => `no keeper runs for uid ${one.uid}: ${one.agents.join(", ")}`),
  ].filter(Boolean);
  return now.length ? [el("h2", { class: "above" }, "Now"), el("ul", { class: "now" }, ...now.map((words) => el("li", {}, shown(words))))] : [];
}

function timeline(alerts) {
  if (!alerts.length) return [el("p", { class: "nothing" }, "No alerts: nothing to see to.")];
  const made = [];
  let day = "";
  let list = null;
  for (const alert of alerts) {
    if (dayOf(alert.at) !== day) {
      day = dayOf(alert.at);
      list = el("ol", { class: "timeline" });
      made.push(el("h2", { class: "above" }, dayName(alert.at)), list);
    }
    list.append(el("li", {}, el("time", { datetime: alert.at, title: whole(alert.at) }, clock(alert.at)),
      el("div", {}, el("span", { class: "tag bad" }, shown(alert.kind)), " ", el("b", {}, shown(alert.subject)),
        alert.count > 1 ? el("span", { class: "dim" }, ` ×${alert.count}`) : null,
        el("p", {}, shown(alert.text)))));
  }
  return [...made, el("p", { class: "dim note" }, "Seen to? On the host: ", el("code", {}, "maw alerts --dismiss KIND"), ".")];
}
