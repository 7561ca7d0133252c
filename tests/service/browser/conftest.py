"""The page in a real browser, over a real service with a real network and a few drawings."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageDraw

from indexes import Collection, LocalCollection
from retrieval.bundle import load_bundle
from retrieval.gallery import Gallery, GalleryImage, create_gallery
from service.app import create_app
from service.client import Client
from service.settings import Settings
from tests.service.browser.chromium import find_chromium
from tests.service.serving import serving

pytest.importorskip("playwright", reason="Playwright is not installed (pip install -e '.[dev]')")

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

KINDS = ("disc", "rings", "stripes")
SHADES = (40, 90, 140, 190)


def drawing(kind: str, shade: int, size: int = 160) -> bytes:
    """A PNG file: one of three figures on a ground of this shade."""
    image = Image.new("RGB", (size, size), (shade, 255 - shade, 200))
    pen = ImageDraw.Draw(image)
    if kind == "disc":
        pen.ellipse((size * 0.2, size * 0.2, size * 0.8, size * 0.8), fill=(200, 60, 40))
    if kind == "rings":
        for radius in range(size // 10, size // 2, size // 8):
            box = (size / 2 - radius, size / 2 - radius, size / 2 + radius, size / 2 + radius)
            pen.ellipse(box, outline=(40, 40, 120), width=5)
    if kind == "stripes":
        for x in range(shade // 20, size, size // 6):
            pen.rectangle((x, 0, x + size // 16, size), fill=(40, 120, 60))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """Four drawings of each kind, under ids like `disc/40`, with their shade as an attribute."""
    folder = tmp_path_factory.mktemp("browser") / "collection"
    with create_gallery(folder, load_bundle("hdhe:efficientnet_lite0@64")) as gallery:
        images = [
            GalleryImage(f"{kind}/{shade}", drawing(kind, shade), kind, {"shade": shade})
            for kind in KINDS
            for shade in SHADES
        ]
        list(gallery.add(images, on_error=lambda *error: pytest.fail(str(error))))
        yield gallery


@dataclass(frozen=True)
class Shop:
    """A running service, and a client of it that knows what the page should show."""

    address: str
    client: Client
    collection: Collection


@pytest.fixture(scope="session")
def shop(template: Gallery) -> Iterator[Shop]:
    """For tests that only read."""
    with serving(create_app(template, Settings())) as address, Client(address) as client:
        yield Shop(address, client, template.collection)


Opener = Callable[..., Any]


@pytest.fixture
def opened(template: Gallery, tmp_path: Path) -> Opener:
    """How to serve a copy of the template, or an empty collection: a context manager of a Shop."""

    @contextmanager
    def serve(
        *, empty: bool = False, settings: Settings | None = None, token: str | None = None, **options: Any
    ) -> Iterator[Shop]:
        folder = tmp_path / "collection"
        if empty:
            collection = LocalCollection.create(
                folder,
                embedding_size=template.embedder.embedding_size,
                model_fingerprint=template.embedder.fingerprint,
            )
        else:
            template.collection.snapshot(folder)
            collection = LocalCollection.open(folder)
        with collection:
            gallery = Gallery(folder, collection, template.embedder)
            with (
                serving(create_app(gallery, settings or Settings(), **options)) as address,
                Client(address, key=token) as client,
            ):
                yield Shop(address, client, collection)

    return serve


# Of a module, not of the session: while Playwright runs, its event loop counts as that of the whole thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = find_chromium(playwright.chromium.executable_path)
        if path is None:
            pytest.skip(
                "no Chromium: install one, name it in HDHE_CHROMIUM, or run `playwright install chromium`"
            )
        camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        launched = playwright.chromium.launch(executable_path=path, args=camera)
        yield launched
        launched.close()


Visit = Callable[..., "Page"]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens a page in a fresh context. At the end no script of it may have failed, nor any policy been broken."""
    wrong: list[str] = []
    contexts: list[BrowserContext] = []

    def listen(message: Any) -> None:
        # The browser itself reports every answer of 400 and above; those the page tells in words.
        if message.type == "error" and "Failed to load resource" not in message.text:
            wrong.append(message.text)

    def go(address: str, *, phone: bool = False, **options: Any) -> Page:
        size = (390, 844) if phone else (1280, 900)
        viewport: ViewportSize = {"width": size[0], "height": size[1]}
        context = browser.new_context(viewport=viewport, has_touch=phone, is_mobile=phone, **options)
        contexts.append(context)
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(address)
        return page

    yield go
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def page(visit: Visit, shop: Shop) -> Page:
    """The start page of a service with twelve items."""
    opened = visit(shop.address)
    opened.wait_for_selector(".card")
    return opened
