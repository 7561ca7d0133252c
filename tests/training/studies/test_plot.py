"""The plot is there, whatever came of the rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from tests.training.studies.test_table import FAILED, ONE, STUDY, THREE
from training.studies.plot import draw_study
from training.studies.results import RowResult


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("results", [[THREE], [FAILED], [FAILED, THREE, ONE]])
def test_a_plot_is_drawn(results: list[RowResult], memory: bool, tmp_path: Path) -> None:
    draw_study(replace(STUDY, memory=memory), results, tmp_path / "plot.png", about="made up")
    pixels = np.asarray(Image.open(tmp_path / "plot.png").convert("RGB"))
    # The blue of mean and spread is there when there is something to show.
    blue = (np.abs(pixels.astype(int) - (0x1F, 0x4E, 0x79)).sum(2) < 30).any()
    assert blue == any(result.outcomes for result in results)


def test_published_figures_are_diamonds(tmp_path: Path) -> None:
    for published in ({}, {"R@1": 63.49}):
        draw_study(STUDY, [replace(ONE, published=published)], tmp_path / "plot.png", about="made up")
        pixels = np.asarray(Image.open(tmp_path / "plot.png").convert("RGB"))
        rose = (np.abs(pixels.astype(int) - (0xE3, 0xB7, 0xB0)).sum(2) < 30).any()
        assert rose == bool(published)


@pytest.mark.parametrize("published", [{}, {"R@1": 63.49}, {"a score that is not drawn": 1.0}])
def test_the_title_says_what_a_diamond_is_where_there_is_one(
    published: dict[str, float], tmp_path: Path
) -> None:
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw_study(STUDY, [replace(ONE, published=published)], tmp_path / "plot.svg", about="made up")
    text = (tmp_path / "plot.svg").read_text()
    assert "made up; a dot a seed, mean ± deviation" in text
    assert ("a diamond what is published" in text) == ("R@1" in published)
