"""The sample catalogue: photos of glazed vases, rendered here, so that there are data without a download or a
licence.

`render` writes DIR/vase-NN/NNN.jpg, `manifest.csv` (path, label, and the attributes form, glaze, handles),
`catalogue.json` (the parameters) and `README.md`. The same parameters give the same bytes with the same
versions of numpy and Pillow on the same kind of processor, however many processes render.

A render that is killed leaves DIR as it was and a folder `.DIR.part-*` beside it, which the next render removes.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from retrieval.datasets.pottery import design_vase, photograph
from retrieval.errors import DataError
from retrieval.progress import track

FORMAT = 1
_NOTE = """# Sample catalogue

{classes} designs of vases, {images} photos of each, {pixels} x {pixels} pixels. No camera and no potter was
involved: a program drew these images (seed {seed}). They are dedicated to the public domain under CC0 1.0
(<https://creativecommons.org/publicdomain/zero/1.0/>); use them for anything.

`manifest.csv` names the design of each photo, its form, its glaze and how many handles it has.
`catalogue.json` holds the numbers that draw the same catalogue again.
"""


@dataclass(frozen=True)
class CatalogueParameters:
    """All that a catalogue depends on."""

    seed: int = 0
    classes: int = 60
    images: int = 24
    pixels: int = 160

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise DataError(f"the seed must not be negative; got {self.seed}")
        for name, low, high in (("classes", 2, 1000), ("images", 1, 1000), ("pixels", 32, 1024)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise DataError(f"{name} must be between {low} and {high}; got {value}")


def render(
    directory: Path,
    seed: int = 0,
    classes: int = 60,
    images: int = 24,
    pixels: int = 160,
    *,
    processes: int | None = None,
) -> Path:
    """Render the catalogue into `directory`, which must not exist, be empty, or hold this very catalogue.

    processes: None takes one for each processor, and wants the usual `if __name__ == "__main__"` in a script
        that calls this; 1 renders in this process.
    Progress is reported on stderr. Returns `directory`. Raises DataError if the folder holds something else
    or cannot be written.
    """
    parameters = CatalogueParameters(seed, classes, images, pixels)
    if _is_there(directory, parameters):
        return directory
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        for stale in directory.parent.glob(f".{directory.name}.part-*"):
            shutil.rmtree(stale, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f".{directory.name}.part-", dir=directory.parent))
        part.chmod(0o755)  # mkdtemp's folders are for their owner only
        rows = _render_classes(part, parameters, processes or os.cpu_count() or 1)
        _write_texts(part, parameters, rows)
        part.replace(directory)
    except OSError as error:
        raise DataError(f"cannot render into {directory}: {error.strerror or error}") from None
    return directory


def _is_there(directory: Path, parameters: CatalogueParameters) -> bool:
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return False
    wanted = {"format": FORMAT, **asdict(parameters)}
    try:
        found = json.loads((directory / "catalogue.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise DataError(
            f"{directory} is not empty and holds no sample catalogue; name another folder"
        ) from None
    if found != wanted:
        raise DataError(f"{directory} holds another sample catalogue ({found}); name another folder")
    return True


def _render_classes(folder: Path, parameters: CatalogueParameters, processes: int) -> list[dict[str, str]]:
    numbers = range(parameters.classes)
    if processes == 1:
        done: Iterable[list[dict[str, str]]] = (
            _render_class(folder, parameters, number) for number in numbers
        )
        return _collect(done, parameters)
    # `spawn`, because a forked copy of a process that runs threads (torch's, FAISS's) can lock up.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(processes, parameters.classes), mp_context=context, initializer=_end_with_parent
    ) as pool:
        return _collect(pool.map(partial(_render_class, folder, parameters), numbers), parameters)


def _end_with_parent() -> None:
    """Let this worker die with the process that started it: a killed parent would leave it waiting for ever."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _collect(done: Iterable[list[dict[str, str]]], parameters: CatalogueParameters) -> list[dict[str, str]]:
    classes = track(done, total=parameters.classes, label="rendering the sample catalogue", unit="designs")
    return [row for rows in classes for row in rows]


def _render_class(folder: Path, parameters: CatalogueParameters, number: int) -> list[dict[str, str]]:
    """Write the photos of one class. Each photo has its own random numbers, whoever renders it."""
    label = f"vase-{number:0{max(len(str(parameters.classes - 1)), 2)}d}"
    vase = design_vase(parameters.seed, number)
    (folder / label).mkdir()
    rows = []
    for photo in range(parameters.images):
        rng = np.random.default_rng([parameters.seed, 9, number, photo])
        taken = photograph(vase, rng, parameters.pixels)
        path = f"{label}/{photo:03d}.jpg"
        taken.image.save(folder / path, quality=taken.jpeg_quality)
        handles = str(vase.handles.count if vase.handles else 0)
        rows.append(
            {"path": path, "label": label, "form": vase.form, "glaze": taken.glaze, "handles": handles}
        )
    return rows


def _write_texts(folder: Path, parameters: CatalogueParameters, rows: list[dict[str, str]]) -> None:
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    numbers = asdict(parameters)
    (folder / "README.md").write_text(_NOTE.format(**numbers), encoding="utf-8")
    text = json.dumps({"format": FORMAT, **numbers}, indent=2)
    (folder / "catalogue.json").write_text(text + "\n", encoding="utf-8")
