// The side on the right: one message with its replies, or its way through the mesh.

import { get, piece } from "./api.js";
import { composer } from "./compose.js";
import { button, el, icon } from "./dom.js";
import { messageRow } from "./message.js";
import { shown } from "./text.js";
import { traceOf } from "./trace.js";

export class Panel {
  constructor(app, element) {
    this.app = app;
    this.element = element;
    this.thread = null;
    element.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  close() {
    this.element.hidden = true;
    this.thread = null;
    this.element.replaceChildren();
    document.body.classList.remove("with-panel");
    this.from?.isConnected && this.from.focus();
  }

  /** The message and what answers it; `id` of the one that began it, where that is another. */
  async openThread(message, id = message.id) {
    const { body } = await get(`/api/messages/${piece(id)}`);
    this.thread = body.id;
    const rows = el("div", { class: "rows", role: "feed", "aria-label": "Thread" });
    const acts = { trace: this.app.acts.trace, fail: this.app.acts.fail };
    rows.append(messageRow({ ...body, replies: 0 }, acts), el("p", { class: "between" }, counted(body.thread.length)),
      ...body.thread.map((one) => answer(one, acts, one.depth)));
    const to = body.kind === "post" ? { path: `/api/channels/${piece(body.channel)}/messages`, fixed: {} }
      : { path: "/api/direct", fixed: { to: [...new Set([body.author, ...body.to])].filter((one) => one !== this.app.me()) } };
    this.#show("Thread", body.kind === "post" ? `#${shown(body.channel)}` : "direct",
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Thread" }, rows),
      composer(this.app, { path: to.path, label: `Answer ${shown(body.author_name)}`, fixed: { ...to.fixed, reply_to: body.id } }));
    this.element.querySelector("textarea")?.focus();
  }

  take(message) {
    if (this.thread === null || !message.reply_to) return;
    const rows = this.element.querySelector(".rows");
    const there = (id) => rows.querySelector(`[data-id="${CSS.escape(id)}"]`);
    if (there(message.id) || !there(message.reply_to)) return;
    rows.append(answer(message, { trace: this.app.acts.trace, fail: this.app.acts.fail }, 1));
    rows.querySelector(".between").textContent = counted(rows.querySelectorAll(".msg").length - 1);
    rows.lastElementChild.scrollIntoView({ block: "nearest" });
  }

  async openTrace(message) {
    const { body } = await get(`/api/messages/${piece(message.id)}/trace`);
    this.thread = null;
    this.#show("Trace", shown(body.id), el("div", { class: "scroll pad", tabindex: "0", role: "region", "aria-label": "Trace" }, traceOf(body)));
  }

  openDirect(address) {
    this.thread = null;
    this.#show("Direct message", shown(address),
      el("p", { class: "pad dim" }, "Only the two of you read it. What you sent, and how far it came, is under Sent."),
      composer(this.app, { path: "/api/direct", label: `Write to ${shown(address)}`, fixed: { to: [address] },
        sent: () => this.close() }));
    this.element.querySelector("textarea")?.focus();
  }

  #show(title, about, ...children) {
    if (!this.element.contains(document.activeElement)) this.from = document.activeElement;
    this.element.hidden = false;
    document.body.classList.add("with-panel");
    const shut = button("tool", "Close", () => this.close(), icon("close"));
    this.element.replaceChildren(
      el("header", { class: "bar" }, el("h2", {}, title), el("span", { class: "about" }, about), shut), ...children);
    shut.focus();
  }
}

/** One that answers, set in by how far it is from what began the thread. */
function answer(message, acts, depth = 1) {
  const row = messageRow({ ...message, reply_to: null, replies: 0 }, acts);
  row.style.setProperty("--depth", `${Math.min(depth - 1, 5)}`);
  return row;
}

const counted = (count) => (count === 0 ? "no replies yet" : count === 1 ? "1 reply" : `${count} replies`);
