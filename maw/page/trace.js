// The way of one message, as far as this node knows it.

import { el } from "./dom.js";
import { shown } from "./text.js";
import { whole } from "./time.js";

export function traceOf(trace) {
  return el("div", { class: "trace" },
    el("p", { class: "dim" }, `${trace.kind} by `, el("b", {}, shown(trace.author)), `, ${whole(trace.created_at)}`,
      trace.channel ? ` in #${shown(trace.channel)}` : ""),
    el("h3", {}, "Hosts"),
    el("ol", { class: "way" },
      step(trace.here.host, "here", trace.here.since, "done"),
      ...trace.hosts.filter((one) => one.host !== trace.here.host).map((one) =>
        step(one.host, one.state, one.since, one.state === "stored" ? (one.trouble ? "bad" : "waits") : "done",
          one.trouble ?? (one.online === false ? "not linked now" : "")))),
    trace.recipients.length || trace.groups.length ? el("h3", {}, "For whom") : null,
    el("ol", { class: "way" },
      ...trace.recipients.map((one) => step(one.agent, one.via ? `${one.state} by ${one.via}` : one.state,
        one.acked_at ?? one.read_at ?? one.delivered_at ?? one.since, one.state === "failed" ? "bad" : one.state === "stored" ? "waits" : "done",
        one.trouble ?? one.why ?? "")),
      ...trace.groups.map((one) => step(`@${one}`, "a group", null, "waits", "which hosts have it is above"))));
}

function step(who, state, at, kind, more = "") {
  return el("li", { class: kind },
    el("b", {}, shown(who)), el("span", { class: "how" }, shown(state)),
    at ? el("time", { datetime: at }, whole(at)) : null,
    more ? el("span", { class: "more" }, shown(more)) : null);
}
