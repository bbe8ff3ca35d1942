// How words that somebody else wrote are shown: whatever a reader could not see stands as ⟨U+202E⟩, and nothing becomes
// markup. The rule is that of the command (maw/core/text.py), over the same tables; a test holds one to the other.

import { IGNORABLE, PICTURES, SIGNS } from "./tables.js";
import { el } from "./dom.js";

const KEYCAPS = "0123456789#*";
const SUSPECT = new RegExp(`[\\p{C}\\p{Z}${IGNORABLE.map(([low, high]) => `\\u{${low.toString(16)}}-\\u{${high.toString(16)}}`).join("")}]`, "u");
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Zs}]/u;

/** The text with everything invisible or dangerous made visible; newline and tab stay as they are. */
export function shown(text) {
  return pieces(text).map(([part]) => part).join("");
}

/** Whether a channel is private: no public one has such a name. */
export const isPrivate = (place) => Boolean(place.private) || place.name.includes("~");

/** A channel as it is called: of a private one's id the beginning is enough to tell it from others. */
export const called = (name) => shown(name.includes("~") ? name.slice(0, name.indexOf("~") + 5) : name);

/** `[[text, isMark], …]`: runs as they are, and marks that stand for what would not be seen. */
export function pieces(text) {
  if (!SUSPECT.test(text)) return text ? [[text, false]] : [];
  const chars = [...text];
  const found = [];
  let run = "";
  chars.forEach((char, at) => {
    if (!SUSPECT.test(char) || plain(char) || joinsEmoji(chars, at)) {
      run += char;
      return;
    }
    if (run) found.push([run, false]);
    run = "";
    found.push([`⟨U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`, true]);
  });
  if (run) found.push([run, false]);
  return found;
}

function plain(char) {
  const code = char.codePointAt(0);
  if (within(code, IGNORABLE)) return false;
  if (char === " " || char === "\n" || char === "\t" || !UNSEEN.test(char)) return true;
  if (/[\p{Zs}\p{Co}]/u.test(char)) return true;
  if (/\p{Cf}/u.test(char)) return within(code, SIGNS);
  // Kept free for emoji, so that those newer than this browser's tables are not taken for a trick.
  return /\p{Cn}/u.test(char) && ((code >= 0x1f000 && code <= 0x1faff) || (code >= 0x1fc00 && code <= 0x1fffd));
}

/** Whether the character is the VS16 or ZWJ in the middle of an emoji. */
function joinsEmoji(chars, at) {
  const [char, before, after] = [chars[at], chars[at - 1] ?? "", chars[at + 1] ?? ""];
  if (char === "\ufe0f") return pictured(before) || (before !== "" && KEYCAPS.includes(before) && after === "\u20e3");
  if (char !== "\u200d" || !pictured(after)) return false;
  if (before === "\ufe0f") return at >= 2 && pictured(chars[at - 2]);
  return pictured(before);
}

const pictured = (char) => char !== "" && within(char.codePointAt(0), PICTURES);

function within(code, ranges) {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[middle][0] <= code) low = middle + 1;
    else high = middle;
  }
  return low > 0 && code <= ranges[low - 1][1];
}

/** Text nodes, marks, names that are called, and addresses one can follow: nothing else. */
export function written(text, called = []) {
  const words = new Set(called.map((name) => name.toLowerCase()));
  return pieces(text).flatMap(([part, isMark]) =>
    isMark ? [el("span", { class: "mark", title: "a character that cannot be seen" }, part)] : linked(part, words));
}

const WORTHY = /https?:\/\/[^\s<>"'`]+|@[a-z0-9][a-z0-9_:-]{0,31}(?:@[a-z0-9][a-z0-9_-]{0,31})?/gi;

function linked(part, words) {
  const found = [];
  let from = 0;
  for (const match of part.matchAll(WORTHY)) {
    const word = match[0].startsWith("@") ? match[0] : match[0].replace(/[.,;:!?)\]}*_]+$/, "");
    const made = word.startsWith("@") ? mention(word, words) : link(word);
    if (made === null) continue;
    found.push(part.slice(from, match.index), made);
    from = match.index + word.length;
  }
  found.push(part.slice(from));
  return found.filter((one) => one !== "");
}

function mention(word, words) {
  return words.has(word.slice(1).toLowerCase()) ? el("span", { class: "called" }, word) : null;
}

/** An anchor, where what is read is where it leads: web addresses in plain ASCII without a user before the host. */
function link(word) {
  let target;
  try {
    target = new URL(word);
  } catch {
    return null;
  }
  const honest = /^https?:$/.test(target.protocol) && !target.username && !target.password && /^[\x21-\x7e]+$/.test(word);
  return honest && word.toLowerCase().startsWith(`${target.protocol}//${target.host}`)
    ? el("a", { href: target.href, rel: "noopener noreferrer nofollow", target: "_blank" }, word)
    : null;
}
