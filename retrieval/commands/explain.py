"""`hdhe explain`: which pixels made an embedding, or made two images similar."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.engine_option import EngineOption
from retrieval.errors import DataError, NetworkError, UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from retrieval.bundle import Bundle
    from retrieval.embedder import Embedder
    from retrieval.explain import Explanation
    from retrieval.explanation_picture import Row

TYPICAL_IMAGES = 64
"""So many images of a larger set stand for all of it: their mean moves little with more."""

Choice = tuple[int | None, ...]
"""Indices of heads; None stands for all heads together."""


def explain(
    image: Annotated[Path, typer.Argument(help="An image file.")],
    model: Annotated[
        list[str], typer.Option(help="A model bundle, or PRESET:BACKBONE[@PIXELS]. Repeatable: side by side.")
    ],
    out: Annotated[Path, typer.Option(help="The .png file to write.")],
    against: Annotated[
        Path | None, typer.Option(help="Another image: explain why the two are similar, in both.")
    ] = None,
    typical: Annotated[
        str | None,
        typer.Option(
            help="Images whose mean is taken off, so that what is particular shows: a folder or a data set."
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(help="A head's number from 1, all, or ensemble. Default: all; with --blocks: ensemble."),
    ] = None,
    blocks: Annotated[
        str | None,
        typer.Option(help="Blocks by number from the input, as 1,4,8,14, instead of the last maps."),
    ] = None,
    engine: EngineOption = "torch",
) -> None:
    """Draw class activation maps: which pixels made an embedding, or made two images similar."""
    if out.suffix.lower() != ".png":
        raise UserError(f"--out {out} must end in .png")
    if not out.parent.is_dir():
        raise UserError(f"the folder {out.parent} of --out does not exist")
    numbers = parse_blocks(blocks)

    from retrieval.bundle import load_bundle
    from retrieval.explanation_picture import draw, png

    bundles = [load_bundle(name) for name in model]
    chosen = [choose_heads(bundle, name, head, numbers) for bundle, name in zip(bundles, model, strict=True)]
    subjects = [
        _subject(
            bundle,
            short_name(name),
            heads,
            [image] if against is None else [image, against],
            numbers,
            typical,
            engine,
        )
        for bundle, name, heads in zip(bundles, model, chosen, strict=True)
    ]
    picture = png(draw(layout(subjects, numbers)))
    try:
        out.write_bytes(picture)
    except OSError as error:
        raise UserError(f"--out {out} cannot be written: {error.strerror}") from error
    for subject in subjects:
        typer.echo(f"{subject.explanation.score:.4f}  {subject.name}")
    typer.echo(out)


@dataclass(frozen=True)
class Subject:
    """One model with what it made of the images. photographs: caption and photograph of each."""

    name: str
    heads: Choice
    photographs: list[tuple[str, Image.Image]]
    explanation: Explanation


def _subject(
    bundle: Bundle,
    name: str,
    heads: Choice,
    images: list[Path],
    blocks: tuple[int, ...],
    typical: str | None,
    engine: str,
) -> Subject:
    from retrieval.embedder import Embedder
    from retrieval.explain import explain as explain_images
    from retrieval.explanation_picture import seen

    embedder = Embedder(bundle, engine=engine)
    photographs = [embedder.decode(path) for path in images]
    prepared = [bundle.preprocessing.prepare(photograph) for photograph in photographs]
    mean = None if typical is None else typical_embedding(embedder, typical)
    explanation = explain_images(bundle, *prepared, blocks=blocks, typical=mean)
    views = [
        (path.name, seen(photo, bundle.preprocessing))
        for path, photo in zip(images, photographs, strict=True)
    ]
    return Subject(name, heads, views, explanation)


def layout(subjects: list[Subject], blocks: tuple[int, ...]) -> list[Row]:
    """A row for each model and image; or, where each model has one map of an image, the models beside each other."""
    from retrieval.explanation_picture import Panel, Row, rows_of

    if blocks or len(subjects) == 1 or any(len(subject.heads) > 1 for subject in subjects):
        return [
            row
            for subject in subjects
            for row in rows_of(
                subject.explanation,
                subject.photographs,
                heads=subject.heads,
                blocks=blocks,
                about=f"{subject.name}   cosine {subject.explanation.score:.3f}",
            )
        ]
    rows = []
    for of, (caption, photograph) in enumerate(subjects[0].photographs):
        panels = [Panel("", photograph)]
        for subject in subjects:
            found = subject.explanation.map(of=of, head=subject.heads[0])
            panels.append(Panel(f"{subject.name}   {found.part:.3f}", subject.photographs[of][1], found))
        rows.append(Row(caption, panels))
    return rows


def typical_embedding(embedder: Embedder, where: str) -> NDArray[np.float32]:
    """float32[d], the mean embedding of an image, or of a sample of a data set. Raises DataError without any."""
    import numpy as np

    from retrieval.datasets import ALL, open_dataset
    from retrieval.errors import ImageError
    from retrieval.left_out import left_out

    paths = [Path(where)]
    if not paths[0].is_file() or paths[0].suffix.lower() == ".csv":
        found = open_dataset(where).subset(ALL).paths
        paths = found[:: -(-len(found) // TYPICAL_IMAGES)]
    unreadable: list[int] = []

    def report(position: int, error: ImageError) -> None:
        unreadable.append(position)
        typer.echo(left_out(error), err=True)

    embeddings = embedder.embed(paths, on_error=report)
    if len(unreadable) == len(paths):
        raise DataError(f"--typical {where}: none of its {len(paths)} images can be decoded")
    mean: NDArray[np.float32] = np.delete(embeddings, unreadable, axis=0).mean(0)
    return mean


def parse_blocks(text: str | None) -> tuple[int, ...]:
    """Numbers between commas. Raises UserError."""
    if text is None:
        return ()
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise UserError(f"--blocks must be whole numbers between commas, as 1,4,8,14; got {text!r}") from None


def choose_heads(bundle: Bundle, model: str, text: str | None, blocks: tuple[int, ...]) -> Choice:
    """The heads to show of a model. Raises UserError for one that it lacks, and for blocks that the head lacks."""
    from retrieval.networks.recording import check_blocks

    count = len(bundle.network.heads)
    text = text or ("ensemble" if blocks else "all")
    if text == "ensemble" or (text == "all" and count == 1):
        chosen: Choice = (None,)
    elif text == "all":
        chosen = (*range(count), None)
    elif text.isdecimal() and 1 <= int(text) <= count:
        chosen = (int(text) - 1,)
    else:
        raise UserError(
            f"--head must be all, ensemble or a number from 1 to {count} for {model}; got {text!r}"
        )
    for head in chosen:
        try:
            check_blocks(bundle.network, blocks, head)
        except NetworkError as error:
            raise UserError(f"--blocks: {error} ({model})") from error
    return chosen


def short_name(model: str) -> str:
    """What tells one model from another in a caption: the run's folder, or PRESET:BACKBONE as it is."""
    path = Path(model)
    return path.resolve().parent.name if path.name == "bundle" else path.name
