// The routes beside this page. A token, where there is one, goes along in a header and nowhere else.

import { token } from "./identity.js";

/** What a route refused: `code` for programs, `message` and `hint` for people. `status` 0: nobody answered. */
export class Refusal extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.code = error.code;
    this.hint = error.hint || "";
    this.candidates = error.candidates ?? [];
    this.retryAfter = error.retry_after ?? null;
  }

  get words() {
    return this.hint ? `${this.message} (${this.hint})` : this.message;
  }
}

const AWAY = { code: "away", message: "the daemon does not answer", hint: "is it running? `maw status` on its host" };

/** `{body, next, before}`: the decoded answer, its X-Maw-Next-Seq and X-Maw-Before-Seq. `raw`: a body that is no JSON.
 * Throws Refusal. */
export async function ask(method, path, { query = {}, body, raw, headers = {}, signal } = {}) {
  const words = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== null && value !== undefined));
  const sent = { ...headers };
  if (token()) sent.Authorization = `Bearer ${token()}`;
  let answer;
  try {
    answer = await fetch(words.size ? `${path}?${words}` : path, {
      method, headers: sent, signal, credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
      body: raw ?? (body === undefined ? undefined : JSON.stringify(body)),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, AWAY);
  }
  let told = null;
  try {
    told = answer.status === 204 ? null : await answer.json();
  } catch {
    throw new Refusal(answer.status, { code: "garbled", message: "the answer is no JSON: something else answered" });
  }
  if (!answer.ok) throw new Refusal(answer.status, told.error || AWAY);
  return { body: told, next: Number(answer.headers.get("X-Maw-Next-Seq") || 0), before: answer.headers.get("X-Maw-Before-Seq") };
}

/** What a path gives, as a Blob. Throws Refusal. */
export async function fetchWhole(path) {
  let answer;
  try {
    answer = await fetch(path, { headers: token() ? { Authorization: `Bearer ${token()}` } : {}, credentials: "omit", redirect: "error" });
    if (answer.ok) return await answer.blob();
  } catch {
    throw new Refusal(0, AWAY);
  }
  throw new Refusal(answer.status, (await answer.json().catch(() => ({}))).error || AWAY);
}

export const get = (path, query, signal) => ask("GET", path, { query, signal });
export const post = (path, body, headers) => ask("POST", path, { body, headers });

/** What makes a write that is asked twice happen once. */
export function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** One piece of a path: names come from elsewhere. */
export const piece = encodeURIComponent;
