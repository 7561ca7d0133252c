"""Training, from a recipe to a bundle, in one straight line.

Everything random is a function of (seed, epoch, step), and a checkpoint holds the rest, so a run that was killed at
any moment and resumed ends with the weights that it would have had (to the bit on a CPU with the same thread count).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from retrieval.bundle import save_bundle
from retrieval.errors import UserError
from retrieval.networks import Ensemble, build_ensemble
from retrieval.progress import say_nothing
from retrieval.transforms import Preprocessing
from training.augmentation import augment
from training.auto_lr.search import RateSearch
from training.averaging import WeightAverage
from training.batch_part import check_divides
from training.batches import ImageSource
from training.checkpoint import Progress, load_checkpoint, save_checkpoint, save_is_due
from training.curves import draw_curves
from training.data import digest, open_subsets
from training.device import check_alike, open_accelerator
from training.epoch_batches import epoch_batches
from training.failure import LearningRate, check_finite, failed, is_finite
from training.freezing import freeze, frozen_parts, hold, norms, only_new_layers
from training.layer_rates import block_rates, rate_groups
from training.learner import build_learner
from training.metrics import EpochMetrics, MetricsLog, recall_in_words
from training.optimiser import build_optimiser
from training.pruning import choose_pruning, pruned_recipe
from training.recipe import Recipe
from training.run_folder import RunFolder, write_weights
from training.sampling.check import check_sampling
from training.schedule import rate_factor
from training.synced_norms import synchronise_norms
from training.validation import pretraining, validate
from training.whitening import check_whitening, whiten


def train(
    recipe: Recipe, out: Path, *, resume: bool = False, report: Callable[[str], None] | None = None
) -> Path:
    """Train a network and return the folder of its bundle, `out`/bundle.

    out: a new folder, or with resume the folder of a run of the same recipe; a finished run is returned as it is.
    report: takes a line for people now and then. Raises UserError for what the user can put right, and
    TrainingFailedError when the loss stops being finite; the folder then keeps its last good checkpoint.
    """
    report = report or say_nothing
    folder = RunFolder(out)
    accelerator = open_accelerator(recipe.precision, idle_parameters=recipe.schedule.frozen_epochs > 0)
    first, processes = accelerator.is_main_process, accelerator.num_processes
    check_divides(recipe.batch, processes)
    if first:
        folder.open(recipe, resume=resume)
    else:
        report = say_nothing
    accelerator.wait_for_everyone()
    if folder.finished:
        report(f"{out} is finished; its model is {folder.bundle}")
        return folder.bundle

    if recipe.network.prune_until == "auto":
        choice = choose_pruning(recipe, folder.pruning, report, train=train, write=first)
        recipe = pruned_recipe(recipe, choice)

    # Data
    training, validation = open_subsets(recipe, report)
    check_alike(accelerator, digest(training), "training images")
    check_sampling(recipe.loss.names, recipe.sampler, recipe.batch, training.labels, training.classes)
    spec = recipe.network.spec()
    torch.manual_seed(recipe.seed)
    network = build_ensemble(spec, weights=recipe.network.source)
    check_whitening(recipe.whitening, network, training.labels)
    synchronise_norms(network, fused=accelerator.device.type == "cuda")
    preprocessing = Preprocessing(recipe.images.scored_side, recipe.images.resize, network.mean, network.std)
    source = Preprocessing(recipe.images.training_source, None, network.mean, network.std)
    room = int(recipe.machine.cache_gb * 2**30)
    threads = recipe.machine.threads
    images = ImageSource(
        training.paths, source, cache_bytes=room, workers=threads, label="training images", shown=first
    )
    if validation is not None and first:
        scored = ImageSource(
            validation.paths,
            preprocessing,
            cache_bytes=room - images.cached_bytes,
            workers=threads,
            label="validation images",
        )

    def scored_now(network: Ensemble) -> dict[str, Any]:
        assert validation is not None
        return validate(
            network,
            validation,
            scored,
            preprocessing,
            accelerator,
            batch=recipe.batch,
            ks=recipe.validation.k,
            weights=recipe.network.weights,
        )

    # Model and optimiser
    model = build_learner(recipe, network, len(training.classes))
    frozen = frozen_parts(network, recipe.network.freeze_until)
    freeze(frozen)
    held = [*frozen, *(norms(network) if recipe.network.freeze_norms else ())]
    groups = rate_groups(model, recipe.optimiser)
    optimiser = build_optimiser(groups, recipe.optimiser)
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
    check_alike(accelerator, (progress.epoch, progress.step), "checkpoints")
    search = None
    if recipe.auto_lr is not None:
        search = RateSearch(
            recipe.auto_lr,
            recipe,
            folder,
            model,
            optimiser,
            rates=block_rates(groups),
            epochs_done=progress.epoch,
            write=first,
        )
    log = MetricsLog(folder, epochs_done=progress.epoch) if first else None
    epochs, rate = recipe.schedule.epochs, LearningRate(recipe.optimiser.lr)
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
        warming = epoch < recipe.schedule.frozen_epochs
        only_new_layers(network, frozen, on=warming)
        trial = None if warming else search
        diverged = False
        if trial is not None:
            trial.start()
        if model.signatures is not None and progress.step == 0:
            model.signatures.start_epoch()
        batches = epoch_batches(
            images,
            training.labels,
            accelerator,
            batch=recipe.batch,
            sampler=recipe.sampler,
            seed=recipe.seed,
            epoch=epoch,
            epochs=epochs,
            done=progress.step,
            signatures=model.signatures,
        )
        for batch in batches:
            started = time.monotonic()
            torch.manual_seed(batch.seed)
            factor = rate_factor(recipe.schedule, epoch + batch.step / batch.steps)
            for group in optimiser.param_groups:
                group["lr"] = group["base_lr"] * factor

            prepared = source.normalise(batch.pixels, accelerator.device)
            inputs = augment(prepared, recipe.images, seed=batch.seed, part=batch.part)
            loss, right = learner(inputs, batch.labels, batch.part)
            accelerator.backward(loss)
            if recipe.optimiser.clip_value is not None:
                accelerator.clip_grad_value_(model.parameters(), recipe.optimiser.clip_value)
            optimiser.step()
            optimiser.zero_grad()
            if average is not None:
                average.update(network)

            due = first and search is None and save_is_due(recipe.machine.checkpoint_minutes, saved_at)
            said = torch.tensor([float(due)], device=loss.device)
            # Every process has the loss of the whole batch.
            sums = torch.cat([loss.detach().float()[None] * batch.images / processes, said, right])
            total, due_sum, *hits = accelerator.reduce(sums).tolist()
            if not math.isfinite(total):
                diverged = trial is not None and trial.may_diverge
                if diverged:
                    break
                raise failed(
                    rate, out, f"the loss became {total} in epoch {epoch + 1}, step {batch.step + 1}"
                )
            progress.step = batch.step + 1
            progress.add(total, batch.images, hits)
            progress.seconds += time.monotonic() - started
            if due_sum and progress.step < batch.steps:
                check_finite(model, rate, out)
                save_checkpoint(folder.checkpoints, accelerator, progress)
                saved_at = time.monotonic()
        if trial is not None and trial.may_diverge:
            diverged = diverged or not is_finite(model)
        else:
            check_finite(model, rate, out)
        if trial is not None and not trial.end(epoch, diverged=diverged, report=report):
            progress.start_epoch(epoch, heads=len(spec.heads))
            continue

        # Score and note the epoch
        if log is not None:
            score = None
            if validation is not None and ((epoch + 1) % recipe.validation.every == 0 or epoch + 1 == epochs):
                score = scored_now(result)
                score["epoch"] = epoch + 1
                if recipe.validation.keep == "best" and score["recall"]["1"] > progress.best_recall:
                    progress.best_epoch, progress.best_recall = epoch + 1, score["recall"]["1"]
                    write_weights(folder.best, result.state_dict())
            metrics = EpochMetrics(
                epoch=epoch + 1,
                loss=progress.loss / progress.images,
                accuracy=[None if math.isnan(hits) else hits / progress.images for hits in progress.correct],
                rates={group["name"]: group["lr"] for group in optimiser.param_groups},
                images_per_second=progress.images / progress.seconds,
                seconds=progress.seconds + progress.thrown_away,
                validation=score,
            )
            log.add(metrics)
            report(metrics.in_words(epochs))
        progress.start_epoch(epoch + 1, heads=len(spec.heads))
        save_checkpoint(folder.checkpoints, accelerator, progress)
        saved_at = time.monotonic()

    # Export
    if log is not None:
        if search is not None:
            search.draw()
        draw_curves(log.lines, folder.curves, title=recipe.name)
        kept = epochs
        if progress.best_epoch is not None:
            kept = progress.best_epoch
            result.load_state_dict(load_file(folder.best))
        scores = [line["validation"] for line in log.lines if line["epoch"] == kept and line["validation"]]
        log.close()
        if recipe.whitening is not None:
            result = whiten(
                recipe.whitening,
                result,
                training,
                preprocessing,
                accelerator,
                batch=recipe.batch,
                workers=threads,
            )
            if validation is not None:
                scores = [{**scored_now(result), "epoch": kept}]
                report(f"whitened: {recall_in_words(scores[0])}")
        resolved = recipe.model_dump(mode="json")
        save_bundle(
            folder.bundle,
            result.eval(),
            preprocessing,
            recipe=resolved,
            scores=scores,
            pretraining=pretraining(recipe.network.weights),
        )
        report(f"the model of epoch {kept} is {folder.bundle}")
    accelerator.wait_for_everyone()
    return folder.bundle
