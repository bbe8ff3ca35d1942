// The mesh as this node sees it: hosts, the links between them, how they do, and how far each is behind.

import { again } from "./again.js";
import { get } from "./api.js";
import { button, el } from "./dom.js";
import { me, signedIn } from "./identity.js";
import { drawMesh } from "./meshmap.js";
import { shown } from "./text.js";
import { ago } from "./time.js";

const WORDS = {
  linked: "linked", followed: "heard through another", connecting: "connecting", unreachable: "cannot be reached",
  pending: "not accepted yet", forgotten: "forgotten", unknown: "how it is linked needs a token",
};

export async function meshView(app, main) {
  const summary = el("span", { class: "about" });
  const map = el("div", { class: "map" });
  const cards = el("ul", { class: "hosts", "aria-label": "Hosts" });
  const box = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Mesh" }, map,
    signedIn() ? null : el("p", { class: "dim note pad" },
      "Who is on which host anybody may know. Links, how they do and what each host is behind need a token. ",
      button("link", "Sign in", () => app.signIn())), cards);
  main.replaceChildren(el("header", { class: "bar" }, app.menuButton(), el("h1", {}, "Mesh"), summary), box);
  let drawn = "";

  async function look() {
    const [users, peers] = await Promise.all([get("/api/users"), signedIn() ? get("/api/peers") : { body: [] }]);
    const hosts = known(users.body, peers.body.filter((one) => one.state !== "forgotten"));
    const now = JSON.stringify(hosts.map((one) => ({ ...one, rtt_ms: null, last_seen: null })));
    if (now === drawn) return;
    drawn = now;
    const linked = hosts.filter((one) => one.state === "linked").length;
    summary.textContent = signedIn() ? `${hosts.length} hosts · ${linked} linked with ${me().host}` : `${hosts.length} hosts`;
    map.replaceChildren(drawMesh(hosts, (host) => cards.querySelector(`[data-host="${CSS.escape(host)}"]`)?.focus()));
    cards.replaceChildren(...hosts.map(card));
  }

  await look();
  const stop = again(look, () => 3, app.acts.fail);
  return { title: "Mesh", leave: stop };
}

/** This node first, then the others by name: what is told of each, with who lives there. */
function known(users, peers) {
  const here = { name: me().host, here: true, state: "here" };
  const others = new Map(peers.map((one) => [one.name, one]));
  for (const user of users) {
    if (user.host !== here.name && !others.has(user.host)) others.set(user.host, { name: user.host, state: "unknown" });
  }
  const all = [here, ...[...others.values()].sort((a, b) => a.name.localeCompare(b.name))];
  return all.map((host) => {
    const living = users.filter((one) => one.host === host.name);
    return { ...host, living: living.length, alive: living.filter((one) => one.status === "alive").length };
  });
}

function card(host) {
  const lines = [
    host.rtt_ms !== null && host.rtt_ms !== undefined ? `${host.rtt_ms < 10 ? host.rtt_ms.toFixed(1) : Math.round(host.rtt_ms)} ms away` : null,
    host.state === "followed" && host.through ? `through ${shown(host.through)}` : null,
    lag(host),
    host.state !== "linked" && host.last_seen ? `last seen ${ago(host.last_seen) === "now" ? "just now" : `${ago(host.last_seen)} ago`}` : null,
    host.clock_skew_ms && Math.abs(host.clock_skew_ms) > 2000 ? `its clock is ${Math.abs(Math.round(host.clock_skew_ms / 1000))} s ${host.clock_skew_ms > 0 ? "ahead" : "behind"}` : null,
    host.version ? `maw ${shown(host.version)}` : null,
  ].filter(Boolean);
  return el("li", { class: `host-card ${host.state}`, tabindex: "-1", "data-host": host.name },
    el("div", { class: "top" }, el("b", {}, shown(host.name)),
      el("span", { class: `tag is ${host.state}` }, host.here ? "this node" : WORDS[host.state] ?? shown(host.state))),
    el("div", { class: "dim" }, `${host.living} on it, ${host.alive} alive`),
    lines.length ? el("div", { class: "dim" }, lines.join(" · ")) : null,
    host.last_error ? el("div", { class: "trouble" }, shown(host.last_error)) : null,
    host.trouble?.length ? el("div", { class: "trouble" }, host.trouble.map(shown).join(", ")) : null);
}

function lag(host) {
  const parts = [];
  if (host.behind) parts.push(`${host.behind.toLocaleString()} behind${host.behind_since ? ` for ${ago(host.behind_since)}` : ""}`);
  if (host.lacks) parts.push(`we lack ${host.lacks.toLocaleString()} of its`);
  return parts.length ? parts.join(", ") : host.state === "linked" ? "up to date" : null;
}
