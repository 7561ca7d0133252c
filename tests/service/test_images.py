"""Uploads that are no good photo: each is decoded right or refused in words, and the service goes on."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from PIL import Image

Picture = Callable[..., bytes]


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def bomb(side: int) -> bytes:
    """A PNG that claims to be side x side pixels and has next to no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


RED = Image.new("RGB", (40, 30), (200, 0, 0))
REFUSED = {
    "empty": b"",
    "text": b"hello",
    "html": b"<html><script>alert(1)</script></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "truncated jpeg": encoded(RED, "JPEG")[:-40],
    "truncated png": encoded(RED, "PNG")[:-30],
    "bomb": bomb(60_000),
    "animated": encoded(RED, "GIF", save_all=True, append_images=[Image.new("RGB", (40, 30), "blue")]),
}
ACCEPTED = {
    "cmyk": encoded(RED.convert("CMYK"), "JPEG"),
    "palette": encoded(RED.convert("P"), "PNG"),
    "16 bit": encoded(Image.new("I;16", (30, 30), 30_000), "PNG"),
    "alpha": encoded(Image.new("RGBA", (30, 30), (200, 0, 0, 100)), "PNG"),
    "one pixel": encoded(Image.new("RGB", (1, 1)), "PNG"),
    "wide": encoded(Image.new("RGB", (3000, 2)), "PNG"),
    "webp": encoded(RED, "WEBP"),
    "bmp": encoded(RED, "BMP"),
    "tiff": encoded(RED, "TIFF"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_image_is_refused_in_words(client: TestClient, name: str) -> None:
    image = {"image": REFUSED[name]}
    for answer in (
        client.post("/v1/search", files=image),
        client.post("/v1/embeddings", files=image),
        client.put("/v1/items/a", files=image),
    ):
        assert answer.status_code == 422, answer.text
        problem = answer.json()
        assert problem["type"] == "urn:hdhe:problem:unreadable-image"
        assert "\n" not in problem["detail"]
        assert "the image" in problem["detail"]
    assert client.get("/v1/items/a").status_code == 404


@pytest.mark.parametrize("name", ACCEPTED)
def test_unusual_images_are_stored_and_found(client: TestClient, name: str) -> None:
    image = {"image": ACCEPTED[name]}
    assert client.put("/v1/items/a", files=image).status_code == 201
    (hit,) = client.post("/v1/search", files=image).json()["hits"]
    assert hit["score"] == pytest.approx(1, abs=1e-5)


def test_an_upside_down_photo_is_turned_upright(client: TestClient) -> None:
    photo = Image.new("RGB", (40, 20), "white")
    photo.paste((0, 0, 0), (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise to be upright
    client.put("/v1/items/a", files={"image": encoded(photo, "JPEG", exif=exif)})
    shown = Image.open(io.BytesIO(client.get("/v1/items/a/image").content)).convert("L")
    assert shown.size == (20, 40)
    top, bottom = shown.getpixel((10, 5)), shown.getpixel((10, 35))
    assert isinstance(top, int)
    assert isinstance(bottom, int)
    assert top < 40
    assert bottom > 215
