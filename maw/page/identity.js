// Who is looking. The token stays in this tab's sessionStorage: other tabs, and this one once closed, do not have it.

const KEY = "maw.token";
const changed = new EventTarget();
let known = { agent: null, known_by: "nobody" };

export const token = () => sessionStorage.getItem(KEY);
export const me = () => known;
export const signedIn = () => known.agent !== null;

export function keep(value) {
  sessionStorage.setItem(KEY, value);
}

export function forget() {
  sessionStorage.removeItem(KEY);
}

/** What `/api/whoami` answered. */
export function recognise(who) {
  known = who;
  changed.dispatchEvent(new Event("change"));
}

export function onChange(heard) {
  changed.addEventListener("change", heard);
}
