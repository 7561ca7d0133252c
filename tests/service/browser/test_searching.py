"""Handing over an image, looking at the hits, and going on from them."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright")

from playwright.sync_api import expect

from tests.service.browser.conftest import KINDS, Shop, Visit, drawing
from tests.service.browser.steps import choose, hits, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

QUERY = drawing("rings", 60)


def test_the_start_shows_every_label(page: Page) -> None:
    labels = page.locator("#grid .label").all_inner_texts()
    assert labels[:3] == list(KINDS)
    expect(page.locator("#collection-line")).to_have_text("12 images · 3 labels")


def test_the_start_shows_as_many_as_are_asked_for(page: Page) -> None:
    expect(page.locator("#grid li")).to_have_count(12)
    page.locator("#k label").first.click()
    expect(page.locator("#grid li")).to_have_count(6)
    page.locator("#k label").last.click()
    expect(page.locator("#grid li")).to_have_count(12)


def test_a_chosen_file_finds_what_the_service_finds(page: Page, shop: Shop) -> None:
    choose(page, QUERY)
    expected = shop.client.search(QUERY, k=12).hits
    assert hits(page) == [hit.id for hit in expected]
    first = page.locator("#grid li").first
    assert first.locator(".label").inner_text() == expected[0].label == "rings"
    assert float(first.locator(".score").inner_text()) == pytest.approx(expected[0].score, abs=6e-4)
    attributes = f"shade {expected[0].attributes['shade']}"
    assert first.locator(".attributes").inner_text() == attributes
    # Where there is no room for all of them.
    assert first.locator(".attributes").get_attribute("title") == attributes
    expect(page.locator("#summary")).to_contain_text("12 hits")
    # Each picture is there, not only its frame.
    until(page, "[...document.querySelectorAll('.picture')].every((each) => each.naturalWidth > 0)")
    page.locator("#k label").first.click()
    expect(page.locator("#grid li")).to_have_count(6)


TRANSFER = """content => {
  const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
  return transfer;
}"""


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_dropped_and_pasted_images_are_searched(page: Page, way: str) -> None:
    transfer = page.evaluate_handle(TRANSFER, base64.b64encode(drawing("stripes", 70)).decode())
    if way == "drop":
        page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
        assert "over" in (page.locator("#drop").get_attribute("class") or "")
        page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    else:
        page.evaluate(
            "data => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }))", transfer
        )
    assert hits(page)[0].startswith("stripes/")
    expect(page.locator("#preview-name")).to_have_text("dropped.png")


def test_a_photograph_is_searched_and_the_camera_let_go(page: Page) -> None:
    page.click("#camera-open")
    page.wait_for_selector("#camera-take:enabled")
    track = page.evaluate_handle("document.getElementById('camera-video').srcObject.getTracks()[0]")
    page.click("#camera-take")
    hits(page)
    expect(page.locator("#preview-name")).to_have_text("Photograph")
    assert page.locator("#preview-image").evaluate("image => image.naturalWidth") > 100
    assert track.evaluate("track => track.readyState") == "ended"


def test_more_like_a_hit_and_back(page: Page, shop: Shop) -> None:
    choose(page, QUERY)
    first = hits(page)
    page.locator("#grid .card").nth(1).click()
    expect(page.locator("#preview-kind")).to_have_text("More like")
    assert hits(page) == [hit.id for hit in shop.client.search(id=first[1], k=12).hits]
    expect(page.locator("#summary")).to_contain_text("of the same label")
    address = page.url
    page.go_back()
    expect(page.locator("#preview-kind")).to_have_text("Your image")
    assert hits(page) == first
    page.goto(address)  # an item's search can be kept and passed on
    assert hits(page) == [hit.id for hit in shop.client.search(id=first[1], k=12).hits]


def test_the_filter_narrows_the_hits_and_stays_in_the_address(page: Page) -> None:
    choose(page, QUERY)
    hits(page)
    page.locator("#grid .card").first.click()
    expect(page.locator("#preview-kind")).to_have_text("More like")
    hits(page)
    page.click("#filter > summary")
    page.fill("#filter-label", "disc")
    page.keyboard.press("Enter")
    page.wait_for_selector("#filter-chip")
    assert {hit.split("/")[0] for hit in hits(page)} == {"disc"}
    page.click("#filter-more")
    row = page.locator("#filter-rows .row")
    row.locator("input").nth(0).fill("shade")
    row.locator("select").select_option("gte")
    row.locator("input").nth(1).fill("140")
    page.keyboard.press("Tab")
    expect(page.locator("#grid li")).to_have_count(2)
    assert set(hits(page)) == {"disc/140", "disc/190"}
    expect(page.locator("#filter-words")).to_have_text("label is disc, shade is at least 140")
    page.reload()
    assert set(hits(page)) == {"disc/140", "disc/190"}
    page.click("#filter-chip-clear")
    expect(page.locator("#grid li")).to_have_count(11)
    assert "filter" not in page.url


def test_an_unfinished_condition_filters_nothing_and_stays_in_the_form(page: Page) -> None:
    choose(page, QUERY)
    hits(page)
    page.click("#filter > summary")
    page.click("#filter-more")
    page.click("#filter-more")
    names = page.locator("#filter-rows .row input").filter(visible=True)
    names.nth(0).fill("shade")
    for label, words in (("disc", "label is disc"), ("rings", "label is disc or rings")):
        page.fill("#filter-label", label)
        page.keyboard.press("Enter")
        expect(page.locator("#filter-words")).to_have_text(words)
    expect(page.locator("#grid li")).to_have_count(8)
    page.get_by_role("button", name="Take disc out of the filter").click()
    expect(page.locator("#grid li")).to_have_count(4)
    expect(page.locator("#filter-words")).to_have_text("label is rings")
    expect(page.locator("#filter-rows .row")).to_have_count(2)
    expect(names.nth(0)).to_have_value("shade")
    page.get_by_role("button", name="Take this condition out of the filter").first.click()
    expect(page.locator("#filter-rows .row")).to_have_count(1)
    expect(page.locator("#grid li")).to_have_count(4)


def test_any_filter_can_be_written_as_json(page: Page) -> None:
    choose(page, QUERY)
    hits(page)
    page.click("#filter > summary")
    page.click("#filter .inner summary")
    page.fill("#filter-json", '{"label": ')
    page.keyboard.press("Tab")
    expect(page.locator("#filter-wrong")).to_contain_text("This is not JSON")
    page.fill("#filter-json", '{"not": {"label": {"in": ["disc", "rings"]}}}')
    page.keyboard.press("Tab")
    expect(page.locator("#grid li")).to_have_count(4)
    assert {hit.split("/")[0] for hit in hits(page)} == {"stripes"}
    expect(page.locator("#filter-form")).to_be_hidden()
    page.fill("#filter-json", '{"colour": "red"}')
    page.keyboard.press("Tab")
    page.wait_for_selector("#error")
    expect(page.locator("#error-detail")).to_contain_text("'colour' is not a key of a filter")


def test_why_is_drawn_while_the_pointer_is_there_and_kept_by_a_click(page: Page) -> None:
    choose(page, QUERY)
    hits(page)
    entry = page.locator("#grid li").nth(2)
    entry.hover()
    button = entry.locator(".why")
    button.hover()
    over = entry.locator("img.heat")
    over.wait_for()
    page.wait_for_selector("#preview-why.shown")
    natural = "image => [image.naturalWidth, image.naturalHeight]"
    until(page, "document.querySelector('#grid img.heat').naturalWidth > 0")
    assert over.evaluate(natural) == entry.locator(".picture").evaluate(natural)
    page.mouse.move(5, 5)
    over.wait_for(state="detached")
    page.wait_for_selector("#preview-why:not(.shown)", state="attached")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    entry.hover()
    button.click()
    over.wait_for()
    assert asked == []  # it is remembered
    page.mouse.move(5, 5)
    assert over.is_visible()
    button.click()
    over.wait_for(state="detached")


def test_the_keyboard_reaches_everything(page: Page) -> None:
    choose(page, QUERY)
    first = hits(page)
    page.locator("#grid .card").first.focus()
    columns = page.evaluate(
        "getComputedStyle(document.getElementById('grid')).gridTemplateColumns.split(' ').length"
    )
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    focused = "document.activeElement.getAttribute('href')"
    assert page.evaluate(focused).replace("%2F", "/") == f"?item={first[columns + 1]}"
    page.keyboard.press("w")
    page.locator("#grid li").nth(columns + 1).locator("img.heat").wait_for()
    page.keyboard.press("d")
    page.wait_for_selector("#details-dialog[open]")
    assert page.locator("#details-facts").inner_text().split("\n")[1] == first[columns + 1]
    page.keyboard.press("Escape")
    page.wait_for_selector("#details-dialog:not([open])", state="attached")
    assert page.evaluate(focused).replace("%2F", "/") == f"?item={first[columns + 1]}"
    page.keyboard.press("Enter")
    expect(page.locator("#preview-kind")).to_have_text("More like")


def test_the_details_show_both_pictures_and_each_head(page: Page) -> None:
    choose(page, QUERY)
    hits(page)
    page.locator("#grid li").first.hover()
    page.locator("#grid li").first.get_by_role("button", name="Details").click()
    expect(page.locator("#details-dialog img.heat")).to_have_count(2)
    page.uncheck("#details-why")
    expect(page.locator("#details-dialog img.heat")).to_have_count(0)
    page.click("#details-heads summary")
    maps = page.locator("#details-maps img")
    expect(maps).to_have_count(4)
    expect(page.locator("#details-sums")).to_contain_text("not the similarity")
    parts = [float(text.split()[-1]) for text in page.locator("#details-maps figcaption").all_inner_texts()]
    together = [float(text) for text in re.findall(r"-?\d\.\d+", page.locator("#details-sums").inner_text())]
    assert together == pytest.approx([sum(parts[0::2]), sum(parts[1::2])], abs=2e-3)
    # One rounding everywhere, and all of it is in the window.
    score = page.locator("#grid .score").first.inner_text().removeprefix("✓ ")
    expect(page.locator("#details-facts")).to_contain_text(f"Similarity\n{score}", use_inner_text=True)
    until(page, "[...document.querySelectorAll('#details-maps img')].every((each) => each.naturalWidth > 0)")
    right = "all => Math.max(...all.map((each) => each.getBoundingClientRect().right))"
    box = page.locator("#details-dialog").bounding_box()
    assert box is not None
    assert maps.evaluate_all(right) < box["x"] + box["width"]
    assert len(set(maps.evaluate_all("all => all.map((each) => each.src)"))) == 4
    expect(page.locator("#details-facts")).to_contain_text("shade")


def test_a_phone_can_do_it_too(visit: Visit, shop: Shop) -> None:
    page = visit(shop.address, phone=True)
    choose(page, QUERY)
    hits(page)
    expect(page.locator("label:has(#photograph)")).to_be_visible()
    expect(page.locator("#camera-open")).to_be_hidden()
    page.locator("#grid .why").first.tap()
    page.locator("#grid img.heat").wait_for()
    page.locator("#grid .card").nth(1).tap()
    expect(page.locator("#preview-kind")).to_have_text("More like")
    hits(page)
