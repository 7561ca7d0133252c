// Items as pictures, each with what can be done with it. Arrow keys go from picture to picture.

import { announce, byId, icon, make, similarity } from "./dom.js";
import { textOf } from "./filter_words.js";
import { pictureOf } from "./pictures.js";
import { showWhyOver } from "./query.js";
import { canExplain, why } from "./why.js";

const HOVER_MS = 150; // a pointer that only passes asks for nothing

const grid = byId("grid");

export const attributesInWords = (attributes) =>
  Object.entries(attributes ?? {})
    .map(([name, value]) => `${name} ${textOf(value)}`)
    .join(" · ");

function card(item, { queryLabel, onChoose, onDetails }) {
  const name = item.label ?? item.id;
  const scored = item.score !== undefined;
  const same = queryLabel !== undefined && queryLabel !== null && item.label === queryLabel;
  const words = attributesInWords(item.attributes);

  const frame = make(
    "span",
    { class: "frame" },
    pictureOf(item.id, `Picture of ${name}`),
    make("span", { class: "more" }, "More like this"),
  );
  const caption = make(
    "span",
    { class: "caption" },
    make("span", { class: "label", title: name }, name),
    scored && make("span", { class: same ? "score same" : "score" }, similarity(item.score)),
  );
  const spoken = [name, scored && `similarity ${similarity(item.score)}`, same && "same label", words];
  const link = make(
    "a",
    {
      class: "card",
      href: `?item=${encodeURIComponent(item.id)}`,
      "aria-label": `${spoken.filter(Boolean).join(", ")}. Find more like this`,
      click: (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
        event.preventDefault();
        onChoose(item);
      },
    },
    frame,
    caption,
    words && make("span", { class: "attributes", title: words }, words),
  );
  const details = make(
    "button",
    { type: "button", class: "over", "aria-label": `Details of ${name}`, title: "Details", click: () => onDetails(item) },
    icon("details"),
  );
  const tools = make("span", { class: "tools" }, canExplain() && whyButton(item, name, frame), details);
  return make("li", {}, link, tools);
}

// Shows the map while the pointer is on the button; a click keeps it.
function whyButton(item, name, frame) {
  const button = make(
    "button",
    { type: "button", class: "over why", "aria-pressed": "false", "aria-label": `Why ${name}? Show what is alike`, title: "Why?" },
    icon("why"),
  );
  let over = null;
  let timer = null;

  async function show() {
    button.classList.add("asking");
    try {
      const [{ address }] = await Promise.all([why(item.id), why(item.id, "query").then(showOverQuery, () => {})]);
      if (!wanted()) return hide();
      over ??= make("img", { class: "heat", alt: `What makes ${name} like the query: the brighter, the more` });
      over.src = address;
      frame.append(over);
    } catch (failure) {
      if (failure.name === "AbortError" || !wanted()) return;
      over?.remove();
      over = make("span", { class: "heat words", role: "alert" }, failure.detail || failure.title);
      frame.append(over);
    } finally {
      button.classList.remove("asking");
    }
  }
  function showOverQuery({ address }) {
    if (wanted()) showWhyOver(address);
  }
  function hide() {
    over?.remove();
    over = null;
    showWhyOver(null);
  }
  const pinned = () => button.getAttribute("aria-pressed") === "true";
  const wanted = () => button.isConnected && (pinned() || button.matches(":hover"));

  button.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse") timer = setTimeout(show, HOVER_MS);
  });
  button.addEventListener("pointerleave", () => {
    clearTimeout(timer);
    if (!pinned()) hide();
  });
  button.addEventListener("click", () => {
    clearTimeout(timer);
    button.setAttribute("aria-pressed", String(!pinned()));
    if (!pinned()) return hide();
    show();
    announce("What is alike is drawn over the picture: the brighter, the more.");
  });
  return button;
}

export function showItems(items, options) {
  grid.replaceChildren(...items.map((item) => card(item, options)));
  grid.classList.remove("stale");
}

export function dropItem(id, items) {
  const at = items.findIndex((item) => item.id === id);
  const entry = grid.children[at];
  const next = entry?.nextElementSibling ?? entry?.previousElementSibling;
  entry?.remove();
  (next?.querySelector(".card") ?? byId("results-title")).focus();
  return items.filter((item) => item.id !== id);
}

export function dim(stale) {
  grid.classList.toggle("stale", stale);
  grid.setAttribute("aria-busy", String(stale));
}

export const clearGrid = () => grid.replaceChildren();

// How many pictures are in a row is the style's business; their places tell.
function neighbour(entries, at, key) {
  if (key === "Home") return 0;
  if (key === "End") return entries.length - 1;
  if (key === "ArrowLeft") return at - 1;
  if (key === "ArrowRight") return at + 1;
  const here = entries[at].getBoundingClientRect();
  const rows = entries.findIndex((entry) => entry.getBoundingClientRect().top > entries[0].getBoundingClientRect().top);
  const columns = rows === -1 ? entries.length : rows;
  return here ? at + (key === "ArrowDown" ? columns : -columns) : at;
}

grid.addEventListener("keydown", (event) => {
  if (!["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].includes(event.key)) return;
  if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's own
  const entries = [...grid.children];
  const at = entries.indexOf(event.target.closest("li"));
  const to = entries[neighbour(entries, at, event.key)];
  if (!to) return;
  event.preventDefault();
  to.querySelector(".card").focus();
});

grid.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const entry = event.target.closest("li");
  if (event.key === "w") entry?.querySelector(".why")?.click();
  if (event.key === "d") entry?.querySelector(".over:not(.why)")?.click();
});
