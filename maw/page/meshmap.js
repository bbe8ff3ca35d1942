// The drawing of the mesh: this node in the middle, the others around it, one line for each way that words take.

import { svg } from "./dom.js";
import { shown } from "./text.js";

const WIDE = 900;
const NARROW = 440;

/** `hosts`: this node first. `pick(name)`: somebody pressed one. */
export function drawMesh(hosts, pick) {
  const others = hosts.slice(1);
  const narrow = matchMedia("(max-width: 760px)").matches;
  const [width, perRing] = narrow ? [NARROW, 6] : [WIDE, 12];
  const rings = Math.max(1, Math.ceil(others.length / perRing));
  const few = others.length < 3 && !narrow;
  const height = few ? 170 : rings === 1 ? 400 : 420 + (narrow ? 210 : 150) * (rings - 1);
  const middle = { x: few && others.length === 1 ? width / 2 - 150 : width / 2, y: height / 2 };
  const places = new Map([[hosts[0].name, middle]]);
  others.forEach((host, at) => places.set(host.name, placeOf(at, others.length, { rings, perRing, middle, height, few })));
  const said = `${hosts.length} hosts: ${hosts.map((one) => `${shown(one.name)} ${one.here ? "here" : one.state}`).join(", ")}`;
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "mesh", role: "img", "aria-label": said },
    ...others.map((host) => line(host, places, middle)),
    ...hosts.map((host) => spot(host, places.get(host.name), pick)));
}

function placeOf(at, count, { rings, perRing, middle, height, few }) {
  if (few) return { x: middle.x + (at === 0 ? 300 : -300), y: middle.y };
  const ring = Math.floor(at / perRing);
  const inRing = Math.min(perRing, count - ring * perRing);
  const angle = -Math.PI / 2 + (2 * Math.PI * (at % perRing)) / inRing + ring * 0.26;
  const share = (ring + 1) / rings;
  return { x: middle.x + Math.cos(angle) * (middle.x - 104) * share, y: middle.y + Math.sin(angle) * (height / 2 - 44) * share };
}

function line(host, places, middle) {
  const through = host.state === "followed" ? places.get(host.through) : undefined;
  const from = through ?? middle;
  const to = places.get(host.name);
  const late = host.behind || host.lacks;
  const group = svg("g", { class: `way ${host.state}${late ? " late" : ""}` },
    svg("path", { d: `M${from.x} ${from.y} Q${through ? bend(from, to) : `${to.x} ${to.y}`} ${to.x} ${to.y}` }));
  const words = late ? `${(host.behind || host.lacks).toLocaleString()} behind`
    : host.state === "linked" && host.rtt_ms !== null && host.rtt_ms !== undefined ? `${Math.max(1, Math.round(host.rtt_ms))} ms` : "";
  if (words) {
    const at = { x: from.x + (to.x - from.x) * 0.52, y: from.y + (to.y - from.y) * 0.52 };
    const wide = words.length * 6.6 + 14;
    group.append(svg("rect", { x: at.x - wide / 2, y: at.y - 10, width: wide, height: 20, rx: 10 }),
      svg("text", { x: at.x, y: at.y + 4 }, words));
  }
  return group;
}

/** Beside the straight way, which other lines may take. */
function bend(from, to) {
  return `${(from.x + to.x) / 2 + (to.y - from.y) * 0.25} ${(from.y + to.y) / 2 - (to.x - from.x) * 0.25}`;
}

function spot(host, at, pick) {
  const name = shown(host.name);
  const half = Math.max(58, Math.min(100, name.length * 4.4 + 26));
  return svg("g", { class: `spot ${host.state}`, transform: `translate(${at.x} ${at.y})`, on: { click: () => pick(host.name) } },
    svg("rect", { x: -half, y: -27, width: half * 2, height: 54, rx: 13 }),
    svg("circle", { cx: -half + 17, cy: -5, r: 4.5 }),
    svg("text", { class: "name", x: -half + 29, y: 0 }, name.length > 20 ? `${name.slice(0, 19)}…` : name),
    svg("text", { class: "living", x: -half + 29, y: 16 }, `${host.alive} of ${host.living} alive`));
}
