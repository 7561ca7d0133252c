"""The table's defaults, and what is refused in settings."""

from __future__ import annotations

import pytest

from retrieval.errors import UserError
from training.losses import LOSSES, build_loss, check_settings

PUBLISHED = {
    "cross_entropy": {},
    "norm_softmax": {"temperature": 0.05},
    "margin": {"alpha": 0.2, "beta": 1.2, "nu": 0, "cutoff": 0.5, "learn_beta": True},
    "multi_similarity": {"alpha": 2, "beta": 40, "thresh": 0.5, "epsilon": 0.1},
    "soft_triple": {"la": 20, "gamma": 0.1, "margin": 0.01, "tau": 0.2, "centres": 10},
    "proxy_anchor": {"alpha": 32, "margin": 0.1},
    "proxy_nca++": {"temperature": 1 / 9},
    "triplet": {"margin": 0.2},
    "contrastive": {"pos_margin": 0, "neg_margin": 1},
    "supcon": {"temperature": 0.1},
}


def test_the_defaults_are_the_published_settings() -> None:
    assert {name: row.defaults for name, row in LOSSES.items()} == PUBLISHED
    for name, row in LOSSES.items():
        check_settings(name, row.defaults)
        assert row.source


def test_pair_losses_name_a_sampling_and_class_losses_need_none() -> None:
    assert {name for name, row in LOSSES.items() if row.kind == "pair"} == {
        "margin",
        "multi_similarity",
        "triplet",
        "contrastive",
        "supcon",
    }
    assert all(row.images_per_class >= 2 for row in LOSSES.values() if row.kind == "pair")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("arcface", {}, "loss must be one of cross_entropy, .*; got 'arcface'"),
        ("proxy_anchor", {"alfa": 1}, "proxy_anchor has no setting 'alfa'; its settings are alpha, margin"),
        ("cross_entropy", {"margin": 1}, "cross_entropy has no setting 'margin'; it has no settings"),
        ("supcon", {"temperature": 0}, r"supcon: temperature must be > 0; got 0"),
        ("supcon", {"temperature": "hot"}, "must be a number; got 'hot'"),
        ("supcon", {"temperature": True}, "must be a number; got True"),
        ("supcon", {"temperature": float("nan")}, "must be finite; got nan"),
        ("soft_triple", {"centres": 2.5}, r"must be a whole number; got 2\.5"),
        ("soft_triple", {"centres": 0}, "must be >= 1; got 0"),
        ("multi_similarity", {"thresh": 2}, "must be <= 1; got 2"),
        ("margin", {"learn_beta": 1}, "must be true or false; got 1"),
        ("margin", {"beta": 1.9}, r"alpha \+ beta must be < 2, the largest distance there is; got 2\.1"),
        ("margin", {"cutoff": 1.5}, r"cutoff must be < alpha \+ beta, 1\.4; got 1\.5"),
        ("contrastive", {"pos_margin": 1}, "pos_margin must be < neg_margin; got 1 and 1"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(name: str, settings: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        check_settings(name, settings)
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match=message):
        build_loss(name, 8, 3, settings)


def test_a_whole_number_is_taken_for_a_float() -> None:
    check_settings("proxy_anchor", {"alpha": 16})
