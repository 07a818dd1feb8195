"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const LAST = data.runs.length - 1;
const ANY = "";

const CHANGES = {
  "became right": (item) => both(item) && !item.sides[0].right && item.sides[1].right,
  "became wrong": (item) => both(item) && item.sides[0].right && !item.sides[1].right,
  "class changed": (item) => both(item) && item.sides[0].emission !== item.sides[1].emission,
  "tokens changed": (item) => both(item) && String(item.sides[0].tokens) !== String(item.sides[1].tokens),
  "in one run only": (item) => !both(item),
};

const FILTERS = {
  slice: (item) => item.slice,
  emission: (item) => item.sides[LAST]?.emission,
  verdict: (item) => item.sides[LAST]?.verdict,
  before: (item) => item.sides[0]?.emission,
};

function both(item) {
  return item.sides.every(Boolean);
}

function request(item) {
  const asked = item.messages.filter(([role]) => role === "user");
  return (asked.at(-1) ?? item.messages.at(-1) ?? ["", ""])[1];
}

function completionText(side) {
  return side.tokens.length ? side.tokens.map((index) => data.vocabulary[index][1]).join("") : side.text;
}

function searchable(item) {
  item.searchable ??= [item.id, item.slice, ...item.names, ...item.messages.map(([, text]) => text)]
    .concat(item.sides.filter(Boolean).flatMap((side) => [completionText(side), side.text, side.why]))
    .join("\n")
    .toLowerCase();
  return item.searchable;
}

/* Items that meet every filter; `wanted` maps filter names, `change` and `text` to what was chosen, "" for any. */
function matching(wanted) {
  const chosen = Object.entries(FILTERS).filter(([name]) => wanted[name]);
  const words = (wanted.text ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  return data.items.filter((item) =>
    chosen.every(([name, of]) => of(item) === wanted[name])
    && (!wanted.change || CHANGES[wanted.change](item))
    && words.every((word) => searchable(item).includes(word)));
}

/* [value, count] of each value that a filter can take, in alphabetical order. */
function choices(name) {
  if (name === "change") return Object.entries(CHANGES).map(([label, test]) => [label, data.items.filter(test).length]);
  const counts = new Map();
  for (const value of data.items.map(FILTERS[name])) if (value) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => a.localeCompare(b));
}

/* An element with classes, attributes and children; texts become text nodes, never markup. */
function element(tag, { className = "", ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
