"""Packed CIFAR against images whose pixels are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.datasets import DATASETS
from retrieval.datasets.cifar_binary import unpack_cifar
from retrieval.datasets.counts import Count
from retrieval.errors import DataError


def record(label: bytes, red: int) -> bytes:
    """An image whose red is `red`, whose green is the column and whose blue is the row."""
    rows = [y for y in range(32) for _ in range(32)]
    return label + bytes([red] * 1024) + bytes(list(range(32)) * 32) + bytes(rows)


def pack_ten(folder: Path) -> None:
    folder.mkdir()
    (folder / "batches.meta.txt").write_text("ant\ncat\n\n")
    for part in range(1, 6):
        (folder / f"data_batch_{part}.bin").write_bytes(
            record(bytes([part % 2]), part) + record(bytes([(part + 1) % 2]), 100 + part)
        )
    (folder / "test_batch.bin").write_bytes(record(b"\1", 200) + record(b"\0", 201))


def pack_hundred(folder: Path) -> None:
    folder.mkdir()
    (folder / "fine_label_names.txt").write_text("apple\nbear\n")
    (folder / "train.bin").write_bytes(record(b"\7\1", 1) + record(b"\7\0", 2))
    (folder / "test.bin").write_bytes(record(b"\0\0", 3) + record(b"\0\1", 4))


def test_ten_classes_are_unpacked_in_the_order_of_the_files(tmp_path: Path) -> None:
    pack_ten(tmp_path / "packed")
    assert unpack_cifar(tmp_path / "packed", tmp_path / "cifar10") == {"train": 10, "test": 2}
    dataset = DATASETS["cifar10"].read(tmp_path / "cifar10", {"train": Count(10, 2), "test": Count(2, 2)})
    reds = {
        (item.split, item.label, item.path.name): int(np.asarray(Image.open(item.path))[5, 9, 0])
        for item in dataset.records
    }
    assert reds["train", "cat", "00000.png"] == 1
    assert reds["train", "ant", "00001.png"] == 101
    assert reds["train", "ant", "00002.png"] == 2
    assert reds["test", "cat", "00000.png"] == 200
    with Image.open(tmp_path / "cifar10/test/ant/00001.png") as image:
        pixels = np.asarray(image)
    assert pixels.shape == (32, 32, 3)
    assert pixels[5, 9].tolist() == [201, 9, 5]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cifar10", "packed"]


def test_a_hundred_classes_go_by_the_fine_label(tmp_path: Path) -> None:
    pack_hundred(tmp_path / "packed")
    (tmp_path / "cifar100").mkdir()  # an empty folder may be there
    assert unpack_cifar(tmp_path / "packed", tmp_path / "cifar100") == {"train": 2, "test": 2}
    with Image.open(tmp_path / "cifar100/train/bear/00000.png") as image:
        assert np.asarray(image)[0, 0, 0] == 1


def test_what_is_no_packed_cifar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither batches.meta.txt nor fine_label_names.txt is there"):
        unpack_cifar(tmp_path, tmp_path / "out")


def test_a_folder_in_use_is_not_written_into(tmp_path: Path) -> None:
    pack_ten(tmp_path / "packed")
    with pytest.raises(DataError, match="not an empty folder"):
        unpack_cifar(tmp_path / "packed", tmp_path / "packed")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (record(b"\2", 0), "an image of class 2, but"),
        (b"\0" * 3072, "no multiple of 3,073"),
        (b"", "has 0 bytes"),
    ],
)
def test_a_damaged_file_is_named_and_leaves_nothing(content: bytes, message: str, tmp_path: Path) -> None:
    pack_ten(tmp_path / "packed")
    (tmp_path / "packed" / "test_batch.bin").write_bytes(content)
    with pytest.raises(DataError, match=f"test_batch.bin.*{message}"):
        unpack_cifar(tmp_path / "packed", tmp_path / "out")
    (tmp_path / "packed" / "test_batch.bin").unlink()
    with pytest.raises(DataError, match=r"test_batch.bin cannot be read"):
        unpack_cifar(tmp_path / "packed", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["packed"]
