"""`hdhe evaluate`: Recall@K, MAP@R and R-precision of a model on a data set, or of embeddings in a file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retrieval.commands.engine_option import EngineOption
from retrieval.errors import UserError

if TYPE_CHECKING:
    from retrieval.bundle import Bundle
    from retrieval.recall import RecallReport

# NumPy and torch are imported where they are used, so that `hdhe --help` answers at once.


def evaluate(
    model: Annotated[
        str | None, typer.Option(help="A model bundle, or PRESET:BACKBONE[@PIXELS] for one not fine-tuned.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A known data set, a folder with one folder a class, or a manifest.")
    ] = None,
    query_model: Annotated[
        str | None,
        typer.Option(
            help="A bundle that embeds the queries, distilled into the space of --model, which embeds the gallery."
        ),
    ] = None,
    embeddings: Annotated[
        Path | None, typer.Option(help="An .npz file to score instead of a model; see docs/evaluation.md.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split to score; by default the one papers score.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Where a known data set lies.")] = None,
    k: Annotated[
        str | None, typer.Option(help="Ks of Recall@K, as 1,2,4,8; by default those usual for the data set.")
    ] = None,
    mirror: Annotated[
        bool | None,
        typer.Option(
            "--mirror/--no-mirror", help="Add the mirrored image's embedding; as a model says by default."
        ),
    ] = None,
    pixels: Annotated[
        int | None, typer.Option(help="Side of the images that --model sees; as it says by default.")
    ] = None,
    engine: EngineOption = "torch",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Score retrieval: exact Recall@K, MAP@R and R-precision."""
    ks = None if k is None else parse_ks(k)
    if embeddings is not None:
        for name, value in {
            "--model": model, "--query-model": query_model, "--data": data, "--split": split, "--root": root,
            "--mirror": mirror, "--pixels": pixels, "--engine": engine if engine != "torch" else None,
        }.items():  # fmt: skip
            if value is not None:
                raise UserError(f"{name} does not go with --embeddings, which already holds the vectors")
        about, report = _score_file(embeddings, ks)
    elif model is not None and data is not None:
        about, report = _score_model(model, query_model, data, split, root, ks, mirror, pixels, engine)
    else:
        raise UserError("give --model and --data, or --embeddings")
    if as_json:
        typer.echo(json.dumps(_scores(report) | about))
    else:
        typer.echo(_table(report, about))


def parse_ks(text: str) -> tuple[int, ...]:
    """Numbers between commas, ascending. Raises UserError."""
    try:
        ks = {int(part) for part in text.split(",")}
    except ValueError:
        raise UserError(f"--k must be whole numbers between commas, as 1,2,4,8; got {text!r}") from None
    if min(ks) < 1:
        raise UserError(f"--k must be 1 or more; got {min(ks)}")
    return tuple(sorted(ks))


def _score_file(path: Path, ks: tuple[int, ...] | None) -> tuple[dict[str, Any], RecallReport]:
    import numpy as np

    from retrieval.embeddings_file import read_embeddings
    from retrieval.recall import leave_one_out, recall_at_k
    from retrieval.scoring import DEFAULT_KS, reachable

    file = read_embeddings(path)
    labels = file.class_numbers
    size = file.embeddings.shape[1]
    if file.is_query is None or file.is_gallery is None:
        report = leave_one_out(file.embeddings, labels, ks or reachable(DEFAULT_KS, len(labels) - 1))
        used = labels
    else:
        query, gallery = np.flatnonzero(file.is_query), np.flatnonzero(file.is_gallery)
        place = np.full(len(labels), -1, np.int64)
        place[gallery] = np.arange(len(gallery))
        own = place[query]
        report = recall_at_k(
            file.embeddings[query],
            labels[query],
            file.embeddings[gallery],
            labels[gallery],
            ks or reachable(DEFAULT_KS, len(gallery) - bool((own >= 0).any())),
            self_index=own,
        )
        used = labels[file.is_query | file.is_gallery]
    return {"embeddings": str(path), "classes": len(np.unique(used)), "embedding_size": size}, report


