"""What a form may hold in memory while it arrives."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Iterator

import pytest
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.types import Message

from service.problems import TooLargeError
from service.requests.form_parser import FILES_IN_MEMORY, TEXT_AN_IMAGE, parsed_form
from service.security.body_limit import FORM_BYTES
from service.settings import MEBIBYTE, Settings

CHUNK = b"x" * (64 << 10)


def form(path: str, disposition: str, parts: int, size: int) -> Request:
    """A form of so many parts of a size, which comes in small pieces that nobody keeps."""

    def pieces() -> Iterator[bytes]:
        for _ in range(parts):
            yield f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()
            for start in range(0, size, len(CHUNK)):
                yield CHUNK[: size - start]
            yield b"\r\n"
        yield b"--b--\r\n"

    coming = pieces()

    async def receive() -> Message:
        piece = next(coming, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    headers = [(b"content-type", b"multipart/form-data; boundary=b")]
    return Request({"type": "http", "method": "POST", "path": path, "headers": headers}, receive)


def peak_and_sizes(request: Request) -> tuple[int, list[int]]:
    """The most memory that was held, and the bytes of each file."""

    async def read() -> list[int]:
        async with parsed_form(request, Settings()) as data:
            files = [file for file in data.getlist("image") if isinstance(file, UploadFile)]
            return [len(await file.read()) for file in files]

    tracemalloc.start()
    try:
        sizes = asyncio.run(read())
        return tracemalloc.get_traced_memory()[1], sizes
    finally:
        tracemalloc.stop()


def test_many_small_files_go_to_the_disk_and_arrive_whole() -> None:
    peak, sizes = peak_and_sizes(form("/v1/items", 'name="image"; filename="a"', 40, MEBIBYTE))
    assert sizes == [MEBIBYTE] * 40
    assert peak < FILES_IN_MEMORY + 4 * MEBIBYTE


@pytest.mark.parametrize("path", ["/v1/items", "/v1/search"])
def test_many_texts_are_refused_while_they_arrive(path: str) -> None:
    allowed = FORM_BYTES + (path == "/v1/items") * 256 * TEXT_AN_IMAGE
    size = 500_000
    fit = allowed // size
    assert peak_and_sizes(form(path, 'name="label"', fit, size))[1] == []
    with pytest.raises(TooLargeError, match=str(allowed)):
        peak_and_sizes(form(path, 'name="label"', fit + 1, size))
