"""Decoding of untrusted images: any file comes out as an upright RGB image, or as one `ImageError`.

What is done with the unusual:

* animations (GIF, WebP, APNG) are refused, since which frame was meant is not known; of a TIFF with several
  pages, and of the multi-picture JPEG that phones write, the first picture is taken;
* transparency, in whatever form a format keeps it, is put on white;
* grey images of up to 16 bits are scaled to 8, not clipped; pixels without a defined white (32-bit integers,
  floats) are refused;
* the EXIF (or TIFF) orientation is applied; a broken orientation tag counts as upright;
* CMYK is converted by Pillow's formula; colour profiles are not applied.

Nothing here alters Pillow's settings, so all functions can run in many threads at once.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# The plugins register themselves when they are imported. Doing so here, once, keeps `Image.open` from loading
# all of Pillow's forty formats at the first unknown file, and from doing it in two threads at once.
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from retrieval.errors import ImageError

PLUGINS = (
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
    GifImagePlugin,
    TiffImagePlugin,
    BmpImagePlugin,
)
# Pillow opens a multi-picture JPEG (MPO) as a JPEG and changes its kind afterwards.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")
SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp"})

THUMBNAIL_PIXELS = 256
"""Longer side of a stored thumbnail."""

# Pillow warns above 89 million pixels and raises above twice that. The limit below is checked in any case;
# the filter only keeps the warning of a refused image off the terminal.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
# What Pillow warns of in a damaged file it either survives or refuses. A service would write it to the log, and Python
# would keep each different text for ever, at the choice of whoever sends the files.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_ANIMATIONS = frozenset({"GIF", "WEBP", "PNG"})
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BITS_PER_SAMPLE_TAG, _PHOTOMETRIC_TAG, _WHITE_IS_ZERO = 258, 262, 0


@dataclass(frozen=True)
class ImageLimits:
    """What an image may cost, checked before a pixel is decoded.

    max_bytes: of the file.
    max_pixels: width x height. Pillow's own limit (89 million) stays in force above it.
    max_side: longest side in pixels.
    max_scans: passes of a progressive JPEG. Each costs a walk over the whole picture for a few bytes of file;
        cameras and browsers' encoders write about ten.
    """

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000
    max_side: int = 32_768
    max_scans: int = 100


def decode_image(
    source: bytes | Path | Image.Image, *, limits: ImageLimits | None = None, at_least: int | None = None
) -> Image.Image:
    """Decode an image file, or bring an open image into the same form.

    source: the content of a file, its path, or an image of Pillow, which is left as it is.
    at_least: lets a large JPEG be decoded at 1/2, 1/4 or 1/8 of its size, as long as the short side keeps at
        least this many pixels. Several times faster; the pixels differ slightly from those of a full decode.
    Returns an RGB image, upright, its pixels in memory. Raises ImageError; the message names a path, but for
    bytes says "the image".
    """
    limits = limits or ImageLimits()
    name = str(source) if isinstance(source, Path) else "the image"
    try:
        if isinstance(source, Image.Image):
            _check_size(source.size, limits)
            return _upright_rgb(source)
        content = _read(source, limits) if isinstance(source, Path) else source
        return _decode(content, limits, at_least)
    except _RefusedError as refusal:
        reason = str(refusal)
    except UnidentifiedImageError:
        reason = "is not an image of a known format (JPEG, PNG, WebP, GIF, TIFF, BMP)"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        reason = _too_many_pixels(limits)
    except Exception as error:
        # Pillow's parsers raise whatever a damaged file leads them to (OSError, SyntaxError, struct.error,
        # KeyError, MemoryError, ...), and a service must survive every file.
        reason = f"is damaged or of an unsupported kind: {_one_line(error)}"
    raise ImageError(f"{name} {reason}")


def thumbnail_jpeg(image: Image.Image, pixels: int = THUMBNAIL_PIXELS) -> bytes:
    """JPEG file of an RGB image scaled down (never up) to fit a square of `pixels`, without any metadata."""
    small = image.copy()
    small.thumbnail((pixels, pixels), Image.Resampling.BICUBIC)
    # A copy keeps the original's EXIF, ICC and comments in `info`, from where the encoder would write them.
    small.info = {}
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


class _RefusedError(Exception):
    """Why an image is refused, as the end of a sentence that begins with its name."""


def _read(path: Path, limits: ImageLimits) -> bytes:
    try:
        if path.is_dir():
            raise _RefusedError("is a folder, not an image")
        if path.exists() and not path.is_file():  # a pipe or a device could block for ever
            raise _RefusedError("is not a regular file")
        with path.open("rb") as file:
            return file.read(limits.max_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _RefusedError(f"cannot be read: {reason}") from None


def _decode(content: bytes, limits: ImageLimits, at_least: int | None) -> Image.Image:
    if not content:
        raise _RefusedError("is empty (0 bytes)")
    if len(content) > limits.max_bytes:
        raise _RefusedError(f"is larger than {limits.max_bytes / 2**20:g} MiB; send a smaller file")
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        _check_size(image.size, limits)
        # In coded data a 0xFF byte is followed by 0x00 or a restart marker, so this counts the scans' headers
        # (and those of an embedded thumbnail).
        if image.format in ("JPEG", "MPO") and content.count(b"\xff\xda") > limits.max_scans:
            raise _RefusedError(f"is a JPEG of more than {limits.max_scans} scans; save it again as baseline")
        if image.format in _ANIMATIONS and getattr(image, "is_animated", False):
            raise _RefusedError("is animated; send a still image")
        if at_least is not None:
            image.draft(None, (at_least, at_least))
        return _upright_rgb(image)


def _check_size(size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise _RefusedError(f"has no pixels ({width} x {height})")
    if width * height > limits.max_pixels:
        raise _RefusedError(f"{_too_many_pixels(limits)} ({width} x {height})")
    if max(size) > limits.max_side:
        raise _RefusedError(
            f"is longer than {limits.max_side} pixels on a side ({width} x {height}); scale it down"
        )


def _too_many_pixels(limits: ImageLimits) -> str:
    return f"has more than {limits.max_pixels / 1e6:g} million pixels; scale it down"


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else text[:117] + "..."


def _upright_rgb(image: Image.Image) -> Image.Image:
    image.load()
    rgb = _to_rgb(image)
    # Read after loading: Pillow turns TIFF files by itself then, and drops the tag.
    transpose = _UPRIGHT.get(_orientation(image))
    return rgb if transpose is None else rgb.transpose(transpose)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
        return value if isinstance(value, int) else 1
    except Exception:  # the parser raises anything on a damaged block, and the pixels are still good
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _from_16_bit(image).convert("RGB")
    if image.mode in ("I", "F"):
        raise _RefusedError("has 32-bit pixels, whose white is not defined; save it with 8 or 16 bits")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    # A copy even where the mode is right: what is returned must not be the caller's image, nor a file's.
    return image.copy() if image.mode == "RGB" else image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Grey image of 8 bits from one of 9 to 16 bits a pixel; Pillow's own conversion clips at 255."""
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    bits = tags.get(_BITS_PER_SAMPLE_TAG, (16,))[0]
    white = 2**bits - 1
    values = np.arange(2**16, dtype=np.uint32)
    scale = (np.minimum(values, white) * 255 + white // 2) // white
    if tags.get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO:
        scale = 255 - scale
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        scale[transparent] = 255
    return Image.fromarray(scale.astype(np.uint8)[np.asarray(image)])
