// Times as people read them, in the reader's own zone.

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const DAY_OF_YEAR = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const WHOLE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export const clock = (at) => CLOCK.format(new Date(at));
export const whole = (at) => WHOLE.format(new Date(at));
export const moment = (at) => MOMENT.format(new Date(at));
export const dayOf = (at) => new Date(at).toDateString();

export function dayName(at) {
  const day = new Date(at);
  const now = new Date();
  if (day.toDateString() === now.toDateString()) return "Today";
  if (day.toDateString() === new Date(now - 86_400_000).toDateString()) return "Yesterday";
  return day.getFullYear() === now.getFullYear() ? DAY.format(day) : DAY_OF_YEAR.format(day);
}

/** `now`, `4 min`, `3 h`, `12 d`: how long ago. Empty where nobody knows. */
export function ago(at, now = Date.now()) {
  if (!at) return "";
  const seconds = Math.max(0, (now - new Date(at)) / 1000);
  if (seconds < 60) return "now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

export function span(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  return `${(bytes / 1024 ** step).toFixed(step && bytes / 1024 ** step < 10 ? 1 : 0)} ${units[step]}`;
}
