"""Activation maps as a picture: heat over the photographs, in labelled panels.

A panel's colours run from its least value (zero, where some are negative: those take away from the score and stay
dark) to its greatest but for a few spikes, so shapes may be compared between panels and colours may not. The scale
below each panel says what its ends are: multiples of what every position would add if all added the same. 1.0 to 1.1
is a flat map however bright its top is.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from retrieval.explain import ActivationMap, Explanation
from retrieval.transforms import Preprocessing

COLOURS = "inferno"
"""Of matplotlib; its brightness grows evenly, so it reads the same without colour vision and in print."""

FAINT, STRONG = 0.15, 0.75
"""How much of the colour covers the photograph at a map's least and greatest value."""

TOP = 0.995
"""The share of a map's positions below the brightest colour: single spikes of large maps would darken the rest."""

MARGIN, GAP, LINE, BAR = 12, 8, 20, 6
FONT_SIZE, SMALL_FONT_SIZE = 14, 11
INK, FAINT_INK = (20, 20, 20), (110, 110, 110)


@dataclass(frozen=True)
class Panel:
    """One cell of the picture. map: what to lay over the photograph; None shows it as it is."""

    title: str
    photograph: Image.Image
    map: ActivationMap | None = None


@dataclass(frozen=True)
class Row:
    """Panels beside each other below a caption."""

    caption: str
    panels: Sequence[Panel]


def seen_box(size: tuple[int, int], preprocessing: Preprocessing) -> tuple[int, int, int, int]:
    """left, top, right and bottom of the part of a photograph of this width and height that the network sees."""
    width, height = size
    share = preprocessing.pixels / preprocessing.short_side
    left, top = width * (1 - share) / 2, height * (1 - share) / 2
    return round(left), round(top), round(width - left), round(height - top)


