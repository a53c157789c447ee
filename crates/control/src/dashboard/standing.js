// Where a server stands, in a word, for the eye, the reader and the order of the list.

import { clock, count, share } from "./format.js";

// In the order that an operator wants to see them: what is broken first. The shape tells as much as the colour.
const KINDS = [
  ["failing", "failing", "bad"],
  ["ejected", "ejected", "bad"],
  ["trial", "trial", "warn"],
  ["full", "full", "warn"],
  ["warming", "warming", "info"],
  ["draining", "draining", "warn"],
  ["leaving", "draining", "warn"],
  ["drained", "drained", "off"],
  ["down", "off", "off"],
  ["idle", "off", "off"],
  ["up", "up", "good"],
];
const RANK = new Map(KINDS.map(([kind, icon, tone], rank) => [kind, { kind, icon, tone, rank }]));

/** Of a server as the API shows it: `kind`, `icon`, `tone`, `rank` (0 is worst), `word` and `note`. */
export function standing(server) {
  const { kind, word, note } = told(server);
  return { ...RANK.get(kind), word, note };
}

/** Whether it takes requests now, limits aside. */
export const serves = (server) =>
  server.listed && server.state === "ready" && server.health.state === "up" && server.weight > 0;

function told(server) {
  const { health, in_flight: inFlight } = server;
  const left = inFlight > 0 ? `${count(inFlight)} left` : "";
  if (!server.listed) return { kind: "leaving", word: "leaving", note: left || "not listed any more" };
  if (server.state === "down") return { kind: "down", word: "down", note: left || "out of use, as you wanted" };
  if (server.state === "drain") {
    const stuck = server.sticks_until && `keeps its clients until ${clock(server.sticks_until)}`;
    if (stuck) return { kind: "draining", word: "draining", note: left ? `${left}; ${stuck}` : stuck };
    return left
      ? { kind: "draining", word: "draining", note: left }
      : { kind: "drained", word: "drained", note: "nothing in flight" };
  }
  if (health.state === "down") return { kind: "failing", word: "failing", note: health.reason };
  if (health.state === "ejected") {
    const until = health.ejected_until ? `; tried again at ${clock(health.ejected_until)}` : "";
    return { kind: "ejected", word: "ejected", note: health.reason + until };
  }
  if (health.state === "trial") return { kind: "trial", word: "on trial", note: "one request decides" };
  if (server.weight === 0) return { kind: "idle", word: "weight 0", note: left || "takes nothing new" };
  if (server.max_connections !== null && inFlight >= server.max_connections)
    return { kind: "full", word: "full", note: "at its limit" };
  if (server.warm_up) {
    return {
      kind: "warming",
      word: "warming up",
      note: `${share(server.warm_up.progress)}, until ${clock(server.warm_up.until)}`,
    };
  }
  return { kind: "up", word: "up", note: server.backup ? "in reserve" : "" };
}
