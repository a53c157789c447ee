// The little that is needed to write into the page. Whatever comes from the API goes in as text, never as markup.

export const find = (id) => document.getElementById(id);

/** An element of a class, with children: nodes, or strings as text. */
export function make(tag, name = "", ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children);
  return element;
}

/** Writes a text where it differs, so that what stays costs no layout. */
export function put(element, text) {
  const only = element.firstChild;
  if (only && only.nodeType === Node.TEXT_NODE && !only.nextSibling) {
    if (only.data !== text) only.data = text;
  } else if (only || text !== "") {
    element.textContent = text;
  }
}

/** Sets an attribute where it differs; `null` takes it away. */
export function set(element, name, value) {
  if (value === null) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, value);
  }
}

const SVG = "http://www.w3.org/2000/svg";

/** One of the shapes at the head of the page. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "use"));
  turnTo(svg, name);
  return svg;
}

/** Makes an icon another one. */
export function turnTo(svg, name) {
  set(svg.firstChild, "href", `#i-${name}`);
}

/** A button that does something. */
export function button(text, name, act) {
  const element = make("button", name, text);
  element.type = "button";
  element.addEventListener("click", act);
  return element;
}

/** As many children as there are items: old ones are kept and renewed, so that nobody loses focus or place. */
export function fill(parent, items, create, renew) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  items.forEach((item, i) => {
    let child = parent.children[i];
    if (!child) parent.append((child = create(item)));
    renew(child, item);
  });
}

let hiding = 0;

/** Says something for a moment, to those who listen too. */
export function tell(text) {
  const toast = find("told");
  put(toast, text);
  toast.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => (toast.hidden = true), 6000);
}
