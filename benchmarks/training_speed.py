"""Images a second of `hdhe train` beside a bare loop with the same network, precision, optimiser and images.

    python benchmarks/training_speed.py [--network mobilenet_v3_small] [--preset hdhe] [--pixels 64] [--batch 40]
                                        [--images 400] [--epochs 3] [--rounds 5]

The bare loop is what one would write by hand: images in memory as uint8, a random mirror, forward, sum of the heads'
cross-entropies, backward, step of SGD with momentum. Nothing is logged, saved, seeded or checked, and the loss is read
once an epoch. Ours does all of what `docs/training.md` says, with its images in memory as well. They take turns, so
that whatever else the machine does falls on both, and both use memory as the front door does (docs/architecture.md).
The table shows medians, and the ratio within each round with its range.

Both are counted from their first step to their last: what happens before (decoding into memory) and between epochs
(checkpoints, curves) is told apart in the last line. The first epoch of each run warms up and is left out.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import cross_entropy

from benchmarks.shared.machine import machine
from retrieval.allocator import keep_freed_memory
from retrieval.networks import build_ensemble
from retrieval.transforms import Preprocessing
from training.batches import ImageSource
from training.learner import build_learner
from training.loop import train
from training.metrics import read_metrics
from training.recipe import Recipe
from training.run_folder import RunFolder

CLASSES = 10


def write_photos(folder: Path, images: int, side: int) -> None:
    """Noise in folders of classes: what is on the images does not change how long they take."""
    noise = np.random.default_rng(0)
    for number in range(images):
        path = folder / f"class-{number % CLASSES}" / f"{number:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)


def recipe_of(options: argparse.Namespace, photos: Path) -> Recipe:
    """The recipe of the run: the defaults on these images, without anything scored."""
    return Recipe.model_validate(
        {
            "name": "benchmark",
            "data": {"name": str(photos), "split": "all"},
            "network": {"backbone": options.network, "preset": options.preset, "weights": "none"},
            "images": {"pixels": options.pixels},
            "batch": options.batch,
            "schedule": {"epochs": options.epochs},
            "optimiser": {"lr": 1e-4, "classifier_lr": 1e-4},
            "precision": options.precision,
        }
    )


def ours(recipe: Recipe, folder: Path) -> tuple[float, float]:
    """Images a second in the steps of all epochs but the first, and over the whole run with all around the steps."""
    started = time.perf_counter()
    train(recipe, folder)
    whole = time.perf_counter() - started
    lines = read_metrics(RunFolder(folder))[1:]
    counted = [line["images_per_second"] * line["seconds"] for line in lines]
    images = sum(counted)
    return images / sum(line["seconds"] for line in lines), images / len(
        lines
    ) * recipe.schedule.epochs / whole


def bare(recipe: Recipe, pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """Images a second of the loop by hand, in all epochs but the first."""
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = build_ensemble(recipe.network.spec(), weights=None)
    model = build_learner(recipe, network, CLASSES).to(device)
    optimiser = torch.optim.SGD(
        model.parameters(), lr=1e-4, momentum=0.9, nesterov=True, weight_decay=recipe.optimiser.weight_decay
    )
    bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and device.type == "cuda")
    preprocessing = Preprocessing(recipe.images.pixels, None, network.mean, network.std)
    classifiers = [loss.classifier for loss in model.objective.losses]  # type: ignore[union-attr]  # as recipe_of has them
    targets = torch.from_numpy(labels).to(device)
    model.train()
    started, counted = 0.0, 0
    for epoch in range(recipe.schedule.epochs):
        if epoch == 1:
            started = _now(device)
        order = np.random.permutation(len(pixels))
        for batch in np.split(order, range(recipe.batch, len(order), recipe.batch)):
            images = preprocessing.normalise(pixels[batch], device)
            mirrored = torch.rand(len(batch), device=device) < 0.5
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                features = network(images)
                heads = zip(classifiers, features, strict=True)
                losses = [cross_entropy(classifier(feature), targets[batch]) for classifier, feature in heads]
                loss = torch.stack(losses).sum()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's
            optimiser.step()
            optimiser.zero_grad()
            counted += len(batch) if epoch else 0
        float(loss.detach())
    return counted / (_now(device) - started)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    """Take turns and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default="mobilenet_v3_small")
    parser.add_argument("--preset", default="hdhe")
    parser.add_argument("--pixels", type=int, default=64)
    parser.add_argument("--batch", type=int, default=40)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=3, help="of each run; the first one warms up")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="auto", choices=["auto", "bf16", "fp32"])
    options = parser.parse_args()
    if options.epochs < 2 or options.images < options.batch:
        parser.error("give --epochs 2 or more, and at least as many images as a batch")
    keep_freed_memory()
    rows: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_photos(folder / "photos", options.images, options.pixels)
        recipe = recipe_of(options, folder / "photos")
        paths = sorted((folder / "photos").glob("*/*.png"))
        prepared = ImageSource(
            paths, Preprocessing(options.pixels), cache_bytes=2**33, workers=2, label="images", shown=False
        )
        (pixels,) = prepared.batches([np.arange(len(paths))])
        labels = np.array([int(path.parent.name.split("-")[1]) for path in paths])
        for number in range(options.rounds):
            # Who goes first changes from round to round.
            if number % 2:
                steps, whole = ours(recipe, folder / f"run{number}")
                by_hand = bare(recipe, pixels, labels)
            else:
                by_hand = bare(recipe, pixels, labels)
                steps, whole = ours(recipe, folder / f"run{number}")
            rows.append((steps, by_hand, whole))
    print(f"{machine('torch', 'accelerate')}, {torch.get_num_threads()} threads")
    print(
        f"{options.preset} of {options.network}, {options.pixels} pixels, batch {options.batch}, "
        f"{options.images} images, {options.epochs} epochs, {options.rounds} rounds"
    )
    print("\n| images/s | median | range |\n|---|---|---|")
    for name, column in (("hdhe train", 0), ("a bare loop", 1)):
        values = [row[column] for row in rows]
        print(f"| {name} | {statistics.median(values):.1f} | {min(values):.1f} to {max(values):.1f} |")
    ratios = [row[0] / row[1] for row in rows]
    print(f"| ratio | {statistics.median(ratios):.3f} | {min(ratios):.3f} to {max(ratios):.3f} |")
    around = statistics.median(row[2] for row in rows)
    print(
        f"\nWith everything around the steps (decoding, checkpoints, curves, the bundle): {around:.1f} images/s."
    )


if __name__ == "__main__":
    main()
