// A part of the query as the query: a box over the picture, by pointer, finger or keyboard.

import { byId, dialog } from "./dom.js";

const LEAST = 0.05; // of a side
const STEP = 0.02; // of a side, for a key
const MOST_PIXELS = 2048; // longer side of what is sent

const element = dialog("crop-dialog");
const stage = byId("crop-stage");
const image = byId("crop-image");
const boxElement = byId("crop-box");

let box = { left: 0, top: 0, right: 1, bottom: 1 }; // shares of the picture's sides
let drag = null;
let done = null;

const within = (value, least, most) => Math.min(Math.max(value, least), most);

function show() {
  boxElement.style.left = `${100 * box.left}%`;
  boxElement.style.top = `${100 * box.top}%`;
  boxElement.style.width = `${100 * (box.right - box.left)}%`;
  boxElement.style.height = `${100 * (box.bottom - box.top)}%`;
  const [width, height] = [box.right - box.left, box.bottom - box.top].map((share) => `${Math.round(100 * share)} %`);
  byId("crop-note").textContent = `${width} of the width, ${height} of the height`;
  byId("crop-use").disabled = box.left === 0 && box.top === 0 && box.right === 1 && box.bottom === 1;
}

function move(dx, dy) {
  dx = within(dx, -box.left, 1 - box.right);
  dy = within(dy, -box.top, 1 - box.bottom);
  box = { left: box.left + dx, right: box.right + dx, top: box.top + dy, bottom: box.bottom + dy };
}

// The edges that a handle holds follow the point; they do not pass the edges across.
function stretch(edges, x, y) {
  const next = { ...box };
  if (edges.includes("left")) next.left = within(x, 0, box.right - LEAST);
  if (edges.includes("right")) next.right = within(x, box.left + LEAST, 1);
  if (edges.includes("top")) next.top = within(y, 0, box.bottom - LEAST);
  if (edges.includes("bottom")) next.bottom = within(y, box.top + LEAST, 1);
  box = next;
}

function place(event) {
  const area = stage.getBoundingClientRect();
  return {
    x: within((event.clientX - area.left) / area.width, 0, 1),
    y: within((event.clientY - area.top) / area.height, 0, 1),
  };
}

stage.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  boxElement.focus({ preventScroll: true });
  const start = place(event);
  const edges = event.target.dataset.edges;
  if (edges) drag = { kind: "stretch", edges };
  else if (event.target === boxElement) drag = { kind: "move", from: start };
  else drag = { kind: "draw", from: start };
  stage.setPointerCapture(event.pointerId);
});

stage.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const { x, y } = place(event);
  if (drag.kind === "stretch") stretch(drag.edges, x, y);
  if (drag.kind === "move") {
    move(x - drag.from.x, y - drag.from.y);
    drag.from = { x, y };
  }
  if (drag.kind === "draw") {
    const [left, right] = [Math.min(x, drag.from.x), Math.max(x, drag.from.x)];
    const [top, bottom] = [Math.min(y, drag.from.y), Math.max(y, drag.from.y)];
    if (right - left < LEAST || bottom - top < LEAST) return; // a click is not a box yet
    box = { left, top, right, bottom };
  }
  show();
});

for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => (drag = null));

boxElement.addEventListener("keydown", (event) => {
  const [dx, dy] =
    { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key] ?? [];
  if (dx === undefined) return;
  event.preventDefault();
  if (event.shiftKey) stretch("right bottom", box.right + dx, box.bottom + dy);
  else move(dx, dy);
  show();
});

byId("crop-whole").addEventListener("click", () => {
  box = { left: 0, top: 0, right: 1, bottom: 1 };
  show();
  boxElement.focus();
});

byId("crop-use").addEventListener("click", () => {
  const width = (box.right - box.left) * image.naturalWidth;
  const height = (box.bottom - box.top) * image.naturalHeight;
  const scale = Math.min(1, MOST_PIXELS / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const pen = canvas.getContext("2d");
  pen.fillStyle = "white"; // what the service puts behind transparency
  pen.fillRect(0, 0, canvas.width, canvas.height);
  const [x, y] = [box.left * image.naturalWidth, box.top * image.naturalHeight];
  pen.drawImage(image, x, y, width, height, 0, 0, canvas.width, canvas.height);
  const used = { ...box };
  canvas.toBlob((blob) => done(blob, used), "image/jpeg", 0.95);
  element.close();
});

element.addEventListener("close", () => URL.revokeObjectURL(image.src));

// picture: a blob. from: the box to begin with. use: gets the part as a blob, and its box.
export async function crop(picture, from, use) {
  done = use;
  // Begins a little inside, so that there is something to take hold of.
  box = from ?? { left: 0.1, top: 0.1, right: 0.9, bottom: 0.9 };
  image.src = URL.createObjectURL(picture);
  await image.decode();
  stage.style.setProperty("--aspect", image.naturalWidth / image.naturalHeight);
  show();
  element.showModal();
  boxElement.focus();
}
