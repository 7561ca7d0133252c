"""Which images go into a gallery, and under which ids and labels.

Unlike training, a gallery asks little of a folder: photos without a label, a single class and empty folders are all
welcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from indexes import InvalidItemError, check_id
from retrieval.datasets import DATASETS, open_dataset
from retrieval.datasets.folder import images_in, readable_files
from retrieval.errors import DataError
from retrieval.gallery import GalleryImage


def find_gallery_images(
    name_or_dir: str, *, split: str | None = None, root: Path | None = None
) -> tuple[list[GalleryImage], list[str]]:
    """The images, and one line for each file that cannot be read.

    name_or_dir: a known data set, a manifest, or any folder; of a plain folder every image at any depth is taken, with
    the name of the first folder on its way as its label. An id is the path below the root. Raises DataError if there
    is no image at all.
    """
    folder = Path(name_or_dir).expanduser()
    plain = name_or_dir not in DATASETS and folder.is_dir() and not (folder / "manifest.csv").exists()
    if not plain or split is not None:
        dataset = open_dataset(name_or_dir, root)
        images = [
            GalleryImage(
                str(record.path.relative_to(dataset.root)), record.path, record.label, record.attributes
            )
            for record in dataset.subset(split or "all").records
        ]
        return _with_good_ids(images, list(dataset.problems))
    paths, problems = readable_files(images_in(folder))
    if not paths:
        raise DataError(f"{folder} holds no readable image (JPEG, PNG, WebP, GIF, TIFF, BMP)")
    images = []
    for path in paths:
        place = path.relative_to(folder)
        images.append(GalleryImage(str(place), path, place.parts[0] if len(place.parts) > 1 else None))
    return _with_good_ids(images, problems)


def without_label(images: Sequence[GalleryImage]) -> str | None:
    """One line on images of a folder that have no label; None where all have one."""
    bare = sum(image.label is None for image in images)
    if not bare:
        return None
    which = f"{bare} of the {len(images)} items" if bare < len(images) else "the items"
    return (
        f"{which} have no label, because their images lie in no class folder; "
        "for labels, put the images of each class into a folder named after it"
    )


def _with_good_ids(images: list[GalleryImage], problems: list[str]) -> tuple[list[GalleryImage], list[str]]:
    """A file name may hold what no id may (a line break, bytes that are no text): that image alone is left out."""
    good = []
    for image in images:
        try:
            check_id(image.id)
            good.append(image)
        except InvalidItemError as error:
            problems.append(f"{image.id!r}: {error}; rename the file")
    return good, problems
