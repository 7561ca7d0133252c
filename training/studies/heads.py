"""Studies of heads: their feature, how much they share, how they differ (Ro & Choi, HDhE, IEEE Access 2020)."""

from __future__ import annotations

from typing import Any

from training.studies.study import Row, Study

_HEAD = {"last_block": "res4_last", "stride": 1, "reduction": "penultimate+", "lr": 1.0}


def _heads(*differences: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Heads that are alike but for what is given for each."""
    return {"network.heads": [_HEAD | difference for difference in differences]}


SAME_HEADS = Row("same heads", _heads({}, {}))


def reduction(backbone: str) -> Study:
    """One head of four kinds of feature."""
    kinds = {
        "original": "none",
        "linear": "linear",
        "penultimate": "penultimate",
        "penultimate+": "penultimate+",
    }
    return Study(
        name="reduction",
        question="How should the feature be made smaller than the backbone's last map?",
        claim=(
            "A linear layer behind the pooling costs recall and memory; taking the feature in the middle of the last "
            "block saves memory and costs a little recall (penultimate), or none in the adopted form (penultimate+) "
            "(slides, design 1)."
        ),
        base={"network.preset": "single"},
        rows=tuple(
            Row(name, {"network.heads": [{"last_block": "res4_last", "stride": 2, "reduction": kind}]})
            for name, kind in kinds.items()
        ),
        memory=True,
    )


def sharing(backbone: str) -> Study:
    """The heads of `hdhe` above a trunk of three depths."""
    return Study(
        name="sharing",
        question="How much should the heads share?",
        claim=(
            "The more is shared, the more memory is saved. Sharing until B2 retrieves best; until B1 is good, until "
            "B3 is not (slides, design 2; that its three cases are B1, B2, B3 is an inference)."
        ),
        base={"network.preset": "hdhe"},
        rows=tuple(Row(f"until {group}", {"network.share_until": group}) for group in ("B1", "B2", "B3")),
        memory=True,
    )


def diversity(backbone: str) -> Study:
    """Two heads that are alike, that differ in one thing, and that differ in several."""
    low, high = {"lr": 0.5}, {"lr": 4.0}
    short = {"last_block": "res4_1"}
    return Study(
        name="diversity",
        question="Do heads that differ make a better ensemble than heads that are alike, and in what should they?",
        claim=(
            "Heads that differ in stride, depth or learning rate complement each other; the adopted pair differs in "
            "depth (res4_3, res4_1) and rate (0.5, 4), both at stride 1 (slides, design 3; HDhE)."
        ),
        base={"network.preset": "hdhe"},
        rows=(
            SAME_HEADS,
            Row("stride", _heads({}, {"stride": 2})),
            Row("depth", _heads({}, short)),
            Row("rate", _heads(low, high)),
            Row("depth and rate (HDhE)", {"network.preset": "hdhe"}),
            Row("stride and depth and rate", _heads(low | {"stride": 2}, short | high)),
        ),
    )


def ensemble(backbone: str) -> Study:
    """One head, several heads, several networks."""
    return Study(
        name="ensemble",
        question="What do heads gain over one network, and how near do they come to separate networks?",
        claim=(
            "Two different heads above one trunk are worth an ensemble at a part of its cost. R@1 of Ms-HDhE, HDhE, "
            "Tri-HDhE: CUB 71.3, 72.9, 73.5; Cars-196 89.8, 90.6, 92.2; SOP 84.0, 84.5, 85.0 (slides, results)."
        ),
        rows=(
            Row("single", {"network.preset": "single"}),
            Row("double same", {"network.preset": "hdhe", **SAME_HEADS.overrides}),
            Row("HDhE", {"network.preset": "hdhe"}),
            Row("Ms-HDhE", {"network.preset": "ms-hdhe"}),
            Row("Tri-HDhE", {"network.preset": "tri-hdhe"}),
            Row("two separate networks", {"network.preset": "single"}, models=2),
        ),
    )
