// What is above and below the servers: the process, the pools, the figures of the one that is shown.

import { fill, find, make, put, set } from "./dom.js";
import { count, ms, plural, rate, ratio, share, span } from "./format.js";

// Requests fail now and then; from here on somebody should look.
const ERRORS_WARN = 0.01;
const ERRORS_BAD = 0.05;
// Below a quarter more than the mean, who carries most is chance.
const EVEN = 1.25;
const LOPSIDED = 2;
const LATELY_MS = 10_000;

/** Shows the process: version, time, configuration, listeners, workers, all pools. */
export function process(status, shown) {
  const { version, uptime_seconds: uptime, generation, differences, stopping, pools } = status;
  put(find("version"), version);
  put(find("uptime"), stopping ? "stopping" : `up ${span(uptime)}`);
  set(find("uptime"), "class", stopping ? "warn" : "quiet");
  const edited = differences ? `, ${plural(differences, "edit")}` : "";
  put(find("configuration"), `configuration ${generation}${edited}`);
  set(find("configuration"), "class", differences ? "link edited" : "link");
  navigate(pools, shown);
  listeners(status.listeners);
  workers(status.workers);
}

function navigate(pools, shown) {
  const nav = find("pools");
  nav.hidden = pools.length < 2;
  const create = () => make("a", "pool", make("strong"), make("span", "quiet"), make("span"));
  fill(nav, nav.hidden ? [] : pools, create, (link, pool) => {
    set(link, "href", `#pool=${encodeURIComponent(pool.name)}`);
    set(link, "aria-current", pool.name === shown ? "page" : null);
    set(link, "class", `pool ${poolTone(pool)}`);
    const [name, takes, does] = link.children;
    put(name, pool.name);
    put(takes, `${count(pool.eligible)} of ${plural(pool.servers_total, "server")}`);
    const errors = pool.error_rate >= ERRORS_WARN ? ` · ${share(pool.error_rate)} errors` : "";
    put(does, `${count(pool.in_flight)} in flight · ${rate(pool.requests_per_second)}/s${errors}`);
  });
}

function poolTone({ eligible, error_rate: errors }) {
  if (eligible === 0 || errors >= ERRORS_BAD) return "bad";
  return errors >= ERRORS_WARN ? "warn" : "";
}

function listeners(all) {
  fill(
    find("listeners"),
    all,
    () => make("li", "", make("strong"), make("span"), make("span", "quiet")),
    (line, one) => {
      const [name, where, load] = line.children;
      put(name, one.name);
      put(where, ` ${one.addresses.join(", ")} → ${one.pools.join(", ") || "–"} `);
      put(load, `${count(one.open)} of ${count(one.limit)} open, ${count(one.accepted)} accepted`);
    },
  );
}

function workers(all) {
  const create = () =>
    make("li", "worker", make("strong"), make("span", "meter", make("i")), make("span"), make("span", "quiet"));
  fill(find("workers"), all, create, (line, one) => {
    const [name, meter, load, rest] = line.children;
    put(name, String(one.number));
    meter.firstChild.style.setProperty("--fill", Math.min(1, one.load));
    put(load, one.alive ? `${share(one.load)} busy` : "dead");
    set(load, "class", one.alive ? "" : "bad");
    put(rest, ` ${count(one.open)} open, ${plural(one.requests, "request")}`);
  });
}

let totals = [];

/** Shows the figures of a pool that has its servers. */
export function figures(pool) {
  put(find("pool-name"), pool.name);
  put(
    find("pool-facts"),
    `${pool.policy}, ${count(pool.eligible)} of ${plural(pool.servers_total, "server")} take requests${sticky(pool)}`,
  );
  set(find("pool-facts"), "class", pool.eligible ? "quiet" : "bad");
  const refused = Object.values(pool.refused).reduce((sum, number) => sum + number, 0);
  const lately = since(pool.name, { retries: pool.retries.made, refused });
  const tiles = [
    { name: "In flight", value: count(pool.in_flight), note: "requests now" },
    { name: "Requests", value: `${rate(pool.requests_per_second)}/s`, note: "over 10 s" },
    { name: "p50", value: ms(pool.p50_ms), note: "median" },
    { name: "p99", value: ms(pool.p99_ms), note: "one in 100 is slower" },
    errors(pool),
    imbalance(pool),
    queue(pool),
    { name: "Retries", value: count(pool.retries.made), note: retries(pool.retries, lately.retries) },
    {
      name: "Refused",
      value: count(refused),
      tone: lately.refused ? "bad" : "",
      note: refusals(pool.refused, lately.refused),
    },
  ];
  const create = () => make("div", "figure", make("dt"), make("dd", "value"), make("dd", "note"));
  fill(find("figures"), tiles, create, (tile, { name, value, note, tone = "" }) => {
    set(tile, "class", `figure ${tone}`);
    [name, value, note].forEach((text, i) => put(tile.children[i], text));
    set(
      tile,
      "title",
      name === "Imbalance"
        ? "The most any server carries for its weight, divided by the mean. 1 is even; 2 means one carries twice its share."
        : null,
    );
  });
}

/** By how much totals grew over the last ten seconds. */
function since(pool, now) {
  const at = performance.now();
  totals = totals.filter((one) => one.pool === pool && at - one.at < LATELY_MS);
  totals.push({ pool, at, ...now });
  return {
    retries: Math.max(0, now.retries - totals[0].retries),
    refused: Math.max(0, now.refused - totals[0].refused),
  };
}

function errors({ error_rate: errors }) {
  const tone = errors >= ERRORS_BAD ? "bad" : errors >= ERRORS_WARN ? "warn" : "";
  return { name: "Errors", value: share(errors), tone, note: tone ? "of the last 10 s: look" : "of the last 10 s" };
}

function imbalance({ imbalance: value, in_flight: load, eligible }) {
  const told = { name: "Imbalance", value: value.toFixed(2) };
  // With few requests each, one more is a large part. The same bound as in the alert rule.
  if (load < 5 * eligible) return { ...told, note: "busiest ÷ mean; few requests say little" };
  if (value <= EVEN) return { ...told, note: "busiest ÷ mean: even" };
  const lopsided = value > LOPSIDED;
  return { ...told, note: `busiest ÷ mean: ${lopsided ? "lopsided" : "uneven"}`, tone: lopsided ? "bad" : "warn" };
}

function sticky({ sticky: told }) {
  return told ? `, sticky by ${told.by}: ${count(told.kept)} kept, ${count(told.moved)} moved` : "";
}

function queue({ queue: line }) {
  if (!line) return { name: "Queue", value: "none", note: "who finds all full is refused" };
  const oldest = line.oldest_ms === undefined ? "nobody waits" : `oldest ${ms(line.oldest_ms)}`;
  const note = line.left ? `${oldest}, ${count(line.left)} left` : oldest;
  return {
    name: "Queue",
    value: `${count(line.waiting)} / ${count(line.limit)}`,
    note,
    tone: line.waiting ? "warn" : "",
  };
}

function retries({ over_budget: over }, lately) {
  const told = [lately && `${count(lately)} in 10 s`, over && `${count(over)} over budget`].filter(Boolean);
  return told.join(", ") || "tries beyond the first";
}

function refusals(reasons, lately) {
  const told = Object.entries(reasons)
    .filter(([, number]) => number > 0)
    .map(([reason, number]) => `${count(number)} ${reason}`);
  if (lately) told.unshift(`${count(lately)} in 10 s:`);
  return told.join(" ") || "found no server";
}
