// The side: where one can go, what waits there, who one is, and whether what is shown is live.

import { newChannel } from "./channels.js";
import { button, el, icon } from "./dom.js";
import { me, signedIn } from "./identity.js";
import { showKeys } from "./keys.js";
import { wordsOf } from "./message.js";
import { searchBox } from "./search.js";
import { called, isPrivate, shown } from "./text.js";
import { ago } from "./time.js";

const STATES = { live: "live", connecting: "connecting", away: "the daemon is away", refused: "signed out by the node" };
const MANY = 20; // channels, from which on one looks for one by its name
const THEMES = ["auto", "light", "dark"];

export class Sidebar {
  constructor(app, element) {
    this.app = app;
    this.rows = new Map();
    this.channels = el("ul", { class: "places", "aria-label": "Channels" });
    this.views = el("ul", { class: "places views", "aria-label": "Views" });
    this.live = el("span", { class: "live", role: "status" });
    this.who = el("div", { class: "me" });
    this.find = el("input", { type: "search", class: "field find-channel", "aria-label": "Find a channel", placeholder: "find a channel",
      autocomplete: "off", spellcheck: "false", on: { input: () => this.draw() } });
    element.append(
      el("div", { class: "brand" }, el("span", { class: "logo", "aria-hidden": "true" }, "m"),
        el("span", { class: "name" }, shown(me().host ?? "maw")), this.live),
      searchBox(),
      el("div", { class: "lists" }, this.views, this.heading = el("div", { class: "heading" }, el("h2", {}, "Channels")), this.find, this.channels), this.who);
    app.places.addEventListener("change", () => this.#soon());
    app.live.addEventListener("state", () => this.#tellLive());
    this.#tellLive();
    this.draw();
  }

  #soon() {
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      this.draw();
    });
  }

  #tellLive() {
    this.live.dataset.state = this.app.live.state;
    this.live.replaceChildren(el("span", { class: "unseen" }, STATES[this.app.live.state]));
    this.live.title = STATES[this.app.live.state];
  }

  draw() {
    const views = this.app.views();
    const now = JSON.stringify([this.app.route.view, views]);
    if (now !== this.drawn) {
      this.drawn = now;
      const focused = this.views.contains(document.activeElement) ? document.activeElement.hash : null;
      this.views.replaceChildren(...views.map((view) => this.#view(view)));
      if (focused) [...this.views.querySelectorAll("a")].find((one) => one.hash === focused)?.focus();
    }
    const places = this.app.places.sorted();
    this.find.hidden = places.length < MANY;
    const part = this.find.hidden ? "" : this.find.value.trim().replace(/^#/, "").toLowerCase();
    const wanted = places.map((place) => this.#place(place));
    places.forEach((place, at) => (wanted[at].hidden = part !== "" && !place.name.includes(part)));
    wanted.forEach((row, at) => {
      if (this.channels.children[at] !== row) this.channels.insertBefore(row, this.channels.children[at] ?? null);
    });
    const here = this.app.route.view === "c" ? this.app.route.name : null;
    if (here !== this.here) this.rows.get(here)?.link.scrollIntoView({ block: "nearest" });
    this.here = here;
    if (this.told !== me()) this.#me();
  }

  #view({ name, title, drawing, count }) {
    const here = this.app.route.view === name;
    return el("li", {}, el("a", { href: `#/${name}`, class: here ? "here" : null, "aria-current": here ? "page" : null },
      icon(drawing), el("span", { class: "label" }, title), count ? el("span", { class: "count" }, `${count}`) : null));
  }

  #place(place) {
    let row = this.rows.get(place.name);
    if (!row) {
      row = { line: el("span", { class: "last" }), dot: el("span", { class: "dot" }), age: el("span", { class: "age" }) };
      row.link = el("a", { href: `#/c/${encodeURIComponent(place.name)}`, title: shown(place.name) },
        row.sign = el("span", { class: "sign", "aria-hidden": "true" }, "#"),
        row.label = el("span", { class: "label" }, called(place.name)), row.age, row.dot, row.line);
      row.element = el("li", {}, row.link);
      this.rows.set(place.name, row);
    }
    if (isPrivate(place) !== Boolean(row.private)) {
      row.private = isPrivate(place);
      row.sign.replaceChildren(row.private ? icon("lock") : "#");
      row.label.replaceChildren(called(place.name), row.private ? el("span", { class: "unseen" }, " (private)") : "");
    }
    const here = this.app.route.view === "c" && this.app.route.name === place.name;
    const unread = !here && this.app.places.unread(place.name);
    row.link.classList.toggle("here", here);
    row.link.classList.toggle("archived", Boolean(place.archived));
    row.link.classList.toggle("unread", unread);
    if (here) row.link.setAttribute("aria-current", "page");
    else row.link.removeAttribute("aria-current");
    row.dot.replaceChildren(...(unread ? [el("span", { class: "unseen" }, "unread")] : []));
    const last = place.last;
    row.line.textContent = last ? `${shown(last.author_name)}: ${shown(wordsOf(last).slice(0, 120)).replace(/\s+/g, " ")}` : "";
    row.age.textContent = last ? ago(last.created_at) : "";
    return row.element;
  }

  #me() {
    this.told = me();
    this.heading.querySelector("button")?.remove();
    if (signedIn()) this.heading.append(button("tool", "Open a channel", () => newChannel(this.app), icon("plus")));
    const theme = localStorage.getItem("maw.theme") ?? "auto";
    const turn = button("tool", `Colours: ${theme}`, () => this.#turn(theme), icon({ auto: "auto", light: "sun", dark: "moon" }[theme]));
    const who = signedIn()
      ? [el("span", { class: "as", title: shown(me().agent) }, shown(me().agent)), button("plain", "Sign out", () => this.app.signOut())]
      : [el("span", { class: "as dim" }, "reading as nobody"), button("plain", "Sign in", () => this.app.signIn())];
    this.who.replaceChildren(...who, button("tool", "Keys", showKeys, icon("keys")), turn);
  }

  #turn(theme) {
    const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    localStorage.setItem("maw.theme", next);
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    this.#me();
    this.who.lastElementChild.focus();
  }
}
