"""The methods that compare embeddings, or how the images of a batch lie to each other: rows of the table of methods."""

from __future__ import annotations

from training.distillation.methods.relations.embedding_matching import build_embedding_matching
from training.distillation.methods.relations.relations import build_relations
from training.distillation.methods.relations.rkd import build_rkd
from training.distillation.methods.relations.similarity_preserving import build_similarity_preserving
from training.distillation.methods.term import Choice, MethodRow
from training.setting import Setting

RELATION_METHODS: tuple[MethodRow, ...] = (
    MethodRow(
        "rkd",
        "Park et al., CVPR 2019; 25 and 50 of RepDistiller for classifiers (authors' code for retrieval: 1 and 2)",
        build_rkd,
        weight=1.0,
        stage="train",
        needs=(),
        settings={"distance": Setting(25.0, least=0), "angle": Setting(50.0, least=0)},
    ),
    MethodRow(
        "similarity_preserving",
        "Tung & Mori, ICCV 2019; weight and position of RepDistiller, whose form the authors verified",
        build_similarity_preserving,
        weight=3000.0,
        stage="train",
        needs=("taps",),
        position="end",
        choices={"of": Choice("last_map", ("last_map", "all_maps", "feature"))},
    ),
    MethodRow(
        "embedding_matching",
        "Budnik & Avrithis, CVPR 2021 (regression, best for a gallery of the teacher's); weight of this project",
        build_embedding_matching,
        weight=1.0,
        stage="train",
        needs=("embedding",),
        choices={"connector": Choice("none", ("none", "linear"))},
    ),
    MethodRow(
        "relations",
        "Roth et al. (S2SD), ICML 2021; with the teacher's gallery after Wu et al. (CSD), CVPR 2022; temperature and "
        "weight of this project",
        build_relations,
        weight=1.0,
        stage="train",
        needs=("embedding",),
        settings={"temperature": Setting(0.1, above=0)},
        choices={"gallery": Choice("student", ("student", "teacher"))},
    ),
)
