// Asks that nobody has answered: those that wait for the reader, and those for whose answer he waits.

import { again } from "./again.js";
import { get } from "./api.js";
import { el } from "./dom.js";
import { messageRow } from "./message.js";
import { shown } from "./text.js";

export async function asksView(app, main) {
  const box = el("div", { class: "scroll asks", tabindex: "0", role: "region", "aria-label": "Asks" });
  const about = el("span", { class: "about" }, "to reply is to answer; to acknowledge is not");
  main.replaceChildren(el("header", { class: "bar" }, app.menuButton(), el("h1", {}, "Asks"), about), box);
  let drawn = "";

  async function look() {
    const { body } = await get("/api/asks");
    app.count("asks", body.filter((one) => one.whose === "of_me").length);
    const now = JSON.stringify(body);
    if (now === drawn) return;
    drawn = now;
    const focused = document.activeElement?.closest?.("#main .msg")?.dataset.id;
    box.replaceChildren(
      ...part(app, "Waiting for you", body.filter((one) => one.whose === "of_me"), "Nobody waits for an answer of yours."),
      ...part(app, "You wait for", body.filter((one) => one.whose === "mine"), "You wait for nobody's answer."));
    if (focused) box.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
  }

  const soon = () => look().catch(app.acts.fail);
  await look();
  const stop = again(look, () => 20, app.acts.fail);
  return { title: "Asks", leave: stop, take: (message) => (message.reply_to || message.intent === "ask") && soon(), change: soon, posted: soon };
}

function part(app, title, asks, empty) {
  const late = asks.filter((one) => one.overdue);
  const sorted = [...late, ...asks.filter((one) => !one.overdue)];
  const acts = (one) => (one.whose === "of_me" ? { ...app.acts, answer: app.acts.reply } : app.acts);
  return [el("h2", { class: "above" }, title, asks.length ? ` · ${asks.length}` : "", late.length ? el("span", { class: "tag bad" }, `${late.length} overdue`) : null),
    sorted.length ? el("div", { role: "feed", "aria-label": title }, ...sorted.map((one) => messageRow(
      { ...one, elsewhere: true, why: one.whose === "mine" && one.waits_for.length ? `waits for ${one.waits_for.map(shown).join(", ")}` : null }, acts(one))))
      : el("p", { class: "dim pad" }, empty)];
}
