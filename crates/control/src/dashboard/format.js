// Numbers, times and units as people read them. Everything takes what the API says and gives text.

const NONE = "–";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const hundredth = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (number) => (number < 1e6 ? whole : short).format(number);
export const rate = (number) => (number < 10 ? tenth : number < 1e5 ? whole : short).format(number);
export const ratio = (number) => (number === undefined || number === null ? NONE : hundredth.format(number));

export function ms(number) {
  if (number === undefined || number === null) return NONE;
  if (number >= 1000) return `${hundredth.format(number / 1000)} s`;
  return `${(number < 10 ? tenth : whole).format(number)} ms`;
}

export function share(number) {
  if (!number) return "0 %";
  return number < 0.001 ? "< 0.1 %" : `${(number < 0.1 ? tenth : whole).format(number * 100)} %`;
}

export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; number >= 1024 && unit < units.length - 1; unit += 1) number /= 1024;
  return `${(unit ? tenth : whole).format(number)} ${units[unit]}`;
}

/** A span of time by its two largest units. */
export function span(seconds) {
  const left = Math.max(0, Math.floor(seconds));
  const parts = [
    [Math.floor(left / 86400), "d"],
    [Math.floor(left / 3600) % 24, "h"],
    [Math.floor(left / 60) % 60, "min"],
    [left % 60, "s"],
  ];
  const first = parts.findIndex(([number]) => number > 0);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([number]) => number > 0)
    .map(([number, unit]) => `${number} ${unit}`)
    .join(" ");
}

const two = (number) => String(number).padStart(2, "0");

/** The time of day here; `fine` adds milliseconds. */
export function clock(when, fine = false) {
  const at = new Date(when);
  if (Number.isNaN(at.getTime())) return NONE;
  const text = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return fine ? `${text}.${String(at.getMilliseconds()).padStart(3, "0")}` : text;
}

/** The day too, unless it is today. */
export function moment(when) {
  const at = new Date(when);
  const today = at.toDateString() === new Date().toDateString();
  return today ? clock(at) : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(at)}`;
}

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
