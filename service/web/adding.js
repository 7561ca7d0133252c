// New items: images with one label and attributes, sent a few at a time, with what became of each.

import * as api from "./api.js";
import { announce, byId, dialog, icon, make, plural, wait } from "./dom.js";
import { typed } from "./filter_words.js";
import { freeId } from "./free_ids.js";
import { askForKey } from "./key.js";
import { imagesIn, listenForDrops } from "./query.js";

const A_TIME = 4; // images in a request: soon something to see, and little lost where one fails
const BUSY_TRIES = 5;

const element = dialog("add-dialog");
const label = byId("add-label");
const list = byId("add-list");
const wrong = byId("add-wrong");
const start = byId("add-start");
const progress = byId("add-progress");
const replacing = byId("add-replace");

// { file, own, idInput, state, row, done, replaced, renamed, isNew }; own: the label of its folder. isNew: the id that
// was free before it was sent: where the answer gets lost and it is sent again, it replaces nothing but itself.
let entries = [];
let sending = null; // the AbortController of the upload under way
let added = 0;
let onAdded = () => {};

function take(files) {
  for (const file of files) {
    const path = (file.webkitRelativePath || file.name).split("/");
    // Of a folder of folders, the folder names the label, as for `hdhe index build`.
    const own = path.length > 2 ? path.at(-2) : null;
    const name = path.length > 2 ? path.slice(1).join("/") : file.name || "pasted image";
    const idInput = make("input", { value: name, "aria-label": `Id of ${file.name}`, maxlength: 512 });
    const state = make("span", { class: "state quiet" }, own ? `label ${own}` : "");
    const remove = make(
      "button",
      { type: "button", class: "small-round", "aria-label": `Leave ${file.name} out`, click: () => drop(entry) },
      icon("close"),
    );
    const thumbnail = make("img", { alt: "", width: 40, height: 40, loading: "lazy", decoding: "async" });
    const address = URL.createObjectURL(file);
    thumbnail.addEventListener("load", () => URL.revokeObjectURL(address), { once: true });
    thumbnail.addEventListener("error", () => thumbnail.classList.add("unshown"), { once: true });
    thumbnail.src = address;
    const row = make("li", {}, thumbnail, idInput, state, remove);
    const entry = { file, own, idInput, state, row, done: false, replaced: false, renamed: false, isNew: null };
    entries.push(entry);
    list.append(row);
  }
  show();
}

function drop(entry) {
  entries = entries.filter((each) => each !== entry);
  entry.row.remove();
  show();
}

function show() {
  const open = entries.filter((entry) => !entry.done).length;
  start.textContent = open ? `Add ${plural(open, "image")}` : "Add";
  start.disabled = !open || sending !== null;
  byId("add-stop").hidden = sending === null;
  byId("add-drop").classList.toggle("small", entries.length > 0);
}

function attributes() {
  const found = {};
  for (const row of byId("add-attributes").children) {
    const [name, value] = [...row.querySelectorAll("input")].map((input) => input.value.trim());
    if (name) found[name] = typed(value);
  }
  return found;
}

function attributeRow() {
  const row = make(
    "div",
    { class: "row" },
    make("input", { list: "known-names", placeholder: "Attribute", "aria-label": "Attribute" }),
    make("input", { placeholder: "Value", "aria-label": "Value" }),
    make("button", { type: "button", class: "small-round", "aria-label": "Leave this attribute out", click: () => row.remove() }, icon("close")),
  );
  byId("add-attributes").append(row);
  row.querySelector("input").focus();
}

async function patiently(call, signal) {
  for (let left = BUSY_TRIES; ; left -= 1) {
    try {
      return await call();
    } catch (failure) {
      if (!left || ![429, 503].includes(failure.status)) throw failure;
      const seconds = failure.retryAfter ?? 2;
      wrong.textContent = `${failure.title}. Going on in ${seconds} s.`;
      await wait(seconds);
      signal.throwIfAborted();
      wrong.textContent = "";
    }
  }
}

const idOf = (entry) => entry.idInput.value.trim();

