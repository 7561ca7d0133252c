"""The ways to join heads that a recipe can name, with their authors' settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from retrieval.errors import UserError
from training.ensembles.abe import Divergent
from training.ensembles.abier import Boosted
from training.ensembles.dreml import MetaClasses
from training.ensembles.hdc import Cascade
from training.objective import Objective
from training.setting import Setting, Settings, Value, resolve


@dataclass(frozen=True)
class CombinerRow:
    """One way to join heads.

    preset: the network that it is meant for. source: paper, and where its settings come from.
    images_per_class: what the authors' sampler puts into a batch of each class, at least 2 where pairs are needed;
    0 = a plain shuffle. build: (feature sizes, classes, all settings, seed) to the objective.
    """

    name: str
    preset: str
    source: str
    images_per_class: int
    settings: Mapping[str, Setting]
    build: Callable[[Sequence[int], int, Mapping[str, Value], int], Objective]

    @property
    def defaults(self) -> dict[str, Value]:
        """The authors' settings."""
        return {key: setting.default for key, setting in self.settings.items()}

    def resolve(self, settings: Settings) -> dict[str, Value]:
        """All settings, the given ones in place of the defaults. Raises UserError naming the one that is wrong."""
        return resolve(f"combine {self.name}", self.settings, settings)


def _cascade(sizes: Sequence[int], classes: int, settings: Mapping[str, Value], seed: int) -> Objective:
    shares = (1.0, settings["second_share"], *[settings["third_share"]] * len(sizes))
    return Cascade(shares[: len(sizes)], margin=settings["margin"])


def _boosted(sizes: Sequence[int], classes: int, settings: Mapping[str, Value], seed: int) -> Objective:
    return Boosted(
        sizes,
        scale=settings["scale"],
        threshold=settings["threshold"],
        negative_cost=settings["negative_cost"],
        adversary=settings["adversary"],
        hidden=int(settings["hidden"]),
    )


def _divergent(sizes: Sequence[int], classes: int, settings: Mapping[str, Value], seed: int) -> Objective:
    return Divergent(
        margin=settings["margin"],
        divergence=settings["divergence"],
        divergence_margin=settings["divergence_margin"],
    )


def _meta_classes(sizes: Sequence[int], classes: int, settings: Mapping[str, Value], seed: int) -> Objective:
    groups = int(settings["meta_classes"])
    if groups > classes:
        raise UserError(
            f"combine meta_classes: {groups} meta classes cannot be made of {classes} training classes; "
            f"set meta_classes to {classes} or less"
        )
    return MetaClasses(sizes, classes, meta_classes=groups, scale=settings["scale"], seed=seed)


_ROWS = (
    CombinerRow(
        "cascade",
        "hdc",
        "HDC (Yuan et al., ICCV 2017); authors' code (10 classes of 10 images on CUB and Cars)",
        10,
        {
            "margin": Setting(1.0, above=0, most=4),
            "second_share": Setting(0.5, above=0, most=1),
            "third_share": Setting(0.2, above=0, most=1),
        },
        _cascade,
    ),
    CombinerRow(
        "boosted",
        "a-bier",
        "A-BIER (Opitz et al., PAMI 2018); authors' code (32 images of 6 classes); the adversary's weight is this "
        "project's, because its features are scaled otherwise",
        5,
        {
            "scale": Setting(2.0, above=0),
            "threshold": Setting(0.5, least=-1, most=1),
            "negative_cost": Setting(25.0, above=0),
            "adversary": Setting(0.01, least=0),
            "hidden": Setting(512, least=1, most=65536),
        },
        _boosted,
    ),
    CombinerRow(
        "divergent",
        "abe-8",
        "ABE (Kim et al., ECCV 2018); 2 images a class are this project's, for the paper's pairs",
        2,
        {
            "margin": Setting(1.0, above=0, most=4),
            "divergence": Setting(1.0, least=0),
            "divergence_margin": Setting(1.0, above=0, most=4),
        },
        _divergent,
    ),
    CombinerRow(
        "meta_classes",
        "dreml",
        "DREML (Xuan et al., ECCV 2018); authors' code",
        0,
        {"meta_classes": Setting(12, least=2), "scale": Setting(1.0, above=0)},
        _meta_classes,
    ),
)

COMBINERS: dict[str, CombinerRow] = {row.name: row for row in _ROWS}


def check_combiner(name: str, settings: Settings) -> None:
    """Raises UserError for an unknown name, and for settings that it has not or that are out of their range."""
    _row(name).resolve(settings)


def build_combined(
    name: str, feature_sizes: Sequence[int], classes: int, settings: Settings, *, seed: int
) -> Objective:
    """The objective over all heads, its weights drawn from torch's generator.

    feature_sizes: length d_h of each head's feature. settings: in place of the defaults. seed: of what is random but
    must be the same in every process and after a resume. Raises UserError as `check_combiner` does, for a network of
    one head, and for settings that the number of classes rules out.
    """
    row = _row(name)
    resolved = row.resolve(settings)
    if len(feature_sizes) < 2:
        raise UserError(
            f"combine {name} joins heads, but the network has one; use a preset such as {row.preset}"
        )
    return row.build(feature_sizes, classes, resolved, seed)


def _row(name: str) -> CombinerRow:
    if name not in COMBINERS:
        raise UserError(f"combine must be one of {', '.join(COMBINERS)}; got {name!r}")
    return COMBINERS[name]
