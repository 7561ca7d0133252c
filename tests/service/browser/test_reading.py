"""Every state of the page can be read, in light and dark, on desktop and phone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright")

from playwright.sync_api import expect

from tests.service.browser.conftest import Shop, Visit, drawing
from tests.service.browser.steps import choose, hits

if TYPE_CHECKING:
    from playwright.sync_api import Page

QUERY = drawing("disc", 60)

# The contrast of WCAG 2: of each visible text with the colour that is painted behind it.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b]
    .map((each) => each / 255)
    .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
    .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      if (each.matches(".frame")) return null; // a photograph
      const colour = rgba(getComputedStyle(each).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility({ checkOpacity: true })) continue;
    const ground = behind(element);
    if (ground === null || element.closest(":disabled")) continue;
    const [low, high] = [luminance(rgba(getComputedStyle(element).color)), luminance(ground)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) poor.push(`${walker.currentNode.data.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return poor;
}"""

NAMELESS = """() => [...document.querySelectorAll("button, a, input, select, textarea, img, summary")]
  .filter((each) => each.checkVisibility() && each.type !== "file")
  .filter((each) => !(
    each.getAttribute("aria-label") || each.hasAttribute("alt") || each.textContent.trim() || each.labels?.length
  ))
  .map((each) => each.outerHTML)"""

WINDOWS = {
    "add": "#add-open",
    "key": "#key-open",
    "details": "#grid li:first-child .over:not(.why)",
    "crop": "#crop",
}


@pytest.mark.parametrize(
    ("scheme", "phone"),
    [
        pytest.param("light", False, id="light-desktop"),
        pytest.param("dark", True, id="dark-phone"),
        pytest.param("dark", False, id="dark-desktop", marks=pytest.mark.slow),
        pytest.param("light", True, id="light-phone", marks=pytest.mark.slow),
    ],
)
def test_every_state_can_be_read_and_fits(visit: Visit, shop: Shop, scheme: str, phone: bool) -> None:
    page = visit(shop.address, phone=phone, color_scheme=scheme)
    page.wait_for_selector(".card")

    def check(state: str) -> None:
        page.wait_for_timeout(250)  # until what fades in is there
        assert page.evaluate(CONTRAST) == [], state
        assert page.evaluate(NAMELESS) == [], state
        over = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        scrolled, width = page.evaluate(over)
        assert scrolled <= width, state

    dark = (
        sum(map(int, page.evaluate("getComputedStyle(document.body).backgroundColor")[4:-1].split(", ")))
        < 200
    )
    assert dark == (scheme == "dark")
    check("start")
    choose(page, QUERY)
    hits(page)
    page.click("#filter > summary")
    page.fill("#filter-label", "disc")
    page.keyboard.press("Enter")
    page.wait_for_selector("#filter-chip")
    hits(page)
    page.click("#filter-more")
    check("hits")
    for window, opener in WINDOWS.items():
        page.locator(opener).click(force=True)
        page.wait_for_selector("dialog[open]")
        check(window)
        box = page.locator("dialog[open]").bounding_box()
        size = page.viewport_size
        assert box is not None
        assert size is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= size["width"]
        page.keyboard.press("Escape")
    choose(page, b"no image")
    page.wait_for_selector("#error")
    check("error")


def test_the_size_of_a_large_collection_is_not_cut_off_on_a_phone(visit: Visit, shop: Shop) -> None:
    page = visit(shop.address, phone=True)
    page.wait_for_selector(".card")
    stats = shop.client.stats().model_dump() | {"items": 1_234_567, "labels": 12_345}
    page.route("**/v1/stats", lambda route: route.fulfill(status=200, body=json.dumps(stats)))
    page.reload()
    line = page.locator("#collection-line")
    expect(line).to_have_text("1,234,567 images · 12,345 labels")
    assert line.evaluate(
        "line => line.scrollWidth <= line.clientWidth && line.scrollHeight <= line.clientHeight"
    )


def test_the_colours_can_be_chosen_and_stay(page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    automatic = page.evaluate(ground)
    page.click("#theme")
    assert page.evaluate(ground) == automatic  # light, as the system had it
    page.click("#theme")
    dark = page.evaluate(ground)
    assert dark != automatic
    assert "dark" in (page.locator("#theme").get_attribute("aria-label") or "")
    page.reload()
    assert page.evaluate(ground) == dark
    page.click("#theme")
    assert page.evaluate(ground) == automatic
