// What is said, as it is said: one WebSocket for all of it, which goes on where it was after the daemon was away.

import { get, post } from "./api.js";
import { token } from "./identity.js";

const SILENCE_MS = 40_000; // the daemon says something every 15 s
const WAITS_MS = [250, 500, 1000, 2000, 4000, 8000];

/** Events: `message` (detail: the message, ascending, each once), `change` (detail: a message from before, as it is now:
 * edited or redacted), `state` (detail: live, connecting, away, refused), `reset` (the replica is not what it was: read
 * everything again). */
export class Live extends EventTarget {
  #cursor = 0;
  #socket = null;
  #tries = 0;
  #timer = 0;
  #watch = 0;
  state = "connecting";

  /** From here on; again to begin anew, as somebody else. */
  start(afterSeq) {
    this.#cursor = afterSeq;
    this.#tries = 0;
    this.#open();
  }

  /** At once, if it waits: the network or the reader is back. */
  hurry() {
    if (this.state === "live") return;
    this.#tries = 0;
    this.#open();
  }

  async #open() {
    clearTimeout(this.#timer);
    const old = this.#socket;
    this.#socket = null;
    old?.close?.(); // one that was only going to be opened has none
    this.#tell("connecting");
    const protocols = ["maw"];
    const mine = {};
    this.#socket = mine; // whoever opens later has taken over
    try {
      if (token()) protocols.push(`maw.ticket.${(await post("/api/stream/ticket")).body.ticket}`);
    } catch (error) {
      if (this.#socket !== mine) return;
      this.#socket = null;
      if (error.status === 401) this.#tell("refused");
      else this.#again();
      return;
    }
    if (this.#socket !== mine) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/stream?changes=true&after_seq=${this.#cursor}`, protocols);
    this.#socket = socket;
    let opened = false;
    socket.addEventListener("open", () => {
      opened = true;
      this.#listenFor(socket);
    });
    socket.addEventListener("message", (event) => this.#take(socket, event.data));
    socket.addEventListener("close", (event) => {
      if (this.#socket !== socket) return;
      clearTimeout(this.#watch);
      this.#socket = null;
      if (event.code === 1008) this.#tell("refused");
      else this.#again(!opened);
    });
  }

  #take(socket, data) {
    if (this.#socket !== socket) return;
    this.#listenFor(socket);
    this.#tries = 0;
    const frame = JSON.parse(data);
    const seq = frame.type === "message" ? frame.message.seq : frame.seq;
    if (frame.type === "message" && seq > this.#cursor) {
      this.dispatchEvent(new CustomEvent("message", { detail: frame.message }));
    }
    if (frame.now) this.dispatchEvent(new CustomEvent("change", { detail: frame.now }));
    this.#cursor = Math.max(this.#cursor, seq || 0);
    this.#tell("live");
  }

  #listenFor(socket) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => socket.close(), SILENCE_MS);
  }

  #again(check = false) {
    this.#tell("away");
    clearTimeout(this.#timer);
    const wait = WAITS_MS[Math.min(this.#tries++, WAITS_MS.length - 1)];
    this.#timer = setTimeout(() => (check ? this.#compare() : this.#open()), wait * (0.8 + 0.4 * Math.random()));
  }

  /** The door was shut: is the daemon away, or is our place in its replica not there any more? */
  async #compare() {
    try {
      const { next } = await get("/api/channels");
      if (next < this.#cursor) {
        this.#cursor = next;
        this.dispatchEvent(new Event("reset"));
      }
    } catch (error) {
      if (error.status === 401) return this.#tell("refused");
      return this.#again(true);
    }
    return this.#open();
  }

  #tell(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
