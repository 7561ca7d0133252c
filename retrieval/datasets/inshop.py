"""In-Shop Clothes Retrieval of DeepFashion (Liu et al. 2016): queries are searched in a gallery of other
photos.

Layout: `Eval/list_eval_partition.txt` (older archives: at the top), two lines of headings, then image name,
item id and `train`, `query` or `gallery`. The names begin with `img/`, which lies at the top or in `Img/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from retrieval.datasets.counts import Count, check_counts, require_first_images
from retrieval.datasets.dataset import QUERY_GALLERY, ImageDataset, Record
from retrieval.datasets.list_file import read_columns, require_file
from retrieval.errors import DataError

COUNTS = {"train": Count(25_882, 3_997), "query": Count(14_218, 3_985), "gallery": Count(12_612, 3_985)}
PARTITION = "list_eval_partition.txt"


def read(root: Path, counts: Mapping[str, Count] = COUNTS) -> ImageDataset:
    """Read the set at `root`, the folder of `Eval` and `img` (or `Img/img`)."""
    older = root / PARTITION
    partition = older if older.is_file() else require_file(root / "Eval" / PARTITION, "inshop")
    images = root / "Img" if (root / "Img" / "img").is_dir() else root
    records = []
    for name, item, split in read_columns(partition, 3, skip=2):
        if split not in counts:
            raise DataError(f"{partition}: split of {name} must be one of {', '.join(counts)}; got {split!r}")
        records.append(Record(images / name, item, split))
    dataset = ImageDataset("inshop", root, tuple(records), ("train", "query", "gallery"), QUERY_GALLERY)
    check_counts(dataset, counts, dict.fromkeys(counts, partition))
    items = {split: {record.label for record in records if record.split == split} for split in counts}
    if items["query"] != items["gallery"]:
        lone = min(items["query"] ^ items["gallery"])
        raise DataError(f"{partition}: {lone} and others are only in the query or only in the gallery")
    return require_first_images(dataset)
