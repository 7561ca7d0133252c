from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from retrieval.explain import ActivationMap, Explanation
from retrieval.explanation_picture import Panel, Row, draw, heat, png, rows_of, seen
from retrieval.transforms import Preprocessing


def map_of(values: object, head: int | None = None, block: int | None = None, of: int = 0) -> ActivationMap:
    array = np.array(values, np.float32)
    return ActivationMap(of, head, block, array, True, float(array.sum()))


def lightness(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(image.convert("L"))


GREY = Image.new("RGB", (40, 20), (120, 120, 120))


def test_the_brightest_place_is_where_the_map_is_greatest() -> None:
    picture = lightness(heat(GREY, np.array([[0, 0], [0, 1]], np.float32)))
    assert picture.shape == (20, 40)
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    assert row >= 15
    assert column >= 30
    assert picture[2, 2] < picture[17, 37]


def test_brightness_grows_with_the_value() -> None:
    ramp = np.linspace(0, 1, 41, dtype=np.float32)[None].repeat(2, axis=0)
    row = lightness(heat(Image.new("RGB", (410, 20), (60, 60, 60)), ramp))[10].astype(int)
    assert (np.diff(row) >= -1).all()  # rounding
    assert row[-1] - row[0] > 60


def test_what_takes_away_from_the_score_is_as_dark_as_nothing() -> None:
    negative = heat(GREY, np.array([[-5, 1]], np.float32))
    zero = heat(GREY, np.array([[0, 1]], np.float32))
    assert np.asarray(negative)[10, 1].tolist() == np.asarray(zero)[10, 1].tolist()
    assert np.asarray(heat(GREY, -np.ones((2, 2), np.float32))).std() < 5  # nothing adds: an even picture


def test_the_cut_off_border_of_a_photograph_is_not_shown() -> None:
    image = Image.new("RGB", (200, 100), "white")
    image.paste((255, 0, 0), (20, 10, 180, 90))
    assert seen(image, Preprocessing(64)).size == (200, 100)
    inner = seen(image, Preprocessing(80, resize=100))
    assert inner.size == (160, 80)
    assert inner.getcolors() == [(160 * 80, (255, 0, 0))]


@pytest.mark.parametrize("blocks", [(), (1, 4)])
def test_rows_are_images_and_columns_are_heads_or_blocks(blocks: tuple[int, ...]) -> None:
    maps = tuple(
        map_of([[of + 1.0, head or 0], [block or 0, 1]], head, block, of)
        for of in (0, 1)
        for head in (0, 1, None)
        for block in (None, *blocks)
    )
    photographs = [("a.jpg", GREY), ("b.jpg", GREY)]
    rows = rows_of(Explanation(0.5, maps), photographs, heads=(0, 1, None), blocks=blocks, about="model")
    titles = [[panel.title for panel in row.panels] for row in rows]
    if blocks:
        assert [row.caption for row in rows] == [
            f"model   {image}   {head}"
            for image in ("a.jpg", "b.jpg")
            for head in ("head 1", "head 2", "all heads")
        ]
        assert titles == [["", "block 1", "block 4"]] * 6
    else:
        assert [row.caption for row in rows] == ["model   a.jpg", "model   b.jpg"]
        assert titles[0] == ["", "head 1   2.000", "head 2   3.000", "all heads   2.000"]
    for row in rows:
        assert all(panel.map is not None for panel in row.panels[1:])


def test_panels_stand_beside_each_other_and_rows_below() -> None:
    panel = Panel(
        "a title that is far too long for so narrow a panel to hold on its one line", GREY, map_of([[1, 2]])
    )
    one = draw([Row("caption", [panel])], height=50)
    three = draw([Row("caption", [panel, panel]), Row("", [Panel("", GREY)])], height=50)
    assert three.width > one.width + 90
    assert three.height > one.height + 50
    assert np.asarray(three)[-30:, -50:].min() == 255  # the second row is shorter
    with Image.open(io.BytesIO(png(three))) as read:
        assert (read.format, read.size) == ("PNG", three.size)


def test_photographs_of_any_shape_are_drawn() -> None:
    for size in ((1, 1), (3000, 10), (10, 3000)):
        assert (
            draw([Row("", [Panel("", Image.new("RGB", size), map_of(np.zeros((3, 3))))])], height=60).height
            < 200
        )
