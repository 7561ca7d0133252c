from __future__ import annotations

import pytest

from training.published import KS, TABLE, published_of, published_on
from training.recipe_file import load_recipe


@pytest.mark.parametrize("data", list(KS))
@pytest.mark.parametrize(
    ("recipe", "method"), [("hdhe", "HDhE"), ("ms_hdhe", "Ms-HDhE"), ("tri_hdhe", "Tri-HDhE")]
)
def test_the_authors_recipes_know_what_was_published(data: str, recipe: str, method: str) -> None:
    row = published_of(load_recipe(f"{data}_{recipe}"))
    assert row is not None
    assert row.method == method


def test_autolr_published_on_cub_only() -> None:
    methods = {"single": "single", "pruned": "pruned until 15", "pruned_star": "pruned until 15 *"}
    for recipe, method in methods.items():
        row = published_of(load_recipe(f"cub200_{recipe}"))
        assert row is not None
        assert row.method == method
        assert published_of(load_recipe(f"sop_{recipe}")) is None


@pytest.mark.parametrize(
    "change", ["network.backbone=resnet18", "network.pool=max", "optimiser.block_factors=dagger"]
)
def test_another_network_or_other_rates_are_another_thing(change: str) -> None:
    assert published_of(load_recipe("cub200_hdhe", [change])) is None


def test_the_best_comes_first() -> None:
    for data in KS:
        first = [row.scores[data][0] for row in published_on(data)]
        assert first == sorted(first, reverse=True)
        assert published_on(data)[0].method == "Tri-HDhE"


def test_every_figure_is_a_recall_in_per_cent_of_growing_k() -> None:
    for row in TABLE:
        assert row.notes.keys() <= row.scores.keys() <= KS.keys()
        for data, scores in row.scores.items():
            assert 1 <= len(scores) <= len(KS[data])
            assert list(scores) == sorted(scores)
            assert all(40 < score < 100 for score in scores)
            assert all(round(score, row.decimals) == score for score in scores)


def test_what_the_slides_have_wrong_is_put_right() -> None:
    by_method = {row.method: row for row in TABLE}
    assert by_method["HDC"].scores["sop"][2] == 92.8
    assert by_method["NormSoftmax"].scores["sop"] == (79.55, 91.54, 96.66)
    assert by_method["Margin"].scores["sop"] == (72.7, 86.2, 93.8)
    assert "inshop" not in by_method["Margin"].scores
