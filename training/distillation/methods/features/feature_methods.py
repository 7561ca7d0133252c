"""The methods that hand down features, as rows of their four aspects.

| method | teacher transform | student transform | position | distance | what the student misses |
|---|---|---|---|---|---|
| fitnets | none | connector | mid | L2 | nothing |
| at | attention | attention | end | L2 | channels |
| ft | paraphraser | translator | end, last layer | L1 | what the auto-encoder drops |
| ab | binarise | connector | pre-ReLU | marginal L2 | values |
| ofd | margin ReLU | connector | pre-ReLU | partial L2 | strongly negative values |

(Heo et al., "A Comprehensive Overhaul of Feature Distillation", ICCV 2019, table 1.) FSP compares correlations and
stands beside them. Which to take: `ab` before a short training or for little data, `ofd` for a long training; `at` has
no weights of its own and asks nothing of the networks but the same number of positions.
"""

from __future__ import annotations

from training.distillation.methods.features.distances import DISTANCES
from training.distillation.methods.features.feature_term import FeatureTerm
from training.distillation.methods.features.fsp import FSP
from training.distillation.methods.features.student_transforms import STUDENT_TRANSFORMS
from training.distillation.methods.features.teacher_transforms import TEACHER_TRANSFORMS
from training.distillation.methods.term import Choice, MethodRow, Need
from training.setting import Setting

_TAPS: tuple[Need, ...] = ("taps",)


def aspects(
    teacher: str, student: str, distance: str, reduction: str, layers: str = "all"
) -> dict[str, Choice]:
    """The words of a `FeatureTerm`, with a method's own as defaults.

    teacher_transform, student_transform, distance: three of the four aspects; the position is the row's. reduction:
    `mean` over all elements of a layer, or `per_image`: their sum, divided by the images of the batch. layers: `all`
    positions, the `middle` one or the `last`. margins: margin ReLU's, from the teacher's `batch_norm` or its `running`
    responses.
    """
    return {
        "teacher_transform": Choice(teacher, tuple(TEACHER_TRANSFORMS)),
        "student_transform": Choice(student, tuple(STUDENT_TRANSFORMS)),
        "distance": Choice(distance, tuple(DISTANCES)),
        "reduction": Choice(reduction, ("mean", "per_image")),
        "layers": Choice(layers, ("all", "middle", "last")),
        "margins": Choice("batch_norm", ("batch_norm", "running")),
    }


def numbers(*, layer_decay: float = 1.0, always_connect: bool = False) -> dict[str, Setting]:
    """The numbers of a `FeatureTerm`, used where its aspects have a use for them.

    layer_decay: weight of a layer, relative to the next deeper one's. always_connect: connectors also between maps of
    the same channels. mu: margin of the marginal L2. rate: a factor's channels, relative to the teacher's.
    """
    return {
        "layer_decay": Setting(layer_decay, above=0, most=1),
        "always_connect": Setting(always_connect),
        "mu": Setting(1.0, above=0),
        "rate": Setting(0.5, above=0, most=1),
    }


FEATURE_METHODS: tuple[MethodRow, ...] = (
    MethodRow(
        "fitnets",
        "Romero et al., ICLR 2015 (there a first stage of its own); weight, mean and one stage as in RepDistiller",
        FeatureTerm,
        100.0,
        "train",
        _TAPS,
        "mid",
        numbers(always_connect=True),
        aspects("none", "connector", "l2", "mean"),
    ),
    MethodRow(
        "at",
        "Zagoruyko & Komodakis, ICLR 2017; authors' code",
        FeatureTerm,
        1000.0,
        "train",
        _TAPS,
        "end",
        numbers(),
        aspects("attention", "attention", "l2", "mean"),
    ),
    MethodRow(
        "ft",
        "Kim et al., NeurIPS 2018; authors' code (CIFAR; the paraphraser learns for 5 epochs before)",
        FeatureTerm,
        500.0,
        "train",
        _TAPS,
        "end",
        numbers(),
        aspects("paraphraser", "translator", "l1", "mean", layers="last"),
    ),
    MethodRow(
        "ab",
        "Heo et al., AAAI 2019; authors' code (weight for CIFAR; 1e-3 for MIT-67 at 224 pixels)",
        FeatureTerm,
        3e-3,
        "initialise",
        _TAPS,
        "pre_relu",
        numbers(layer_decay=0.5),
        aspects("binarise", "connector", "marginal_l2", "per_image"),
        teacher_trains=True,
    ),
    MethodRow(
        "ofd",
        "Heo et al., ICCV 2019; authors' code (weight for CIFAR; 1e-4 for ImageNet and unlike students)",
        FeatureTerm,
        1e-3,
        "train",
        _TAPS,
        "pre_relu",
        numbers(layer_decay=0.5, always_connect=True),
        aspects("margin_relu", "connector", "partial_l2", "per_image"),
        teacher_trains=True,
    ),
    MethodRow(
        "fsp",
        "Yim et al., CVPR 2017 (two stages); weight and mean as in RepDistiller; connectors are this project's",
        FSP,
        1.0,
        "initialise",
        _TAPS,
        "end",
        {"always_connect": Setting(False)},
        {
            "teacher_transform": Choice("none", ("none", "relu")),
            "student_transform": Choice("connector", ("none", "connector", "connector_relu")),
        },
    ),
)
"""Their weights belong to their reductions: a recipe that changes one has to look for the other."""
