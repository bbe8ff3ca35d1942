// A question in front of everything else: a form in a modal dialog, which keeps what was typed until it was taken.

import { button, el } from "./dom.js";

/**
 * `act(insist)`: done when the form is sent, and the dialog shuts when it is; what it throws is told in the dialog.
 * `danger`: the button says so by its colour. Resolves when the dialog is shut: to `cancel` where that was pressed.
 */
export function askIn({ title, fields, verb, act, danger = false }) {
  return new Promise((done) => {
    const trouble = el("p", { class: "trouble", role: "alert" });
    const send = el("button", { type: "submit", class: danger ? "primary danger" : "primary" }, verb);
    const dialog = el("dialog", { "aria-labelledby": "dialog-title" });
    async function submit(insist = false) {
      if (send.disabled) return;
      send.disabled = true;
      try {
        await act(insist);
        dialog.close();
      } catch (error) {
        trouble.replaceChildren(...(error.code === "credential"
          ? [`${error.message}. `, button("link", "Do it all the same", () => submit(true))] : [error.words ?? `${error}`]));
      } finally {
        send.disabled = false;
      }
    }
    dialog.append(el("form", { on: { submit: (event) => {
      event.preventDefault();
      submit();
    } } }, el("h2", { id: "dialog-title" }, title), ...fields, trouble,
    el("div", { class: "row" }, button("plain", "Cancel", () => dialog.close("cancel")), send)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(dialog.returnValue);
    });
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector("textarea, input")?.focus();
  });
}
