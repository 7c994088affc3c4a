// Distributions of times, and power over time.

import { colours, milliseconds, surface } from "./dom.js";

const TICKS_MS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
const STEP = 2 ** 0.25;
const FONT = "11px system-ui, sans-serif";

export const textOf = (distribution) =>
  distribution
    ? `median ${milliseconds(distribution.p50_us)}, 99\u202f% within ${milliseconds(distribution.p99_us)}`
    : "";

// A histogram over a logarithmic axis; a dashed line where the budget is.
export function drawDistribution(canvas, distribution, budget) {
  const { context, width, height } = surface(canvas);
  canvas.setAttribute("aria-label", `${canvas.dataset.name}: ${textOf(distribution) || "no frames yet"}`);
  if (!distribution || !width) return;
  const { accent, alarm, line, quiet } = colours();
  const axis = height - 16;
  // Three doublings around what there is, so that a steady load does not fill the picture with one bar.
  const end = distribution.from_us * STEP ** distribution.bins.length;
  const middle = Math.log2(Math.sqrt(distribution.from_us * end));
  const reach = Math.max(1.5, Math.log2(end / distribution.from_us) / 2 + 0.25);
  let [low, high] = [middle - reach, middle + reach];
  if (budget && Math.log2(budget) > high && Math.log2(budget) < high + 2) high = Math.log2(budget) + 0.2;
  const x = (us) => ((Math.log2(us) - low) / (high - low)) * width;
  const most = Math.max(...distribution.bins);
  context.fillStyle = accent;
  distribution.bins.forEach((count, index) => {
    const left = x(distribution.from_us * STEP ** index);
    const right = x(distribution.from_us * STEP ** (index + 1));
    const tall = count ? Math.max(1.5, (count / most) * (axis - 2)) : 0;
    context.fillRect(left + 0.5, axis - tall, Math.max(1, right - left - 1), tall);
  });
  context.fillStyle = line;
  context.fillRect(0, axis, width, 1);
  context.fillStyle = quiet;
  context.font = FONT;
  context.textAlign = "center";
  for (const tick of TICKS_MS) {
    const at = x(1000 * tick);
    if (at > 18 && at < width - 24) context.fillText(tick < 1000 ? `${tick} ms` : `${tick / 1000} s`, at, height - 3);
  }
  if (budget && x(budget) < width) {
    context.strokeStyle = alarm;
    context.setLineDash([4, 3]);
    context.beginPath();
    context.moveTo(x(budget), 0);
    context.lineTo(x(budget), axis);
    context.stroke();
    context.setLineDash([]);
  }
}

// Values over the last minutes: [{ at, value }], in milliseconds of performance.now().
export function drawLine(canvas, points, span, unit) {
  const { context, width, height } = surface(canvas);
  if (points.length < 2 || !width) return;
  const { accent, line, quiet } = colours();
  const most = Math.max(...points.map((point) => point.value)) * 1.1 || 1;
  const begin = performance.now() - span;
  const x = (at) => ((at - begin) / span) * width;
  const y = (value) => height - 1 - (value / most) * (height - 14);
  context.fillStyle = line;
  context.fillRect(0, height - 1, width, 1);
  context.beginPath();
  points.forEach(({ at, value }, index) => (index ? context.lineTo(x(at), y(value)) : context.moveTo(x(at), y(value))));
  context.strokeStyle = accent;
  context.lineWidth = 1.5;
  context.stroke();
  context.fillStyle = quiet;
  context.font = FONT;
  context.textAlign = "left";
  context.fillText(`${(most / 1.1).toFixed(1)} ${unit}`, 2, 10);
}
