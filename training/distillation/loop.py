"""Distillation, from a recipe to a trained student, in one straight line.

As in `training.loop`, everything random is a function of (seed, epoch, step), and a checkpoint holds the rest: a run
that was killed at any moment and resumed ends with the weights that it would have had.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import broadcast

from retrieval.errors import UserError
from retrieval.networks import Ensemble
from retrieval.progress import say_nothing
from retrieval.transforms import Preprocessing
from training.averaging import WeightAverage
from training.batch_part import check_divides
from training.batches import ImageSource, step_seed
from training.checkpoint import Progress, load_checkpoint, save_checkpoint, save_is_due
from training.data import digest
from training.device import check_alike, open_accelerator
from training.distillation.data import open_parts
from training.distillation.distiller import Distiller, use_batch_statistics
from training.distillation.groups import freeze_student, rate_groups_of
from training.distillation.inheritance import inherit
from training.distillation.metrics import DistillationMetrics, draw_distillation
from training.distillation.opening import build_student, build_terms, open_teacher, seed_of
from training.distillation.overlap_score import overlap_score
from training.distillation.recipe import DistillationRecipe
from training.distillation.regression import fit_linear_layer
from training.distillation.result import export, score
from training.distillation.stages import stage_at, stages_of
from training.distillation.views import Views
from training.epoch_batches import epoch_batches
from training.failure import check_finite, failed
from training.freezing import hold
from training.learner import build_objective
from training.metrics import MetricsLog, recall_in_words
from training.optimiser import build_optimiser
from training.run_folder import RunFolder
from training.sampling.check import check_sampling
from training.synced_norms import synchronise_norms
from training.whitening import check_whitening, whiten


def distill(
    recipe: DistillationRecipe,
    out: Path,
    *,
    resume: bool = False,
    report: Callable[[str], None] | None = None,
) -> Path:
    """Train a student and return the folder of its model, `out`/bundle: a bundle, or a classifier to teach others.

    out: a new folder, or with resume the folder of a run of the same recipe; a finished run is returned as it is.
    report: takes a line for people now and then. Raises UserError for what the user can put right, and
    TrainingFailedError when the loss stops being finite; the folder then keeps its last good checkpoint.
    """
    report = report or say_nothing
    folder = RunFolder(out)
    accelerator = open_accelerator(recipe.precision, idle_parameters=True)
    first, processes = accelerator.is_main_process, accelerator.num_processes
    device = accelerator.device
    check_divides(recipe.batch, processes)
    if first:
        folder.open(recipe, resume=resume)
    else:
        report = say_nothing
    accelerator.wait_for_everyone()
    if folder.finished:
        report(f"{out} is finished; its model is {folder.bundle}")
        return folder.bundle

    # Teacher, data, student
    teacher = open_teacher(recipe)
    training, scored = open_parts(recipe, report)
    check_alike(accelerator, digest(training), "training images")
    if len(training) < processes:
        raise UserError(f"{training.name} has {len(training)} images for {processes} processes; start fewer")
    if recipe.task == "retrieval":
        check_sampling(recipe.loss.names, recipe.sampler, recipe.batch, training.labels, training.classes)
    torch.manual_seed(seed_of(recipe, teacher))
    student = build_student(recipe, teacher, len(training.classes))
    network = student.network
    if recipe.inherit and teacher is not None:
        report(f"inherited: {100 * inherit(network, teacher.side.network):.0f} % of the student's weights")
    terms = build_terms(recipe, teacher, student, training.classes)
    objective = None
    if isinstance(network, Ensemble):
        check_whitening(recipe.whitening, network, training.labels)
        objective = build_objective(recipe.loss, network, len(training.classes), seed=recipe.seed)
    model = Distiller(
        student,
        None if teacher is None else teacher.side.to(device),
        terms,
        objective=objective,
        class_weight=recipe.class_weight,
    ).to(memory_format=torch.channels_last)
    fused = device.type == "cuda" and not any(section.row.differentiates_twice for section in recipe.terms)
    for module in (model.student, model.terms, *([] if teacher is None else [teacher.side])):
        synchronise_norms(module, fused=fused)
    held = freeze_student(recipe, network)

    # Images
    preprocessing = Preprocessing(recipe.images.scored_side, recipe.images.resize, network.mean, network.std)
    views = Views(recipe.images, preprocessing, None if teacher is None else teacher.preprocessing)
    room, threads = int(recipe.machine.cache_gb * 2**30), recipe.machine.threads
    images = ImageSource(
        training.paths, views.source, cache_bytes=room, workers=threads, label="training images", shown=first
    )
    test_images = None
    if scored is not None and first:
        left = room - images.cached_bytes
        test_images = ImageSource(
            scored.paths, preprocessing, cache_bytes=left, workers=threads, label="scored images"
        )

    # Optimiser
    optimiser = build_optimiser(rate_groups_of(model, recipe.optimiser), recipe.optimiser)
    rates = [group["base_lr"] for group in optimiser.param_groups]
    learner, optimiser = accelerator.prepare(model, optimiser)
    average = None
    if recipe.schedule.average is not None:
        average = WeightAverage(network, recipe.schedule.average)
        accelerator.register_for_checkpointing(average)
    result = network if average is None else average.network

    # Where we stand
    stages = stages_of(recipe)
    epochs = stages[-1].end
    names = ["labels", *(term.name for term in terms)]
    progress = load_checkpoint(folder.checkpoints, accelerator, report) if resume else None
    if progress is None:
        progress = Progress(data=digest(training))
        progress.start_epoch(0, heads=0)
    elif progress.data != digest(training):
        raise UserError(
            f"the images of {training.name} are not those that {out} was started with; give another --out"
        )
    check_alike(accelerator, (progress.epoch, progress.step), "checkpoints")
    if recipe.regression is not None and teacher is not None and (progress.epoch, progress.step) == (0, 0):
        groups = np.split(np.arange(len(images)), range(recipe.batch, len(images), recipe.batch))
        pairs = (
            views.make(pixels, device, seed=step_seed(recipe.seed, 0, step), for_teacher=True)
            for step, pixels in enumerate(images.batches(groups))
        )
        explained = fit_linear_layer(model.student, teacher.side, pairs, recipe.regression)
        broadcast(list(model.student.state_dict().values()))  # whose last digits may differ between machines
        report(f"regression: {100 * explained:.1f} % of the variance of the teacher's embeddings is linear")
    log = MetricsLog(folder, epochs_done=progress.epoch) if first else None
    report(
        f"{recipe.name}: {len(training):,} images of {len(training.classes)} classes, student of "
        f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} M parameters, {device}, "
        + " + ".join(f"{stage.section.epochs} epochs {stage.name}" for stage in stages)
        + (f", going on in epoch {progress.epoch + 1}" if resume else "")
    )

    saved_at = time.monotonic()
    while progress.epoch < epochs:
        epoch = progress.epoch
        stage = stage_at(stages, epoch)
        learner.train()
        hold(held)
        if teacher is not None:
            use_batch_statistics(teacher.side, on=recipe.batch_statistics(stage.name))
        if epoch == stage.first and progress.step == 0:
            # Each stage begins with an optimiser that remembers nothing.
            optimiser.state.clear()
        taught = any(term.counts_in(stage.name) for term in terms)
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["base_lr"] = rate if stage.lr is None else stage.lr
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
        )
        for batch in batches:
            started = time.monotonic()
            torch.manual_seed(batch.seed)
            position = epoch + batch.step / batch.steps
            for group in optimiser.param_groups:
                group["lr"] = group["base_lr"] * stage.rate_factor(position)

            seen, shown = views.make(
                batch.pixels, device, seed=batch.seed, for_teacher=taught, part=batch.part
            )
            losses = learner(seen, shown, batch.labels, stage.name, stage.progress(position), batch.part)
            accelerator.backward(losses.total)
            if recipe.optimiser.clip_value is not None:
                accelerator.clip_grad_value_(model.parameters(), recipe.optimiser.clip_value)
            optimiser.step()
            optimiser.zero_grad()
            if average is not None and stage.name == "main":
                average.update(network)

            due = first and save_is_due(recipe.machine.checkpoint_minutes, saved_at)
            said = torch.tensor([float(due)], device=device)
            sums = torch.cat([said, losses.parts * batch.images / processes, losses.right])
            due_sum, *counts = accelerator.reduce(sums).tolist()
            added, hits = counts[: len(names)], counts[len(names) :]
            if not math.isfinite(sum(added)):
                worst = next(name for name, loss in zip(names, added, strict=True) if not math.isfinite(loss))
                what = f"the loss of {worst} became {sum(added)} in epoch {epoch + 1}, step {batch.step + 1}"
                raise failed(stage.rate(recipe), out, what)
            progress.add(sum(added), batch.images, hits, dict(zip(names, added, strict=True)))
            progress.step = batch.step + 1
            progress.seconds += time.monotonic() - started
            if due_sum and progress.step < batch.steps:
                check_finite(model, stage.rate(recipe), out)
                save_checkpoint(folder.checkpoints, accelerator, progress)
                saved_at = time.monotonic()
        check_finite(model, stage.rate(recipe), out)

        # Score and note the epoch
        if log is not None:
            reached = None
            last = epoch + 1 == epochs
            if (
                test_images is not None
                and scored is not None
                and ((epoch + 1) % recipe.score.every == 0 or last)
            ):
                # The average begins with the main stage.
                current = result if stage.name == "main" else network
                reached = score(recipe, current, scored, test_images, preprocessing, accelerator)
                if recipe.score.overlap and last and teacher is not None:
                    reached |= overlap_score(
                        recipe, model, result, teacher, scored, preprocessing, accelerator
                    )
            metrics = DistillationMetrics(
                epoch=epoch + 1,
                stage=stage.name,
                loss=progress.loss / progress.images,
                parts={name: value / progress.images for name, value in progress.parts.items() if value},
                accuracy=[None if math.isnan(hits) else hits / progress.images for hits in progress.correct],
                rates={group["name"]: group["lr"] for group in optimiser.param_groups},
                images_per_second=progress.images / progress.seconds,
                seconds=progress.seconds,
                score=reached,
            )
            log.add(metrics)
            report(metrics.in_words(epochs))
        progress.start_epoch(epoch + 1, heads=0)
        save_checkpoint(folder.checkpoints, accelerator, progress)
        saved_at = time.monotonic()

    # Export
    if log is not None:
        draw_distillation(log.lines, folder.curves, title=recipe.name)
        log.close()
        scores = [log.lines[-1]["score"]] if log.lines[-1]["score"] is not None else []
        if recipe.whitening is not None and isinstance(result, Ensemble):
            result = whiten(
                recipe.whitening,
                result,
                training,
                preprocessing,
                accelerator,
                batch=recipe.batch,
                workers=threads,
            )
            if scored is not None and test_images is not None:
                anew = score(recipe, result, scored, test_images, preprocessing, accelerator)
                scores = [{**log.lines[-1]["score"], **anew}]
                report(f"whitened: {recall_in_words(scores[0])}, MAP@R {100 * scores[0]['map_at_r']:.1f}")
        export(recipe, folder.bundle, result, preprocessing, training.classes, teacher, scores)
        report(f"the student is {folder.bundle}")
    accelerator.wait_for_everyone()
    return folder.bundle
