"""`hdhe evaluate`: Recall@K, MAP@R and R-precision of a model on a data set, or of embeddings in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retrieval.errors import DataError, UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.bundle import Bundle
    from retrieval.datasets import Subset
    from retrieval.recall import RecallReport

# NumPy and torch are imported where they are used, so that `hdhe --help` answers at once.

DEFAULT_KS = (1, 2, 4, 8)
KS_OF = {"sop": (1, 10, 100, 1000), "inshop": (1, 10, 20, 30, 40, 50)}
"""The Ks that papers report on a data set where they are not 1, 2, 4, 8."""


def evaluate(
    model: Annotated[
        str | None, typer.Option(help="A model bundle, or PRESET:BACKBONE[@PIXELS] for one not fine-tuned.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A known data set, a folder with one folder a class, or a manifest.")
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
            "--mirror/--no-mirror", help="Add the mirrored image's embedding; as the model says by default."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Score retrieval: exact Recall@K, MAP@R and R-precision."""
    ks = None if k is None else parse_ks(k)
    if embeddings is not None:
        for name, value in {
            "--model": model, "--data": data, "--split": split, "--root": root, "--mirror": mirror
        }.items():  # fmt: skip
            if value is not None:
                raise UserError(f"{name} does not go with --embeddings, which already holds the vectors")
        about, report = _score_file(embeddings, ks)
    elif model is not None and data is not None:
        about, report = _score_model(model, data, split, root, ks, mirror)
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

    file = read_embeddings(path)
    labels = file.class_numbers
    size = file.embeddings.shape[1]
    if file.is_query is None or file.is_gallery is None:
        report = leave_one_out(file.embeddings, labels, ks or _reachable(DEFAULT_KS, len(labels) - 1))
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
            ks or _reachable(DEFAULT_KS, len(gallery) - bool((own >= 0).any())),
            self_index=own,
        )
        used = labels[file.is_query | file.is_gallery]
    return {"embeddings": str(path), "classes": len(np.unique(used)), "embedding_size": size}, report


def _score_model(
    model: str,
    data: str,
    split: str | None,
    root: Path | None,
    ks: tuple[int, ...] | None,
    mirror: bool | None,
) -> tuple[dict[str, Any], RecallReport]:
    from retrieval.bundle import load_bundle
    from retrieval.datasets import QUERY_GALLERY, open_dataset
    from retrieval.recall import leave_one_out, recall_at_k

    dataset = open_dataset(data, root)
    for problem in dataset.problems:
        typer.echo(f"hdhe: {problem}", err=True)
    split = split or dataset.default_split
    pair = split == QUERY_GALLERY
    parts = dataset.query_gallery() if pair else (dataset.subset(split),)
    bundle = load_bundle(model)
    if mirror is not None:
        bundle = _with_mirror(bundle, mirror)
    scored = [_embed(bundle, part) for part in parts]
    (query, query_labels), (gallery, gallery_labels) = scored[0], scored[-1]
    usual = KS_OF.get(dataset.name, DEFAULT_KS)
    ks = ks or _reachable(usual, len(gallery) - (not pair))
    if pair:
        report = recall_at_k(query, query_labels, gallery, gallery_labels, ks, self_index=None)
    else:
        report = leave_one_out(query, query_labels, ks)
    return {
        "model": model,
        "fingerprint": bundle.fingerprint,
        "data": dataset.name,
        "split": split,
        "classes": len({int(number) for _, labels in scored for number in labels}),
        "embedding_size": bundle.embedding_size,
        "mirror": bundle.network.spec.mirror,
        "pixels": bundle.preprocessing.pixels,
        "pretraining": bundle.pretraining,
        "unreadable": len(dataset.problems)
        + sum(len(p) - len(s[1]) for p, s in zip(parts, scored, strict=True)),
    }, report


def _with_mirror(bundle: Bundle, mirror: bool) -> Bundle:
    from dataclasses import replace

    bundle.network.spec = replace(bundle.network.spec, mirror=mirror)
    return bundle


def _embed(bundle: Bundle, subset: Subset) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings and labels of the images that can be read; the others are named on stderr, one line each."""
    import numpy as np

    from retrieval.embedder import Embedder
    from retrieval.errors import ImageError
    from retrieval.progress import track

    embedder = Embedder(bundle)
    embeddings = np.zeros((len(subset), embedder.embedding_size), np.float32)
    readable = np.ones(len(subset), bool)

    def report(position: int, error: ImageError) -> None:
        readable[position] = False
        typer.echo(f"hdhe: left out: {error}", err=True)

    batches = embedder.batches(subset.paths, on_error=report)
    total = -(-len(subset) // embedder.batch_size)
    for rows, batch in track(batches, total=total, label=f"embed {subset.name}", unit="batches"):
        embeddings[rows] = batch
    if not readable.any():
        raise DataError(f"none of the {len(subset)} images of {subset.name} can be decoded")
    return embeddings[readable], subset.labels[readable]


def _reachable(ks: tuple[int, ...], available: int) -> tuple[int, ...]:
    """Those Ks that the gallery allows; at least the first, so that a gallery without items is reported."""
    return tuple(k for k in ks if k <= available) or ks[:1]


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
    source = {
        key: value for key, value in about.items() if key not in ("mirror", "fingerprint", "unreadable")
    }
    lines = [f"{key.replace('_', ' '):<14} {value}" for key, value in source.items()]
    if "mirror" in about:
        lines.append(f"{'mirror':<14} {'yes' if about['mirror'] else 'no'}")
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
