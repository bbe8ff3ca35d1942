// Writing: Enter sends, Shift+Enter begins a new line. What is typed stays until it is said, over reloads too; what could
// not be sent is sent again under the same key, so that it is said once.

import { Refusal, ask, freshKey } from "./api.js";
import { Attached } from "./files.js";
import { keepDraft, readDraft } from "./drafts.js";
import { button, el, icon } from "./dom.js";
import { onChange, signedIn } from "./identity.js";
import { shown } from "./text.js";
import { span } from "./time.js";

const DUE = [["", "due any time"], ["1h", "due in 1 h"], ["4h", "due in 4 h"], ["1d", "due in a day"]];

/** `path`: where it is posted; `place`: under which name what is typed is kept; `fixed`: what stands in every body
 * (`to`, `reply_to`); `sent(receipt)`. */
export function composer(app, { path, label, place, fixed = {}, sent = () => {} }) {
  const box = el("div", { class: "compose" });
  const draw = () => box.replaceChildren(...(signedIn() ? form(app, { path, label, place, fixed, sent }) : closed(app)));
  draw();
  onChange(() => box.isConnected && draw());
  return box;
}

function closed(app) {
  return [el("p", { class: "closed" }, "You read as nobody in particular. ",
    button("link", "Sign in with a token", () => app.signIn()), " to write, to see receipts and how the mesh is.")];
}

function choice(label, options) {
  return el("select", { "aria-label": label, title: label.toLowerCase() }, ...options.map(([value, words]) => el("option", { value }, words)));
}

function form(app, { path, label, place, fixed, sent }) {
  const words = el("textarea", { rows: "1", "aria-label": label, placeholder: label, autocomplete: "off" });
  const intent = choice("What it wants", [["chat", "chat"], ["ask", "ask"], ["inform", "inform"]]);
  const priority = choice("Priority", [["", "normal priority"], ["high", "high priority"], ["low", "low priority"]]);
  const due = choice("An answer is due", DUE);
  const send = el("button", { type: "submit", class: "send", "aria-label": "Send" }, icon("sent"));
  const trouble = el("p", { class: "trouble", role: "alert" });
  const remark = el("p", { class: "remark", role: "status" });
  const draft = { text: "", intent: "chat", priority: "", due: "", files: [], attempt: null, ...readDraft(place) };
  const files = new Attached(draft.files, () => typed(), (told) => trouble.replaceChildren(told));
  words.value = draft.text;
  [intent.value, priority.value, due.value] = [draft.intent, draft.priority, draft.due];
  let waiting = 0;

  function wanted() {
    const body = { text: words.value, intent: intent.value };
    if (priority.value) body.priority = priority.value;
    if (intent.value === "ask" && due.value) body.due = due.value;
    if (files.items.length) body.files = files.named();
    return { ...body, ...fixed };
  }

  function typed() {
    due.hidden = intent.value !== "ask";
    Object.assign(draft, { text: words.value, intent: intent.value, priority: priority.value, due: due.value });
    keepDraft(place, draft);
    grow(words);
  }

  async function submit(insist = false, open = false) {
    if (!words.value.trim() || send.disabled) return;
    if (files.coming) return void trouble.replaceChildren("A file is still on its way: send it when it is there.");
    const body = wanted();
    const said = JSON.stringify(body);
    if (draft.attempt?.said !== said) draft.attempt = { said, key: freshKey() };
    typed();
    send.disabled = true;
    remark.replaceChildren();
    try {
      const answer = await ask("POST", path, { body: { ...body, ...(insist ? { insist } : {}), ...(open ? { open } : {}) }, headers: { "Idempotency-Key": draft.attempt.key } });
      draft.attempt = null;
      words.value = "";
      files.clear();
      [intent.value, priority.value, due.value] = ["chat", "", ""];
      typed();
      trouble.replaceChildren();
      remark.replaceChildren((answer.body.warnings ?? []).map(shown).join(" · "));
      app.posted(answer.body);
      sent(answer.body);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      tell(error, insist);
    } finally {
      send.disabled = waiting !== 0;
    }
  }

  /** What is wrong, and what can be done about it. */
  function tell(error, insist) {
    if (error.code === "credential") {
      trouble.replaceChildren(`${error.message}. `, button("link", "Send it all the same", () => submit(true)));
    } else if (error.code === "no_seal_key") {
      trouble.replaceChildren(`${shown(error.words)}. `, button("link", "Send it unsealed: every host can read it", () => submit(insist, true)));
    } else if (error.retryAfter !== null && error.status === 429) countDown(error);
    else trouble.replaceChildren(shown(error.words));
  }

  /** Until it may be asked again. */
  function countDown(error) {
    const until = Date.now() + error.retryAfter * 1000;
    clearInterval(waiting);
    const round = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      if (left > 0 && trouble.isConnected) {
        trouble.replaceChildren(`${shown(error.message)}: it can be sent in ${span(left)}. What you wrote stays here.`);
        return;
      }
      clearInterval(waiting);
      waiting = 0;
      send.disabled = false;
      trouble.replaceChildren("It can be sent now. ", button("link", "Send it", () => submit()));
    };
    waiting = setInterval(round, 500);
    round();
  }

  words.addEventListener("input", typed);
  words.addEventListener("paste", (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    files.take(event.clipboardData.files);
  });
  for (const one of [intent, priority, due]) one.addEventListener("change", typed);
  words.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  const made = el("form", { class: "line", on: { submit: (event) => {
    event.preventDefault();
    submit();
  }, dragover: (event) => event.dataTransfer.types.includes("Files") && event.preventDefault(), drop: (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    files.take(event.dataTransfer.files);
  } } }, words, button("tool", "Add files", () => files.field.click(), icon("clip")), files.field,
  el("span", { class: "wishes" }, intent, due, priority), send);
  due.hidden = intent.value !== "ask";
  requestAnimationFrame(() => grow(words));
  return [trouble, remark, files.list, made];
}

function grow(words) {
  words.style.height = "auto";
  words.style.height = `${Math.min(words.scrollHeight, 240)}px`;
}
