// What asks before it does: changes of a server, all about a server, the differences from the file, the token.

import { call, path } from "./api.js";
import { button, fill, find, make, put, set, tell } from "./dom.js";
import { bytes, clock, count, moment, ms, plural } from "./format.js";
import { serves, standing } from "./standing.js";

const EACH_MS = 2000;
const TITLES = { drain: "Drain", ready: "Make ready", down: "Take down", weight: "Weight and limit of" };

let pool = null;

/** The pool that is shown, with its servers. */
export const of = (shown) => (pool = shown);

for (const one of document.querySelectorAll("[data-close]")) {
  one.addEventListener("click", () => one.closest("dialog").close());
}
// A click beside a dialog closes it; the token's has nothing to go back to.
for (const dialog of document.querySelectorAll("dialog:not(#token)")) {
  dialog.addEventListener("pointerdown", (event) => event.target === dialog && dialog.close());
}

const problemOf = (dialog) => dialog.querySelector(".problem");

function open(dialog) {
  problemOf(dialog)?.toggleAttribute("hidden", true);
  if (!dialog.open) dialog.showModal();
}

/** Runs what may be refused: what the API says then stands in the dialog, which stays open. */
async function attempt(dialog, run) {
  const controls = [...dialog.querySelectorAll("button:not([data-close])")];
  controls.forEach((one) => (one.disabled = true));
  const problem = problemOf(dialog);
  problem.hidden = true;
  try {
    await run();
    return true;
  } catch (error) {
    put(problem, error.title && error.title !== error.message ? `${error.title}: ${error.message}` : error.message);
    problem.hidden = false;
    return false;
  } finally {
    controls.forEach((one) => (one.disabled = false));
  }
}

const change = find("change");

/** Asks whether a server is to be changed: `drain`, `ready`, `down` or `weight`. Nothing happens before it is confirmed. */
export function confirm(kind, server) {
  const its = pool;
  if (!its || !server.listed) return;
  put(find("change-title"), `${TITLES[kind]} ${server.name}${kind === "weight" ? "" : "?"}`);
  put(find("change-words"), warning(kind, server, its));
  const fields = find("change-fields");
  fields.hidden = kind !== "weight";
  const [weight, limit] = [find("change-weight"), find("change-limit")];
  for (const field of [weight, limit]) field.disabled = fields.hidden;
  [weight.value, limit.value] = [server.weight, server.max_connections ?? ""];
  put(find("change-do"), kind === "weight" ? "Set" : TITLES[kind]);
  set(find("change-do"), "class", kind === "down" ? "main grave" : "main");
  change.querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    const patch = kind === "weight" ? changed(server, weight.value, limit.value) : { state: kind };
    if (Object.keys(patch).length === 0) return change.close();
    const where = path("pools", its.name, "servers", server.name);
    if (!(await attempt(change, () => call("PATCH", where, patch)))) return;
    change.close();
    tell(done(kind, server));
  };
  open(change);
  (kind === "weight" ? weight : find("change-do")).focus();
}

/** Only what is different: an edit of what stays would be a difference from the file for nothing. */
function changed(server, weight, limit) {
  const patch = {};
  if (Number(weight) !== server.weight) patch.weight = Number(weight);
  const most = limit === "" ? null : Number(limit);
  if (most !== server.max_connections) patch.max_connections = most;
  return patch;
}

function warning(kind, server, { name, servers }) {
  const others = servers.filter((other) => other !== server && serves(other)).length;
  const left = others
    ? `${plural(others, "other server takes", "other servers take")} its share.`
    : `No other server of pool ${name} takes requests: all would be refused.`;
  const has = server.in_flight
    ? `what it has in flight (${count(server.in_flight)})`
    : "what it has in flight (nothing now)";
  return {
    drain: `It finishes ${has} and gets nothing new. ${left}`,
    down: `It is out of use: it gets nothing new, not even probes, and finishes ${has}. ${left}`,
    ready: "It gets requests again, after a warm-up where the pool has one.",
    weight: "Its share relative to the others, 0 for nothing new; and the most it may have in flight at once.",
  }[kind];
}

function done(kind, { name, in_flight: load }) {
  if (kind === "weight") return `${name}: set`;
  if (kind === "ready") return `${name} is ready`;
  return `${name} ${kind === "drain" ? "drains" : "is down"}${load ? `: ${count(load)} left` : ""}`;
}

const detail = find("detail");
let timer = 0;
detail.addEventListener("close", () => clearTimeout(timer));

/** All about a server, for as long as it is open. */
export function about(server) {
  put(find("detail-title"), server.name);
  const acts = ["drain", "ready", "down", "weight"].filter((kind) => kind !== server.state);
  const words = { drain: "Drain", ready: "Ready", down: "Down", weight: "Weight and limit" };
  const ask = (kind) => {
    detail.close();
    confirm(kind, pool.servers.find(({ name }) => name === server.name) ?? server);
  };
  find("detail-actions").replaceChildren(
    ...(server.listed ? acts.map((kind) => button(words[kind], "", () => ask(kind))) : []),
  );
  facts(server);
  open(detail);
  renew(path("pools", pool.name, "servers", server.name));
}

