"""A recipe tried out without its data set and without the network's weights: everything is built at its real size.

Made-up images, in the data set's own layout, are read by the set's own reader from a temporary folder. The network
(with random weights), objective and optimiser are those of a real run, the objective for as many classes as the real
set trains on; they take one training step on a whole batch, and the result is scored.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from retrieval.bundle import Bundle
from retrieval.datasets import ALL, DATASETS, QUERY_GALLERY, ImageDataset, Subset
from retrieval.datasets.counts import Count
from retrieval.datasets.made_up import write_made_up
from retrieval.embedder import Embedder
from retrieval.errors import DataError
from retrieval.networks import Ensemble, NetworkCost, build_ensemble, cost
from retrieval.recall import RecallReport, leave_one_out, recall_at_k
from retrieval.transforms import Preprocessing
from training.augmentation import augment
from training.batches import ImageSource, step_seed
from training.data import choose_subsets
from training.device import open_accelerator
from training.freezing import freeze, frozen_parts, hold, norms
from training.layer_rates import rate_groups
from training.learner import build_learner
from training.optimiser import build_optimiser
from training.recipe import Recipe
from training.sampling.check import check_sampling
from training.sampling.order import batch_order
from training.whitening import check_whitening, finished_spec

SCORED = {"query": Count(8, 4), "gallery": Count(8, 4)}
"""Made-up images of the splits that only score; `OTHER` for any but these two."""

OTHER = Count(16, 4)


@dataclass(frozen=True)
class DryRun:
    """What was built and what it did.

    real: the published counts by split. made_up: those of this run. training: what a real run learns from (about, where
    classes are held out). cost: of one view at the size of scored images. objective_parameters: thrown away after
    training. groups: name, rate and number of parameters of each. steps: an epoch of a real run. loss: of the one step.
    seconds, gigabytes: of that step, and the process's peak memory. scored: what was scored, and how that went.
    """

    real: Mapping[str, Count]
    made_up: Mapping[str, Count]
    training: Count
    cost: NetworkCost
    objective_parameters: int
    groups: tuple[tuple[str, float, int], ...]
    steps: int
    loss: float
    device: str
    seconds: float
    gigabytes: float
    scored: str
    recall: RecallReport


def dry_run(recipe: Recipe, report: Callable[[str], None]) -> DryRun:
    """Try out a recipe for a known data set. Nothing is kept.

    report: takes a line for people now and then. Raises DataError for other data, and whatever UserError a real run
    would raise after reading its data.
    """
    if recipe.data.name not in DATASETS:
        raise DataError(
            f"--dry-run makes up the images of a known data set ({', '.join(DATASETS)}), not of {recipe.data.name}; "
            "train on it with --set schedule.epochs=1 instead"
        )
    known = DATASETS[recipe.data.name]
    made_up = made_up_counts(recipe, known.counts)
    with TemporaryDirectory(prefix="hdhe-dry-run-") as folder:
        write_made_up(recipe.data.name, Path(folder), made_up)
        dataset = known.read(Path(folder), made_up)
        return _try_out(recipe, dataset, known.counts, made_up, report)


def _try_out(
    recipe: Recipe,
    dataset: ImageDataset,
    real: Mapping[str, Count],
    made_up: Mapping[str, Count],
    report: Callable[[str], None],
) -> DryRun:
    training, validation = choose_subsets(dataset, recipe, report)
    check_sampling(recipe.loss.names, recipe.sampler, recipe.batch, training.labels, training.classes)
    learned = trained_on(recipe, real)

    accelerator = open_accelerator(recipe.precision, idle_parameters=False)
    torch.manual_seed(recipe.seed)
    network = build_ensemble(recipe.network.spec(), weights=None)
    model = build_learner(recipe, network, learned.classes)
    frozen = frozen_parts(network, recipe.network.freeze_until)
    freeze(frozen)
    groups = rate_groups(model, recipe.optimiser)
    learner, optimiser = accelerator.prepare(model, build_optimiser(groups, recipe.optimiser))
    side = recipe.images.scored_side
    check_whitening(recipe.whitening, network, training.labels)
    counted = cost(finished_spec(recipe.network.spec(), recipe.whitening), side)
    report(
        f"{counted.parameters / 1e6:.1f} M parameters are built; one step of {recipe.batch} images follows"
    )

    # One step, as the loop takes it. Hard classes need signatures of an epoch before, so the batch does without.
    started = time.monotonic()
    learner.train()
    hold([*frozen, *(norms(network) if recipe.network.freeze_norms else ())])
    source = Preprocessing(recipe.images.training_source, None, network.mean, network.std)
    chosen = batch_order(
        recipe.sampler, training.labels, recipe.batch, None, seed=recipe.seed, epoch=0, least=2
    )[0]
    images = ImageSource(
        training.paths, source, cache_bytes=0, workers=recipe.machine.threads, label="training images"
    )
    (pixels,) = images.batches([chosen])
    seed = step_seed(recipe.seed, 0, 0)
    torch.manual_seed(seed)
    inputs = augment(source.normalise(pixels, accelerator.device), recipe.images, seed=seed)
    loss, _ = learner(inputs, torch.from_numpy(training.labels[chosen]).to(accelerator.device))
    accelerator.backward(loss)
    if recipe.optimiser.clip_value is not None:
        accelerator.clip_grad_value_(model.parameters(), recipe.optimiser.clip_value)
    optimiser.step()
    optimiser.zero_grad()
    value = float(loss.detach())
    seconds = time.monotonic() - started

    preprocessing = Preprocessing(side, recipe.images.resize, network.mean, network.std)
    scored, recall = _score(network, preprocessing, dataset, validation, recipe)
    return DryRun(
        real=real,
        made_up=made_up,
        training=learned,
        cost=counted,
        objective_parameters=sum(parameter.numel() for parameter in model.objective.parameters()),
        groups=tuple((group.name, group.rate, sum(p.numel() for p in group.parameters)) for group in groups),
        steps=steps_of(recipe, learned),
        loss=value,
        device=str(accelerator.device),
        seconds=seconds,
        gigabytes=_peak_memory() / 1e9,
        scored=scored,
        recall=recall,
    )


def _score(
    network: Ensemble,
    preprocessing: Preprocessing,
    dataset: ImageDataset,
    validation: Subset | None,
    recipe: Recipe,
) -> tuple[str, RecallReport]:
    """Recall on the recipe's validation images, or on the split that papers score where it has none."""
    if validation is not None:
        parts: tuple[Subset, ...] = (validation,)
    elif dataset.default_split == QUERY_GALLERY:
        parts = dataset.query_gallery()
    else:
        parts = (dataset.subset(dataset.default_split),)
    embedder = Embedder(
        Bundle(network.eval(), preprocessing, "", {}, [], "none"), batch_size=min(recipe.batch, 32)
    )
    embeddings = [embedder.embed(part.paths) for part in parts]
    gallery = len(parts[-1]) - (len(parts) == 1)
    ks = tuple(k for k in recipe.validation.k if k <= gallery) or (1,)
    if len(parts) == 1:
        return parts[0].name, leave_one_out(embeddings[0], parts[0].labels, ks)
    report = recall_at_k(embeddings[0], parts[0].labels, embeddings[1], parts[1].labels, ks, self_index=None)
    return f"{dataset.name}/{QUERY_GALLERY}", report


