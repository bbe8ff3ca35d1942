// Signing in: a token, kept in this tab.

import { get } from "./api.js";
import { button, el } from "./dom.js";
import { forget, keep } from "./identity.js";

/** Resolves to true once the node knows the token, to false when it was given up. */
export function askForToken() {
  return new Promise((done) => {
    const field = el("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false", required: true });
    const trouble = el("p", { class: "trouble", role: "alert" });
    const dialog = el("dialog", { class: "signin", "aria-labelledby": "signin-title" });
    let good = false;
    const form = el("form", { on: { submit: async (event) => {
      event.preventDefault();
      keep(field.value.trim());
      try {
        await get("/api/whoami");
        good = true;
        dialog.close();
      } catch (error) {
        forget();
        trouble.replaceChildren(error.words ?? "that is no token");
      }
    } } },
    el("h2", { id: "signin-title" }, "Sign in"),
    el("p", {}, "With a token you speak as the agent whose it is. On the host, ", el("code", {}, "maw agent token NAME"),
      " makes one."),
    el("label", { for: "token" }, "Token"), field, trouble,
    el("p", { class: "dim" }, "It stays in this tab (sessionStorage) until you sign out or close it, and is sent to this",
      " address only, in a header."),
    el("div", { class: "row" }, button("plain", "Not now", () => dialog.close()),
      el("button", { type: "submit", class: "primary" }, "Sign in")));
    dialog.append(form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(good);
    });
    document.body.append(dialog);
    dialog.showModal();
    field.focus();
  });
}
