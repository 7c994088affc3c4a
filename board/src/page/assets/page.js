// Hears /events and shows what it says.

import * as classes from "./classes.js";
import { by, keyOf, make, percent, say } from "./dom.js";
import * as picture from "./picture.js";
import * as schedule from "./schedule.js";
import * as status from "./status.js";

const RECONNECT = 2000;
// Pictures that come no more are a camera that hangs, whatever it says.
const STALE = 3000;

let source = null; // of /events
let run = null;
let selected = null; // which view is shown
let last = null; // the last status
let pictured = 0; // when the last picture came
const histories = new Map();
const states = new Map();

function connect() {
  source?.close();
  source = new EventSource("/events");
  const on = (name, take) => source.addEventListener(name, (event) => take(JSON.parse(event.data)));
  on("run", takeRun);
  on("status", takeStatus);
  on("history", takeHistory);
  on("frame", takeFrame);
  source.onerror = () => {
    source.close();
    source = null;
    document.body.classList.add("away");
    badge("no connection to the board", "bad");
    picture.showNothing("no connection to the board");
    setTimeout(retry, RECONNECT);
  };
}

// An EventSource does not say why it failed: a page whose token is no longer right has to ask for it.
async function retry() {
  if (document.hidden || source) return;
  const answer = await fetch("/", { method: "HEAD" }).catch(() => null);
  if (answer?.status === 401) location.reload();
  else connect();
}

function takeRun(message) {
  run = message.reason === undefined ? message : null;
  document.body.classList.toggle("away", !run);
  if (!run) {
    badge("the run is away", "bad");
    picture.showNothing(`the run is away: ${message.reason}`);
    return;
  }
  badge("live", "good");
  say(by("model"), `${run.model} · ${run.image_size}×${run.image_size} · ${run.version}`);
  schedule.setChoices(run);
  histories.clear();
  pictured = 0;
  select(null);
}

function takeHistory(message) {
  histories.set(keyOf(message), message.samples);
  if (keyOf(message) === selected) classes.reset(message.samples);
}

function takeFrame(frame) {
  const key = keyOf(frame);
  if (selected === null) select(key);
  if (key !== selected) return;
  const best = frame.top[0];
  say(by("sure"), best ? percent(best.probability) : "–");
  const state = states.get(key);
  const label = best ? (best.label ?? `class ${best.class}`) : "embedding";
  say(by("label"), state?.decides ? (state.state ?? "…") : frame.unknown ? "unknown" : label);
  by("label").classList.toggle("unknown", frame.unknown);
  classes.add(frame.top);
  if (frame.picture) {
    pictured = performance.now();
    picture.show(frame);
  }
}

function takeStatus(message) {
  last = message;
  schedule.setPresent(message);
  status.setTimes(message);
  status.setSensors(message.sensors);
  status.setNotices(message.notices);
  states.clear();
  for (const view of message.views) states.set(keyOf(view), view);
  if (selected === null && message.views.length) select(keyOf(message.views[0]));
  const view = states.get(selected);
  say(by("rate"), view?.frames_per_second != null ? view.frames_per_second.toFixed(1) : "–");
  // Read out: what is decided, not what flickers.
  say(by("said"), view?.decides ? (view.state ?? "") : "");
  showViews(message.views);
  showCamera(message.cameras);
}

function showCamera(cameras) {
  if (!run) return;
  const camera = cameras.find((camera) => selected === camera.source || selected?.startsWith(`${camera.source} at `)) ?? (selected === null ? cameras[0] : undefined);
  const reason = camera?.reason ? `: ${camera.reason}` : "";
  if (camera?.status === "lost") picture.showNothing(`the camera is gone${reason}`);
  else if (camera?.status === "waiting") picture.showNothing(`waiting for the camera${reason}`);
  else if (performance.now() - pictured > STALE) picture.showNothing(pictured ? "no frames come" : "waiting for the first frame");
}

// A button for each view, if there are several.
function showViews(views) {
  const group = by("views");
  group.hidden = views.length < 2;
  document.querySelector("main").classList.toggle("several", !group.hidden);
  if (group.hidden) return;
  const keys = views.map(keyOf);
  const buttons = [...group.children];
  if (buttons.map((button) => button.value).join("\n") !== keys.join("\n")) {
    group.replaceChildren(
      ...views.map((view) => {
        const button = make("button", "", [make("span", "name", keyOf(view)), make("span", "quiet", "")]);
        button.type = "button";
        button.value = keyOf(view);
        button.addEventListener("click", () => select(button.value));
        return button;
      }),
    );
  }
  [...group.children].forEach((button, index) => {
    button.setAttribute("aria-pressed", String(button.value === selected));
    say(button.lastChild, views[index].state ?? "");
  });
}

function select(key) {
  if (key !== selected) picture.clear();
  selected = key;
  classes.reset(histories.get(key));
  if (key === null) say(by("label"), "\u00a0");
  if (last) showViews(last.views);
}

function badge(text, kind) {
  const element = by("connection");
  say(element, text);
  element.className = `badge ${kind}`;
}

by("drawing").addEventListener("change", (event) => picture.setDrawing(event.target.value));
new ResizeObserver(() => picture.draw()).observe(by("picture"));

// What is drawn has the colours and the size of its time.
function redraw() {
  picture.draw();
  if (last) status.setTimes(last);
  status.drawPower();
}
addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

// Who does not look needs no pictures.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    source?.close();
    source = null;
  } else if (!source) {
    connect();
  }
});

connect();
