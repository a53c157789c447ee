// Why this server? What a pick would do now, and what the last ones did, in words and as a table.

import { call, path } from "./api.js";
import { fill, find, make, put, set } from "./dom.js";
import { clock, count, plural, ratio } from "./format.js";

const EACH_MS = 1500;
const ROWS = 12;
const NAMED = 3;
// These draw: what is told is one draw, and the next may differ.
const DRAWN = new Set(["two-choices", "random"]);
const HEADS = ["", "Server", "In flight", "Charged", "Weight", "Score", "Turn", "Verdict"];

const panel = find("why");
const still = find("why-pause");
let pool = null;
let timer = 0;

/** Which pool is asked about. */
export function of(name) {
  pool = name;
  renew();
}

/** Opens it for who asked by key. */
export function open() {
  panel.open = true;
  panel.querySelector("summary").focus();
}

panel.addEventListener("toggle", renew);
still.addEventListener("change", renew);
document.addEventListener("visibilitychange", renew);

// Asking costs the balancer a little, so it is asked only while somebody looks.
async function renew() {
  clearTimeout(timer);
  const asked = pool;
  if (!panel.open || asked === null || document.hidden || still.checked) return;
  const at = path("pools", asked);
  try {
    const [explanation, picks] = await Promise.all([call("GET", `${at}/explain`), call("GET", `${at}/picks?last=20`)]);
    if (asked !== pool || still.checked) return;
    explain(explanation);
    tellPicks(picks);
  } catch (error) {
    if (asked !== pool) return;
    put(find("why-words"), error.message);
  }
  clearTimeout(timer);
  timer = setTimeout(renew, EACH_MS);
}

function explain(explanation) {
  const { policy, rule, picked, servers } = explanation;
  put(find("why-rule"), `${policy}: ${rule}`);
  const words = find("why-words");
  words.replaceChildren(...inWords(explanation));
  const eligible = ({ verdict }) => (verdict === "eligible" || verdict === "on trial" ? 0 : 1);
  const order = (a, b) =>
    (b.name === picked) - (a.name === picked) ||
    eligible(a) - eligible(b) ||
    (a.score ?? Infinity) - (b.score ?? Infinity) ||
    a.turn - b.turn;
  const rows = [...servers].sort(order).slice(0, ROWS);
  const table = find("why-table");
  if (!table.tHead) {
    table.append(make("thead", "", make("tr", "", ...HEADS.map((text) => make("th", "", text)))), make("tbody"));
    table.tHead.querySelector("th").append(make("span", "unseen", "Next"));
  }
  fill(
    table.tBodies[0],
    rows,
    () => make("tr", "", ...HEADS.map(() => make("td"))),
    (row, server) => {
      const { name, in_flight: load, charged, weight, score, turn, verdict, max_connections: limit, backup } = server;
      const chosen = name === picked;
      set(row, "class", chosen ? "chosen" : eligible(server) ? "quiet" : "");
      const load_text = limit === null ? count(load) : `${count(load)} / ${count(limit)}`;
      const texts = [
        chosen ? "▸" : "",
        name,
        load_text,
        charged || "",
        weight,
        ratio(score),
        ratio(turn),
        backup ? `${verdict} (backup)` : verdict,
      ];
      texts.forEach((text, i) => put(row.children[i], String(text)));
    },
  );
}

/** The explanation as sentences. */
function inWords({ policy, picked, refused, servers }) {
  const able = servers.filter(({ verdict }) => verdict === "eligible");
  const others = passedOver(servers);
  if (picked === undefined) return [`No server would get the next request: ${refused ?? "none can take it"}.${others}`];
  const chosen = servers.find(({ name }) => name === picked);
  const words = ["The next request goes to ", make("strong", "", picked)];
  if (chosen?.verdict === "on trial")
    return [...words, `: it was left out, and this request finds out whether it works again.${others}`];
  const even = able.filter(({ score }) => score === chosen?.score).length;
  words.push(` (${formula(policy, chosen)})`);
  if (DRAWN.has(policy)) words.push(", as drawn this time; this policy draws anew for each request.");
  else if (policy === "hash") words.push(", as far as one can tell without the request's key.");
  else
    words.push(
      even > 1
        ? `, the least, as ${plural(even - 1, "other")} of ${count(able.length)} that can take it; its turn comes first.`
        : `, the least of ${count(able.length)} that can take it.`,
    );
  const next = able.filter(({ name }) => name !== picked).sort((a, b) => a.score - b.score || a.turn - b.turn)[0];
  if (next && !DRAWN.has(policy) && policy !== "hash") words.push(` Behind it is ${next.name} (${ratio(next.score)}).`);
  return [...words, others];
}

function formula(policy, server) {
  if (!server) return "";
  const { in_flight: load, charged, weight, score } = server;
  const all = charged ? `(${count(load)} + ${count(charged)} charged)` : `${count(load)} in flight`;
  return policy === "least-connections"
    ? `${all} / weight ${weight} = ${ratio(score)}`
    : `${all}, weight ${weight}, score ${ratio(score)}`;
}

function passedOver(servers) {
  const verdicts = {};
  for (const { verdict } of servers) if (verdict !== "eligible") verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
  return leftOut(verdicts, " Passed over: ", ".");
}

const leftOut = (verdicts, before, after) => {
  const told = Object.entries(verdicts).map(([verdict, number]) => `${count(number)} ${verdict}`);
  return told.length ? `${before}${told.join(", ")}${after}` : "";
};

function tellPicks(picks) {
  // The latest first, whichever way they came.
  const latest = [...picks].sort((a, b) => b.number - a.number);
  const list = find("why-picks");
  if (!latest.length) return list.replaceChildren(make("li", "quiet", "No request came since this was opened."));
  list.replaceChildren(...latest.map(tellPick));
}

function tellPick({ at, picked, refused, in_flight: load, retry, candidates, passed_over: verdicts }) {
  const item = make("li", "", make("time", "quiet", clock(at, true)), " ");
  item.append(make("strong", "", picked ?? "none"));
  if (retry) item.append(make("span", "kind", "retry"));
  const [first, ...behind] = candidates;
  const named = behind.slice(0, NAMED).map(({ name, score }) => `${name} ${ratio(score)}`);
  const told = [
    picked === undefined && (refused ?? "no server"),
    picked !== undefined && first && `score ${ratio(first.score)}${named.length ? ` against ${named.join(", ")}` : ""}`,
    picked !== undefined && `then ${count(load)} in flight`,
    leftOut(verdicts, "passed over: ", ""),
  ];
  item.append(make("span", "quiet", ` ${told.filter(Boolean).join(" · ")}`));
  return item;
}
