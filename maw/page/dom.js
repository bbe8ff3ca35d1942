// Elements, made without markup: whatever is said on the page arrives as text nodes.

/** `el("p", {class: "dim", on: {click: f}}, "words", child)`. Attributes that are null or false are left out. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, heard] of Object.entries(value)) made.addEventListener(event, heard);
    else if (name === "vars") for (const [key, one] of Object.entries(value)) made.style.setProperty(key, one);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A button that looks like `kind`, says `label` to a screen reader, and does `act`. */
export function button(kind, label, act, ...children) {
  const words = children.length ? children : [label];
  return el("button", { type: "button", class: kind, "aria-label": label, title: children.length ? label : null,
    on: { click: act } }, ...words);
}

/** One of our own drawings, by name. */
export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" },
    svg("path", { d: PATHS[name] }));
}

const PATHS = {
  hash: "M10 4 8 20M16 4l-2 16M4 9h16M4 15h16",
  at: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8Zm4 4v1.5a2.5 2.5 0 0 0 5 0V12a9 9 0 1 0-4 7.5",
  inbox: "M3 13h5l2 3h4l2-3h5M3 13l3-8h12l3 8v6H3v-6Z",
  sent: "M21 3 10 14M21 3l-7 18-4-7-7-4 18-7Z",
  mesh: "M12 3a2 2 0 1 0 0 4 2 2 0 0 0 0-4ZM5 17a2 2 0 1 0 0 4 2 2 0 0 0 0-4ZM19 17a2 2 0 1 0 0 4 2 2 0 0 0 0-4ZM11 7l-5 10M13 7l5 10M7 19h10",
  people: "M9 5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7ZM2.5 20c.5-4 3-6 6.500-6s6 2 6.500 6M16 5.500a3.500 3.500 0 0 1 0 6M18 14.500c2 .8 3.200 2.600 3.500 5.500",
  bell: "M6 16V11a6 6 0 1 1 12 0v5l2 2H4l2-2ZM10 21h4",
  coin: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM15 8.500c-.5-1-1.500-1.500-3-1.500-2 0-3 1-3 2.300 0 3.400 6 1.700 6 5.200 0 1.500-1.200 2.500-3 2.500s-2.800-.7-3.200-1.800M12 5.500v13",
  search: "M10.500 4a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13ZM15.500 15.500 21 21",
  reply: "M9 6 3 12l6 6M3 12h11a6 6 0 0 1 6 6v1",
  way: "M5 5h.01M5 5a2 2 0 1 0 0 .01M19 19a2 2 0 1 0 0 .01M7 5h8a4 4 0 0 1 0 8H9a4 4 0 0 0 0 8",
  check: "M4 12.500 9.500 18 20 6.500",
  close: "M5 5l14 14M19 5 5 19",
  menu: "M4 6h16M4 12h16M4 18h16",
  sun: "M12 7.500a4.500 4.500 0 1 0 0 9 4.500 4.500 0 0 0 0-9ZM12 1.500v2.500M12 20v2.500M1.500 12H4M20 12h2.500M4.500 4.500l1.800 1.800M17.700 17.700l1.800 1.800M4.500 19.500l1.800-1.800M17.700 6.300l1.800-1.800",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500Z",
  auto: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM12 3v18M12 7h7.500M12 12h9M12 17h7.500",
  key: "M15 3a6 6 0 1 0 0 12 6 6 0 0 0 0-12ZM10.500 13.500 3 21M6 18l2.500 2.500M16.500 7.500h.01",
  pen: "M4 20l1-4.500L16.500 4l3.500 3.500L8.500 19 4 20ZM14 6.500 17.500 10",
  bin: "M4 7h16M9 7V4h6v3M6.500 7l1 13h9l1-13M10 11v5M14 11v5",
  lock: "M6 11h12v9H6zM8.500 11V7.500a3.500 3.500 0 0 1 7 0V11",
  clip: "M19.500 11.500 11 20a5 5 0 0 1-7-7l8.500-8.500a3.300 3.300 0 0 1 4.700 4.700L9 17.500a1.700 1.700 0 0 1-2.400-2.400L14 7.700",
  talk: "M4 5h16v11H10l-5 4v-4H4V5ZM8 9.500h8M8 12.500h5",
  ask: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM9.500 9.500a2.500 2.500 0 1 1 3.500 2.300c-.7.3-1 .8-1 1.700M12 16.500h.01",
  eye: "M2.500 12S6 5.500 12 5.500 21.500 12 21.500 12 18 18.500 12 18.500 2.500 12 2.500 12ZM12 9.500a2.500 2.500 0 1 0 0 5 2.500 2.500 0 0 0 0-5Z",
  back: "M19 12H5M11 6l-6 6 6 6",
  plus: "M12 5v14M5 12h14",
  keys: "M3 7h18v10H3zM7 11h.01M11 11h.01M15 11h.01M8 14h8",
  down: "M12 4v16M5 13l7 7 7-7",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
};
