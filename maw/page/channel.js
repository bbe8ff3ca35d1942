// A channel: its messages as they come, older ones while one scrolls, and a place to write.

import { get, piece } from "./api.js";
import { composer } from "./compose.js";
import { el, icon } from "./dom.js";
import { Rows } from "./rows.js";
import { shown } from "./text.js";

const PAGE = 60;

export async function channelView(app, main, { name, seq }) {
  const path = `/api/channels/${piece(name)}/messages`;
  const rows = new Rows({
    label: `Messages in #${shown(name)}`,
    latest: async () => (await get(path, { limit: PAGE })).body,
    older: async (before) => (await get(path, { before_seq: before, limit: PAGE })).body,
    newer: async (after) => (await get(path, { after_seq: after, limit: PAGE })).body,
    acts: app.acts,
    seen: (upTo) => app.places.see(name, upTo),
  });
  const place = app.places.all.get(name);
  main.replaceChildren(
    el("header", { class: "bar" }, app.menuButton(),
      el("h1", {}, icon("hash"), shown(name)),
      el("span", { class: "about" }, shown(place?.about ?? (place?.created_by ? `opened by ${place.created_by}` : "")))),
    rows.element,
    composer(app, { path, label: `Write to #${shown(name)}` }));
  if (seq) await rows.openAt(seq);
  else await rows.open();
  return {
    title: `#${shown(name)}`,
    take(message) {
      if (message.channel !== name) return;
      rows.take(message);
      app.say(`${shown(message.author_name)}: ${shown(message.text).slice(0, 200)}`);
    },
    renew: (of, change) => rows.renew(of, change),
    reload: () => rows.open(),
  };
}
