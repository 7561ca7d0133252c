import io
import os
import random
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from retrieval.errors import ImageError
from retrieval.images import ImageLimits, decode_image, thumbnail_jpeg


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(width: int = 40, height: int = 30) -> Image.Image:
    """Smooth and without symmetry, so that every turn of it is another picture and JPEG keeps it."""
    y, x = np.mgrid[:height, :width]
    planes = [255 * x / width, 255 * y / height, 120 * (x > width / 2) + 60 * (y > height / 3)]
    return Image.fromarray(np.stack(planes, axis=2).astype(np.uint8))


def difference(one: Image.Image, other: Image.Image) -> float:
    assert one.size == other.size
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, bits: int = 8, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + b"".join(chunks) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_a_lossless_format_keeps_every_pixel(kind: str) -> None:
    decoded = decode_image(encode(picture(), kind))
    assert decoded.mode == "RGB"
    assert np.array_equal(np.asarray(decoded), np.asarray(picture()))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_lossy_format_keeps_the_picture(kind: str) -> None:
    assert difference(decode_image(encode(picture(), kind, quality=95)), picture()) < 4


def test_a_still_gif_is_decoded() -> None:
    assert decode_image(encode(picture().quantize(16), "GIF")).size == (40, 30)


def test_a_path_and_an_open_image_give_the_same_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(picture(), "PNG"))
    with Image.open(path) as opened:
        for source in (path, path.read_bytes(), opened):
            assert np.array_equal(np.asarray(decode_image(source)), np.asarray(picture()))


def test_an_rgb_image_is_copied() -> None:
    source = picture()
    decode_image(source).paste("red", (0, 0, 40, 30))
    assert np.array_equal(np.asarray(source), np.asarray(picture()))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_orientation_is_applied(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(picture(), kind, exif=exif, **({"quality": 95} if kind != "TIFF" else {}))
    with Image.open(io.BytesIO(content)) as opened:
        expected = ImageOps.exif_transpose(opened)
    assert expected is not None
    decoded = decode_image(content)
    assert difference(decoded, expected.convert("RGB")) == 0
    # An absolute check beside Pillow's: where the picture's dark upper left corner ends up.
    corner = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}
    across, down = corner[orientation]
    pixel = decoded.getpixel((across * (decoded.width - 1), down * (decoded.height - 1)))
    assert isinstance(pixel, tuple)
    assert sum(pixel) < 40


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # what Pillow says of such files
@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0garbage" * 40])
def test_broken_exif_counts_as_upright(exif: bytes) -> None:
    assert decode_image(encode(picture(), "JPEG", exif=exif)).size == (40, 30)


def test_cmyk_is_converted_not_inverted() -> None:
    reds = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for kind in ("JPEG", "TIFF"):
        red, green, blue = np.asarray(decode_image(encode(reds, kind))).mean(axis=(0, 1))
        assert red > 240
        assert max(green, blue) < 15


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    values = np.array([[0, 256, 32768, 65535]], dtype=np.uint16)
    decoded = np.asarray(decode_image(encode(Image.fromarray(values), kind)))
    assert decoded[0, :, 0].tolist() == [0, 1, 128, 255]  # round(value / 257)


def test_16_bit_colour_is_scaled_not_clipped() -> None:
    row = np.array([[0, 32768, 65535]], dtype=">u2").tobytes()
    content = png(1, 1, png_chunk(b"IDAT", zlib.compress(b"\0" + row)), bits=16)
    assert np.asarray(decode_image(content))[0, 0].tolist() == [0, 128, 255]


def test_16_bit_grey_tiff_with_white_as_zero_is_not_a_negative() -> None:
    content = encode(Image.fromarray(np.array([[0, 65535]], dtype=np.uint16)), "TIFF", tiffinfo={262: 0})
    assert np.asarray(decode_image(content))[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pixels_without_a_white_are_refused(dtype: type) -> None:
    content = encode(Image.fromarray(np.zeros((4, 4), dtype)), "TIFF")
    with pytest.raises(ImageError, match="32-bit pixels"):
        decode_image(content)


def test_transparency_is_put_on_white() -> None:
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    half = Image.new("LA", (4, 4), (0, 128))
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 200, 0, 0])
    keyed = Image.new("RGB", (4, 4), (9, 9, 9))
    grey = Image.fromarray(np.full((4, 4), 777, np.uint16))
    cases: list[tuple[bytes, int]] = [
        (encode(clear, "PNG"), 255),
        (encode(clear, "WEBP", lossless=True, exact=True), 255),
        (encode(half, "PNG"), 127),
        (encode(palette, "PNG", transparency=1), 255),
        (encode(palette, "PNG", transparency=b"\xff\x00"), 255),
        (encode(palette, "GIF", transparency=1), 255),
        (encode(keyed, "PNG", transparency=(9, 9, 9)), 255),
        (encode(Image.new("L", (4, 4), 7), "PNG", transparency=7), 255),
        (encode(grey, "PNG", transparency=777), 255),
    ]
    for content, level in cases:
        decoded = decode_image(content)
        assert decoded.mode == "RGB"
        assert np.abs(np.asarray(decoded, int) - level).max() <= 1