def made_up_counts(recipe: Recipe, real: Mapping[str, Count]) -> dict[str, Count]:
    """Just as many training images as a whole batch needs after holding out, and a few of every other split."""
    trained = recipe.data.split if recipe.data.split in real else next(iter(real))
    each = recipe.sampler.images_per_class or 4
    wanted = min(max(math.ceil(recipe.batch / each), 2), real[trained].classes)
    classes = wanted
    while classes < real[trained].classes and classes - _held_out(recipe, classes) < wanted:
        classes += 1
    each = max(each, math.ceil(recipe.batch / max(classes - _held_out(recipe, classes), 1)))
    other = Count(2 * classes, classes) if DATASETS[recipe.data.name].shared_classes else OTHER
    counts = {split: SCORED.get(split, other) for split in real}
    return counts | {trained: Count(classes * each, classes)}


def trained_on(recipe: Recipe, real: Mapping[str, Count]) -> Count:
    """What a real run learns from; the number of images is an estimate where classes are held out."""
    split = recipe.data.split
    if split == ALL:
        # Query and gallery are of the same classes, and so are all splits of sets for classification.
        apart = [count.classes for name, count in real.items() if name != "gallery"]
        shared = DATASETS[recipe.data.name].shared_classes
        whole = Count(sum(count.images for count in real.values()), max(apart) if shared else sum(apart))
    elif split in real:
        whole = real[split]
    else:
        raise DataError(f"{recipe.data.name} has no split {split!r}; choose one of {', '.join(real)}")
    classes = whole.classes - _held_out(recipe, whole.classes)
    return Count(round(whole.images * classes / whole.classes), classes)


def steps_of(recipe: Recipe, learned: Count) -> int:
    """Batches in an epoch; where the sampler balances classes, as if they were of one size."""
    labels = np.arange(learned.images, dtype=np.int64) % learned.classes
    return len(batch_order(recipe.sampler, labels, recipe.batch, None, seed=recipe.seed, epoch=0, least=2))


def _held_out(recipe: Recipe, classes: int) -> int:
    """As `holdout_classes` rounds it."""
    share = recipe.validation.holdout
    return 0 if share is None else min(max(round(share * classes), 1), classes - 1)


def _peak_memory() -> int:
    """Bytes."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
