"""Choosing a pruning depth: which of the last blocks a data set has no use for.

Source: Ro & Choi, AutoLR (AAAI 2021): after a fine-tuning trial, high blocks whose weights have hardly varied are taken
not to contribute, and are removed from the top, one by one, for as long as recall does not drop. The paper does this by
hand; the rule here is:

1. The whole network is trained for a few epochs, and each block's weight variation over them is measured.
2. From the last block downwards, a block is a candidate while its variation lies below `small` x the median over the
   blocks that learn. Of the network's first groups enough stays for a head to stand on.
3. Candidates go from the top, one more each time. The pruned network is trained as long, from the same weights. If its
   recall at 1 is more than `tolerance` below the best so far, the search ends and that block stays.

Recall is of classes held out of the training classes, never of a test split. Every trial is a run folder, so that a
search that was killed goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Protocol

import torch
from safetensors.torch import load_file

from retrieval.errors import UserError
from retrieval.networks import backbone_row, build_ensemble, cost
from retrieval.networks.pruning import kept_blocks
from training.auto_lr.weight_variation import block_variations
from training.metrics import read_metrics
from training.recipe import Recipe
from training.run_folder import RunFolder, write_whole

Report = Callable[[str], None]

_ALL_GROUPS = ("none", "stem", "B1", "B2", "B3")


class Train(Protocol):
    """`training.loop.train`, which calls for a choice itself and is therefore given and not imported."""

    def __call__(self, recipe: Recipe, out: Path, *, resume: bool = ..., report: Report | None = ...) -> Path:
        """Train to a bundle in `out`."""


@dataclass(frozen=True)
class Depth:
    """One depth that was tried: blocks `prune_until`..N removed.

    recall: at 1, of the held-out classes. variation: weight variation, in the trial of the whole network, of the block
    that this depth removes last; None for the whole network. parameters: of the pruned network. drops: whether recall
    fell by more than the tolerance.
    """

    prune_until: int
    recall: float
    variation: float | None
    parameters: int
    drops: bool


@dataclass(frozen=True)
class PruningChoice:
    """prune_until: the depth chosen, N + 1 for the whole network. why the search ended. depths: in the order tried.
    variations: of every block in the trial of the whole network.
    """

    prune_until: int
    why: str
    depths: tuple[Depth, ...]
    variations: dict[int, float]


def choose_pruning(
    recipe: Recipe, out: Path, report: Report, *, train: Train, write: bool = True
) -> PruningChoice:
    """Search for the depth of a recipe with `prune_until: auto`, as this module says.

    out: takes a run folder a trial, `choice.json` and `choice.md`; a search that has ended there is read back. write:
    only one of many processes does. Raises UserError for rates that cannot fit more than one depth.
    """
    found = out / "choice.json"
    if found.exists():
        return _read(found)
    if isinstance(recipe.optimiser.block_factors, tuple):
        raise UserError(
            "optimiser.block_factors is a list, which fits one depth only; with network.prune_until: auto give a rule "
            "such as {first: 0.1, last: 10}, a name, or factors by block number"
        )
    blocks = kept_blocks(recipe.network.spec())
    depths: list[Depth] = []

    def attempt(k: int, variation: float | None) -> Depth:
        folder = RunFolder(out / (f"until_{k}" if k <= blocks else "whole"))
        trial = trial_recipe(recipe, k)
        train(trial, folder.path, resume=folder.recipe.exists(), report=report)
        score = read_metrics(folder)[-1]["validation"]
        recall = float(score["recall"]["1"])
        best = max((depth.recall for depth in depths), default=0.0)
        drops = recall < best - recipe.pruning.tolerance
        depths.append(Depth(k, recall, variation, cost(trial.network.spec()).parameters, drops))
        what = f"pruned until {k}" if k <= blocks else "whole network"
        report(f"{what}: R@1 {100 * recall:.1f} of held-out classes" + (", which is a drop" if drops else ""))
        return depths[-1]

    attempt(blocks + 1, None)
    variations = trial_variations(recipe, out / "whole")
    chosen, why = blocks + 1, "no block of small variation is left above what a head needs"
    for k in candidates(recipe, variations):
        if attempt(k, variations[k]).drops:
            why = f"recall drops without block {k}"
            break
        chosen = k
    choice = PruningChoice(chosen, why, tuple(depths), variations)
    if write:
        write_whole(out / "choice.md", table(choice))
        write_whole(found, json.dumps(asdict(choice), indent=1) + "\n")
    report(
        f"prune_until {chosen}"
        + (f" of {blocks} blocks" if chosen <= blocks else ", nothing removed")
        + f": {why}"
    )
    return choice


def candidates(recipe: Recipe, variations: Mapping[int, float]) -> list[int]:
    """The blocks that may go, from the last downwards; see this module's second rule. variations: by block from 1."""
    row = backbone_row(recipe.network.backbone)
    frozen = max(_ALL_GROUPS.index(recipe.network.freeze_until) - 1, 1)  # B1 is always trunk
    lowest = sum(row.blocks[:frozen]) + 2
    # Frozen blocks do not vary, and say nothing of how much others should.
    limit = recipe.pruning.small * median([value for value in variations.values() if value > 0] or [0.0])
    chosen = []
    for block in range(max(variations), lowest - 1, -1):
        if variations[block] >= limit:
            break
        chosen.append(block)
    return chosen


