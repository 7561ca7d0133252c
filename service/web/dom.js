// Small helpers. Text from the service only ever becomes text.

export const byId = (id) => document.getElementById(id);

// make("span", { class: "label", title: "..." }, "text", child): an element with attributes and children.
export function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") made.addEventListener(key, value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

export function makeSvg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// One of the drawings that index.html defines as symbols.
export const icon = (name) =>
  makeSvg("svg", { class: "icon", "aria-hidden": "true" }, makeSvg("use", { href: `#icon-${name}` }));

export const number = new Intl.NumberFormat("en");
export const plural = (count, one, many = `${one}s`) => `${number.format(count)} ${count === 1 ? one : many}`;
export const similarity = (cosine) => cosine.toFixed(3); // everywhere alike
export const percent = (share) => `${(100 * share).toFixed(1)} %`;

// A pair list of a <dl>.
export function facts(list, pairs) {
  list.replaceChildren(...pairs.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

export const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

// Says something to those who hear the page instead of seeing it.
export function announce(text) {
  byId("announcement").textContent = text;
}

// A dialog closes by its buttons, by Escape, and by a click beside it.
export function dialog(id) {
  const element = byId(id);
  for (const button of element.querySelectorAll("[data-close]")) button.addEventListener("click", () => element.close());
  element.addEventListener("pointerdown", (event) => {
    const box = element.getBoundingClientRect();
    const beside =
      event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
    if (event.target === element && beside) element.close();
  });
  return element;
}
