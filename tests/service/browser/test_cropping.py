"""A part of the query as the query."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageChops

pytest.importorskip("playwright")

from playwright.sync_api import expect

from tests.service.browser.conftest import drawing
from tests.service.browser.steps import choose, hits

if TYPE_CHECKING:
    from playwright.sync_api import Page

QUERY = drawing("rings", 60)

PIXELS = """image => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/png").split(",")[1];
}"""


def shown_query(page: Page) -> Image.Image:
    content = base64.b64decode(page.locator("#preview-image").evaluate(PIXELS))
    return Image.open(io.BytesIO(content)).convert("RGB")


def test_a_crop_by_pointer_sends_that_part(page: Page) -> None:
    choose(page, drawing("disc", 60, size=400))
    hits(page)
    page.click("#crop")
    area = page.locator("#crop-stage").bounding_box()
    assert area is not None
    page.locator("#crop-whole").click()
    handle = page.locator('[data-edges="left top"]').bounding_box()
    assert handle is not None
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] * 0.25, area["y"] + area["height"] * 0.5, steps=4)
    page.mouse.up()
    expect(page.locator("#crop-note")).to_have_text("75 % of the width, 50 % of the height")
    page.click("#crop-use")
    expect(page.locator("#preview-kind")).to_have_text("A part of your image")
    hits(page)
    sent = shown_query(page)
    assert abs(sent.width - 300) <= 2
    assert abs(sent.height - 200) <= 2
    with Image.open(io.BytesIO(drawing("disc", 60, size=400))) as whole:
        part = whole.crop((400 - sent.width, 400 - sent.height, 400, 400))
    assert np.asarray(ImageChops.difference(sent, part)).mean() < 4  # what JPEG takes


def test_a_crop_by_keyboard_begins_where_the_last_one_ended(page: Page) -> None:
    choose(page, QUERY)
    hits(page)
    page.click("#crop")
    page.locator("#crop-box").press("ArrowLeft")
    for _ in range(5):
        page.keyboard.press("Shift+ArrowUp")
    expect(page.locator("#crop-note")).to_have_text("80 % of the width, 70 % of the height")
    page.click("#crop-use")
    hits(page)
    page.click("#crop")
    expect(page.locator("#crop-dialog")).to_be_visible()
    expect(page.locator("#crop-note")).to_have_text("80 % of the width, 70 % of the height")
    page.keyboard.press("Escape")
    expect(page.locator("#crop-dialog")).to_be_hidden()
