// Items as pictures. Ids and labels come from whoever filled the collection: they only ever become text.

import { imageOf } from "./api.js";

const grid = document.getElementById("grid");

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function card(item, { queryLabel, onChoose }) {
  const name = item.label ?? item.id;
  const scored = item.score !== undefined;
  const same = queryLabel !== undefined && queryLabel !== null && item.label === queryLabel;

  const link = element("a", "card");
  link.href = `?item=${encodeURIComponent(item.id)}`;
  link.title = item.id;
  link.setAttribute(
    "aria-label",
    `${name}${scored ? `, similarity ${item.score.toFixed(2)}` : ""}${same ? ", same label" : ""}. Find more like this`,
  );
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    onChoose(item);
  });

  const frame = element("span", "frame");
  const image = element("img", "picture");
  image.alt = `Picture of ${name}`;
  image.loading = "lazy";
  image.decoding = "async";
  image.width = 256;
  image.height = 256;
  image.addEventListener("error", () => {
    image.replaceWith(element("span", "no-picture", "No picture"));
  });
  image.src = imageOf(item.id);
  frame.append(image, element("span", "more", "More like this"));

  const caption = element("span", "caption");
  const label = element("span", "label", name);
  caption.append(label);
  if (scored) {
    caption.append(element("span", same ? "score same" : "score", item.score.toFixed(3)));
    const bar = element("span", same ? "bar same" : "bar");
    bar.style.setProperty("--part", Math.max(0, Math.min(1, item.score)));
    frame.append(bar);
  }
  link.append(frame, caption);

  const entry = document.createElement("li");
  entry.append(link);
  return entry;
}

export function showItems(items, options) {
  grid.replaceChildren(...items.map((item) => card(item, options)));
  grid.classList.remove("stale");
}

export function dim(stale) {
  grid.classList.toggle("stale", stale);
  grid.setAttribute("aria-busy", String(stale));
}

export function clearGrid() {
  grid.replaceChildren();
}
