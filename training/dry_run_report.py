"""What a dry run found, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from training.dry_run import DryRun
from training.published import KS, Published, published_of, published_on
from training.recipe import Recipe


def lines_of(found: DryRun, recipe: Recipe) -> Iterator[str]:
    """The report, line by line."""
    yield f"{recipe.name}: dry run on made-up images with random weights; nothing is kept"
    yield _row("data", f"{recipe.data.name}, in its own layout: " + ", ".join(_splits(found)))
    spec = recipe.network.spec()
    shared = f", shared until {spec.share_until}" if len(spec.heads) > 1 else ""
    yield _row("network", f"{recipe.network.preset} on {spec.backbone}{shared}")
    for number, head in enumerate(spec.heads, 1):
        yield _row(
            f"  head {number}",
            f"{head.last_block}, stride {head.stride}, reduction {head.reduction}, pool {head.pool}, "
            f"rates x {head.lr:g}",
        )
    views = 2 if spec.mirror else 1
    yield _row("parameters", f"{found.cost.parameters:,}, and {found.objective_parameters:,} of the loss")
    yield _row(
        "GMACs",
        f"{views * found.cost.gmacs:.2f} an image of {found.cost.pixels} x {found.cost.pixels}"
        + (f", its mirror counted ({found.cost.gmacs:.2f} a view)" if spec.mirror else ""),
    )
    yield _row("embedding", f"{found.cost.embedding_size} numbers")
    for name, rate, count in joined(found.groups):
        yield _row("rate", f"{rate:<9.3g} {name} ({count:,} parameters)")
    epochs = recipe.schedule.epochs
    about = "about " if recipe.validation.holdout or recipe.sampler.images_per_class else ""
    yield _row(
        "steps",
        f"{about}{found.steps:,} an epoch of {found.training.images:,} images, {found.steps * epochs:,} "
        f"in {epochs} epochs",
    )
    if recipe.auto_lr is not None:
        yield _row("", "not counted: the epochs that auto_lr trains again")
    if recipe.network.prune_until == "auto":
        yield _row("", "not counted: the trials of pruning; sizes are those before it")
    yield _row(
        "one step",
        f"loss {found.loss:.3f}, {recipe.batch} images in {found.seconds:.1f} s on {found.device}, "
        f"peak memory {found.gigabytes:.1f} GB",
    )
    recalls = ", ".join(f"R@{k} {100 * value:.1f}" for k, value in found.recall.recall.items())
    yield _row(
        "scoring",
        f"{found.scored}, {found.recall.protocol}: {recalls} (made up: shows that it runs, no more)",
    )
    yield from _comparison(recipe)


def joined(groups: Sequence[tuple[str, float, int]]) -> Iterator[tuple[str, float, int]]:
    """Neighbouring groups of one owner and one rate as one: `trunk.stem to trunk.block7`."""
    for (_, rate), equal in groupby(groups, key=lambda group: (_owner(group[0]), group[1])):
        members = list(equal)
        first, last = members[0][0], members[-1][0]
        name = first if first == last else f"{first} to {last}"
        yield name, rate, sum(count for _, _, count in members)


def _owner(name: str) -> str:
    owner, _, place = name.partition(".")
    return name if place == "classifier" else owner


def _splits(found: DryRun) -> Iterator[str]:
    for split, real in found.real.items():
        yield f"{split} {real} (made up: {found.made_up[split].images} of {found.made_up[split].classes})"


def _comparison(recipe: Recipe) -> Iterator[str]:
    data = recipe.data.name
    if data not in KS:
        return
    own = published_of(recipe)
    what = ", ".join(f"R@{k}" for k in KS[data])
    yield ""
    if own is None:
        yield f"published on {data}, {what}; nothing for this recipe itself:"
    else:
        yield f"published on {data}, {what}; > is this recipe:"
    for row in published_on(data):
        yield _published(row, data, own=row is own)


def _published(row: Published, data: str, *, own: bool) -> str:
    scores = " / ".join(f"{score:.{row.decimals}f}" for score in row.scores[data])
    note = f"; {row.notes[data]}" if data in row.notes else ""
    return f"{'>' if own else ' '} {row.method:<18} {scores:<30} {row.backbone}, {row.source}{note}"


def _row(name: str, text: str) -> str:
    return f"{name:<12} {text}".rstrip()
