// The channels: what was said last in each, and how far this reader has read. Kept in this browser, by replica.

import { get, piece } from "./api.js";

const WORDS_OF = 40;

/** Event `change`: a channel is there, or its last words or its dot are others. */
export class Places extends EventTarget {
  constructor(nodeKey) {
    super();
    this.key = `maw.seen.${nodeKey}`;
    this.all = new Map();
    this.seen = JSON.parse(localStorage.getItem(this.key) || "null");
  }

  /** Reads the list; returns how far the replica was. */
  async load() {
    const { body, next } = await get("/api/channels");
    const first = this.seen === null;
    this.seen ??= {};
    for (const one of body) {
      this.all.set(one.name, { ...this.all.get(one.name), ...one });
      if (first) this.seen[one.name] = one.last_seq;
    }
    this.#keep();
    this.#changed();
    return next;
  }

  /** What a route said of one: new, or changed by the reader. */
  learn(channel) {
    this.all.set(channel.name, { ...this.all.get(channel.name), ...channel });
    this.#changed();
  }

  /** The last words of those where most happens, one after the other: nobody waits for them. */
  async loadWords() {
    const busy = [...this.all.values()].filter((one) => one.messages).sort((a, b) => b.last_seq - a.last_seq);
    for (const one of busy.slice(0, WORDS_OF)) {
      const { body } = await get(`/api/channels/${piece(one.name)}/messages`, { limit: 1 });
      if (body.length && body[0].seq >= (one.last?.seq ?? 0)) one.last = body[0];
      this.#changed();
    }
  }

  take(message) {
    if (message.kind !== "post") return;
    const place = this.all.get(message.channel) ?? { name: message.channel, messages: 0, last_seq: 0 };
    if (message.seq <= place.last_seq && place.last) return;
    this.all.set(message.channel, { ...place, messages: place.messages + 1, last_seq: message.seq, last: message });
    this.#changed();
  }

  /** Other words, or none, of what may be the last of a channel. */
  change(message) {
    const place = this.all.get(message.channel);
    if (place?.last?.id !== message.id) return;
    place.last = message;
    this.#changed();
  }

  see(name, seq) {
    if ((this.seen[name] ?? 0) >= seq) return;
    this.seen[name] = seq;
    this.#keep();
    this.#changed();
  }

  unread(name) {
    return (this.all.get(name)?.last_seq ?? 0) > (this.seen[name] ?? 0);
  }

  sorted() {
    return [...this.all.values()].sort((a, b) =>
      Boolean(a.archived) - Boolean(b.archived) || a.name.localeCompare(b.name));
  }

  #keep() {
    localStorage.setItem(this.key, JSON.stringify(this.seen));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
