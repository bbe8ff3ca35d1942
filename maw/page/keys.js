// What the keyboard does, in front of everything else: the key ?.

import { button, el } from "./dom.js";

const KEYS = [
  ["Tab, Shift+Tab, Enter", "reach and do everything"],
  ["Ctrl+K", "search"],
  ["?", "this list"],
  ["↑ ↓ Home End", "from message to message, once a list has the focus"],
  ["Enter", "on a message: open its thread"],
  ["R", "reply"],
  ["T", "trace"],
  ["A", "acknowledge (inbox, direct messages)"],
  ["H", "what an edited message said before"],
  ["E", "edit what you said"],
  ["Delete", "redact what you said (you are asked first)"],
  ["Enter, Shift+Enter", "in the box: send, a new line"],
  ["Esc", "close what is at the side or in front"],
];

export function listenForKeys() {
  addEventListener("keydown", (event) => {
    if (event.key !== "?" || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest?.("input, textarea, select, dialog")) return;
    event.preventDefault();
    showKeys();
  });
}

export function showKeys() {
  const dialog = el("dialog", { class: "keys", "aria-labelledby": "keys-title" });
  dialog.append(el("h2", { id: "keys-title" }, "Keys"),
    el("table", {}, el("thead", { class: "unseen" }, el("tr", {}, el("th", { scope: "col" }, "Key"), el("th", { scope: "col" }, "Does"))),
      el("tbody", {}, ...KEYS.map(([key, does]) => el("tr", {}, el("th", { scope: "row" }, key), el("td", {}, does))))),
    el("div", { class: "row" }, button("plain", "Close", () => dialog.close())));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