def _score_model(
    model: str,
    query_model: str | None,
    data: str,
    split: str | None,
    root: Path | None,
    ks: tuple[int, ...] | None,
    mirror: bool | None,
    pixels: int | None,
    engine: str,
) -> tuple[dict[str, Any], RecallReport]:
    from retrieval.bundle import load_bundle
    from retrieval.datasets import open_dataset
    from retrieval.left_out import left_out
    from retrieval.query_model import load_query_model
    from retrieval.scoring import score

    def report(line: str) -> None:
        typer.echo(line, err=True)

    dataset = open_dataset(data, root)
    for problem in dataset.problems:
        report(left_out(problem))
    bundle = load_bundle(model)
    queries = None if query_model is None else load_query_model(query_model, bundle)
    if mirror is not None:
        for changed in (bundle, queries):
            if changed is not None:
                changed.network.spec = replace(changed.network.spec, mirror=mirror)
    if pixels is not None:
        bundle = _at_pixels(bundle, pixels, engine)
    scored = score(dataset, bundle, query_model=queries, engine=engine, split=split, ks=ks, report=report)
    about = {
        "model": model,
        "fingerprint": bundle.fingerprint,
        "data": dataset.name,
        "split": scored.split,
        "classes": scored.classes,
        "embedding_size": bundle.embedding_size,
        "engine": scored.engine,
        **_facts(bundle),
        "unreadable": len(dataset.problems) + scored.unreadable,
    }
    if queries is not None:
        asked = {"model": query_model, "fingerprint": queries.fingerprint, **_facts(queries)}
        about |= {f"query_{key}": value for key, value in asked.items()}
    return about, scored.report


def _at_pixels(bundle: Bundle, pixels: int, engine: str) -> Bundle:
    """The model for images of another size, resized and cut in the same proportion."""
    if not engine.startswith("torch"):
        raise UserError(f"--pixels goes with --engine torch; {engine} runs an export, which is of one size")
    own = bundle.preprocessing
    resize = None if own.resize is None else round(own.resize * pixels / own.pixels)
    try:
        return replace(bundle, preprocessing=replace(own, pixels=pixels, resize=resize))
    except ValueError as error:
        raise UserError(f"--pixels: {error}") from None


def _facts(bundle: Bundle) -> dict[str, Any]:
    return {
        "mirror": bundle.network.spec.mirror,
        "pixels": bundle.preprocessing.pixels,
        "pretraining": bundle.pretraining,
    }


def _scores(report: RecallReport) -> dict[str, Any]:
    return {
        "protocol": report.protocol,
        "queries": report.queries,
        "queries_without_positive": report.queries_without_positive,
        "recall": {str(k): value for k, value in report.recall.items()},
        "map_at_r": report.map_at_r,
        "r_precision": report.r_precision,
        "precision_at_1": report.precision_at_1,
        "seconds": report.seconds,
    }


def _table(report: RecallReport, about: dict[str, Any]) -> str:
    hidden = ("mirror", "fingerprint", "unreadable")
    source = {
        key: value for key, value in about.items() if key not in hidden and not key.startswith("query_")
    }
    lines = [f"{key.replace('_', ' '):<14} {value}" for key, value in source.items()]
    if "mirror" in about:
        lines.append(f"{'mirror':<14} {'yes' if about['mirror'] else 'no'}")
    if "query_model" in about:
        mirror = "mirror" if about["query_mirror"] else "no mirror"
        facts = f"{about['query_pixels']} pixels, {mirror}, {about['query_pretraining']}"
        lines.append(f"{'query model':<14} {about['query_model']} ({facts})")
    without = report.queries_without_positive
    queries = f"{report.queries:,}" + (
        f", of which {without:,} without a positive left out" if without else ""
    )
    lines += [f"{'protocol':<14} {report.protocol}", f"{'queries':<14} {queries}"]
    if about.get("unreadable"):
        lines.append(f"{'unreadable':<14} {about['unreadable']} images left out")
    lines.append("")
    lines += [f"Recall@{k:<7} {100 * value:6.2f} %" for k, value in report.recall.items()]
    lines += [
        f"{'MAP@R':<14} {100 * report.map_at_r:6.2f} %",
        f"{'R-precision':<14} {100 * report.r_precision:6.2f} %",
    ]
    return "\n".join([*lines, "", f"scored in {report.seconds:.2f} s"])
