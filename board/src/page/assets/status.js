// What changes calmly: rates, times, sensors, what happened.

import { drawDistribution, drawLine, textOf } from "./charts.js";
import { ago, by, make, milliseconds, pairs, percent, say } from "./dom.js";

const POWER_SPAN = 120_000;

let watts = []; // { at, value }
let heardSensors = Infinity;

export function setTimes(status) {
  for (const name of ["latency", "age"]) {
    const canvas = by(`${name}-chart`);
    canvas.dataset.name = name;
    drawDistribution(canvas, status[name], name === "latency" ? status.budget_us : null);
    say(by(`${name}-text`), textOf(status[name]));
    say(by(name), status[name] ? milliseconds(status[name].p50_us) : "–");
  }
  pairs(
    by("drops"),
    [
      ["replaced by newer frames", status.replaced],
      ["lost in the driver", status.dropped_by_driver],
      ["errors", status.errors],
      ["records this page missed", status.lost],
    ]
      .filter(([, count], index) => count > 0 || index < 2)
      .map(([term, count]) => [term, count.toLocaleString("en")]),
  );
}

export function setSensors(sensors) {
  by("board").hidden = !sensors;
  if (!sensors) return;
  const hottest = sensors.temperatures.reduce((most, zone) => (zone.celsius > (most?.celsius ?? -300) ? zone : most), null);
  pairs(
    by("sensors"),
    [
      ["power", sensors.watts != null && `${sensors.watts.toFixed(1)}\u202fW`],
      [hottest && `hottest, ${hottest.name}`, hottest && `${hottest.celsius.toFixed(0)}\u202f°C`],
      ["GPU load", sensors.gpu_load != null && percent(sensors.gpu_load)],
      ["energy / frame", sensors.joules_per_frame != null && `${(1000 * sensors.joules_per_frame).toFixed(0)}\u202fmJ`],
    ].filter(([, value]) => value),
  );
  pairs(by("details"), [
    ...(sensors.gpu_clock_hz != null ? [["GPU clock", `${(sensors.gpu_clock_hz / 1e6).toFixed(0)}\u202fMHz`]] : []),
    ...sensors.rails.map((rail) => [rail.name, `${rail.watts.toFixed(2)}\u202fW`]),
    ...sensors.over_currents.filter((supply) => supply.events).map((supply) => [`over-current ${supply.name}`, supply.events.toLocaleString("en")]),
    ...sensors.temperatures.map((zone) => [zone.name, `${zone.celsius.toFixed(1)}\u202f°C`]),
  ]);
  const throttled = by("throttled");
  throttled.hidden = !sensors.throttled.length;
  say(throttled, throttled.hidden ? "" : `Throttled: ${sensors.throttled.join(", ")}`);
  // The same record comes with several states: it is new where it is younger than the last time.
  const now = performance.now();
  if (sensors.watts != null && sensors.ago_s < heardSensors) watts.push({ at: now - 1000 * sensors.ago_s, value: sensors.watts });
  heardSensors = sensors.ago_s;
  watts = watts.filter((point) => point.at > now - POWER_SPAN);
  drawPower();
}

export function drawPower() {
  drawLine(by("power-chart"), watts, POWER_SPAN, "W");
}

export function setNotices(notices) {
  const rows = [...notices].reverse().map((notice) => {
    const row = make("li", notice.kind, [make("span", "quiet number", ago(notice.ago_s)), make("span", "", notice.text)]);
    return row;
  });
  by("notices").replaceChildren(...(rows.length ? rows : [make("li", "quiet", "nothing yet")]));
}
