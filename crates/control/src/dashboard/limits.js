// Limits for each client: how full they are, what they refuse, and who is busiest in the one that is chosen.

import { call, path } from "./api.js";
import { fill, find, make, put, set } from "./dom.js";
import { count, plural, rate } from "./format.js";

const EACH_MS = 2000;
const TOP = 10;
const HEADS = ["Limit", "For each", "Clients", "Refused", "Delayed"];
const CLIENT_HEADS = ["Client", "Connections", "Requests", "A second", "Refused", "In all"];

const section = find("limits");
let chosen = null;
let timer = 0;

document.addEventListener("visibilitychange", renew);

/** Shows the limits, if there are any. */
export function show(limits = []) {
  const hidden = limits.length === 0;
  if (section.hidden !== hidden) section.hidden = hidden;
  if (hidden) {
    chosen = null;
    return;
  }
  if (!limits.some(({ name }) => name === chosen)) choose(limits[0].name);
  fill(body("limits-table", HEADS), limits, create, tellLimit);
}

function create() {
  const name = make("button", "link");
  name.type = "button";
  name.addEventListener("click", () => choose(name.textContent));
  const meter = make("span", "meter", make("i"));
  const cells = [make("td", "", name), make("td"), make("td", "filled", meter, make("span")), make("td"), make("td")];
  return make("tr", "", ...cells);
}

function tellLimit(row, limit) {
  const [name, rules, clients, refused, delayed] = row.children;
  set(row, "class", limit.name === chosen ? "chosen" : "");
  set(name.firstChild, "aria-pressed", limit.name === chosen);
  put(name.firstChild, limit.name);
  put(rules, inWords(limit));
  const [meter, number] = clients.children;
  meter.firstChild.style.setProperty("--fill", Math.min(1, limit.clients / limit.capacity));
  put(number, `${count(limit.clients)} of ${count(limit.capacity)}`);
  const counts = limit.dry_run ? limit.would_refuse : limit.refused;
  const by = Object.entries(counts).filter(([, number]) => number > 0);
  const told = by.map(([rule, number]) => `${count(number)} by ${rule.replace("_", " ")}`).join(", ") || "–";
  put(refused, limit.dry_run ? `would be: ${told}` : told);
  set(refused, "class", by.length && !limit.dry_run ? "warn" : "");
  put(delayed, count(limit.delayed));
}

/** What a limit says, as people say it. */
function inWords(limit) {
  const { key, connections, requests, connection_rate: coming, request_rate: asking } = limit;
  const rules = [
    connections && `${plural(connections, "connection")} at once`,
    requests && `${plural(requests, "request")} at once`,
    coming && `connections ${coming}`,
    asking && `requests ${asking}`,
  ];
  return `${key}: ${rules.filter(Boolean).join(", ")}; ${limit.dry_run ? "dry run" : more(limit)}`;
}

/** What becomes of more. Before its first request nobody can be told anything, so a connection is closed. */
function more({ over, delay_seconds: delay, connections, requests, connection_rate: coming, request_rate: asking }) {
  if (over === "delay") return `more are delayed up to ${delay} s`;
  if (over === "close" || !(requests || asking)) return "more are closed";
  return connections || coming ? "more connections are closed, more requests are rejected" : "more are rejected";
}

function choose(name) {
  chosen = name;
  renew();
}

// Asking walks the whole table, so it is asked only while somebody looks.
async function renew() {
  clearTimeout(timer);
  const asked = chosen;
  if (asked === null || document.hidden) return;
  try {
    const clients = await call("GET", `${path("limits", asked, "clients")}?top=${TOP}`);
    if (asked !== chosen) return;
    put(find("clients-title"), clients.length ? `Busiest clients of ${asked}` : `No client of ${asked} is known`);
    fill(body("clients-table", CLIENT_HEADS), clients, createClient, tellClient);
  } catch (error) {
    if (asked !== chosen) return;
    put(find("clients-title"), error.message);
  }
  clearTimeout(timer);
  timer = setTimeout(renew, EACH_MS);
}

const createClient = () => make("tr", "", ...CLIENT_HEADS.map(() => make("td")));

function tellClient(row, client) {
  const { connections, requests, requests_per_second: second, refused, total_requests: total } = client;
  const texts = [client.client, count(connections), count(requests), rate(second), count(refused), count(total)];
  texts.forEach((text, i) => put(row.children[i], text));
  set(row.children[4], "class", refused ? "warn" : "");
}

/** The rows of a table, which gets its heads first. */
function body(id, heads) {
  const table = find(id);
  if (!table.tHead) {
    table.append(make("thead", "", make("tr", "", ...heads.map((text) => make("th", "", text)))), make("tbody"));
  }
  return table.tBodies[0];
}
