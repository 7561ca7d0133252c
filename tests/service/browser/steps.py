"""What the tests of the page do again and again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from playwright.sync_api import Page

SECONDS = 15


def choose(page: Page, content: bytes, name: str = "query.png") -> None:
    """Hand over a file as the query."""
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": content})


def hits(page: Page) -> list[str]:
    """Ids of the hits on the page, once a search is done."""
    page.wait_for_selector("#grid[aria-busy=false] .score")
    links = page.locator("#grid .card").evaluate_all("all => all.map((each) => each.href)")
    return [unquote(link.partition("?item=")[2]) for link in links]


def until(page: Page, condition: str) -> None:
    """Wait for a condition in JavaScript. Playwright's own way evaluates text, which the page's policy forbids."""
    deadline = time.monotonic() + SECONDS
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(20)
