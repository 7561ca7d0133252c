// The ways to hand over an image: choose, drop anywhere, paste.

const drop = document.getElementById("drop");
const file = document.getElementById("file");

function firstImage(transfer) {
  return [...(transfer?.files ?? [])].find((each) => each.type.startsWith("image/")) ?? transfer?.files?.[0];
}

export function listenForImages(use) {
  file.addEventListener("change", () => {
    if (file.files.length) use(file.files[0]);
    file.value = ""; // so that the same file can be chosen again
  });

  document.addEventListener("paste", (event) => {
    const pasted = firstImage(event.clipboardData);
    if (pasted) use(pasted);
  });

  // Entering a child fires before leaving its parent, so a count tells when the pointer has left the window.
  let inside = 0;
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    inside += 1;
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", () => {
    inside = Math.max(0, inside - 1);
    if (inside === 0) drop.classList.remove("over");
  });
  document.addEventListener("dragover", (event) => {
    if (carriesFiles(event)) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    inside = 0;
    drop.classList.remove("over");
    const dropped = firstImage(event.dataTransfer);
    if (!dropped) return;
    event.preventDefault();
    use(dropped);
  });
}

export function chosenK() {
  return Number(document.querySelector("input[name=k]:checked").value);
}

export function listenForK(use) {
  document.getElementById("k").addEventListener("change", use);
}

const preview = document.getElementById("preview");
const image = document.getElementById("preview-image");
let shown = null; // the object URL in use, to be given back

export function showPreview({ source, kind, name, alt }) {
  if (shown) URL.revokeObjectURL(shown);
  shown = source instanceof Blob ? URL.createObjectURL(source) : null;
  image.src = shown ?? source;
  image.alt = alt;
  document.getElementById("preview-kind").textContent = kind;
  document.getElementById("preview-name").textContent = name;
  preview.hidden = false;
  drop.classList.add("small");
}

export function hidePreview() {
  preview.hidden = true;
  drop.classList.remove("small");
}

// Formats that browsers do not show (TIFF) are searched all the same.
image.addEventListener("error", () => preview.classList.add("unshown"));
image.addEventListener("load", () => preview.classList.remove("unshown"));