// Nothing is replaced unbidden; and of two files of one name neither replaces the other, whatever is bidden.
async function settleIds(part, signal) {
  const asked = new Map();
  const isStored = (id) => {
    if (!asked.has(id)) asked.set(id, patiently(() => api.exists(id, signal), signal));
    return asked.get(id);
  };
  const unsettled = part.filter((entry) => entry.isNew !== idOf(entry));
  await Promise.all(unsettled.map((entry) => isStored(idOf(entry))));
  for (const entry of unsettled) {
    const wanted = idOf(entry);
    const above = entries.slice(0, entries.indexOf(entry)).map(idOf);
    const listed = new Set(entries.filter((each) => each !== entry).map(idOf));
    const id = await freeId(wanted, (id) => {
      if (id !== wanted) return listed.has(id) || isStored(id);
      return above.includes(id) || (!replacing.checked && isStored(id));
    });
    entry.idInput.value = id;
    entry.renamed = id !== wanted;
    entry.isNew = (await isStored(id)) ? null : id;
  }
}

function tell(entry, result) {
  entry.done = result.status < 300;
  entry.replaced = result.status === 200 && entry.isNew !== result.id;
  entry.row.className = entry.done ? "good" : "bad";
  entry.state.textContent = entry.done
    ? entry.replaced ? "replaced" : entry.renamed ? "added under a new id" : "added"
    : result.problem?.detail ?? result.problem?.title ?? `refused (${result.status})`;
  if (entry.done) entry.idInput.readOnly = true;
}

function inWords(sent) {
  const done = sent.filter((entry) => entry.done);
  const replaced = done.filter((entry) => entry.replaced).length;
  const failed = sent.length - done.length;
  const others = [replaced && `${replaced} replaced`, failed && `${failed} refused`].filter(Boolean);
  return `${[`${plural(done.length - replaced, "image")} added`, ...others].join(", ")}.`;
}

async function send() {
  const fields = attributes();
  const waiting = entries.filter((entry) => !entry.done);
  const nameless = waiting.find((entry) => !entry.idInput.value.trim());
  if (nameless) {
    wrong.textContent = "Each image needs an id.";
    nameless.idInput.focus();
    return;
  }
  sending = new AbortController();
  const { signal } = sending;
  wrong.textContent = "";
  progress.hidden = false;
  progress.max = waiting.length;
  progress.value = 0;
  show();
  try {
    for (let at = 0; at < waiting.length; at += A_TIME) {
      const part = waiting.slice(at, at + A_TIME);
      await settleIds(part, signal);
      const images = part.map(({ file, own, idInput }) => ({
        file, id: idInput.value.trim(), label: own ?? label.value.trim(), attributes: fields,
      }));
      const { results } = await patiently(() => api.add(images, signal), signal);
      results.forEach((result, place) => tell(part[place], result));
      added += results.filter((result) => result.status < 300).length;
      progress.value = at + part.length;
    }
    const summary = inWords(waiting);
    byId("add-summary").textContent = summary;
    announce(summary);
  } catch (failure) {
    if (failure.name === "AbortError") {
      byId("add-summary").textContent = "Stopped. What was added stays.";
    } else {
      wrong.textContent = `${failure.title}. ${failure.detail ?? ""}`;
      if (failure.needsKey) askForKey(failure.detail, send);
    }
  } finally {
    sending = null;
    progress.hidden = true;
    show();
  }
}

// files: those to begin with.
export function openAdding(files = []) {
  if (!sending) {
    entries = [];
    added = 0;
    replacing.checked = false;
    list.replaceChildren();
    byId("add-summary").textContent = "";
    wrong.textContent = "";
  }
  take(files);
  element.showModal();
}

export function listenForAdding(use) {
  onAdded = use;
  byId("add-open").addEventListener("click", () => openAdding());
  byId("add-more").addEventListener("click", attributeRow);
  byId("add-stop").addEventListener("click", () => sending?.abort());
  byId("add-form").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  for (const id of ["add-files", "add-folder"]) {
    byId(id).addEventListener("change", (event) => {
      take([...event.target.files].filter((file) => file.type.startsWith("image/") || id === "add-files"));
      event.target.value = "";
    });
  }
  listenForDrops(element, byId("add-drop"), take);
  element.addEventListener("paste", (event) => {
    const pasted = imagesIn(event.clipboardData);
    if (pasted.length) take(pasted);
  });
  element.addEventListener("close", () => {
    sending?.abort();
    if (added) onAdded();
    added = 0;
  });
}
