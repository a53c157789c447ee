// The three charts of a pool, from the samples that the API keeps.

import { call, path } from "./api.js";
import { Chart } from "./chart.js";
import { find, set } from "./dom.js";
import { count, ms, plural, rate } from "./format.js";

// More lines than this are a tangle; the rest is one.
const SHOWN = 12;
const COLOURS = 8;
const SHORTEST_PAUSE_MS = 2000;
const AFTER_FAILURE_MS = 5000;

const load = new Chart("chart-load", "In flight by server", (value) => (value < 10 ? rate(value) : count(value)));
const latency = new Chart("chart-latency", "Response time", ms);
const requests = new Chart("chart-requests", "Requests and errors a second", rate);

let shown = { pool: null, history: null, total: 0 };
let timer = 0;
let colours = new Map();
let stacked = false;

/** Shows the history of a pool, and keeps it up to date from now on. */
export function chart(pool) {
  shown = { pool, history: null, total: 0 };
  colours = new Map();
  [load, latency, requests].forEach((one) => one.show({ until: Date.now(), step: 1000, series: [], stacked: false }));
  renew();
}

/** How many servers the pool has, for what is said of the rest. */
export const servers = (total) => (shown.total = total);

find("stacked").addEventListener("click", () => {
  stacked = !stacked;
  set(find("stacked"), "aria-pressed", stacked);
  show();
});

// A page that is not looked at asks for nothing, and catches up when it is.
document.addEventListener("visibilitychange", renew);

async function renew() {
  clearTimeout(timer);
  const { pool } = shown;
  if (pool === null || document.hidden) return;
  let pause = AFTER_FAILURE_MS;
  try {
    const history = await call("GET", `${path("pools", pool)}/history?servers=${SHOWN}`);
    if (shown.pool !== pool) return;
    shown.history = history;
    pause = Math.max(SHORTEST_PAUSE_MS, history.step_seconds * 1000);
    show();
  } catch {
    // The stream says whether the connection is lost; here the last picture stays.
    if (shown.pool !== pool) return;
  }
  clearTimeout(timer);
  timer = setTimeout(renew, pause);
}

function show() {
  const { history } = shown;
  if (!history) return;
  const common = { until: Date.parse(history.until), step: history.step_seconds * 1000, stacked: false };
  load.show({ ...common, series: loads(history), stacked });
  latency.show({
    ...common,
    series: [
      { name: "p99", look: "c1", values: history.p99_ms },
      { name: "p50", look: "c0", values: history.p50_ms, filled: true },
    ],
  });
  requests.show({
    ...common,
    series: [
      { name: "requests", look: "c0", values: history.requests_per_second, filled: true },
      { name: "errors", look: "bad", values: history.errors_per_second, filled: true, dashed: true },
    ],
  });
}

function loads({ servers: most, in_flight: total }) {
  const names = new Set(most.map(({ name }) => name));
  for (const name of [...colours.keys()]) if (!names.has(name)) colours.delete(name);
  const series = most.map(({ name, in_flight: values }) => {
    const colour = colourOf(name);
    return { name, values, look: `c${colour % COLOURS}`, dashed: colour >= COLOURS };
  });
  const others = shown.total - most.length;
  if (others > 0) series.unshift(rest(most, total, others));
  return series;
}

/** Those that are not shown: their sum in a stack, one of them on average among lines. */
function rest(most, total, others) {
  const over = stacked ? 1 : others;
  const carried = (i) => most.reduce((sum, { in_flight: one }) => sum + (one[i] ?? 0), 0);
  const values = total.map((all, i) => (all === null ? null : Math.max(0, all - carried(i)) / over));
  return { name: `${plural(others, "other")}${stacked ? "" : ", mean"}`, values, look: "rest", dashed: true };
}

/** A server keeps its colour for as long as it is shown. */
function colourOf(name) {
  if (!colours.has(name)) {
    const taken = new Set(colours.values());
    let free = 0;
    while (taken.has(free)) free += 1;
    colours.set(name, free);
  }
  return colours.get(name);
}
