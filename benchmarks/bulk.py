"""How busy `hdhe index build` keeps the engine: photos in, a searchable collection out.

    python benchmarks/bulk.py [--images DIR] [--photos 10000] [--model MODEL] [--engine torch] [--rounds 1]

What the command itself says in its last line: the share of the time in which the engine was at work, from the first
image read to the last item on the disk. Everything else (reading and decoding ahead, thumbnails, transactions) has to
fit beside it. The folder's photos are taken in turn until there are enough of them, as links, each read and decoded
anew; without a folder they are those of the sample catalogue.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.shared.machine import machine
from retrieval.datasets.folder import images_in
from retrieval.datasets.sample_catalogue import render

SAID = re.compile(r"busy (\d+) % of ([\d.]+) s")


def links(photos: list[Path], folder: Path, count: int) -> None:
    """So many links to the photos, in one folder for each whole turn."""
    for number in range(count):
        photo = photos[number % len(photos)]
        link = folder / f"turn-{number // len(photos)}" / f"{number:06}{photo.suffix}"
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(photo.resolve())


def build(images: Path, collection: Path, options: argparse.Namespace) -> tuple[int, float, float]:
    """Per cent that the engine was busy, seconds of embedding, seconds of the whole command."""
    command = [sys.executable, "-m", "hdhe", "index", "build", "--model", options.model]
    command += ["--engine", options.engine, "--images", str(images), "--collection", str(collection)]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    found = SAID.search(done.stdout + done.stderr)
    if done.returncode or found is None:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return int(found[1]), float(found[2]), seconds


def main() -> None:
    """Link, build, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, help="a folder of photos")
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--model", default="hdhe:efficientnet_lite0@128")
    parser.add_argument("--engine", default="torch")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()

    print(machine("torch", "openvino", "pillow"))
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        source = options.images
        if source is None:
            source = folder / "catalogue"
            render(source)
        photos = images_in(source)
        if not photos:
            raise SystemExit(f"{source}: no images in it")
        bytes_each = statistics.mean(photo.stat().st_size for photo in photos) / 1024
        print(
            f"{options.photos:,} photos ({len(photos):,} files of {bytes_each:.0f} KiB on average), ", end=""
        )
        print(f"{options.model}, engine {options.engine}\n")
        (folder / "links").mkdir()
        links(photos, folder / "links", options.photos)
        print("| round | engine busy | images/s | seconds, models and index included |\n|---|---|---|---|")
        for number in range(options.rounds):
            busy, embedding, seconds = build(folder / "links", folder / f"collection-{number}", options)
            print(
                f"| {number + 1} | {busy} % of {embedding:.1f} s "
                f"| {options.photos / embedding:.1f} | {seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
