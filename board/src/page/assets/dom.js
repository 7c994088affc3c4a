// Small helpers: elements, numbers for people, canvases, colours.

export const by = (id) => document.getElementById(id);

// An element with a class, a text or children.
export function make(name, className, content = "") {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (Array.isArray(content)) element.append(...content);
  else element.textContent = content;
  return element;
}

// Sets a text only if it differs: screen readers read what changes.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// In whole percents, but for what is nearly nothing or nearly all.
export function percent(share) {
  if (share > 0 && share < 0.005) return "<\u202f1\u202f%";
  return `${(100 * share).toFixed(share >= 0.99 && share < 0.9995 ? 1 : 0)}\u202f%`;
}

export function milliseconds(microseconds) {
  const ms = microseconds / 1000;
  return `${ms.toFixed(ms < 9.995 ? 2 : ms < 99.95 ? 1 : 0)}\u202fms`;
}

export function span(seconds) {
  if (seconds < 90) return `${Math.round(seconds)}\u202fs`;
  if (seconds < 5400) return `${Math.round(seconds / 60)}\u202fmin`;
  return `${Math.round(seconds / 3600)}\u202fh`;
}

export const ago = (seconds) => (seconds < 1.5 ? "just now" : `${span(seconds)} ago`);

// What tells views apart.
export const keyOf = (view) => (view.region ? `${view.source} at ${view.region}` : view.source);

// Fills a list of pairs: [[term, value], ...].
export function pairs(list, entries) {
  const rows = entries.map(([term, value]) => make("div", "", [make("dt", "", term), make("dd", "", value)]));
  list.replaceChildren(...rows);
}

// The canvas's context in CSS pixels at the screen's resolution, cleared, and its size.
export function surface(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = window.devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

// The colours of the style sheet, which follow the light and the dark.
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue(`--${name}`).trim();
  return { ink: get("ink"), quiet: get("quiet"), line: get("line"), accent: get("accent"), alarm: get("alarm") };
}

// The bytes of a text in base64.
export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}
