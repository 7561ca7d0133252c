"""Training, from a recipe to a bundle, in one straight line.

Everything random is a function of (seed, epoch, step), and a checkpoint holds the rest, so a run that was killed at
any moment and resumed ends with the weights that it would have had (to the bit on a CPU with the same thread count).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from retrieval.bundle import save_bundle
from retrieval.errors import UserError
from retrieval.networks import build_ensemble
from retrieval.progress import track
from retrieval.transforms import Preprocessing
from training.augmentation import augment
from training.averaging import WeightAverage
from training.batches import ImageSource, epoch_order, step_seed
from training.checkpoint import Progress, load_checkpoint, save_checkpoint
from training.curves import draw_curves
from training.data import digest, open_subsets
from training.freezing import freeze, frozen_parts, hold, norms, only_new_layers
from training.layer_rates import rate_groups
from training.learner import Learner
from training.metrics import EpochMetrics, MetricsLog
from training.objectives import build_objective
from training.optimiser import build_optimiser
from training.recipe import Recipe
from training.run_folder import RunFolder, write_weights
from training.schedule import rate_factor
from training.validation import pretraining, validate


class TrainingFailedError(Exception):
    """Training cannot go on although nothing was asked wrongly: the loss is no longer a number."""


def train(
    recipe: Recipe, out: Path, *, resume: bool = False, report: Callable[[str], None] | None = None
) -> Path:
    """Train a network and return the folder of its bundle, `out`/bundle.

    out: a new folder, or with resume the folder of a run of the same recipe; a finished run is returned as it is.
    report: takes a line for people now and then. Raises UserError for what the user can put right, and
    TrainingFailedError when the loss stops being finite; the folder then keeps its last good checkpoint.
    """
    report = report or _say_nothing
    folder = RunFolder(out)
    accelerator = _accelerator(recipe)
    first, processes = accelerator.is_main_process, accelerator.num_processes
    if first:
        folder.open(recipe, resume=resume)
    else:
        report = _say_nothing
    accelerator.wait_for_everyone()
    if folder.finished:
        report(f"{out} is finished; its model is {folder.bundle}")
        return folder.bundle

    # Data
    training, validation = open_subsets(recipe, report)
    spec = recipe.network.spec()
    torch.manual_seed(recipe.seed)
    network = build_ensemble(spec, weights=recipe.network.source)
    preprocessing = Preprocessing(recipe.images.pixels, recipe.images.resize, network.mean, network.std)
    source = Preprocessing(recipe.images.training_source, None, network.mean, network.std)
    room = int(recipe.machine.cache_gb * 2**30)
    threads = recipe.machine.threads
    images = ImageSource(training.paths, source, cache_bytes=room, workers=threads, label="training images")
    if validation is not None:
        scored = ImageSource(
            validation.paths,
            preprocessing,
            cache_bytes=room - images.cached_bytes,
            workers=threads,
            label="validation images",
        )
    labels = torch.from_numpy(training.labels)

    # Model and optimiser
    objective = build_objective(recipe.loss, network, len(training.classes))
    model = Learner(network, objective).to(memory_format=torch.channels_last)
    frozen = frozen_parts(network, recipe.network.freeze_until)
    freeze(frozen)
    held = [*frozen, *(norms(network) if recipe.network.freeze_norms else ())]
    optimiser = build_optimiser(rate_groups(model, recipe.optimiser), recipe.optimiser)
    learner, optimiser = accelerator.prepare(model, optimiser)
    average = None
    if recipe.schedule.average is not None:
        average = WeightAverage(network, recipe.schedule.average)
        accelerator.register_for_checkpointing(average)
    # What is scored and exported.
    result = network if average is None else average.network

    # Where we stand
    progress = load_checkpoint(folder.checkpoints, accelerator, report) if resume else None
    if progress is None:
        progress = Progress(data=digest(training), correct=[0.0] * len(spec.heads))
    elif progress.data != digest(training):
        raise UserError(
            f"the images of {training.name} are not those that {out} was started with; give another --out"
        )
    log = MetricsLog(folder, epochs_done=progress.epoch) if first else None
    epochs = recipe.schedule.epochs
    report(
        f"{recipe.name}: {len(training)} images of {len(training.classes)} classes, "
        f"{sum(p.numel() for p in network.parameters()) / 1e6:.1f} M parameters, {accelerator.device}"
        + (f", going on in epoch {progress.epoch + 1}" if resume else "")
    )

    saved_at = time.monotonic()
    while progress.epoch < epochs:
        epoch = progress.epoch
        learner.train()
        hold(held)
        only_new_layers(network, frozen, on=epoch < recipe.schedule.frozen_epochs)
        batches = epoch_order(len(images), recipe.batch, seed=recipe.seed, epoch=epoch, least=2 * processes)
        own = [np.array_split(batch, processes)[accelerator.process_index] for batch in batches]
        coming = zip(range(progress.step, len(batches)), images.batches(own[progress.step :]), strict=True)
        for step, pixels in track(
            coming, total=len(batches) - progress.step, label=f"epoch {epoch + 1}/{epochs}", unit="batch"
        ):
            started = time.monotonic()
            torch.manual_seed(step_seed(recipe.seed, epoch, step, accelerator.process_index))
            factor = rate_factor(recipe.schedule, epoch + step / len(batches))
            for group in optimiser.param_groups:
                group["lr"] = group["base_lr"] * factor

            inputs = augment(
                source.normalise(pixels, accelerator.device),
                recipe.images,
                seed=step_seed(recipe.seed, epoch, step, accelerator.process_index),
            )
            targets = labels[own[step]].to(accelerator.device)
            loss, right = learner(inputs, targets)
            # Gradients are averaged over processes, whose shares of a batch may differ by an image.
            accelerator.backward(loss * (len(targets) * processes / len(batches[step])))
            if recipe.optimiser.clip_value is not None:
                accelerator.clip_grad_value_(model.parameters(), recipe.optimiser.clip_value)
            optimiser.step()
            optimiser.zero_grad()
            if average is not None:
                average.update(network)

            due = first and _due(recipe.machine.checkpoint_minutes, saved_at)
            said = torch.tensor([float(due)], device=loss.device)
            sums = torch.cat([loss.detach().float()[None] * len(targets), said, right])
            total, due_sum, *hits = accelerator.reduce(sums).tolist()
            if not math.isfinite(total):
                raise _failed(recipe, out, f"the loss became {total} in epoch {epoch + 1}, step {step + 1}")
            progress.step = step + 1
            progress.loss += total
            progress.images += len(batches[step])
            progress.correct = [before + hit for before, hit in zip(progress.correct, hits, strict=True)]
            progress.seconds += time.monotonic() - started
            if due_sum and progress.step < len(batches):
                _check_finite(model, recipe, out)
                save_checkpoint(folder.checkpoints, accelerator, progress)
                saved_at = time.monotonic()
        _check_finite(model, recipe, out)

        # Score and note the epoch
        if log is not None:
            score = None
            if validation is not None and ((epoch + 1) % recipe.validation.every == 0 or epoch + 1 == epochs):
                score = validate(result, validation, scored, preprocessing, recipe, accelerator)
                score["epoch"] = epoch + 1
                if recipe.validation.keep == "best" and score["recall"]["1"] > progress.best_recall:
                    progress.best_epoch, progress.best_recall = epoch + 1, score["recall"]["1"]
                    write_weights(folder.best, result.state_dict())
            log.add(
                EpochMetrics(
                    epoch=epoch + 1,
                    loss=progress.loss / progress.images,
                    accuracy=[
                        None if math.isnan(hits) else hits / progress.images for hits in progress.correct
                    ],
                    rates={group["name"]: group["lr"] for group in optimiser.param_groups},
                    images_per_second=progress.images / progress.seconds,
                    seconds=progress.seconds,
                    validation=score,
                )
            )
            report(log.last_in_words(epochs))
        progress.start_epoch(epoch + 1, heads=len(spec.heads))
        save_checkpoint(folder.checkpoints, accelerator, progress)
        saved_at = time.monotonic()

    # Export
    if log is not None:
        draw_curves(log.lines, folder.curves, title=recipe.name)
        kept = epochs
        if progress.best_epoch is not None:
            kept = progress.best_epoch
            result.load_state_dict(load_file(folder.best))
        scores = [line["validation"] for line in log.lines if line["epoch"] == kept and line["validation"]]
        log.close()
        resolved = recipe.model_dump(mode="json")
        save_bundle(
            folder.bundle,
            result.eval(),
            preprocessing,
            recipe=resolved,
            scores=scores,
            pretraining=pretraining(recipe),
        )
        report(f"the model of epoch {kept} is {folder.bundle}")
    accelerator.wait_for_everyone()
    return folder.bundle


def _say_nothing(line: str) -> None:
    pass


def _accelerator(recipe: Recipe) -> Accelerator:
    """Devices and precision. Raises UserError where bf16 is asked of a device that lacks it."""
    capable = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and capable)
    if bf16 and torch.cuda.is_available() and not capable:
        raise UserError("precision is bf16, which this GPU does not have; set precision to fp32")
    # Accelerate keeps the precision of a process's first run and refuses another; a study has many runs.
    AcceleratorState._reset_state()
    # Said outright, because only then do several processes without a GPU find each other.
    cpu = not torch.cuda.is_available() and not torch.backends.mps.is_available()
    return Accelerator(mixed_precision="bf16" if bf16 else "no", cpu=cpu)


def _due(minutes: float | None, saved_at: float) -> bool:
    return minutes is not None and time.monotonic() - saved_at >= 60 * minutes


def _check_finite(model: torch.nn.Module, recipe: Recipe, out: Path) -> None:
    """A checkpoint must never hold what cannot be trained on."""
    if not all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters()):
        raise _failed(recipe, out, "the weights are no longer finite")


def _failed(recipe: Recipe, out: Path, what: str) -> TrainingFailedError:
    return TrainingFailedError(
        f"{what}; lower optimiser.lr (now {recipe.optimiser.lr:g}) or raise schedule.warmup_epochs in a run with "
        f"another --out; {out} keeps its last good checkpoint"
    )
