// The list of servers. Only the rows in sight exist, so a thousand servers cost as much as thirty.

import { find, make, put, set } from "./dom.js";
import { plural } from "./format.js";
import { COLUMNS, Row, scale } from "./row.js";
import { standing } from "./standing.js";

// Rows beyond each edge, so that a quick scroll shows no gap.
const SPARE = 6;
const ACTS = { Enter: "detail", d: "drain", r: "ready", x: "down", w: "weight" };

const grid = find("grid");
const scroll = find("grid-scroll");
const space = find("grid-rows");
const filter = find("filter");
const choice = find("sort");
const inOrder = new Intl.Collator("en", { numeric: true }).compare;

let act = () => {};
let all = [];
let byName = new Map();
let order = [];
let by = scale([]);
let sorted = { key: null, reverse: false };
let active = null;
let height = 0;
let asked = false;
const rows = new Map();
const spare = [];

/** Begins; `acted(kind, server)` is told what the user asks for. */
export function begin(acted) {
  act = acted;
  head();
  filter.addEventListener("input", () => arrange(true));
  filter.addEventListener("keydown", (event) => event.key === "Escape" && !event.isComposing && empty());
  scroll.addEventListener("scroll", later, { passive: true });
  new ResizeObserver(() => ((height = 0), later())).observe(scroll);
  space.addEventListener("keydown", key);
  space.addEventListener("focusin", ({ target }) => activate(nameOf(target)));
  space.addEventListener("pointerdown", ({ target }) => activate(nameOf(target)));
  for (const event of ["pointerenter", "pointerleave", "focusin", "focusout"])
    grid.addEventListener(event, () => setTimeout(hold));
}

/** Shows a pool's servers as they are now. */
export function show(servers) {
  all = servers;
  byName = new Map(servers.map((server) => [server.name, server]));
  by = scale(servers);
  arrange(false);
}

/** Another pool: nothing of the old one stays. */
export function reset() {
  [active, order] = [null, []];
  filter.value = "";
  scroll.scrollTop = 0;
  show([]);
}

/** To the list, for who came by key. */
export function enter() {
  const name = active ?? order[0];
  if (name === undefined) return;
  activate(name);
  rows.get(name)?.element.focus();
}

// Rows that change places under a pointer or a finger are clicked by mistake: while someone is there, order stays.
// A finger does not hover, though browsers say so of what it touched last.
const hovers = window.matchMedia("(hover: hover)");
const held = () => (hovers.matches && scroll.matches(":hover")) || space.contains(document.activeElement);

function hold() {
  const says = held() && sorted.key !== null;
  find("servers-held").hidden = !says;
}

function head() {
  const titles = COLUMNS.map(({ key, title, by: sortable }) => {
    const cell = make("div", `cell ${key === "name" ? "server" : key}`);
    set(cell, "role", "columnheader");
    if (!sortable) cell.append(make("span", "", title));
    else {
      const sort = make("button", "", title);
      sort.type = "button";
      sort.addEventListener("click", () => sortBy(key));
      cell.append(sort);
    }
    return cell;
  });
  find("grid-head").append(...titles);
  set(find("grid-head"), "aria-rowindex", 1);
  const options = [["", "as listed"], ...COLUMNS.filter((column) => column.by).map(({ key, title }) => [key, title])];
  choice.append(...options.map(([key, title]) => Object.assign(make("option", "", title), { value: key })));
  choice.addEventListener("change", () => {
    sorted = { key: choice.value || null, reverse: false };
    arrange(true);
  });
}

/** Once as is natural, twice the other way, then as listed. */
function sortBy(key) {
  if (sorted.key !== key) sorted = { key, reverse: false };
  else sorted = sorted.reverse ? { key: null, reverse: false } : { key, reverse: true };
  choice.value = sorted.key ?? "";
  arrange(true);
}

function empty() {
  filter.value = "";
  arrange(true);
}

