// A photograph as the query. A phone has an application for it, behind the file input; elsewhere it is taken here.

import { byId, dialog } from "./dom.js";

const WORDS = {
  NotAllowedError: "The browser may not use the camera. Allow it beside the address, then try again.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by something else.",
};

const element = dialog("camera-dialog");
const video = byId("camera-video");
const take = byId("camera-take");
let stream = null;

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  video.srcObject = null;
}

async function start() {
  const note = byId("camera-note");
  note.textContent = "Waiting for the camera…";
  take.disabled = true;
  element.showModal();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
    if (!element.open) return stop();
    video.srcObject = stream;
    await video.play();
    note.textContent = "";
    take.disabled = false;
    take.focus();
  } catch (error) {
    note.textContent = WORDS[error.name] ?? "The camera cannot be used.";
  }
}

export function listenForPhotographs(use) {
  const button = byId("camera-open");
  // Browsers give the camera to pages over https and from this machine only.
  button.hidden = !navigator.mediaDevices?.getUserMedia;
  button.addEventListener("click", start);
  element.addEventListener("close", stop);
  take.addEventListener("click", () => {
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => use(new File([blob], "Photograph", { type: blob.type })), "image/jpeg", 0.95);
    element.close();
  });
}
