"""What the page tells: errors in words, recall and latency, in colours and sizes that can be read."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("playwright")

from playwright.sync_api import expect

from indexes import LocalCollection
from retrieval.gallery import Gallery
from service.app import create_app
from service.settings import Settings
from tests.service.browser.conftest import Opener, Shop, Visit, drawing
from tests.service.browser.steps import choose, hits, until
from tests.service.serving import serving

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

QUERY = drawing("disc", 60)


def told(page: Page) -> str:
    page.wait_for_selector("#error")
    return page.locator("#error").inner_text()


def test_what_the_service_refuses_is_told_in_its_words(page: Page, shop: Shop) -> None:
    choose(page, b"no image", "letter.pdf")
    assert "not an image of a known format" in told(page)
    expect(page.locator("#error-again")).to_be_hidden()
    expect(page.locator("#add-query")).to_be_hidden()
    choose(page, QUERY)
    hits(page)
    expect(page.locator("#add-query")).to_be_visible()
    expect(page.locator("#error")).to_be_hidden()
    page.goto(f"{shop.address}/?item=nothing")
    assert "No item has the id 'nothing'" in told(page)


def answer(status: int, body: str = "", **headers: str) -> Any:
    def fulfil(route: Route) -> None:
        route.fulfill(status=status, body=body, headers=headers)

    return fulfil


PROBLEM = json.dumps({"title": "Too many requests", "status": 429, "detail": "try again in 60 s."})


STAND_INS: list[tuple[Any, str]] = [
    (lambda route: route.abort(), "The service does not answer"),
    (answer(502, "<h1>Bad gateway</h1>"), "The service cannot be reached"),
    (answer(504, "<h1>Timeout</h1>"), "The service takes too long"),
    (answer(413, "<h1>Too large</h1>"), "Send a smaller file"),
    (answer(507), "full or read-only"),
    (answer(418), "The service answered 418"),
    (answer(429, PROBLEM, **{"Retry-After": "60"}), "Try again in 60 s."),
]


def test_what_others_answer_in_its_stead_is_told_too(page: Page) -> None:
    for reply, words in STAND_INS:
        page.route("**/v1/search", reply)
        choose(page, QUERY)
        assert words in told(page)
        page.unroute("**/v1/search")
        if page.locator("#error-again").is_visible():
            page.click("#error-again")
        else:
            choose(page, QUERY)
        hits(page)


def test_a_busy_service_is_asked_again_without_a_word_of_error(page: Page) -> None:
    times = []

    def busy(route: Route) -> None:
        times.append(route.request.url)
        if len(times) > 2:
            route.continue_()
        else:
            route.fulfill(status=503, headers={"Retry-After": "1"})

    page.route("**/v1/search", busy)
    choose(page, QUERY)
    expect(page.locator("#results-title")).to_have_text("Busy")
    hits(page)
    assert len(times) == 3


def test_a_file_larger_than_the_service_takes(opened: Opener, visit: Visit, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(QUERY + bytes(20_000_000))
    with opened(settings=Settings(max_image_bytes=2_000)) as shop:
        page = visit(shop.address)
        page.set_input_files("#file", large)
        words = told(page)
        assert "too large" in words or "more than it takes" in words


def test_the_panel_shows_recall_and_latency_and_follows_the_writes(opened: Opener, visit: Visit) -> None:
    with opened() as shop:
        page = visit(shop.address)
        page.wait_for_selector(".card")  # which push the panel down when they come
        page.locator("#live").scroll_into_view_if_needed()
        expect(page.locator("#recall dt")).to_have_text(["1", "2", "4", "8"])
        recall = shop.client.recall((1, 2, 4, 8)).recall
        shown = [float(text.split()[0]) / 100 for text in page.locator("#recall dd").all_inner_texts()]
        assert shown == pytest.approx(list(recall.values()), abs=6e-4)
        expect(page.locator("#recall-age")).to_contain_text("of the collection as it is")
        expect(page.locator("#recall-note")).to_contain_text("that the model was trained on")
        expect(page.locator("#latency-note")).to_have_text("Nothing was searched yet.")
        for _ in range(3):
            choose(page, QUERY)
            hits(page)
        expect(page.locator("#latency-note")).to_contain_text("3 searches: half within")
        expect(page.locator("#latency-chart rect")).to_have_count(3)
        expect(page.locator("#latency-stages")).to_contain_text("embedding")

        shop.client.put("new", QUERY, label="disc")
        page.clock.install()
        page.reload()
        until(page, "document.querySelectorAll('.card').length > 0")
        shop.client.put("newer", QUERY, label="disc")
        page.clock.fast_forward(16_000)
        expect(page.locator("#collection-line")).to_have_text("14 images · 3 labels")


def test_what_the_index_finds_is_told_where_it_was_measured(visit: Visit, shop: Shop) -> None:
    page = visit(shop.address)
    expect(page.locator("#stats")).to_contain_text("On disk")
    expect(page.locator("#stats")).not_to_contain_text("The index finds")
    stats = shop.client.stats().model_dump() | {"index_recall": {"10": 0.998}}
    page.route("**/v1/stats", answer(200, json.dumps(stats)))
    page.reload()
    expect(page.locator("#stats")).to_contain_text("The index finds99.8 % of the true 10 nearest")


def test_a_starting_service_is_waited_for(template: Gallery, visit: Visit) -> None:
    loaded = threading.Event()

    def open_slowly(_: Path) -> Gallery:
        assert loaded.wait(20)
        # The service closes what it has opened; the template stays.
        return replace(template, collection=LocalCollection.open(template.folder, read_only=True))

    with serving(create_app(open_slowly)) as address:
        page = visit(address)
        expect(page.locator("#results-title")).to_have_text("Starting")
        loaded.set()
        page.wait_for_selector(".card")
        expect(page.locator("#error")).to_be_hidden()
