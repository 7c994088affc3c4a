// The picture that the network saw, with the tokens that its patches became.
//
// As runtime/src/image/merged.rs draws them: a token of several patches has an outline in a hue of its own, and if
// tokens are drawn, the mean of its patches' colours; patches that stayed alone are as they were.

import { by, bytesOf, keyOf, say } from "./dom.js";

const GOLDEN = 0.618034;

const canvas = by("picture");
const noVideo = by("novideo");
const context = canvas.getContext("2d", { willReadFrequently: false });

let drawing = "borders";
let shown = null; // { bitmap, tokens }
let described = 0;
let latest = 0;

// Shows a frame with a picture. Of several that are decoded at once, only the last counts.
export async function show(frame) {
  const turn = ++latest;
  const blob = new Blob([bytesOf(frame.picture)], { type: "image/jpeg" });
  const bitmap = await createImageBitmap(blob).catch(() => null);
  if (!bitmap || turn !== latest) return bitmap?.close();
  shown?.bitmap.close();
  shown = { bitmap, tokens: frame.tokens ? tokensOf(bytesOf(frame.tokens)) : null };
  noVideo.hidden = true;
  draw();
  describe(frame);
}

// Says that there is no picture, and why. The last one stays, dimmed.
export function showNothing(why) {
  latest += 1;
  noVideo.hidden = false;
  say(noVideo.querySelector("span"), why);
  canvas.setAttribute("aria-label", `No video: ${why}`);
}

// Forgets the picture of another source.
export function clear() {
  latest += 1;
  shown?.bitmap.close();
  shown = null;
  context.clearRect(0, 0, canvas.width, canvas.height);
  say(by("tokens"), "");
}

export function setDrawing(value) {
  drawing = value;
  draw();
}

// Which token each patch is part of, and how many patches each has.
function tokensOf(bytes) {
  const view = new DataView(bytes.buffer);
  const map = Array.from({ length: bytes.length / 2 }, (_, at) => view.getUint16(2 * at, true));
  const patches = new Map();
  for (const token of map) patches.set(token, (patches.get(token) ?? 0) + 1);
  return { map, patches, side: Math.round(Math.sqrt(map.length)) };
}

export function draw() {
  if (!shown) return;
  const { bitmap, tokens } = shown;
  const size = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1));
  // A whole number of screen pixels for each patch keeps outlines even.
  const side = tokens ? Math.max(1, Math.round(size / tokens.side)) * tokens.side : size;
  if (canvas.width !== side || canvas.height !== side) canvas.width = canvas.height = side;
  context.imageSmoothingEnabled = bitmap.width >= 64;
  context.imageSmoothingQuality = "high";
  // Pixels at the right and below may belong to no patch.
  const seen = tokens ? Math.floor(bitmap.width / tokens.side) * tokens.side : bitmap.width;
  context.drawImage(bitmap, 0, 0, seen, seen, 0, 0, side, side);
  if (tokens && drawing !== "picture") drawTokens(tokens, side, seen);
}

function drawTokens({ map, patches, side: count }, size, seen) {
  const edge = size / count;
  const means = meansOf(map, count, seen);
  const line = Math.max(1, Math.round(size / 300));
  const token = (column, row) => (column < 0 || row < 0 || column >= count || row >= count ? -1 : map[row * count + column]);
  for (let row = 0; row < count; row += 1) {
    for (let column = 0; column < count; column += 1) {
      const own = token(column, row);
      if (patches.get(own) < 2) continue;
      const mean = means.get(own);
      const [x, y] = [column * edge, row * edge];
      if (drawing === "merged") {
        context.fillStyle = `rgb(${mean.map(Math.round).join(" ")})`;
        context.fillRect(x, y, edge, edge);
      }
      context.fillStyle = outline(own, mean);
      const differs = (right, down) => token(column + right, row + down) !== own;
      if (differs(-1, 0)) context.fillRect(x, y, line, edge);
      if (differs(1, 0)) context.fillRect(x + edge - line, y, line, edge);
      if (differs(0, -1)) context.fillRect(x, y, edge, line);
      if (differs(0, 1)) context.fillRect(x, y + edge - line, edge, line);
      for (const [right, down] of [[-1, -1], [1, -1], [-1, 1], [1, 1]]) {
        if (!differs(right, down)) continue;
        context.fillRect(right < 0 ? x : x + edge - line, down < 0 ? y : y + edge - line, line, line);
      }
    }
  }
}

// The mean colour of each token, from the picture scaled down to a pixel a patch.
function meansOf(map, count, seen) {
  if (shown.means) return shown.means;
  const small = new OffscreenCanvas(count, count).getContext("2d");
  small.imageSmoothingQuality = "high";
  small.drawImage(shown.bitmap, 0, 0, seen, seen, 0, 0, count, count);
  const pixels = small.getImageData(0, 0, count, count).data;
  const sums = new Map();
  map.forEach((token, at) => {
    const sum = sums.get(token) ?? [0, 0, 0, 0];
    for (let channel = 0; channel < 3; channel += 1) sum[channel] += pixels[4 * at + channel];
    sum[3] += 1;
    sums.set(token, sum);
  });
  shown.means = new Map([...sums].map(([token, [r, g, b, n]]) => [token, [r / n, g / n, b / n]]));
  return shown.means;
}

// A vivid colour, light on dark and dark on light.
function outline(token, [r, g, b]) {
  const light = (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
  const hue = 360 * ((token * GOLDEN) % 1);
  return `hsl(${hue.toFixed(1)} 95% ${light > 0.55 ? 32 : 68}%)`;
}

// In words, once a second.
function describe(frame) {
  const now = performance.now();
  if (now - described < 1000) return;
  described = now;
  const best = frame.top[0];
  const what = best ? `${best.label ?? `class ${best.class}`}` : "no classes";
  const { tokens } = shown;
  const count = tokens ? `${tokens.map.length} patches as ${tokens.patches.size} tokens` : "";
  canvas.setAttribute("aria-label", `Picture from ${keyOf(frame)}: ${what}. ${count}`);
  say(by("tokens"), count);
}
