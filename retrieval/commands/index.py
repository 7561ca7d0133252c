"""`hdhe index build | info`: make a searchable collection of images, and say what it holds."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.engine_option import EngineOption
from retrieval.commands.index_facts import stats_lines
from retrieval.commands.index_options import KINDS_HELP, MemoryOption, RecallOption, memory_bytes
from retrieval.commands.index_table import trial_lines
from retrieval.commands.milvus_options import (
    MilvusOption,
    MilvusSettingsOption,
    check_same_place,
    milvus_settings,
)

if TYPE_CHECKING:
    from indexes.milvus.settings import MilvusSettings
    from retrieval.bundle import Bundle
    from retrieval.gallery import Gallery, GalleryImage
    from retrieval.shards import EmbeddingShards

CollectionFolder = Annotated[Path, typer.Option(help="The collection's folder.")]


def build(
    model: Annotated[str, typer.Option(help="A model bundle, or PRESET:BACKBONE[@PIXELS].")],
    collection: CollectionFolder,
    images: Annotated[
        str | None,
        typer.Option(help="A folder (labels: its folders' names), a manifest, or a known data set."),
    ] = None,
    embeddings: Annotated[
        Path | None, typer.Option(help="Instead of --images: shards that `hdhe embed` made with this model.")
    ] = None,
    index: Annotated[
        str, typer.Option(help=f"Index kind: {KINDS_HELP}; auto chooses by size and measurement.")
    ] = "auto",
    recall: RecallOption = None,
    memory: MemoryOption = None,
    split: Annotated[str | None, typer.Option(help="A split of the data set; all images otherwise.")] = None,
    root: Annotated[Path | None, typer.Option(help="Where a known data set lies.")] = None,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave alone what the collection holds already.")
    ] = False,
    engine: EngineOption = "torch",
    milvus: MilvusOption = None,
    milvus_option: MilvusSettingsOption = None,
) -> None:
    """Embed images, unless that is done, and put them into a collection; one of the same model is added to."""
    from indexes import LocalCollection
    from retrieval.bundle import load_bundle
    from retrieval.errors import UserError
    from retrieval.gallery_images import find_gallery_images, without_label
    from retrieval.left_out import left_out
    from retrieval.shards import EmbeddingShards
    from retrieval.shards.into_gallery import check_same_model

    for_folders = {"--index": index != "auto", "--recall": recall is not None, "--memory": memory is not None}
    place = milvus_settings(milvus, milvus_option, folder=collection, for_folders=for_folders)
    allowed = memory_bytes(memory)
    if (images is None) == (embeddings is None):
        raise UserError("give --images, or --embeddings with the folder that `hdhe embed` wrote")
    if embeddings is not None:
        if split is not None or root is not None:
            raise UserError("--split and --root go with --images; the embeddings are chosen already")
        shards = EmbeddingShards.open(embeddings)
        bundle = load_bundle(model)
        check_same_model(shards, bundle.fingerprint, model=model)
        shards.check_whole()
    else:
        wanted, problems = find_gallery_images(str(images), split=split, root=root)
        for problem in problems:
            typer.echo(left_out(problem), err=True)
        if (bare := without_label(wanted)) is not None:
            typer.echo(f"hdhe: {bare}", err=True)
        bundle = load_bundle(model)
    gallery = opened_or_made(
        collection, bundle, index=index, engine=engine, milvus=place, model=model, option="--collection"
    )
    started = time.perf_counter()
    with gallery:
        if embeddings is None:
            done, passed_over = _add_images(gallery, wanted, skip_existing=skip_existing)
            passed_over += len(problems)
        else:
            done, passed_over = _add_embeddings(gallery, shards, skip_existing=skip_existing)
        taken = time.perf_counter() - started
        if isinstance(gallery.collection, LocalCollection):
            gallery.collection.ask_of_index(recall=recall, memory=allowed)
            if gallery.collection.will_measure:
                typer.echo("hdhe: building and measuring kinds of index; this takes some minutes", err=True)
        gallery.collection.optimise()
        stats = gallery.collection.stats()
    typer.echo(
        f"{done} images indexed, {passed_over} left out; "
        f"{collection} holds {stats.items} items in an index of kind {stats.index_kind}"
    )
    if done and embeddings is None:
        embedder = gallery.embedder
        typer.echo(
            f"{done / taken:.1f} images a second by {embedder.engine}, "
            f"which was busy {100 * embedder.busy_seconds / taken:.0f} % of {taken:.1f} s"
        )


def _add_images(gallery: Gallery, wanted: Sequence[GalleryImage], *, skip_existing: bool) -> tuple[int, int]:
    """Embed and upsert; how many were, and how many could not be read."""
    from retrieval.errors import ImageError
    from retrieval.left_out import left_out
    from retrieval.progress import track

    unreadable = 0

    def report(_: str, error: ImageError) -> None:
        nonlocal unreadable
        unreadable += 1
        typer.echo(left_out(error), err=True)

    if skip_existing:
        there = gallery.collection.get([image.id for image in wanted])
        wanted = [image for image, item in zip(wanted, there, strict=True) if item is None]
    steps = gallery.add(wanted, on_error=report)
    seen = sum(1 for _ in track(steps, total=len(wanted), label="index", unit="images"))
    return seen - unreadable, unreadable


def _add_embeddings(gallery: Gallery, shards: EmbeddingShards, *, skip_existing: bool) -> tuple[int, int]:
    """Upsert what is embedded already; how many were, and how many `hdhe embed` could not read."""
    from retrieval.progress import track
    from retrieval.shards.into_gallery import Outcome, add_shards

    steps = add_shards(gallery, shards, skip_existing=skip_existing)
    counts = Counter(track(steps, total=shards.manifest.images, label="index", unit="images"))
    return counts[Outcome.UPSERTED], counts[Outcome.LEFT_OUT]


def info(
    collection: CollectionFolder,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a collection holds."""
    from indexes.collection_stats import last_trial
    from indexes.opening import collection_info

    stats, trial = collection_info(collection), last_trial(collection)
    if as_json:
        typer.echo(json.dumps(asdict(stats) | {"index_trial": None if trial is None else asdict(trial)}))
        return
    typer.echo("\n".join(stats_lines(stats)))
    if trial is not None:
        typer.echo("\n".join(["", *trial_lines(trial, stats.items)]))


def opened_or_made(
    folder: Path,
    bundle: Bundle,
    *,
    index: str,
    engine: str,
    model: str,
    option: str,
    milvus: MilvusSettings | None = None,
) -> Gallery:
    """The gallery of this model in a folder. model, option: what the user calls the model and the folder's option.
    milvus: where its items are; None takes any place.

    Raises ForeignModelError if another model filled it.
    """
    from indexes import ForeignModelError
    from retrieval.gallery import create_gallery, open_gallery
    from retrieval.gallery_folder import MODEL_NAME

    if not (folder / MODEL_NAME).is_dir():
        return create_gallery(folder, bundle, index=index, engine=engine, milvus=milvus)
    if milvus is not None:
        check_same_place(folder, milvus)
    gallery = open_gallery(folder, engine=engine)
    if gallery.embedder.fingerprint != bundle.fingerprint:
        gallery.close()
        raise ForeignModelError(
            f"{folder} was filled by another model than {model}; choose another {option} folder"
        )
    return gallery
