"""The losses that a recipe can name, with their authors' settings and where those come from."""

from __future__ import annotations

from retrieval.errors import UserError
from training.losses import class_losses, pair_losses
from training.losses.class_losses import CrossEntropy, ProxyNCAPlusPlus
from training.losses.head_loss import HeadLoss
from training.losses.row import LossRow
from training.setting import Setting, Settings

_ROWS = (
    LossRow(
        "cross_entropy",
        "Ro & Choi (HDhE, IEEE Access 2020)",
        "class",
        0,
        {},
        CrossEntropy,
    ),
    LossRow(
        "norm_softmax",
        "Zhai & Wu, BMVC 2019; authors' code (25 images a class on CUB and Cars, 5 on SOP and In-Shop)",
        "class",
        25,
        {"temperature": Setting(0.05, above=0)},
        class_losses.norm_softmax,
    ),
    LossRow(
        "margin",
        "Wu et al., ICCV 2017; authors' code",
        "pair",
        5,
        {
            "alpha": Setting(0.2, above=0, most=2),
            "beta": Setting(1.2, above=0, most=2),
            "nu": Setting(0.0, least=0),
            "cutoff": Setting(0.5, above=0, most=2),
            "learn_beta": Setting(True),
        },
        pair_losses.margin,
        pair_losses.margin_problem,
    ),
    LossRow(
        "multi_similarity",
        "Wang et al., CVPR 2019; authors' code (16 classes of 5 images)",
        "pair",
        5,
        {
            "alpha": Setting(2.0, above=0),
            "beta": Setting(40.0, above=0),
            "thresh": Setting(0.5, least=-1, most=1),
            "epsilon": Setting(0.1, least=0, most=2),
        },
        pair_losses.multi_similarity,
    ),
    LossRow(
        "soft_triple",
        "Qian et al., ICCV 2019; authors' code",
        "class",
        0,
        {
            "la": Setting(20.0, above=0),
            "gamma": Setting(0.1, above=0),
            "margin": Setting(0.01, least=0),
            "tau": Setting(0.2, least=0),
            "centres": Setting(10, least=1, most=100),
        },
        class_losses.soft_triple,
    ),
    LossRow(
        "proxy_anchor",
        "Kim et al., CVPR 2020; authors' code",
        "class",
        0,
        {"alpha": Setting(32.0, above=0), "margin": Setting(0.1, least=0, most=2)},
        class_losses.proxy_anchor,
    ),
    LossRow(
        "proxy_nca++",
        "Teh et al., ECCV 2020; authors' code (8 classes of 4 images)",
        "class",
        4,
        {"temperature": Setting(1 / 9, above=0)},
        ProxyNCAPlusPlus,
    ),
    LossRow(
        "triplet",
        "Schroff et al. (FaceNet), CVPR 2015, which has about 40 images a class; 4 is this project's",
        "pair",
        4,
        {"margin": Setting(0.2, above=0, most=4)},
        pair_losses.triplet,
    ),
    LossRow(
        "contrastive",
        "Hadsell et al., CVPR 2006; margins of pytorch-metric-learning; 4 images a class are this project's",
        "pair",
        4,
        {"pos_margin": Setting(0.0, least=0, most=2), "neg_margin": Setting(1.0, above=0, most=2)},
        pair_losses.contrastive,
        pair_losses.contrastive_problem,
    ),
    LossRow(
        "supcon",
        "Khosla et al., NeurIPS 2020, with large plain batches; 4 images a class are this project's",
        "pair",
        4,
        {"temperature": Setting(0.1, above=0)},
        pair_losses.supcon,
    ),
)

LOSSES: dict[str, LossRow] = {row.name: row for row in _ROWS}


def check_settings(name: str, settings: Settings) -> None:
    """Raises UserError for an unknown loss, and for settings that it has not or that are out of their range."""
    _row(name).resolve(settings)


def build_loss(
    name: str, feature_size: int, classes: int, settings: Settings, *, hidden: bool = False
) -> HeadLoss:
    """The loss of one head, its weights drawn from torch's generator.

    feature_size: length d of the head's feature. settings: in place of the defaults. hidden: cross_entropy classifies
    through Ro & Choi's class block instead of a linear layer; other losses have no use for it. Raises UserError as
    `check_settings` does.
    """
    row = _row(name)
    resolved = row.resolve(settings)
    if hidden and row.build is CrossEntropy:
        return CrossEntropy(feature_size, classes, hidden=True)
    return row.build(feature_size, classes, resolved)


def _row(name: str) -> LossRow:
    if name not in LOSSES:
        raise UserError(f"loss must be one of {', '.join(LOSSES)}; got {name!r}")
    return LOSSES[name]