def test_one_bit_pictures_are_black_and_white() -> None:
    decoded = decode_image(encode(Image.new("1", (8, 8), 1), "PNG"))
    assert np.asarray(decoded).min() == 255


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_are_refused(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green")]
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match=r"^the image is animated; send a still image$"):
        decode_image(content)


@pytest.mark.parametrize("kind", ["TIFF", "MPO"])
def test_of_several_pictures_the_first_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    red, _, blue = np.asarray(decode_image(content)).mean(axis=(0, 1))
    assert red > 240
    assert blue < 15


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    idat = png_chunk(b"IDAT", zlib.compress(bytes(10_000)))
    for side in (60_000, 11_000, 8_000):  # beyond Pillow's error, beyond its warning, beyond our limit only
        with pytest.raises(ImageError, match="more than 50 million pixels"):
            decode_image(png(side, side, idat))
    with pytest.raises(ImageError, match="longer than 32768 pixels on a side"):
        decode_image(png(100_000, 1, idat))


def test_the_limits_can_be_set() -> None:
    content = encode(picture(), "PNG")
    assert decode_image(content, limits=ImageLimits(max_pixels=1200, max_side=40)).size == (40, 30)
    for limits, why in (
        (ImageLimits(max_pixels=1199), "million pixels"),
        (ImageLimits(max_side=39), "longer than 39"),
        (ImageLimits(max_bytes=len(content) - 1), "larger than"),
    ):
        with pytest.raises(ImageError, match=why):
            decode_image(content, limits=limits)
    with pytest.raises(ImageError, match="million pixels"):
        decode_image(picture(), limits=ImageLimits(max_pixels=1199))


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    content = encode(picture(), "JPEG", progressive=True)
    decode_image(content)
    # Repeat the last scan, which is what an attacker would do; each repetition costs a walk over the picture.
    start = content.rindex(b"\xff\xda")
    with pytest.raises(ImageError, match="more than 100 scans"):
        decode_image(content[:start] + content[start:-2] * 120 + b"\xff\xd9")


def test_a_text_chunk_that_unpacks_to_a_gigabyte_is_refused() -> None:
    squeezer = zlib.compressobj(9)
    packed = b"".join(squeezer.compress(bytes(2**20)) for _ in range(64)) + squeezer.flush()
    image = png_chunk(b"IDAT", zlib.compress(bytes(4)))
    for kind, data in ((b"zTXt", b"Comment\0\0" + packed), (b"iTXt", b"Comment\0\1\0\0\0" + packed)):
        with pytest.raises(ImageError, match="Decompressed data too large"):
            decode_image(png(1, 1, png_chunk(kind, data), image))


def test_a_picture_with_ordinary_text_is_fine() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "a vase", zip=True)
    assert decode_image(encode(picture(), "PNG", pnginfo=info)).size == (40, 30)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    content = encode(Image.fromarray(noise), kind)
    with pytest.raises(ImageError):
        decode_image(content[: int(len(content) * share)])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"hello, I am a text file\n", "not an image of a known format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image of a known format"),
        (b"P6 1 1 255 abc", "not an image of a known format"),  # Pillow could, but it is not on our list
        (b"\x89PNG\r\n\x1a\n", "not an image of a known format"),
    ],
)
def test_what_is_no_image_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(ImageError, match=f"^the image .*{why}"):
        decode_image(content)


def test_paths_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe.jpg"
    os.mkfifo(fifo)
    cases = {
        tmp_path / "missing.jpg": "No such file",
        tmp_path: "is a folder",
        fifo: "not a regular file",
        Path(str(tmp_path) + "/a\0b.jpg"): "cannot be read",
    }
    for path, why in cases.items():
        with pytest.raises(ImageError, match=why) as caught:
            decode_image(path)
        assert str(caught.value).startswith(str(path))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(picture(), "PNG"))
    path.chmod(0)
    with pytest.raises(ImageError, match="Permission denied"):
        decode_image(path)


