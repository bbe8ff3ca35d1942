// Other words in place of what one has said, and taking it back.

import { ask, freshKey, piece, post } from "./api.js";
import { askIn } from "./dialog.js";
import { el } from "./dom.js";
import { keepDraft, readDraft } from "./drafts.js";
import { written } from "./text.js";

export function editMessage(message, app) {
  const words = el("textarea", { id: "dialog-words", rows: "6", "aria-label": "What it is to say" });
  const place = `edit ${message.id}`;
  const keep = (text) => keepDraft(place, { text });
  words.value = readDraft(place).text ?? message.text;
  words.addEventListener("input", () => keep(words.value));
  let attempt = null;
  return askIn({
    title: "Edit what you said",
    fields: [words, el("p", { class: "dim" }, "Everybody sees that it was edited, and may read what it said before.")],
    verb: "Save",
    act: async (insist) => {
      const text = words.value;
      if (text === message.text) return;
      if (attempt?.text !== text) attempt = { text, key: freshKey() };
      const { body } = await ask("POST", `/api/messages/${piece(message.id)}/edit`,
        { body: { text, ...(insist ? { insist } : {}) }, headers: { "Idempotency-Key": attempt.key } });
      keep("");
      app.changed(body);
    },
  }).then((how) => how === "cancel" && keep(""));
}

export function redactMessage(message, app) {
  const reason = el("input", { id: "dialog-reason", autocomplete: "off", maxlength: "200" });
  return askIn({
    title: "Redact what you said?",
    fields: [
      el("blockquote", { class: "quoted", dir: "auto" }, ...written(message.text.slice(0, 300)), message.text.length > 300 ? "…" : null),
      el("p", {}, "Its words go from every host, with all that it said before, and do not come back. That it was there, and that ",
        "you took it back, stays."),
      el("label", { for: "dialog-reason" }, "Why (everybody sees it; may be left out)"), reason],
    verb: "Redact",
    danger: true,
    act: async () => {
      await post("/api/redact", { ids: [message.id], ...(reason.value.trim() ? { reason: reason.value.trim() } : {}) });
      app.changed((await ask("GET", `/api/messages/${piece(message.id)}`)).body);
    },
  });
}