async function renew(where) {
  clearTimeout(timer);
  if (!detail.open) return;
  try {
    const server = await call("GET", where);
    if (!detail.open) return;
    facts(server);
    problemOf(detail).hidden = true;
  } catch (error) {
    put(problemOf(detail), error.message);
    problemOf(detail).hidden = false;
  }
  timer = setTimeout(() => renew(where), EACH_MS);
}

function facts(server) {
  const { health, outcomes } = server;
  const { word, note } = standing(server);
  const ended = Object.entries(outcomes).filter(([, number]) => number > 0);
  const told = [
    ["State", note ? `${word}: ${note}` : word],
    ["Health", `${health.state} since ${moment(health.since)}: ${health.reason}`],
    ["Failures", `${count(health.failures_in_a_row)} in a row; ejected ${plural(health.ejections, "time")}`],
    ["Addresses", server.addresses.join(", ")],
    [
      "In flight",
      `${count(server.in_flight)}${server.max_connections === null ? ", no limit" : ` of ${count(server.max_connections)}`}; ${count(server.charged)} charged`,
    ],
    ["Weight", `${server.weight}${server.backup ? ", a backup" : ""}`],
    ["Response time", `p50 ${ms(server.p50_ms)}, p99 ${ms(server.p99_ms)}`],
    ["Picks", count(server.picks)],
    [
      "Outcomes",
      ended.map(([name, number]) => `${count(number)} ${name.replaceAll("_", " ")}`).join(", ") || "none yet",
    ],
    ["Bytes", `${bytes(server.sent_bytes)} sent, ${bytes(server.received_bytes)} received`],
    ["From the file", server.edited?.length ? `differs: ${server.edited.join(", ")}` : "as it says"],
  ];
  fill(
    find("detail-facts"),
    told,
    () => make("div", "", make("dt"), make("dd")),
    (line, texts) => texts.forEach((text, i) => put(line.children[i], text)),
  );
  const probes = [...(health.probes ?? [])].reverse();
  const said = probes.map(({ at, took_ms: took, failure }) => `${clock(at)} ${failure ?? "passed"}, ${ms(took)}`);
  fill(find("detail-probes"), said.length ? said : ["none"], () => make("li"), put);
}

const diff = find("diff");

/** What differs from the file, how to undo it, and how to read the file anew. */
export async function differences(status) {
  put(find("diff-notes"), "");
  find("diff-reload").hidden = status.file === undefined;
  put(
    find("diff-words"),
    status.file
      ? `Configuration ${status.generation} is in force since ${moment(status.configured)}, from ${status.file}.`
      : "The program was started with options alone.",
  );
  open(diff);
  await listDifferences();
}

const listDifferences = () =>
  attempt(diff, async () => {
    const all = await call("GET", "diff");
    const rows = all.map((one) => [one.pool, one.server, one.setting, one.file ?? "–", one.now ?? "–"]);
    const line = (cell) => (texts) => make("tr", "", ...texts.map((text) => make(cell, "", text)));
    const head = rows.length ? [["Pool", "Server", "Setting", "In the file", "Now"]] : [];
    find("diff-table").replaceChildren(
      make("thead", "", ...head.map(line("th"))),
      make("tbody", "", ...rows.map(line("td"))),
    );
    find("diff-undo").hidden = rows.length === 0;
    if (!rows.length)
      put(find("diff-notes"), find("diff-notes").textContent || "Nothing was edited: all is as it was configured.");
  });

const after = (run, said) => async () => {
  put(find("diff-notes"), "");
  let answer = {};
  if (!(await attempt(diff, async () => (answer = await run())))) return;
  put(find("diff-notes"), [said, ...(answer.notes ?? [])].join("\n"));
  await listDifferences();
};

find("diff-undo").addEventListener(
  "click",
  after(() => call("DELETE", "diff"), "All edits were undone."),
);
find("diff-reload").addEventListener(
  "click",
  after(() => call("POST", "reload"), "The file was read anew and is in force."),
);

/** Asks for the token; promises what was typed. */
export function token(wrong) {
  const dialog = find("token");
  open(dialog);
  const problem = problemOf(dialog);
  put(problem, wrong ? "The API did not accept this token." : "");
  problem.hidden = !wrong;
  dialog.oncancel = (event) => event.preventDefault();
  return new Promise((typed) => {
    dialog.querySelector("form").onsubmit = (event) => {
      event.preventDefault();
      const field = find("token-value");
      const value = field.value.trim();
      field.value = "";
      dialog.close();
      typed(value);
    };
  });
}
