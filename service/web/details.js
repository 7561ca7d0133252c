// One item at large: its picture beside the query's, why the two are alike, what is known of it, and its deletion.

import * as api from "./api.js";
import { announce, byId, dialog, facts, number } from "./dom.js";
import { textOf } from "./filter_words.js";
import { askForKey } from "./key.js";
import { pictureOf } from "./pictures.js";
import { canExplain, why } from "./why.js";

const element = dialog("details-dialog");
const switchWhy = byId("details-why");
const heads = byId("details-heads");
const wrong = byId("details-wrong");

let current = null; // { item, query, onMore, onDelete }
let manyHeads = false;

export const setModel = (model) => (manyHeads = model.heads > 1);

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
      const address = await why(item.id, view);
      if (current?.item === item && switchWhy.checked) overlay(figure, address);
    } catch (failure) {
      if (failure.name === "AbortError" || current?.item !== item) return;
      wrong.textContent = `What is alike cannot be shown. ${failure.detail || failure.title}`;
      return;
    }
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
  heads.hidden = !canExplain() || !manyHeads;
  heads.open = false;
  byId("details-panels").removeAttribute("src");
  facts(byId("details-facts"), [
    ["Id", item.id],
    ["Label", item.label ?? "none"],
    ...(item.score === undefined ? [] : [["Similarity", item.score.toFixed(4)]]),
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
heads.addEventListener("toggle", async () => {
  const { item } = current;
  if (!heads.open || byId("details-panels").src) return;
  try {
    const address = await why(item.id, "panels");
    if (current?.item === item) byId("details-panels").src = address;
  } catch (failure) {
    if (failure.name !== "AbortError") wrong.textContent = failure.detail || failure.title;
  }
});
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
