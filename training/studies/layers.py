"""Studies of single blocks: which are needed, and how fast each should learn (Ro & Choi, AutoLR, AAAI 2021)."""

from __future__ import annotations

from retrieval.networks.backbones import backbone_row
from training.studies.study import Row, Study


def pruning(backbone: str) -> Study:
    """Blocks removed from the top, one by one, until none of B4 is left, and one more."""
    blocks = backbone_row(backbone).blocks
    last, first_of_b4 = sum(blocks), sum(blocks[:3]) + 1
    # Blocks k..N go. B3 of some backbone may have one block; its trunk B1 and a block of B2 must stay.
    lowest = max(first_of_b4 - 1, blocks[0] + 2)
    return Study(
        name="pruning",
        question="Does retrieval need the highest blocks of a pretrained network?",
        claim=(
            "High blocks whose weights change little in fine-tuning do not help: removing the last of ResNet-50's 16 "
            "blocks raises CUB's R@1 from 63.49 to 66.95, the last two to 67.00; without a third it falls to 51.00 "
            "(slides, layer-wise pruning; AutoLR)."
        ),
        base={"network.preset": "single"},
        rows=(
            Row("none"),
            *(Row(f"until {k}", {"network.prune_until": k}) for k in range(last, lowest - 1, -1)),
            Row("chosen automatically", {"network.prune_until": "auto"}),
        ),
    )


def layer_rates(backbone: str) -> Study:
    """Hand-set rates per block, on the pruned network."""
    return Study(
        name="layer-rates",
        question="Should low blocks learn slowly and high blocks fast?",
        claim=(
            "On ResNet-50 pruned until 15, CUB's R@1 rises from 67.00 at one rate to 67.15 with a tenth of it in "
            "blocks 1-3 (dagger), to 67.29 with ten times it in blocks 13-14 (double dagger), and to 68.33 with rates "
            "set by hand so that blocks change more the higher they are (star) (slides, layer-wise learning rates)."
        ),
        base={"network.preset": "pruned"},
        rows=(
            Row("one rate"),
            Row("dagger", {"optimiser.block_factors": "dagger"}),
            Row("double dagger", {"optimiser.block_factors": "double_dagger"}),
            Row("star", {"optimiser.block_factors": "star"}),
            Row("geometric 0.3 to 3", {"optimiser.block_factors": {"first": 0.3, "last": 3.0}}),
        ),
    )


def auto_lr(backbone: str) -> Study:
    """AutoLR against one rate and against rates set by hand, on the pruned network."""
    return Study(
        name="auto-lr",
        question="Does AutoLR find rates as good as those set by hand?",
        claim=(
            "Rates that make the blocks' weight variations ascend, found by trial within training, retrieve better "
            "than one rate for all (AutoLR; the slides show the hand-set rates only: 67.00 -> 68.33 on CUB)."
        ),
        base={"network.preset": "pruned"},
        rows=(
            Row("one rate"),
            Row("AutoLR", {"auto_lr": {}}),
            Row("star", {"optimiser.block_factors": "star"}),
        ),
    )
