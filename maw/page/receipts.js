// How far came what the reader sent: stored, replicated, delivered, read. Asked for while something is on its way.

import { again } from "./again.js";
import { get } from "./api.js";
import { onChange, signedIn } from "./identity.js";

const LAST = new Set(["read", "acked", "failed"]);
const YOUNG_MS = 10 * 60_000;

/** Event `change` (detail: [{id, seq, state, recipients}, …]). */
export class Receipts extends EventTarget {
  constructor() {
    super();
    this.known = new Map();
    this.stop = () => {};
    onChange(() => this.begin());
  }

  begin() {
    this.stop();
    this.known.clear();
    if (signedIn()) this.stop = again(() => this.look(), () => (this.#underWay() ? 2 : 20), () => {});
  }

  /** The receipt that a post was answered with. */
  take(receipt) {
    this.#learn([{ ...receipt.message, state: receipt.state, recipients: receipt.recipients }]);
    this.look().catch(() => {}); // it is asked again soon
  }

  async look() {
    this.#learn((await get("/api/sent", { limit: 50 })).body);
  }

  /** The message with how far it came, where that is known. */
  dress(message) {
    const known = this.known.get(message.id);
    return known ? { ...message, state: known.state } : message;
  }

  #learn(sent) {
    const changed = sent.filter((one) => this.known.get(one.id)?.state !== one.state);
    for (const one of sent) this.known.set(one.id, one);
    if (changed.length) this.dispatchEvent(new CustomEvent("change", { detail: changed }));
  }

  #underWay() {
    const now = Date.now();
    return [...this.known.values()].some((one) => !LAST.has(one.state) && now - new Date(one.created_at) < YOUNG_MS);
  }
}
