// Opening a channel, and having one in the inbox.

import { ask, piece, post } from "./api.js";
import { askIn } from "./dialog.js";
import { button, el, icon } from "./dom.js";

export function newChannel(app) {
  const name = el("input", { id: "dialog-name", required: true, autocomplete: "off", spellcheck: "false", maxlength: "32", placeholder: "builds" });
  const about = el("input", { id: "dialog-about", autocomplete: "off", maxlength: "280" });
  const secret = el("input", { id: "dialog-private", type: "checkbox", on: { change: () => (who.hidden = !secret.checked) } });
  const members = el("input", { id: "dialog-members", autocomplete: "off", spellcheck: "false", placeholder: "trinity, neo@zion" });
  const who = el("div", { hidden: true }, el("label", { for: "dialog-members" }, "Who else is in it"), members,
    el("p", { class: "dim" }, "For others it is not there; only the hosts of its members can read it."));
  return askIn({
    title: "Open a channel",
    fields: [el("label", { for: "dialog-name" }, "Name"), name, el("label", { for: "dialog-about" }, "What it is for (may be left out)"), about,
      el("label", { class: "check", for: "dialog-private" }, secret, "Private"), who],
    verb: "Open it",
    act: async () => {
      const wanted = { name: name.value.trim().replace(/^#/, "") };
      if (about.value.trim()) wanted.about = about.value.trim();
      if (secret.checked) Object.assign(wanted, { private: true, members: members.value.split(/[\s,]+/).filter(Boolean) });
      const { body } = await post("/api/channels", wanted);
      app.places.learn(body);
      location.hash = `#/c/${encodeURIComponent(body.name)}`;
    },
  });
}

/** Whether what is said there comes into the reader's inbox; pressed when it does. */
export function watchButton(app, place) {
  const made = button("plain watch", "Watch", () => turn().catch(app.acts.fail), icon("eye"), "Watch");
  const draw = () => {
    made.setAttribute("aria-pressed", `${Boolean(place.watched)}`);
    made.title = place.watched ? "what is said here comes into your inbox: end that" : "have what is said here in your inbox";
    made.lastChild.textContent = place.watched ? "Watched" : "Watch";
    made.setAttribute("aria-label", `Watch #${place.name}`);
  };
  async function turn() {
    const { body } = await ask("POST", `/api/channels/${piece(place.name)}/watch`, { body: { watched: !place.watched } });
    app.places.learn(body);
    place = app.places.all.get(place.name);
    draw();
  }
  draw();
  return made;
}
