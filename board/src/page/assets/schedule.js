// Which schedule runs, why, and the choice among them.

import { by, make, milliseconds, say, span } from "./dom.js";

const fieldset = by("schedules");
const refused = by("refused");

const REASONS = {
  over_budget: "frames took too long",
  slack: "there was time to spare",
  power: "the board drew too much power",
  held: "somebody holds it",
  released: "nobody holds it any longer",
};

const exact = (share) => `${(100 * share).toFixed(1)}\u202f%`;

let options = new Map(); // value -> { input, label }

// Lists what the pack has; "" stands for the governor.
export function setChoices(run) {
  const facts = (schedule) =>
    [
      `${schedule.tokens} tokens`,
      `${schedule.gmacs.toFixed(schedule.gmacs < 10 ? 2 : 1)} GMAC`,
      schedule.accuracy !== undefined && `${exact(schedule.accuracy)} right`,
      schedule.agreement !== undefined && `${exact(schedule.agreement)} agree`,
    ]
      .filter(Boolean)
      .join(" · ");
  const slowFirst = [...run.schedules].sort((a, b) => b.gmacs - a.gmacs);
  const entries = [
    ["", "Automatic", "as the run decides"],
    ...slowFirst.map((schedule) => [schedule.name, schedule.name, facts(schedule)]),
    ...run.cascades.map((name) => [name, name, "cascade"]),
  ];
  options = new Map(entries.map(([value, name, note]) => [value, option(value, name, note)]));
  fieldset.replaceChildren(fieldset.querySelector("legend"), ...[...options.values()].map((entry) => entry.label));
}

function option(value, name, note) {
  const input = make("input");
  input.type = "radio";
  input.name = "schedule";
  input.value = value;
  input.addEventListener("change", () => hold(value));
  const label = make("label", "", [input, make("span", "name", name), make("span", "quiet number", note)]);
  return { input, label };
}

export function setPresent(status) {
  for (const [value, { input, label }] of options) {
    label.classList.toggle("runs", value === status.schedule);
    input.checked = value === (status.held ? status.schedule : "");
  }
  say(by("why"), why(status));
}

function why({ schedule, held, switch: change }) {
  if (!schedule) return "";
  if (!change) return held ? `${schedule}, held` : `${schedule}, as it was started`;
  const words = [REASONS[change.reason] ?? change.reason.replaceAll("_", " ")];
  if (change.latency_us != null && change.budget_us != null) {
    words.push(`${milliseconds(change.latency_us)} of ${milliseconds(change.budget_us)}`);
  }
  if (change.watts != null) words.push(`${change.watts.toFixed(1)}\u202fW`);
  return `${change.to} for ${span(change.ago_s)}, after ${change.from}: ${words.join(", ")}`;
}

async function hold(value) {
  refused.hidden = true;
  let reason = "the board does not answer";
  try {
    const answer = await fetch("/api/schedule", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ schedule: value || null }),
    });
    if (answer.ok) return;
    reason = (await answer.text()).trim();
  } catch {
    // The reason above.
  }
  say(refused, `Not changed: ${reason}`);
  refused.hidden = false;
}