/** Finds out who is shown, in which order. */
function arrange(anew) {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = words.length ? all.filter((server) => matches(server, words)) : all;
  const column = COLUMNS.find(({ key }) => key === sorted.key);
  if (!anew && held() && order.length) {
    const place = new Map(order.map((name, i) => [name, i]));
    const last = order.length;
    shown = [...shown].sort((a, b) => (place.get(a.name) ?? last) - (place.get(b.name) ?? last));
  } else if (column) {
    shown = sort(shown, column);
  }
  order = shown.map(({ name }) => name);
  if (active !== null && !byName.has(active)) active = null;
  put(find("servers-count"), words.length ? `${order.length} of ${all.length}` : plural(all.length, "server"));
  set(grid, "aria-rowcount", order.length + 1);
  COLUMNS.forEach(({ key, most }, i) => {
    const way = rises(most) ? "ascending" : "descending";
    set(find("grid-head").children[i], "aria-sort", key === sorted.key ? way : null);
  });
  hold();
  render();
}

function matches(server, words) {
  const { word } = standing(server);
  const text = [server.name, ...server.addresses, word, server.backup && "backup", server.edited && "edited"]
    .join(" ")
    .toLowerCase();
  return words.every((one) => text.includes(one));
}

/** Whether small comes before large: naturally so, unless the column is one where much comes first. */
const rises = (most) => Boolean(most) === sorted.reverse;

function sort(servers, { by: value, most }) {
  const direction = rises(most) ? 1 : -1;
  const keyed = servers.map((server) => [value(server), server]);
  keyed.sort(([a, one], [b, other]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    const difference = typeof a === "string" ? inOrder(a, b) : a - b;
    return difference * direction || inOrder(one.name, other.name);
  });
  return keyed.map(([, server]) => server);
}

function later() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    render();
  });
}

/** Makes the rows in sight be what they should be. */
function render() {
  height ||= Number.parseFloat(getComputedStyle(space).getPropertyValue("--row"));
  space.style.setProperty("--height", `${order.length * height}px`);
  const first = Math.max(0, Math.floor(scroll.scrollTop / height) - SPARE);
  const last = Math.min(order.length, Math.ceil((scroll.scrollTop + scroll.clientHeight) / height) + SPARE);
  const shown = order.slice(first, last).map((name, i) => [name, first + i]);
  keepActive(shown, first);
  const wanted = new Set(shown.map(([name]) => name));
  for (const [name, row] of [...rows]) if (!wanted.has(name)) retire(name, row);
  const reachable = wanted.has(active) ? active : shown[0]?.[0];
  shown.forEach(([name, index], i) => {
    const row = rows.get(name) ?? spare.pop() ?? new Row(act);
    rows.set(name, row);
    row.show(byName.get(name), { index, height, scale: by, reachable: name === reachable });
    if (space.children[i] !== row.element) space.insertBefore(row.element, space.children[i] ?? null);
  });
}

/** The row that has the keyboard exists wherever it is: it would lose it otherwise. */
function keepActive(shown, first) {
  const focused = nameOf(document.activeElement);
  if (focused === null || shown.some(([name]) => name === focused)) return;
  const index = order.indexOf(focused);
  if (index < 0) return;
  if (index < first) shown.unshift([focused, index]);
  else shown.push([focused, index]);
}

function retire(name, row) {
  rows.delete(name);
  row.element.remove();
  spare.push(row);
}

const nameOf = (element) =>
  space.contains(element) ? (element.closest("[data-server]")?.dataset.server ?? null) : null;

function activate(name) {
  if (name === null || name === active) return;
  active = name;
  render();
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const index = order.indexOf(active);
  const page = Math.max(1, Math.floor(scroll.clientHeight / height) - 1);
  const last = order.length - 1;
  const to = {
    ArrowDown: index + 1,
    ArrowUp: index - 1,
    PageDown: index + page,
    PageUp: index - page,
    Home: 0,
    End: last,
  }[event.key];
  if (to !== undefined) {
    event.preventDefault();
    go(Math.min(last, Math.max(0, to)));
    return;
  }
  const onRow = event.target.matches(".row");
  const kind = ACTS[event.key];
  if (!kind || (event.key === "Enter" && !onRow) || !byName.has(active)) return;
  event.preventDefault();
  event.stopPropagation();
  act(kind, byName.get(active));
}

function go(index) {
  active = order[index];
  const [top, bottom] = [index * height, (index + 1) * height];
  if (top < scroll.scrollTop) scroll.scrollTop = top;
  else if (bottom > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = bottom - scroll.clientHeight;
  render();
  rows.get(active)?.element.focus({ preventScroll: true });
}
