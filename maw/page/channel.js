// A channel: its messages as they come, older ones while one scrolls, and a place to write.

import { get, piece } from "./api.js";
import { watchButton } from "./channels.js";
import { composer } from "./compose.js";
import { el, icon } from "./dom.js";
import { signedIn } from "./identity.js";
import { lock } from "./message.js";
import { PAGE, Rows } from "./rows.js";
import { called, isPrivate, shown } from "./text.js";

export async function channelView(app, main, { name, seq }) {
  const path = `/api/channels/${piece(name)}/messages`;
  const page = async (query) => (await get(path, { ...query, limit: PAGE })).body.map((one) => app.receipts.dress(one));
  const rows = new Rows({
    label: `Messages in #${called(name)}`,
    latest: () => page({}),
    older: (before) => page({ before_seq: before }),
    newer: (after) => page({ after_seq: after }),
    acts: app.acts,
    seen: (upTo) => app.places.see(name, upTo),
  });
  const place = app.places.all.get(name);
  main.replaceChildren(
    el("header", { class: "bar" }, app.menuButton(),
      el("h1", { class: "long" }, isPrivate({ private: place?.private, name }) ? lock("private: only the hosts of its members can read it") : icon("hash"),
        el("span", { class: "label" }, called(name))),
      el("span", { class: "about" }, shown(aboutOf(place))),
      signedIn() && place ? watchButton(app, place) : null),
    rows.element,
    composer(app, { path, label: `Write to #${called(name)}`, place: `#${name}` }));
  if (seq) await rows.openAt(seq);
  else await rows.open();
  return {
    title: `#${called(name)}`,
    take(message) {
      if (message.channel !== name) return;
      rows.take(app.receipts.dress(message));
      app.say(`${shown(message.author_name)}: ${shown(message.text).slice(0, 200)}`);
    },
    renew: (of, change) => rows.renew(of, change),
    change: (message) => rows.change(message),
    reload: () => rows.open(),
  };
}

function aboutOf(place) {
  const members = place?.members ? `private: ${place.members.join(", ")}` : "";
  return [place?.about, members].filter(Boolean).join(" · ") || (place?.created_by ? `opened by ${place.created_by}` : "");
}
