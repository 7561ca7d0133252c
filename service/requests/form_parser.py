"""Multipart forms that hold a bounded amount of memory while they arrive, however their bytes are divided.

The framework bounds each part and the number of parts, and their product is the memory of a machine. Here texts are
counted together, and files stay in memory together only so far; later ones go to the folder for temporary files.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from service.problems import TooLargeError
from service.security.body_limit import FORM_BYTES, many_images
from service.settings import MEBIBYTE, Settings

TEXT_AN_IMAGE = 32 << 10
"""For an image of a request with many: twice the attributes that an item may have."""
FILES_IN_MEMORY = 8 * MEBIBYTE
"""Of the files of one form together."""
MAX_PART_BYTES = MEBIBYTE
"""One text; and one file that may stay in memory."""


class _Parser(MultiPartParser):
    most_text = FORM_BYTES
    _text = 0
    _in_memory = 0

    def on_headers_finished(self) -> None:
        # 0 would mean: never on the disk.
        self.spool_max_size = max(1, min(MAX_PART_BYTES, FILES_IN_MEMORY - self._in_memory))
        super().on_headers_finished()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current_part.file is None:
            self._text += end - start
            if self._text > self.most_text:
                raise TooLargeError(
                    f"The fields of a request may have at most {self.most_text} bytes of text."
                )
        else:
            self._in_memory += end - start
        super().on_part_data(data, start, end)


@asynccontextmanager
async def parsed_form(request: Request, settings: Settings) -> AsyncIterator[FormData]:
    """The form of a multipart request; its files are gone afterwards. Raises TooLargeError, HTTPException (400)."""
    # A label, an id and attributes for each image; one image more than allowed, to be told from a torn form.
    most = settings.max_request_images + 1
    parser = _Parser(
        request.headers,
        request.stream(),
        max_files=most,
        max_fields=3 * most + 8,
        max_part_size=MAX_PART_BYTES,
    )
    if many_images(request.scope):
        parser.most_text += TEXT_AN_IMAGE * settings.max_request_images
    try:
        data = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, error.message) from None
    try:
        yield data
    finally:
        await data.close()
