// The classes: how likely each is now, and over the last minute.

import { by, colours, make, percent, say, surface } from "./dom.js";

const MINUTE = 60_000;
const INTERVAL = 250;
const ROWS = 5;
// How fast the order of rows forgets: it should not jump with every frame.
const MEMORY = 4_000;

const table = by("classes");
const rows = Array.from({ length: ROWS }, makeRow);
table.replaceChildren(...rows.map((row) => row.element));

let samples = []; // { at, top: Map of name -> probability }
let ordered = [];
let orderedAt = 0;

function makeRow() {
  const name = make("span", "name");
  const value = make("span", "value number");
  const bar = document.createElement("meter");
  bar.min = 0;
  bar.max = 1;
  const spark = make("canvas", "spark");
  spark.setAttribute("aria-hidden", "true");
  bar.setAttribute("aria-hidden", "true");
  const element = make("div", "row", [name, value, bar, spark]);
  element.setAttribute("role", "listitem");
  return { element, name, value, bar, spark };
}

const nameOf = (entry) => entry.label ?? `class ${entry.class}`;
const mapOf = (top) => new Map(top.map((entry) => [nameOf(entry), entry.probability]));

export function reset(history = []) {
  const now = performance.now();
  samples = history.map((sample) => ({ at: now - 1000 * sample.ago_s, top: mapOf(sample.top) }));
  ordered = [];
  orderedAt = 0;
  render(new Map());
}

export function add(top) {
  const now = performance.now();
  const present = mapOf(top);
  const last = samples.at(-1);
  if (!last || now - last.at >= INTERVAL) samples.push({ at: now, top: present });
  while (samples.length && samples[0].at < now - MINUTE) samples.shift();
  if (now - orderedAt > 1000 || !ordered.length) {
    order(now, present);
    orderedAt = now;
  }
  render(present);
}

// By how likely classes lately were.
function order(now, present) {
  const weights = new Map();
  const count = (top, weight) => top.forEach((p, name) => weights.set(name, (weights.get(name) ?? 0) + weight * p));
  for (const { at, top } of samples) count(top, Math.exp((at - now) / MEMORY));
  count(present, 1);
  ordered = [...weights].sort((a, b) => b[1] - a[1]).slice(0, ROWS).map(([name]) => name);
}

function render(present) {
  rows.forEach((row, index) => {
    const name = ordered[index];
    row.element.classList.toggle("empty", name === undefined);
    say(row.name, name ?? "");
    row.name.title = name ?? "";
    const probability = present.get(name);
    say(row.value, name === undefined ? "" : probability === undefined ? "–" : percent(probability));
    row.bar.value = probability ?? 0;
    drawSpark(row.spark, name);
  });
}

// The last minute of a class.
function drawSpark(canvas, name) {
  const { context, width, height } = surface(canvas);
  if (name === undefined || !width) return;
  const { accent, line } = colours();
  context.fillStyle = line;
  context.fillRect(0, height - 1, width, 1);
  const begin = performance.now() - MINUTE;
  context.beginPath();
  let previous = null;
  for (const { at, top } of samples) {
    const x = ((at - begin) / MINUTE) * width;
    const y = height - 1 - (top.get(name) ?? 0) * (height - 2);
    if (previous === null || at - previous > 5 * INTERVAL) context.moveTo(x, y);
    else context.lineTo(x, y);
    previous = at;
  }
  context.strokeStyle = accent;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.stroke();
}
