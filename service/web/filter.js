// The filter: a form for what is common, JSON for everything.

import { byId, icon, make } from "./dom.js";
import { describe, filterOf, OPERATORS, rowsOf, textOf, typed } from "./filter_words.js";

const MOST_KNOWN = 500; // names and labels that are offered

const panel = byId("filter");
const labelInput = byId("filter-label");
const json = byId("filter-json");
const wrong = byId("filter-wrong");

let filter = null;
let form = { labels: [], rows: [] }; // undefined: only JSON says it
let changed = () => {};

const known = { labels: new Set(), names: new Set() };

export const currentFilter = () => filter;

// What has been seen of the collection is offered while typing.
export function learn(items) {
  const before = known.labels.size + known.names.size;
  for (const { label, attributes } of items) {
    if (label !== null && known.labels.size < MOST_KNOWN) known.labels.add(label);
    for (const name of Object.keys(attributes ?? {})) if (known.names.size < MOST_KNOWN) known.names.add(name);
  }
  if (known.labels.size + known.names.size === before) return;
  for (const [id, values] of [["known-labels", known.labels], ["known-names", known.names]]) {
    byId(id).replaceChildren(...[...values].sort().map((value) => make("option", { value })));
  }
}

// Shows a filter without telling of a change.
export function setFilter(next) {
  filter = next;
  form = rowsOf(filter);
  show();
}

function use(next) {
  setFilter(next);
  changed();
}

// What the form asks. A row counts once it has a name and a value; until then it only stands in the form.
const asked = ({ labels, rows }) => filterOf({ labels, rows: rows.filter(({ name, value }) => name !== "" && value !== "") });

function useForm(next) {
  form = next;
  const before = JSON.stringify(filter);
  filter = asked(form);
  show();
  if (JSON.stringify(filter) !== before) changed();
}

function show() {
  const active = filter !== null;
  wrong.textContent = "";
  byId("filter-state").textContent = active ? "on" : "";
  byId("filter-clear").hidden = !active;
  byId("filter-form").hidden = form === undefined;
  byId("filter-by-hand").hidden = form !== undefined;
  json.value = active ? JSON.stringify(filter, null, 1) : "";
  const chip = byId("filter-chip");
  chip.hidden = !active;
  byId("filter-words").textContent = active ? describe(filter) : "";
  if (form === undefined) return;
  byId("filter-labels").replaceChildren(
    ...form.labels.map((label) =>
      make("li", {}, label, remover(`Take ${label} out of the filter`, () => {
        useForm({ ...form, labels: form.labels.filter((each) => each !== label) });
      })),
    ),
  );
  byId("filter-rows").replaceChildren(...form.rows.map((row, at) => rowElement(row, at)));
}

const remover = (words, click) => make("button", { type: "button", class: "small-round", "aria-label": words, click }, icon("close"));

function rowElement(row, at) {
  const change = (part) => {
    form.rows = form.rows.map((each, place) => (place === at ? { ...each, ...part } : each));
    const next = asked(form);
    if (JSON.stringify(next) === JSON.stringify(filter)) return;
    filter = next;
    json.value = filter === null ? "" : JSON.stringify(filter, null, 1);
    showChip();
    changed();
  };
  const name = make("input", {
    value: row.name, list: "known-names", placeholder: "Attribute", "aria-label": "Attribute",
    change: (event) => change({ name: event.target.value.trim() }),
  });
  const operator = make(
    "select",
    { "aria-label": "Comparison", change: (event) => change({ operator: event.target.value }) },
    ...Object.entries(OPERATORS).map(([key, words]) => make("option", { value: key, selected: key === row.operator }, words)),
  );
  const value = make("input", {
    value: row.value === "" ? "" : textOf(row.value), placeholder: "Value", "aria-label": "Value",
    change: (event) => change({ value: event.target.value.trim() === "" ? "" : typed(event.target.value) }),
  });
  const remove = remover("Take this condition out of the filter", () => {
    useForm({ ...form, rows: form.rows.filter((_, place) => place !== at) });
  });
  return make("div", { class: "row" }, name, operator, value, remove);
}

function showChip() {
  byId("filter-state").textContent = filter === null ? "" : "on";
  byId("filter-clear").hidden = filter === null;
  byId("filter-chip").hidden = filter === null;
  byId("filter-words").textContent = filter === null ? "" : describe(filter);
}

function addLabel() {
  const label = labelInput.value.trim();
  if (!label) return;
  labelInput.value = "";
  if (!form.labels.includes(label)) useForm({ ...form, labels: [...form.labels, label] });
  labelInput.focus();
}

export function listenForFilter(use_) {
  changed = use_;
  byId("filter-form").addEventListener("submit", (event) => {
    event.preventDefault();
    addLabel();
  });
  // Choosing from the list is a change without a key; leaving the field is one too.
  labelInput.addEventListener("change", addLabel);
  byId("filter-more").addEventListener("click", () => {
    form.rows = [...form.rows, { name: "", operator: "is", value: "" }];
    byId("filter-rows").append(rowElement(form.rows.at(-1), form.rows.length - 1));
    byId("filter-rows").lastElementChild.querySelector("input").focus();
  });
  json.addEventListener("change", () => {
    if (!json.value.trim()) return use(null);
    try {
      use(JSON.parse(json.value));
    } catch {
      wrong.textContent = 'This is not JSON. A filter looks like {"label": "vase-03"}.';
    }
  });
  for (const id of ["filter-clear", "filter-chip-clear"]) {
    byId(id).addEventListener("click", () => {
      use(null);
      (panel.open ? labelInput : byId("results-title")).focus();
    });
  }
}
