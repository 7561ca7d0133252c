"""Adding and deleting items on the page, and the keys that it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright")

from playwright.sync_api import expect

from service.security.key_file import KeyFile, create_key
from tests.service.browser.conftest import Opener, Visit, drawing
from tests.service.browser.steps import choose, hits, until

if TYPE_CHECKING:
    from playwright.sync_api import FilePayload, Page, Route


def file(name: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": content}


def test_an_empty_collection_is_filled_on_the_page(opened: Opener, visit: Visit) -> None:
    with opened(empty=True) as shop:
        page = visit(shop.address)
        expect(page.locator("#results-title")).to_have_text("An empty collection")
        page.click("#empty-add")
        page.set_input_files(
            "#add-files",
            [
                file("one.png", drawing("disc", 40)),
                file("two.png", drawing("disc", 90)),
                file("notes.txt", b"no image"),
            ],
        )
        page.locator("#add-list input").nth(1).fill("shop/zwei")
        page.fill("#add-label", "disc")
        page.click("#add-more")
        page.locator("#add-attributes input").nth(0).fill("price")
        page.locator("#add-attributes input").nth(1).fill("12.5")
        expect(page.locator("#add-start")).to_have_text("Add 3 images")
        page.click("#add-start")
        expect(page.locator("#add-summary")).to_have_text("2 images added, 1 refused.")
        states = page.locator("#add-list .state").all_inner_texts()
        assert states[:2] == ["added", "added"]
        assert "not an image" in states[2]
        page.keyboard.press("Escape")
        expect(page.locator("#grid li")).to_have_count(2)
        expect(page.locator("#collection-line")).to_have_text("2 images · 1 label")
        stored = list(shop.client.items())
        assert [(item.id, item.label, item.attributes) for item in stored] == [
            ("one.png", "disc", {"price": 12.5}),
            ("shop/zwei", "disc", {"price": 12.5}),
        ]


def test_the_query_itself_can_be_added(opened: Opener, visit: Visit) -> None:
    with opened() as shop:
        page = visit(shop.address)
        choose(page, drawing("rings", 60), "mine.png")
        hits(page)
        page.click("#add-query")
        page.click("#add-start")
        expect(page.locator("#add-summary")).to_have_text("1 image added.")
        page.keyboard.press("Escape")
        page.wait_for_selector('#grid li:first-child .card[href="?item=mine.png"]')
        assert shop.client.get("mine.png").label is None


def test_an_id_that_is_taken_is_left_alone_unless_replacing_is_asked_for(
    opened: Opener, visit: Visit
) -> None:
    def add(label: str, *contents: bytes, replacing: bool = False) -> str:
        page.click("#add-open")
        page.set_input_files("#add-files", [file("image.jpg", content) for content in contents])
        page.fill("#add-label", label)
        page.set_checked("#add-replace", replacing)
        page.click("#add-start")
        summary = page.locator("#add-summary")
        expect(summary).not_to_be_empty()
        words = summary.inner_text()
        page.keyboard.press("Escape")
        return words

    def labels() -> dict[str, str | None]:
        return {item.id: item.label for item in shop.client.items()}

    with opened(empty=True) as shop:
        page = visit(shop.address)
        assert add("first", drawing("disc", 40)) == "1 image added."
        assert add("two", drawing("rings", 40), drawing("rings", 90)) == "2 images added."
        assert labels() == {"image.jpg": "first", "image-2.jpg": "two", "image-3.jpg": "two"}
        assert add("new", drawing("disc", 90), drawing("disc", 140), replacing=True) == (
            "1 image added, 1 replaced."
        )
        assert labels() == {
            "image.jpg": "new",
            "image-2.jpg": "two",
            "image-3.jpg": "two",
            "image-4.jpg": "new",
        }
        # It was asked for once, not for good.
        page.click("#add-open")
        expect(page.locator("#add-replace")).not_to_be_checked()


def test_an_image_whose_answer_was_lost_is_not_stored_twice(opened: Opener, visit: Visit) -> None:
    with opened(empty=True) as shop:
        page = visit(shop.address)

        def lose(route: Route) -> None:
            route.fetch()
            route.abort()

        page.click("#add-open")
        page.set_input_files("#add-files", [file("image.jpg", drawing("disc", 40))])
        page.route("**/v1/items", lose, times=1)
        page.click("#add-start")
        expect(page.locator("#add-wrong")).to_contain_text("does not answer")
        page.click("#add-start")
        expect(page.locator("#add-summary")).to_have_text("1 image added.")
        assert [item.id for item in shop.client.items()] == ["image.jpg"]


FREE = """async ({ id, taken }) => {
  const { freeId } = await import("/web/free_ids.js");
  let asked = 0;
  const found = await freeId(id, (each) => {
    asked += 1;
    return taken.includes(each);
  });
  return [found, asked];
}"""


def test_a_free_id_is_found_with_few_questions(page: Page) -> None:
    def free(id: str, *taken: str) -> list[object]:
        found: list[object] = page.evaluate(FREE, {"id": id, "taken": taken})
        return found

    assert free("a.jpg") == ["a.jpg", 1]
    assert free("vase.03/image", "vase.03/image") == ["vase.03/image-2", 2]
    assert free("x" * 508 + ".jpg", "x" * 508 + ".jpg")[0] == "x" * 506 + "-2.jpg"
    many = [f"image-{count}.jpg" for count in range(2, 700)]
    found, asked = free("image.jpg", "image.jpg", *many)
    assert found == "image-700.jpg"
    assert isinstance(asked, int)
    assert asked < 25


def delete_first(page: Page) -> None:
    page.locator("#grid .card").first.focus()
    page.keyboard.press("d")
    page.click("#details-delete")


def test_an_item_is_deleted_after_a_second_thought(opened: Opener, visit: Visit) -> None:
    with opened() as shop:
        page = visit(shop.address)
        page.goto(f"{shop.address}/?item=disc%2F40")
        first = hits(page)[0]
        delete_first(page)
        page.click("#details-keep")
        assert shop.client.stats().items == 12
        expect(page.locator("#summary")).to_contain_text("11 hits · 3 of the same label")
        page.click("#details-delete")
        page.click("#details-really")
        expect(page.locator("#grid li")).to_have_count(10)
        expect(page.locator("#summary")).to_contain_text("10 hits · 2 of the same label")
        assert first not in hits(page)
        assert first not in [item.id for item in shop.client.items()]
        expect(page.locator("#collection-line")).to_have_text("11 images · 3 labels")
        # The keyboard goes on from the next picture.
        assert page.evaluate("document.activeElement.className") == "card"


def test_a_service_with_keys_asks_for_one(opened: Opener, visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    _, reading = create_key(path, "reader", "read")
    _, writing = create_key(path, "writer", "write")
    with opened(keys=KeyFile(path), token=reading) as shop:
        page = visit(shop.address)
        page.wait_for_selector("#key-dialog[open]")
        expect(page.locator("#key-reason")).to_contain_text("only to those who have a key")
        page.fill("#key-input", "hdhe_0123_wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#key-reason")).to_have_text("This key is not known, or no longer.")
        page.fill("#key-input", reading)
        page.keyboard.press("Enter")
        page.wait_for_selector(".card")
        expect(page.locator("#collection-line")).to_have_text("12 images · 3 labels")
        # The pictures need the key too, which a plain <img> would not send.
        until(page, "[...document.querySelectorAll('.picture')].every((each) => each.naturalWidth > 0)")
        page.goto(f"{shop.address}/?item=disc%2F40")
        first = hits(page)[0]

        delete_first(page)
        page.click("#details-really")
        expect(page.locator("#details-wrong")).to_contain_text("This key may only read")
        page.wait_for_selector("#key-dialog[open]")
        assert shop.client.stats().items == 12
        page.fill("#key-input", writing)
        page.keyboard.press("Enter")  # and the deletion goes on
        expect(page.locator("#grid li")).to_have_count(10)
        assert first not in [item.id for item in shop.client.items()]

        assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 1]
        page.click("#key-open")
        page.click("#key-forget")
        page.wait_for_selector("#error")
        assert page.locator("#error-title").inner_text() != ""
        assert page.evaluate("sessionStorage.length") == 0
