// One item at large: its picture beside the query's, why the two are alike, what is known of it, and its deletion.

import * as api from "./api.js";
import { announce, byId, dialog, facts, make, number, similarity } from "./dom.js";
import { textOf } from "./filter_words.js";
import { askForKey } from "./key.js";
import { pictureOf } from "./pictures.js";
import { canExplain, why } from "./why.js";

const element = dialog("details-dialog");
const switchWhy = byId("details-why");
const heads = byId("details-heads");
const wrong = byId("details-wrong");

let current = null; // { item, query, onMore, onDelete }
let headCount = 1;

export const setModel = (model) => (headCount = model.heads);

function overlay(figure, address) {
  figure.querySelector(".heat")?.remove();
  if (!address) return;
  const over = document.createElement("img");
  over.className = "heat";
  over.alt = "";
  over.src = address;
  figure.append(over);
}

async function showWhy() {
  const { item } = current;
  for (const view of ["item", "query"]) {
    const figure = byId(`details-${view}`).querySelector(".frame");
    overlay(figure, null);
    if (!switchWhy.checked || !canExplain()) continue;
    try {
      const { address } = await why(item.id, view);
      if (current?.item === item && switchWhy.checked) overlay(figure, address);
    } catch (failure) {
      if (failure.name === "AbortError" || current?.item !== item) return;
      wrong.textContent = `What is alike cannot be shown. ${failure.detail || failure.title}`;
      return;
    }
  }
}

// A row for each head: its map over the query and over the item, with what they add up to.
async function showHeads() {
  const { item } = current;
  const maps = byId("details-maps");
  const sums = { query: 0, item: 0 };
  try {
    const rows = [];
    for (let head = 1; head <= headCount; head += 1) {
      const figures = [];
      for (const view of ["query", "item"]) {
        const { address, part } = await why(item.id, view, head);
        if (current?.item !== item) return;
        sums[view] += part;
        const image = make("img", { class: "picture", alt: `The ${view} with the map of head ${head}`, src: address });
        const caption = make("figcaption", { class: "quiet" }, `Head ${head}: ${similarity(part)}`);
        figures.push(make("figure", {}, make("div", { class: "frame" }, image), caption));
      }
      rows.push(make("div", { class: "pair" }, ...figures));
      maps.replaceChildren(...rows);
    }
    byId("details-sums").textContent =
      "A number says how much its head adds to the likeness beyond what the picture has in common with the average " +
      `image here. So together they make ${similarity(sums.query)} over the query and ${similarity(sums.item)} over ` +
      "the item, not the similarity.";
  } catch (failure) {
    if (failure.name !== "AbortError") wrong.textContent = failure.detail || failure.title;
  }
}

// query: { source, name } of what was searched, or null.
export function showDetails(item, { query, onMore, onDelete }) {
  current = { item, query, onMore, onDelete };
  wrong.textContent = "";
  confirm(false);
  byId("details-title").textContent = item.label ?? item.id;
  byId("details-item").querySelector(".frame").replaceChildren(pictureOf(item.id, `Picture of ${item.label ?? item.id}`));
  const queryFigure = byId("details-query");
  queryFigure.hidden = !query;
  if (query) {
    const image = document.createElement("img");
    image.className = "picture";
    image.alt = "The query";
    image.src = query.source;
    queryFigure.querySelector(".frame").replaceChildren(image);
  }
  byId("details-why-line").hidden = !canExplain();
  heads.hidden = !canExplain() || headCount < 2;
  heads.open = false;
  byId("details-maps").replaceChildren();
  byId("details-sums").textContent = "";
  facts(byId("details-facts"), [
    ["Id", item.id],
    ["Label", item.label ?? "none"],
    ...(item.score === undefined ? [] : [["Similarity", similarity(item.score)]]),
    ...Object.entries(item.attributes ?? {}).map(([name, value]) => [name, textOf(value)]),
  ]);
  element.showModal();
  showWhy();
  // What a hit does not carry; if it fails, that line is missing, and nothing else.
  api.item(item.id).then(
    (whole) => {
      if (current?.item !== item) return;
      byId("details-facts").append(
        Object.assign(document.createElement("dt"), { textContent: "Written as" }),
        Object.assign(document.createElement("dd"), { textContent: `number ${number.format(whole.sequence)}` }),
      );
    },
    () => {},
  );
}

function confirm(asking) {
  byId("details-actions").hidden = asking;
  byId("details-confirm").hidden = !asking;
}

async function remove() {
  const { item, onDelete } = current;
  try {
    await api.remove(item.id);
  } catch (failure) {
    // Somebody else was quicker; it is gone all the same.
    if (failure.status !== 404) {
      wrong.textContent = `${failure.title}. ${failure.detail ?? ""}`;
      if (failure.needsKey) askForKey(failure.detail, remove);
      return;
    }
  }
  element.close();
  onDelete(item);
  announce(`${item.id} is deleted.`);
}

switchWhy.addEventListener("change", showWhy);
heads.addEventListener("toggle", () => heads.open && showHeads());
byId("details-more").addEventListener("click", () => {
  const { item, onMore } = current;
  element.close();
  onMore(item);
});
byId("details-copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(current.item.id);
    announce("The id is copied.");
    byId("details-copy").textContent = "Copied";
    setTimeout(() => (byId("details-copy").textContent = "Copy the id"), 1500);
  } catch {
    wrong.textContent = "The browser does not let the page copy. Select the id and copy it by hand.";
  }
});
byId("details-delete").addEventListener("click", () => {
  confirm(true);
  byId("details-keep").focus();
});
byId("details-keep").addEventListener("click", () => {
  confirm(false);
  byId("details-delete").focus();
});
byId("details-really").addEventListener("click", remove);
