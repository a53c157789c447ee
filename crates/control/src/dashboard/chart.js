// A chart of the last minutes on a canvas. Drawn by our own few lines: a plotting library would be a copied file.

import { clock } from "./format.js";
import { fill, find, make, put, set } from "./dom.js";

const LEFT = 54;
const BOTTOM = 18;
const TOP = 14;
const RIGHT = 6;
const MINUTE_MS = 60_000;
// What is shown, in minutes: as much as there is, so that a process that just began has no empty charts.
const WINDOWS = [1, 2, 5, 10];

// One moment for all charts: what latency did when load went up is seen at a glance.
const all = new Set();
let cursor = null;

/** Draws every chart anew, such as after colours have changed. */
export const redraw = () => all.forEach((chart) => chart.paint());

function pointAt(at) {
  cursor = at;
  redraw();
}

/**
 * A chart in a figure that has a `canvas` and an `output`. `show` takes the time of the last value, the step between
 * values, and series: `name`, `values` (null is a gap), `look` (a class that gives the colour), `dashed`, `filled`;
 * `stacked` lays one upon the other.
 */
export class Chart {
  constructor(id, title, format) {
    const figure = find(id);
    this.canvas = figure.querySelector("canvas");
    this.legend = figure.querySelector("output");
    this.title = title;
    this.format = format;
    this.model = { until: Date.now(), step: 1000, series: [], stacked: false };
    this.loud = null;
    all.add(this);
    new ResizeObserver(() => this.paint()).observe(this.canvas);
    this.canvas.addEventListener("pointermove", (event) => pointAt(this.timeAt(event.offsetX)));
    this.canvas.addEventListener("pointerleave", () => pointAt(null));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("blur", () => this.quiet());
    set(this.legend, "aria-live", "off");
  }

  show(model) {
    this.model = model;
    this.paint();
  }

