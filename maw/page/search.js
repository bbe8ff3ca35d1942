// Finding what was said: words, "phrases", from:NAME, in:#channel; the best first, or the newest.

import { ask } from "./api.js";
import { button, el } from "./dom.js";
import { face } from "./message.js";
import { called, shown, written } from "./text.js";
import { clock, dayName, whole } from "./time.js";

const MANY = 30;

/** The box at the side, from wherever one is: Ctrl+K. */
export function searchBox() {
  const field = el("input", { type: "search", "aria-label": "Search", placeholder: "Search", autocomplete: "off", spellcheck: "false",
    "aria-keyshortcuts": "Control+K" });
  const form = el("form", { class: "searchbox", role: "search", on: { submit: (event) => {
    event.preventDefault();
    if (field.value.trim()) location.hash = `#/search/${encodeURIComponent(field.value.trim())}`;
  } } }, field, el("kbd", { "aria-hidden": "true" }, "Ctrl K"));
  addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
    event.preventDefault();
    document.body.classList.add("with-side");
    field.focus();
    field.select();
  });
  return form;
}

export async function searchView(app, main, { name: query, more: order }) {
  const newest = order === "new";
  const list = el("div", { class: "found", role: "list", "aria-label": "What was found" });
  const count = el("span", { class: "about", role: "status" });
  const turn = el("a", { class: "plain", href: `#/search/${encodeURIComponent(query ?? "")}${newest ? "" : "/new"}` },
    newest ? "best first" : "newest first");
  const box = el("div", { class: "scroll pad", tabindex: "0", role: "region", "aria-label": "What was found" }, list);
  main.replaceChildren(el("header", { class: "bar" }, app.menuButton(), el("h1", {}, "Search"), count, query ? turn : null), box);
  let shownSoFar = 0;

  async function page(before) {
    const { body, before: next } = await ask("GET", "/api/search",
      { query: { q: query, limit: MANY, order: newest ? "new" : "best", before_seq: before } });
    box.querySelector(".plain")?.remove();
    list.append(...body.map((one) => foundRow(one, app)));
    shownSoFar += body.length;
    count.textContent = `${shownSoFar}${next ? "+" : ""} for ${shown(query)}`;
    if (!shownSoFar && !next) list.replaceChildren(el("p", { class: "nothing" }, "Nothing that you may read has these words."));
    if (next) box.append(button("plain", "Look further back", () => page(next).catch(app.acts.fail)));
  }

  if (query) await page(null);
  else list.append(el("p", { class: "dim" }, 'Words, "phrases", begin*, -not, from:neo, in:#general.'));
  return { title: "Search" };
}

function foundRow(message, app) {
  const where = message.channel ? `#/c/${encodeURIComponent(message.channel)}/${message.seq}` : null;
  return el("div", { class: "hit", role: "listitem" }, face(message),
    el("div", {}, el("div", { class: "head" },
      el("span", { class: "who" }, shown(message.author_name)), el("span", { class: "host" }, `@${shown(message.host)}`),
      message.order ? el("span", { class: "tag bad" }, "operator's order") : null,
      el("time", { datetime: message.created_at, title: whole(message.created_at) }, `${dayName(message.created_at)}, ${clock(message.created_at)}`),
      where ? el("a", { class: "where", href: where }, `#${called(message.channel)}`)
        : button("link", "Open", () => app.acts.thread(message), "direct")),
    el("div", { class: "body", dir: "auto" }, ...lit(message))));
}

/** The snippet, with what was looked for pointed out: places are in characters, not in JavaScript's halves. */
function lit(message) {
  const chars = [...message.snippet];
  const made = [];
  let at = 0;
  for (const [start, end] of message.highlights ?? []) {
    made.push(...written(chars.slice(at, start).join("")), el("mark", {}, ...written(chars.slice(start, end).join(""))));
    at = end;
  }
  return [...made, ...written(chars.slice(at).join(""))];
}