def seen(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    """The part of a photograph that the network gets to see, at the photograph's own proportions and resolution."""
    box = seen_box(image.size, preprocessing)
    return image if box == (0, 0, *image.size) else image.crop(box)


def overlaid(image: Image.Image, values: NDArray[np.float32], preprocessing: Preprocessing) -> Image.Image:
    """A map over the photograph it is of, of the photograph's size; what the network does not see stays grey."""
    box = seen_box(image.size, preprocessing)
    whole = image.convert("L").convert("RGB")
    whole.paste(heat(image.crop(box), values), box[:2])
    return whole


def rows_of(
    explanation: Explanation,
    photographs: Sequence[tuple[str, Image.Image]],
    *,
    heads: Sequence[int | None],
    blocks: Sequence[int] = (),
    about: str = "",
) -> list[Row]:
    """Panels of one explanation: the photograph and its maps, a row for each image.

    photographs: caption and `seen` photograph of the image, and of the one it was compared with where there is one.
    heads: which heads' maps, None for that of all. blocks: in place of the pooled maps those of these blocks, a row
    for each head. about: comes first in the captions.
    """
    rows = []
    for of, (name, photograph) in enumerate(photographs):
        plain = Panel("", photograph)
        caption = "   ".join(part for part in (about, name) if part)
        if not blocks:
            maps = [explanation.map(of=of, head=head) for head in heads]
            titles = [f"{head_name(head)}   {each.part:.3f}" for head, each in zip(heads, maps, strict=True)]
            panels = [Panel(title, photograph, each) for title, each in zip(titles, maps, strict=True)]
            rows.append(Row(caption, [plain, *panels]))
            continue
        for head in heads:
            maps = [explanation.map(of=of, head=head, block=block) for block in blocks]
            panels = [Panel(f"block {each.block}", photograph, each) for each in maps]
            rows.append(Row(f"{caption}   {head_name(head)}", [plain, *panels]))
    return rows


def head_name(head: int | None) -> str:
    """`head 1` for index 0; None stands for all heads together."""
    return "all heads" if head is None else f"head {head + 1}"


def draw(rows: Sequence[Row], *, height: int = 220) -> Image.Image:
    """The rows below each other as one RGB image. height: of a photograph, in pixels."""
    cells = [[_cell(panel, height) for panel in row.panels] for row in rows]
    row_height = LINE + cells[0][0].height + GAP
    width = 2 * MARGIN + max(sum(cell.width + GAP for cell in row) - GAP for row in cells)
    sheet = Image.new("RGB", (width, 2 * MARGIN - GAP + row_height * len(rows)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE)
    for number, (row, images) in enumerate(zip(rows, cells, strict=True)):
        x, y = MARGIN, MARGIN + number * row_height
        pen.text((x, y), _fitting(row.caption, font, width - 2 * MARGIN), INK, font)
        for image in images:
            sheet.paste(image, (x, y + LINE))
            x += image.width + GAP
    return sheet


def png(image: Image.Image) -> bytes:
    """The content of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def heat(photograph: Image.Image, values: NDArray[np.float32]) -> Image.Image:
    """A map over a grey photograph of any size: float[h, w], enlarged bilinearly, from dark to bright colours."""
    # Imported here: matplotlib takes a while, and only pictures need it.
    import matplotlib

    least, greatest = _ends(values)
    enlarged = Image.fromarray(values).resize(photograph.size, Image.Resampling.BILINEAR)
    level = np.clip((np.asarray(enlarged) - least) / max(greatest - least, 1e-12), 0, 1)
    cover = (FAINT + (STRONG - FAINT) * level)[..., None]
    grey = np.asarray(photograph.convert("L"), np.float32)[..., None]
    colour = matplotlib.colormaps[COLOURS](level)[..., :3] * 255
    return Image.fromarray(np.round(grey * (1 - cover) + colour * cover).astype(np.uint8))


def _ends(values: NDArray[np.float32]) -> tuple[float, float]:
    return max(float(values.min()), 0.0), max(float(np.quantile(values, TOP)), 0.0)


def _cell(panel: Panel, height: int) -> Image.Image:
    """Title, photograph and scale."""
    aspect = min(max(panel.photograph.width / panel.photograph.height, 0.5), 2.0)
    photograph = panel.photograph.resize((round(height * aspect), height), Image.Resampling.BICUBIC)
    if panel.map is not None:
        photograph = heat(photograph, panel.map.values)
    cell = Image.new("RGB", (photograph.width, LINE + height + LINE), "white")
    pen = ImageDraw.Draw(cell)
    font, small = ImageFont.load_default(FONT_SIZE), ImageFont.load_default(SMALL_FONT_SIZE)
    pen.text((0, 1), _fitting(panel.title, font, cell.width), FAINT_INK, font)
    cell.paste(photograph, (0, LINE))
    if panel.map is not None:
        _draw_scale(cell, pen, small, panel.map, LINE + height + GAP // 2)
    return cell


def _draw_scale(
    cell: Image.Image,
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    map: ActivationMap,
    y: int,
) -> None:
    """A strip of the colours with the values of its ends, as multiples of an even share."""
    import matplotlib

    even = abs(map.part) / map.values.size
    ends = [f"{end / even:.2f}" if even > 1e-9 else "" for end in _ends(map.values)]
    widths = [round(font.getlength(end)) for end in ends]
    left, right = widths[0] + 4, cell.width - widths[1] - 4
    middle = y + (LINE - GAP) // 2
    for place, (end, width) in zip((0, cell.width - widths[1]), zip(ends, widths, strict=True), strict=True):
        if width:
            pen.text((place, middle), end, FAINT_INK, font, anchor="lm")
    strip = (matplotlib.colormaps[COLOURS](np.linspace(0, 1, right - left))[None, :, :3] * 255).astype(
        np.uint8
    )
    cell.paste(Image.fromarray(np.repeat(strip, BAR, 0)), (left, middle - BAR // 2))


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text, its middle left out where it is too long."""
    if font.getlength(text) <= width:
        return text
    for kept in range(len(text) // 2, 0, -1):
        shorter = f"{text[:kept]}...{text[-kept:]}"
        if font.getlength(shorter) <= width:
            return shorter
    return ""
