// Files that go with a message: to be had by who may read it, and always as a download, whatever they are called.

import { Refusal, ask, fetchWhole, piece } from "./api.js";
import { el, icon } from "./dom.js";
import { signedIn } from "./identity.js";
import { shown } from "./text.js";
import { size } from "./time.js";

const ABSENT = new Set(["file_not_here", "file_damaged"]);
const PATIENCE_S = 20;

export function filesOf(message) {
  return el("ul", { class: "files", "aria-label": "Files" }, ...message.files.map((file) => el("li", {}, link(message, file))));
}

function link(message, file) {
  const path = `/api/messages/${piece(message.id)}/files/${file.n}`;
  const said = el("span", { class: "dim", role: "status" }, size(file.size));
  return el("a", { class: "file", href: path, download: file.name, rel: "noopener", title: shown(file.type), on: { click: (event) => {
    event.preventDefault();
    if (said.dataset.busy) return;
    said.dataset.busy = "yes";
    bring(path, file, said).then(() => (said.textContent = size(file.size)), (error) => {
      if (!(error instanceof Refusal)) console.error(error);
      said.textContent = error.words ?? "a fault in this page; the console has it";
    }).finally(() => delete said.dataset.busy);
  } } }, icon("clip"), el("span", { class: "name" }, shown(file.name)), " ", said);
}

/** Its content, fetched from the host that has it where that is another; then the browser keeps it as a download. */
async function bring(path, file, said) {
  said.textContent = "…";
  let content;
  try {
    content = await fetchWhole(path);
  } catch (error) {
    if (!ABSENT.has(error.code) || !signedIn()) throw error;
    await come(path, file, said);
    content = await fetchWhole(path);
  }
  const address = URL.createObjectURL(content);
  const made = el("a", { href: address, download: file.name });
  made.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

async function come(path, file, said) {
  for (let anew = true; said.isConnected; anew = false) {
    const { body } = await ask("POST", `${path}/fetch`, { query: { wait: PATIENCE_S, ...(anew ? { anew } : {}) } });
    if (body.state === "here") return;
    if (body.state === "in_vain") {
      throw new Refusal(503, { code: "in_vain", message: `nobody who is linked has it (it is on ${shown(body.holder)})`, hint: "try again later" });
    }
    said.textContent = body.state === "coming" ? `${size(body.fetched)} of ${size(file.size)}` : "looking for it…";
  }
}

/** Files that are to go with what is being written. `changed()`: another list; `told(words)`: what went wrong. */
export class Attached {
  constructor(kept, changed, told) {
    Object.assign(this, { items: kept, changed, told, coming: 0 });
    this.list = el("ul", { class: "files attached", "aria-label": "Files that go along" });
    this.field = el("input", { type: "file", multiple: true, class: "unseen", tabindex: "-1", "aria-hidden": "true",
      on: { change: () => {
        this.take(this.field.files);
        this.field.value = "";
      } } });
    this.draw();
  }

  /** As a message names them. */
  named() {
    return this.items.map(({ hash, name }) => ({ hash, name }));
  }

  async take(files) {
    for (const file of files) {
      this.coming += 1;
      this.draw();
      try {
        const { body } = await ask("POST", "/api/files", { query: { name: file.name }, raw: file,
          headers: { "Content-Type": file.type || "application/octet-stream" } });
        this.items.push({ hash: body.hash, name: body.name, size: body.size });
        this.changed();
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        this.told(`${shown(file.name)}: ${error.words}`);
      } finally {
        this.coming -= 1;
        this.draw();
      }
    }
  }

  clear() {
    this.items.length = 0;
    this.draw();
  }

  draw() {
    this.list.replaceChildren(...this.items.map((file) => el("li", {}, el("span", { class: "file" }, icon("clip"),
      el("span", { class: "name" }, shown(file.name)), " ", el("span", { class: "dim" }, size(file.size)),
      el("button", { type: "button", class: "tool small", "aria-label": `Leave out ${shown(file.name)}`, on: { click: () => {
        this.items.splice(this.items.indexOf(file), 1);
        this.changed();
        this.draw();
      } } }, icon("close"))))), ...(this.coming ? [el("li", { class: "dim", role: "status" }, "uploading…")] : []));
    this.list.hidden = !this.items.length && !this.coming;
  }
}