  timeAt(x) {
    const { width } = this.canvas.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (x - LEFT) / (width - LEFT - RIGHT)));
    return this.model.until - this.minutes() * MINUTE_MS * (1 - share);
  }

  minutes() {
    const { step, series } = this.model;
    const span = ((longest(series) - 1) * step) / MINUTE_MS;
    return WINDOWS.find((minutes) => minutes >= span) ?? WINDOWS.at(-1);
  }

  key(event) {
    const { until, step } = this.model;
    const all = this.minutes() * MINUTE_MS;
    const by = {
      ArrowLeft: -step,
      ArrowRight: step,
      PageUp: -all / 10,
      PageDown: all / 10,
      Home: -all,
      End: all,
    }[event.key];
    if (by !== undefined) {
      event.preventDefault();
      // Only who reads by keyboard has it read out; a legend that speaks up at each sample would drown the rest.
      set(this.legend, "aria-live", "polite");
      pointAt(Math.min(until, Math.max(until - all, (cursor ?? until) + by)));
    } else if (event.key === "Escape") {
      pointAt(null);
    }
  }

  quiet() {
    set(this.legend, "aria-live", "off");
    pointAt(null);
  }

  paint() {
    const { until, step, series, stacked } = this.model;
    const length = longest(series);
    const at = cursor === null ? length - 1 : length - 1 - Math.round((until - cursor) / step);
    this.describe(at);
    const frame = this.frame();
    if (!frame) return;
    const tops = stacked ? stack(series, length) : series.map(({ values }) => values);
    const scale = axis(Math.max(0, ...tops.flat()));
    const wide = (step * (frame.right - LEFT)) / (this.minutes() * MINUTE_MS);
    const x = (i) => frame.right - (length - 1 - i) * wide;
    const y = (value) => frame.bottom - (value / scale.top) * (frame.bottom - TOP);
    this.grid(frame, scale, y);
    frame.pen.save();
    frame.pen.beginPath();
    frame.pen.rect(LEFT, 0, frame.right - LEFT, frame.bottom + 1);
    frame.pen.clip();
    series.forEach((one, i) => {
      const below = stacked && i > 0 ? tops[i - 1] : null;
      this.draw(frame, one, { x, y, tops: tops[i], below, colour: getComputedStyle(this.legend.children[i]).color });
    });
    frame.pen.restore();
    if (cursor !== null) this.point(frame, x(at), until - (length - 1 - at) * step);
  }

  frame() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return null;
    const dense = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * dense), Math.round(height * dense)];
    if (this.canvas.width !== w || this.canvas.height !== h) Object.assign(this.canvas, { width: w, height: h });
    const pen = this.canvas.getContext("2d");
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(this.canvas);
    pen.font = `11px ${style.fontFamily}`;
    return { pen, right: width - RIGHT, bottom: height - BOTTOM, ink: style.color, rule: style.borderTopColor };
  }

  grid({ pen, right, bottom, ink, rule }, { top, step }, y) {
    pen.fillStyle = ink;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (let value = 0; value <= top; value += step) {
      line(pen, rule, [LEFT, y(value), right, y(value)]);
      pen.fillText(this.format(value), LEFT - 6, y(value));
    }
    pen.textBaseline = "alphabetic";
    const minutes = this.minutes();
    const told = minutes > 2 ? (part) => `−${part * minutes} min` : (part) => `−${part * minutes * 60} s`;
    const labels = [
      ["left", LEFT, told(1)],
      ["center", (LEFT + right) / 2, told(0.5)],
      ["right", right, "now"],
    ];
    for (const [align, at, text] of labels) {
      pen.textAlign = align;
      pen.fillText(text, at, bottom + 14);
    }
  }

  /** The moment that is pointed at, and its time of day. */
  point({ pen, ink, bottom, right }, at, when) {
    line(pen, ink, [at, TOP, at, bottom]);
    pen.fillStyle = ink;
    pen.textAlign = at < (LEFT + right) / 2 ? "left" : "right";
    pen.fillText(clock(when), at, TOP - 4);
  }

  draw({ pen }, series, { x, y, tops, below, colour }) {
    pen.strokeStyle = pen.fillStyle = colour;
    const faint = this.loud !== null && this.loud !== series.name ? 0.15 : 1;
    for (const [from, to] of runs(tops)) {
      pen.beginPath();
      for (let i = from; i < to; i += 1) pen.lineTo(x(i), y(tops[i]));
      // A lone value is a dot's width of line.
      if (to - from === 1) pen.lineTo(x(from) + 1, y(tops[from]));
      pen.globalAlpha = faint;
      pen.lineWidth = series.name === this.loud ? 2.5 : 1.5;
      pen.setLineDash(series.dashed ? [5, 3] : []);
      pen.stroke();
      if (!series.filled && !this.model.stacked) continue;
      for (let i = to - 1; i >= from; i -= 1) pen.lineTo(x(i), y(below ? (below[i] ?? 0) : 0));
      pen.globalAlpha = faint * (this.model.stacked ? 0.45 : 0.16);
      pen.fill();
    }
    pen.globalAlpha = 1;
    pen.setLineDash([]);
  }

  /** The legend, with the values at the moment that is pointed at. */
  describe(at) {
    const { until, step, series } = this.model;
    const text = (value) => (value === null || value === undefined ? "–" : this.format(value));
    fill(
      this.legend,
      series,
      () => this.entry(),
      (entry, { name, look, dashed, values }) => {
        set(entry, "class", `entry ${look}${dashed ? " dashed" : ""}`);
        set(entry, "data-name", name);
        put(entry.children[1], name);
        set(entry, "title", name);
        put(entry.children[2], text(values[at]));
      },
    );
    const when = cursor === null ? "now" : `at ${clock(until - (series[0]?.values.length - 1 - at || 0) * step)}`;
    const listed = series.slice(0, 6).map(({ name, values }) => `${name} ${text(values[at])}`);
    set(this.canvas, "aria-label", `${this.title}, ${when}: ${listed.join(", ") || "nothing yet"}`);
  }

  entry() {
    const entry = make("span", "entry", make("i", "swatch"), make("span", "name"), make("b"));
    const loud = (name) => {
      this.loud = name;
      this.paint();
    };
    entry.addEventListener("pointerenter", () => loud(entry.dataset.name));
    entry.addEventListener("pointerleave", () => loud(null));
    return entry;
  }
}

function line(pen, colour, [x1, y1, x2, y2]) {
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(Math.round(x1) + 0.5, Math.round(y1) + 0.5);
  pen.lineTo(Math.round(x2) + 0.5, Math.round(y2) + 0.5);
  pen.stroke();
}

const longest = (series) => Math.max(0, ...series.map(({ values }) => values.length));

/** Each series on top of those before it. */
function stack(series, length) {
  let below = new Array(length).fill(0);
  return series.map(({ values }) => (below = below.map((under, i) => under + (values[i] ?? 0))));
}

/** Where values are, as ranges without gaps. */
function* runs(values) {
  let from = -1;
  for (let i = 0; i <= values.length; i += 1) {
    const there = i < values.length && values[i] !== null;
    if (there && from < 0) from = i;
    if (!there && from >= 0) {
      yield [from, i];
      from = -1;
    }
  }
}

/** A round step and a top that three or so of them reach. */
function axis(most) {
  const rough = Math.max(most, 1e-9) / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = most <= 0 ? 1 : power * [1, 2, 2.5, 5, 10].find((round) => round * power >= rough);
  return { step, top: most <= 0 ? 1 : Math.ceil(most / step - 1e-9) * step };
}
