// The dashboard: follows the stream of the admin API and shows the pool that the address of the page names.

import { askTokenOf, call, follow } from "./api.js";
import { redraw } from "./chart.js";
import * as dialogs from "./dialogs.js";
import { find, put, set, tell } from "./dom.js";
import * as events from "./events.js";
import * as history from "./history.js";
import * as limits from "./limits.js";
import * as list from "./servers.js";
import * as summary from "./summary.js";
import * as why from "./why.js";

// Samples come each second; after three that did not, what is seen is old.
const STALE_MS = 3500;
const THEMES = ["auto", "dark", "light"];
const KEPT_THEME = "plimsoll-theme";
const KEPT_KEYS = "plimsoll-keys";

let shown = null;
let status = null;
let pool = null;
let fresh = -Infinity;
let problem = null;
let parsing = 0;
let drawing = false;
let leave = () => {};

askTokenOf(dialogs.token);
list.begin((kind, server) => (kind === "detail" ? dialogs.about(server) : dialogs.confirm(kind, server)));
themes();
keys();
find("configuration").addEventListener("click", () => status && dialogs.differences(status));
window.addEventListener("hashchange", choose);
setInterval(connection, 1000);
start();

/** What is known before the stream says anything: the pools to choose from, and what happened. */
async function start() {
  try {
    status = await call("GET", "status");
    events.begin(await call("GET", "events?limit=200"));
    choose();
  } catch (error) {
    problem = error;
    connection();
    setTimeout(start, 2000);
  }
}

/** Shows the pool in the address of the page, or the first one. */
function choose() {
  const named = new URLSearchParams(location.hash.slice(1)).get("pool");
  const names = status.pools.map(({ name }) => name);
  const next = names.includes(named) ? named : (names[0] ?? null);
  if (next === shown && shown !== null) return;
  [shown, pool] = [next, null];
  put(find("pool-name"), shown ?? "There is no pool yet.");
  list.reset();
  events.of(shown);
  why.of(shown);
  history.chart(shown);
  draw();
  leave();
  leave = follow(where, { open: () => (problem = null), message, lost });
}

const where = () => ({
  path: shown === null ? "stream" : `stream?pool=${encodeURIComponent(shown)}`,
  last: events.last(),
});

function message(kind, data) {
  const begun = performance.now();
  fresh = begun;
  const value = JSON.parse(data);
  if (kind === "status") {
    // Another process, perhaps of another version: its page, its events and its counts are others.
    if (status && status.started !== value.started) return location.reload();
    status = value;
  }
  if (kind === "pool" && value.name === shown) pool = value;
  if (kind === "event") events.add(value);
  parsing += performance.now() - begun;
  if (drawing) return;
  drawing = true;
  // Nothing is drawn while nobody looks: frames stop then.
  requestAnimationFrame(draw);
}

function draw() {
  drawing = false;
  const begun = performance.now();
  if (status) {
    summary.process(status, shown);
    limits.show(status.limits);
    const there = status.pools.some(({ name }) => name === shown);
    if (!there && (shown !== null || status.pools.length)) setTimeout(choose);
  }
  if (pool) {
    summary.figures(pool);
    list.show(pool.servers ?? []);
    dialogs.of(pool);
    history.servers(pool.servers_total);
  }
  put(document.querySelector("title"), shown === null ? "Plimsoll" : `${shown} – Plimsoll`);
  connection();
  // Kept for who wants to know what an update costs, and only the last few.
  performance.clearMeasures("update");
  performance.measure("update", { start: begun - parsing, end: performance.now() });
  parsing = 0;
}

/** The stream broke. When that is because the pool is gone, another one is shown. */
function lost(error) {
  problem = error;
  connection();
  if (error?.status !== 404) return true;
  [shown, status] = [null, null];
  start();
  return false;
}

function connection() {
  const silent = performance.now() - fresh;
  const stale = silent > STALE_MS;
  const say = find("connection");
  set(say, "data-state", stale ? "stale" : "live");
  const old = Number.isFinite(silent) ? `no data for ${Math.round(silent / 1000)} s` : "no data yet";
  const because = problem?.message ? `: ${problem.message}` : "";
  put(say, stale ? `${old}, connecting` : "live");
  set(say, "title", stale ? `${old}${because}` : "new data each second");
  set(document.body, "data-stale", stale && Number.isFinite(silent) ? "yes" : null);
}

function themes() {
  const choice = window.matchMedia("(prefers-color-scheme: dark)");
  const show = (theme) => {
    set(document.documentElement, "data-theme", theme);
    put(find("theme"), theme);
    set(find("theme"), "aria-label", `Colours: ${theme}`);
    redraw();
  };
  show(localStorage.getItem(KEPT_THEME) ?? THEMES[0]);
  choice.addEventListener("change", redraw);
  find("theme").addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
    localStorage.setItem(KEPT_THEME, next);
    show(next);
  });
}

/** Single keys, which can be turned off: who speaks to the page, or mistypes, sets off none. */
function keys() {
  const on = find("keys-on");
  on.checked = localStorage.getItem(KEPT_KEYS) !== "off";
  on.addEventListener("change", () => localStorage.setItem(KEPT_KEYS, on.checked ? "on" : "off"));
  const help = () => find("help").showModal();
  find("keys").addEventListener("click", help);
  const does = {
    "/": () => find("filter").focus(),
    "?": help,
    "[": () => step(-1),
    "]": () => step(1),
    e: why.open,
    s: list.enter,
    t: () => find("theme").click(),
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
    if (
      !on.checked ||
      typing ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      document.querySelector("dialog[open]")
    )
      return;
    const run = does[event.key];
    if (!run) return;
    event.preventDefault();
    run();
  });
}

function step(by) {
  const names = status?.pools.map(({ name }) => name) ?? [];
  if (names.length < 2) return;
  const next = names[(names.indexOf(shown) + by + names.length) % names.length];
  location.hash = `pool=${encodeURIComponent(next)}`;
  tell(`pool ${next}`);
}
