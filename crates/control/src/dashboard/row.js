// One server as a row of the list.

import { button, icon, make, put, set, turnTo } from "./dom.js";
import { count, ms, rate, ratio, share } from "./format.js";
import { serves, standing } from "./standing.js";

/** The columns: `key`, `title`, what they are sorted by (`null` is last), and whether much comes first. */
export const COLUMNS = [
  { key: "name", title: "Server", by: (server) => server.name },
  { key: "standing", title: "State", by: (server) => standing(server).rank },
  { key: "load", title: "In flight", by: (server) => server.in_flight, most: true },
  { key: "weight", title: "Weight", by: (server) => server.weight, most: true },
  { key: "score", title: "Score", by: (server) => server.score ?? null, most: true },
  { key: "rate", title: "Req/s", by: (server) => server.requests_per_second, most: true },
  { key: "p50", title: "p50", by: (server) => server.p50_ms ?? null, most: true },
  { key: "p99", title: "p99", by: (server) => server.p99_ms ?? null, most: true },
  { key: "errors", title: "Errors", by: (server) => server.error_rate, most: true },
  { key: "actions", title: "Actions" },
];

const WANTED = { ready: ["drain", "down"], drain: ["ready", "down"], down: ["ready", "drain"] };
const WORDS = { drain: "Drain", ready: "Ready", down: "Down" };
const ERRORS_WARN = 0.01;

/** What bars are measured by: `top`, a little above the busiest, of those without a limit, and the even share of weight 1. */
export function scale(servers) {
  let [top, load, weight] = [4, 0, 0];
  for (const server of servers) {
    if (server.max_connections === null) top = Math.max(top, server.in_flight + server.charged);
    if (!serves(server) || server.backup) continue;
    load += server.in_flight;
    weight += server.weight;
  }
  return { top: round(top), even: weight ? load / weight : null };
}

/** The next round number with some room: a bar that is always full says nothing, and a scale that moves each second less. */
function round(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return power * [1.5, 2, 3, 4, 5, 6, 8, 10, 12].find((step) => step * power >= most * 1.1);
}

/** A row; `act(kind, server)` is told what was asked for: `detail`, `weight` or a state. */
export class Row {
  constructor(act) {
    this.server = null;
    const asked = (kind) => (event) => {
      event.stopPropagation();
      act(kind, this.server);
    };
    this.name = button("", "name", asked("detail"));
    this.place = make("span", "place quiet");
    this.marks = make("span", "marks");
    this.icon = icon("up");
    [this.word, this.note] = [make("span", "word"), make("span", "note quiet")];
    [this.fillBar, this.number] = [
      make("span", "bar", make("i", "load"), make("i", "charge"), make("i", "even")),
      make("span", "number"),
    ];
    this.weight = button("", "weight", asked("weight"));
    this.buttons = [0, 1].map((i) => button("", "small", (event) => asked(WANTED[this.server.state][i])(event)));
    this.texts = ["score", "rate", "p50", "p99", "errors"].map((key) => make("div", `cell ${key} figure-cell`));
    this.element = make(
      "div",
      "row",
      make("div", "cell server", this.name, this.marks, this.place),
      make("div", "cell standing", this.icon, this.word, this.note),
      make("div", "cell load", this.fillBar, this.number),
      make("div", "cell weight", this.weight),
      ...this.texts,
      make("div", "cell actions", ...this.buttons),
    );
    set(this.element, "role", "row");
    for (const cell of this.element.children) set(cell, "role", "gridcell");
  }

  /** Shows a server at a place of the list; `reachable` by tab is only the active row. */
  show(server, { index, height, scale: by, reachable }) {
    this.server = server;
    const { element } = this;
    element.style.setProperty("--y", `${index * height}px`);
    set(element, "aria-rowindex", index + 2);
    set(element, "data-server", server.name);
    set(element, "tabindex", reachable ? 0 : -1);
    for (const one of [this.name, this.weight, ...this.buttons]) set(one, "tabindex", reachable ? 0 : -1);
    this.showName(server);
    this.showStanding(server);
    this.showLoad(server, by);
    this.showFigures(server);
    WANTED[server.state].forEach((kind, i) => {
      put(this.buttons[i], WORDS[kind]);
      set(this.buttons[i], "aria-label", `${WORDS[kind]} ${server.name}`);
      this.buttons[i].disabled = !server.listed;
    });
  }

  showName({ name, addresses, backup, edited = [] }) {
    put(this.name, name);
    set(this.name, "title", name);
    put(this.place, addresses[0] === name ? "" : (addresses[0] ?? ""));
    const marks = [backup && "backup", edited.length && "edited"].filter(Boolean).join(" ");
    put(this.marks, marks);
    set(this.marks, "title", edited.length ? `differs from the file: ${edited.join(", ")}` : null);
  }

  showStanding(server) {
    const { kind, icon: shape, tone, word, note } = standing(server);
    set(this.element, "data-kind", kind);
    set(this.element.children[1], "class", `cell standing ${tone}`);
    turnTo(this.icon, shape);
    put(this.word, word);
    put(this.note, note);
    set(this.element.children[1], "title", note || null);
  }

  showLoad(server, { top, even }) {
    const { in_flight: load, charged, max_connections: limit, weight } = server;
    const full = limit ?? top;
    const part = (number) => Math.min(1, number / full).toFixed(4);
    this.fillBar.style.setProperty("--load", part(load));
    this.fillBar.style.setProperty("--charge", part(load + charged));
    const share = even !== null && serves(server) && !server.backup ? even * weight : null;
    this.fillBar.style.setProperty("--even", share === null ? 0 : part(share));
    const look = [
      limit === null ? "bar" : "bar limited",
      share === null && "no-even",
      limit !== null && load >= limit && "at-limit",
    ];
    set(this.fillBar, "class", look.filter(Boolean).join(" "));
    put(this.number, limit === null ? count(load) : `${count(load)} / ${count(limit)}`);
    set(this.number, "title", share === null ? null : `an even share would be ${rate(share)}`);
    set(
      this.number,
      "aria-label",
      `${count(load)} in flight${limit === null ? "" : ` of at most ${count(limit)}`}${charged ? `, ${count(charged)} charged` : ""}`,
    );
  }

  showFigures(server) {
    put(this.weight, String(server.weight));
    set(this.weight, "aria-label", `Weight ${server.weight}: change`);
    const texts = [
      ratio(server.score),
      rate(server.requests_per_second),
      ms(server.p50_ms),
      ms(server.p99_ms),
      share(server.error_rate),
    ];
    texts.forEach((text, i) => put(this.texts[i], text));
    set(this.texts[4], "class", `cell errors figure-cell ${server.error_rate >= ERRORS_WARN ? "bad" : ""}`);
  }
}
