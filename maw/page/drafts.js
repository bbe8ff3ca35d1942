// What was typed and not said yet, by place and speaker: in this tab, over reloads, until it is said or the speaker signs
// out himself.

import { me } from "./identity.js";

const PREFIX = "maw.draft ";
const key = (place) => `${PREFIX}${me().node_key} ${me().agent} ${place}`;

export function readDraft(place) {
  try {
    return JSON.parse(sessionStorage.getItem(key(place))) ?? {};
  } catch {
    return {};
  }
}

export function keepDraft(place, draft) {
  if (draft.text || draft.files?.length) sessionStorage.setItem(key(place), JSON.stringify(draft));
  else sessionStorage.removeItem(key(place));
}

export function dropDrafts() {
  for (const one of Object.keys(sessionStorage)) if (one.startsWith(PREFIX)) sessionStorage.removeItem(one);
}
