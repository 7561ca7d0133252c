// The ways to hand over an image (choose, drop anywhere, paste, photograph), and the picture of the query.

import { byId } from "./dom.js";

const drop = byId("drop");

export function imagesIn(transfer) {
  const files = [...(transfer?.files ?? [])];
  const images = files.filter((file) => file.type.startsWith("image/"));
  return images.length ? images : files;
}

// Entering a child fires before leaving its parent, so a count tells when the pointer has left.
export function listenForDrops(target, zone, use, { when = () => true } = {}) {
  let inside = 0;
  const carriesFiles = (event) => when() && event.dataTransfer?.types.includes("Files");
  target.addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    inside += 1;
    zone.classList.add("over");
  });
  target.addEventListener("dragleave", () => {
    inside = Math.max(0, inside - 1);
    if (inside === 0) zone.classList.remove("over");
  });
  target.addEventListener("dragover", (event) => {
    if (carriesFiles(event)) event.preventDefault();
  });
  target.addEventListener("drop", (event) => {
    inside = 0;
    zone.classList.remove("over");
    const files = when() ? imagesIn(event.dataTransfer) : [];
    if (!files.length) return;
    event.preventDefault();
    use(files);
  });
}

export function listenForImages(use) {
  const noDialog = () => !document.querySelector("dialog[open]");
  for (const input of [byId("file"), byId("photograph")]) {
    input.addEventListener("change", () => {
      if (input.files.length) use(input.files[0]);
      input.value = ""; // so that the same file can be chosen again
    });
  }
  document.addEventListener("paste", (event) => {
    const [pasted] = imagesIn(event.clipboardData);
    if (pasted && noDialog()) use(pasted);
  });
  listenForDrops(document, drop, ([first]) => use(first), { when: noDialog });
}

export const chosenK = () => Number(document.querySelector("input[name=k]:checked").value);
export const listenForK = (use) => byId("k").addEventListener("change", use);

const preview = byId("preview");
const image = byId("preview-image");
let shown = null; // the object URL in use, to be given back

export function showPreview({ source, kind, name, alt }) {
  const before = shown;
  shown = source instanceof Blob ? URL.createObjectURL(source) : null;
  image.src = shown ?? source;
  if (before) URL.revokeObjectURL(before);
  image.alt = alt;
  byId("preview-kind").textContent = kind;
  byId("preview-name").textContent = name;
  byId("add-query").hidden = true;
  preview.hidden = false;
  drop.classList.add("small");
  showWhyOver(null);
}

export function offerAdding() {
  byId("add-query").hidden = false;
}

export function hidePreview() {
  preview.hidden = true;
  drop.classList.remove("small");
}

// The map over the query; null takes it away.
export function showWhyOver(address) {
  const why = byId("preview-why");
  if (address) why.src = address;
  why.classList.toggle("shown", Boolean(address));
}

// Formats that browsers do not show (TIFF) are searched all the same, but cannot be cropped here.
image.addEventListener("error", () => {
  preview.classList.add("unshown");
  byId("crop").hidden = true;
});
image.addEventListener("load", () => {
  preview.classList.remove("unshown");
  byId("crop").hidden = false;
});