def trial_recipe(recipe: Recipe, k: int) -> Recipe:
    """The recipe of a trial: blocks k..N removed, few epochs, scored on held-out training classes at the end.

    Warm-up and frozen epochs shrink with the epochs. AutoLR and whitening are off: the trial is plain fine-tuning.
    Classes that the recipe holds out anyway are the ones scored on, so that the choice sees no class that the run
    itself does not.
    """
    epochs, whole = recipe.pruning.epochs, recipe.schedule.epochs
    values = recipe.model_dump()
    values["name"] = f"{recipe.name}-until-{k}"
    values["network"]["prune_until"] = k
    values["auto_lr"] = values["whitening"] = None
    values["schedule"] |= {
        "epochs": epochs,
        "warmup_epochs": recipe.schedule.warmup_epochs * epochs / whole,
        "frozen_epochs": recipe.schedule.frozen_epochs * epochs // whole,
    }
    values["validation"] |= {
        "split": None,
        "holdout": recipe.validation.holdout or recipe.pruning.holdout,
        "every": epochs,
        "k": (1,),
        "keep": "last",
    }
    return Recipe.model_validate(values)


def pruned_recipe(recipe: Recipe, choice: PruningChoice) -> Recipe:
    """The recipe with the depth that was chosen instead of `auto`."""
    network = recipe.network.model_copy(update={"prune_until": choice.prune_until})
    return recipe.model_copy(update={"network": network})


def trial_variations(recipe: Recipe, trial: Path) -> dict[int, float]:
    """Each block's weight variation, from the weights that training starts with to those of the trial's bundle."""
    torch.manual_seed(recipe.seed)  # as the loop does: random weights, where they are, must be the same
    network = build_ensemble(recipe.network.spec(), weights=recipe.network.source)
    after = load_file(RunFolder(trial).bundle / "weights.safetensors")
    return block_variations(network, network.state_dict(), after)


def table(choice: PruningChoice) -> str:
    """The depths as a Markdown table, with why the search ended below it."""
    lines = ["| prune until | R@1, held-out classes | weight variation of that block | parameters (M) | |"]
    lines.append("|---|---|---|---|---|")
    for depth in choice.depths:
        whole = depth.variation is None
        said = "chosen" if depth.prune_until == choice.prune_until else "drops" if depth.drops else ""
        lines.append(
            f"| {'none' if whole else depth.prune_until} | {100 * depth.recall:.2f} "
            f"| {'' if depth.variation is None else f'{depth.variation:.4g}'} "
            f"| {depth.parameters / 1e6:.2f} | {said} |"
        )
    numbers = ", ".join(f"{block}: {value:.4g}" for block, value in choice.variations.items())
    return "\n".join(
        [*lines, "", f"{choice.why.capitalize()}.", "", f"Weight variation by block: {numbers}.", ""]
    )


def _read(path: Path) -> PruningChoice:
    values = json.loads(path.read_text(encoding="utf-8"))
    depths: Sequence[Mapping[str, object]] = values.pop("depths")
    variations = {int(block): float(value) for block, value in values.pop("variations").items()}
    return PruningChoice(depths=tuple(Depth(**depth) for depth in depths), variations=variations, **values)  # type: ignore[arg-type]  # as written by choose_pruning