@pytest.mark.parametrize(
    ("at_least", "short_side"), [(None, 1200), (1200, 1200), (600, 600), (256, 300), (20, 150)]
)
def test_a_large_jpeg_is_decoded_no_smaller_than_asked(at_least: int | None, short_side: int) -> None:
    large = picture(1600, 1200)
    decoded = decode_image(encode(large, "JPEG", quality=95), at_least=at_least)
    assert min(decoded.size) == short_side
    assert difference(decoded, large.resize(decoded.size, Image.Resampling.BOX)) < 2


def test_other_formats_and_small_jpegs_keep_their_size() -> None:
    for content in (encode(picture(), "JPEG"), encode(picture(400, 300), "PNG")):
        with Image.open(io.BytesIO(content)) as opened:
            size = opened.size
        assert decode_image(content, at_least=25).size == size


def test_a_reduced_and_turned_jpeg_is_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_image(encode(picture(1600, 1200), "JPEG", exif=exif), at_least=100).size == (150, 200)


def test_a_thumbnail_fits_and_carries_no_metadata() -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    source = decode_image(encode(picture(400, 200), "JPEG", exif=exif, comment=b"secret"))
    content = thumbnail_jpeg(source, 64)
    with Image.open(io.BytesIO(content)) as thumbnail:
        assert thumbnail.format == "JPEG"
        assert thumbnail.size == (64, 32)
        assert not thumbnail.getexif()
    assert b"secret" not in content
    assert source.size == (400, 200)
    with Image.open(io.BytesIO(thumbnail_jpeg(picture(), 64))) as small:
        assert small.size == (40, 30)


def test_many_threads_decode_the_same() -> None:
    contents = [encode(picture(30 + n, 20 + n), kind) for n in range(8) for kind in ("JPEG", "PNG", "WEBP")]
    alone = [np.asarray(decode_image(content)) for content in contents]
    with ThreadPoolExecutor(8) as pool:
        together = [np.asarray(image) for image in pool.map(decode_image, contents * 4)]
    assert all(np.array_equal(a, b) for a, b in zip(alone * 4, together, strict=True))


def _seeds() -> list[bytes]:
    image, exif = picture(24, 18), Image.Exif()
    exif[0x0112] = 6
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    return [
        encode(image, "JPEG", exif=exif),
        encode(image, "JPEG", progressive=True),
        encode(image.convert("CMYK"), "JPEG"),
        encode(image, "PNG"),
        encode(image.quantize(8), "PNG", transparency=1),
        encode(image.convert("LA"), "PNG"),
        encode(image, "WEBP"),
        encode(image, "WEBP", lossless=True),
        encode(image.quantize(8), "GIF"),
        encode(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        encode(image, "TIFF"),
        encode(image, "TIFF", compression="tiff_lzw"),
        encode(image, "TIFF", compression="tiff_adobe_deflate"),
        encode(Image.fromarray(np.zeros((8, 8), np.uint16)), "TIFF"),
        encode(image, "BMP"),
        encode(image.quantize(8), "BMP"),
    ]


SEEDS = _seeds()


def _outcome(content: bytes) -> str | None:
    """Message of the refusal, or None if an image came out; any other exception fails the test."""
    try:
        decoded = decode_image(content, limits=ImageLimits(max_pixels=1_000_000), at_least=8)
    except ImageError as error:
        return str(error)
    assert decoded.mode == "RGB"
    return None


def _mutate(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice([1, 2, 4, 16])):
        at = rng.randrange(len(data))
        kind: Callable[[], None] = rng.choice(
            [
                lambda at=at: data.__setitem__(at, rng.randrange(256)),
                lambda at=at: data.__setitem__(
                    slice(at, at + 4), struct.pack(">I", rng.choice([0, 2**31, 2**32 - 1]))
                ),
                lambda at=at: data.__delitem__(slice(at, at + rng.randrange(1, 20))),
                lambda at=at: data.__setitem__(slice(at, at), rng.randbytes(rng.randrange(1, 20))),
            ]
        )
        kind()
        if not data:
            break
    return bytes(data)


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_a_damaged_file_is_decoded_or_refused(seed: int) -> None:
    rng = random.Random(seed)
    refused = 0
    for _ in range(60):
        content = _mutate(SEEDS[seed], rng)
        message = _outcome(content)
        if message is not None:
            refused += 1
            assert "\n" not in message
            assert len(message) < 250
    assert refused > 0


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"MM\0*", b"BM", b""]),
    st.binary(),
)
def test_any_bytes_are_decoded_or_refused(magic: bytes, rest: bytes) -> None:
    assert "\n" not in (_outcome(magic + rest) or "")
