"""Image files that are damaged on purpose: all six formats, in the kinds that their encoders can write, ten damages."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

Damage = Callable[[bytes, random.Random], bytes]


def sound_files() -> list[bytes]:
    """One small file of each kind. Photographs are stood in for by smooth noise, which no encoder packs away."""
    noise = np.random.default_rng(7).integers(0, 256, (12, 16, 3), np.uint8)
    rgb = Image.fromarray(noise).resize((64, 48), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray((np.asarray(rgb.convert("L"), np.uint16)) * 257)
    transparent = rgb.copy()
    transparent.putalpha(128)
    kinds: list[tuple[Image.Image, str, dict[str, object]]] = [
        (rgb, "JPEG", {"exif": exif, "quality": 80}),
        (rgb, "JPEG", {"progressive": True}),
        (rgb, "JPEG", {"icc_profile": bytes(300), "comment": b"a comment"}),
        (rgb.convert("L"), "JPEG", {"restart_marker_rows": 1}),
        (rgb.convert("CMYK"), "JPEG", {}),
        (rgb, "PNG", {"exif": exif}),
        (transparent, "PNG", {}),
        (rgb.convert("P"), "PNG", {"transparency": 3}),
        (rgb.convert("1"), "PNG", {}),
        (deep, "PNG", {}),
        (rgb, "PNG", {"save_all": True, "append_images": [rgb.rotate(90)]}),
        (rgb, "WEBP", {"exif": exif}),
        (transparent, "WEBP", {"lossless": True}),
        (rgb, "WEBP", {"save_all": True, "append_images": [rgb.rotate(90)]}),
        (rgb, "GIF", {}),
        (rgb.convert("P"), "GIF", {"interlace": 1, "transparency": 3}),
        (rgb, "GIF", {"save_all": True, "append_images": [rgb.rotate(90)], "duration": 20}),
        (rgb, "TIFF", {"exif": exif}),
        (rgb, "TIFF", {"compression": "tiff_lzw"}),
        (rgb, "TIFF", {"compression": "tiff_adobe_deflate", "strip_size": 999}),
        (rgb, "TIFF", {"compression": "jpeg"}),
        (rgb, "TIFF", {"compression": "packbits", "save_all": True, "append_images": [rgb.rotate(90)]}),
        (rgb.convert("1"), "TIFF", {"compression": "group4"}),
        (rgb, "TIFF", {"big_tiff": True}),
        (deep, "TIFF", {}),
        (rgb.convert("CMYK"), "TIFF", {}),
        (rgb, "BMP", {}),
        (rgb.convert("P"), "BMP", {}),
        (rgb.convert("1"), "BMP", {}),
    ]
    return [_encoded(*kind) for kind in kinds]


def damaged_files(count: int, seed: int) -> Iterator[bytes]:
    """So many files, the same for the same seed, each with one to four damages."""
    rng = random.Random(seed)
    sound = sound_files()
    for number in range(count):
        content = sound[number % len(sound)]
        for _ in range(rng.choice((1, 1, 2, 4))):
            content = rng.choice(DAMAGES)(content, rng) if content else content
        yield content


def _encoded(image: Image.Image, format: str, options: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _flip_bits(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 3, 10))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _flip_head(content: bytes, rng: random.Random) -> bytes:
    head = min(len(content), 64)
    return _flip_bits(content[:head], rng) + content[head:]


def _extreme_number(content: bytes, rng: random.Random) -> bytes:
    """A length, a count, an offset or a side that is a little or far too large, or negative."""
    size = rng.choice((1, 2, 4, 8))
    number = rng.choice((0, 1, (1 << (8 * size - 1)) - 1, 1 << (8 * size - 1), (1 << 8 * size) - 1, 7000))
    written = (number % (1 << 8 * size)).to_bytes(size, rng.choice(("big", "little")))
    at = rng.randrange(min(len(content), rng.choice((64, 512, 1 << 20))))
    return content[:at] + written + content[at + size :]


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def _leave_out(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.choice((1, 4, 50, 500)) :]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    part = content[start : start + rng.choice((1, 8, 100, 1000))]
    return content[:start] + part * rng.choice((2, 3, 50)) + content[start + len(part) :]


def _insert(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + rng.randbytes(rng.choice((1, 4, 64))) + content[at:]


def _fill(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    length = min(rng.choice((4, 40, 400)), len(content) - start)
    return content[:start] + rng.choice((b"\x00", b"\xff", b"\x80")) * length + content[start + length :]


def _swap(content: bytes, rng: random.Random) -> bytes:
    one, other = sorted((rng.randrange(len(content)), rng.randrange(len(content))))
    return content[other:] + content[one:other] + content[:one]


def _graft(content: bytes, rng: random.Random) -> bytes:
    """The head of this file and the tail of another, of any format."""
    other = rng.choice(_SOUND)
    return content[: rng.randrange(len(content))] + other[rng.randrange(len(other)) :]


DAMAGES: tuple[Damage, ...] = (
    _flip_bits,
    _flip_head,
    _extreme_number,
    _cut,
    _leave_out,
    _repeat,
    _insert,
    _fill,
    _swap,
    _graft,
)
_SOUND = sound_files()
