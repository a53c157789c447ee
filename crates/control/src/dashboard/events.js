// What happened lately, the latest first.

import { find, make, put, set } from "./dom.js";
import { moment } from "./format.js";

const KEPT = 200;
const WORDS = {
  health: "health",
  refused: "refused",
  edit: "edit",
  reload: "reload",
  "reload-refused": "not reloaded",
  rebalance: "rebalance",
  warning: "warning",
};
const TONES = { refused: "warn", "reload-refused": "bad", warning: "warn" };

const list = find("events");
const ofAll = find("events-all");
let kept = [];
let pool = null;

/** The number of the last event that is known. */
export const last = () => kept[0]?.number ?? 0;

/** Shows the events of the process so far, the oldest first. */
export function begin(events) {
  kept = [...events].reverse().slice(0, KEPT);
  show();
}

/** Adds one, unless it is known already. */
export function add(event) {
  if (event.number <= last()) return;
  kept.unshift(event);
  kept.length = Math.min(kept.length, KEPT);
  if (!concerns(event)) return;
  if (!kept[1]) list.replaceChildren();
  list.prepend(line(event));
  if (list.children.length > KEPT) list.lastElementChild.remove();
}

/** Which pool is shown. */
export function of(name) {
  pool = name;
  show();
}

const concerns = (event) => ofAll.checked || event.pool === undefined || event.pool === pool;

ofAll.addEventListener("change", show);

function show() {
  const lines = kept.filter(concerns).map(line);
  list.replaceChildren(...(lines.length ? lines : [make("li", "quiet", "Nothing has happened yet.")]));
}

function line(event) {
  const time = make("time", "quiet");
  put(time, moment(event.at));
  set(time, "datetime", event.at);
  const kind = make("span", `kind ${toneOf(event)}`, WORDS[event.kind] ?? event.kind);
  const item = make("li", "", time, " ", kind, " ", make("span", "message", event.message));
  set(item, "data-number", event.number);
  return item;
}

function toneOf({ kind, to }) {
  if (kind !== "health") return TONES[kind] ?? "";
  return to === "up" ? "good" : "bad";
}
