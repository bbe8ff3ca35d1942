// Writing: Enter sends, Shift+Enter begins a new line. What could not be sent stays, and is sent again under the same
// key, so that it is said once.

import { Refusal, ask } from "./api.js";
import { button, el, icon } from "./dom.js";
import { onChange, signedIn } from "./identity.js";

/** `path`: where it is posted; `fixed`: what stands in every body (`to`, `reply_to`). */
export function composer(app, { path, label, fixed = {}, sent = () => {} }) {
  const box = el("div", { class: "compose" });
  const draw = () => box.replaceChildren(...(signedIn() ? form(app, { path, label, fixed, sent }) : closed(app)));
  draw();
  onChange(() => box.isConnected && draw());
  return box;
}

function closed(app) {
  return [el("p", { class: "closed" }, "You read as nobody in particular. ",
    button("link", "Sign in with a token", () => app.signIn()), " to write, to see receipts and how the mesh is.")];
}

function form(app, { path, label, fixed, sent }) {
  const words = el("textarea", { rows: "1", "aria-label": label, placeholder: label, autocomplete: "off" });
  const intent = el("select", { "aria-label": "What it wants", title: "what it wants" },
    el("option", { value: "chat" }, "chat"), el("option", { value: "ask" }, "ask"), el("option", { value: "inform" }, "inform"));
  const send = el("button", { type: "submit", class: "send", "aria-label": "Send" }, icon("sent"));
  const trouble = el("p", { class: "trouble", role: "alert" });
  let attempt = null;

  async function submit(insist = false) {
    const text = words.value;
    if (!text.trim() || send.disabled) return;
    if (attempt?.text !== text || attempt.intent !== intent.value) attempt = { text, intent: intent.value, key: freshKey() };
    send.disabled = true;
    try {
      const { body } = await ask("POST", path, {
        body: { text, intent: attempt.intent, ...(insist ? { insist } : {}), ...fixed }, headers: { "Idempotency-Key": attempt.key },
      });
      attempt = null;
      words.value = "";
      trouble.replaceChildren();
      grow(words);
      app.posted(body);
      sent(body);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      trouble.replaceChildren(...(error.code === "credential"
        ? [`${error.message}. `, button("link", "Send it all the same", () => submit(true))] : [error.words]));
    } finally {
      send.disabled = false;
    }
  }

  words.addEventListener("input", () => grow(words));
  words.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  const made = el("form", { class: "line", on: { submit: (event) => {
    event.preventDefault();
    submit();
  } } }, words, intent, send);
  return [trouble, made];
}

function grow(words) {
  words.style.height = "auto";
  words.style.height = `${Math.min(words.scrollHeight, 240)}px`;
}

function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
