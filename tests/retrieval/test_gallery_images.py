from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from retrieval.errors import DataError
from retrieval.gallery_images import find_gallery_images


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)


def test_any_folder_will_do_and_the_first_folder_is_the_label(tmp_path: Path) -> None:
    for name in ("loose.png", "cup/a.png", "cup/blue/b.png", ".hidden/c.png"):
        write(tmp_path / name)
    (tmp_path / "cup" / "notes.txt").write_text("no image")
    images, problems = find_gallery_images(str(tmp_path))
    assert [(image.id, image.label) for image in images] == [
        ("cup/a.png", "cup"),
        ("cup/blue/b.png", "cup"),
        ("loose.png", None),
    ]
    assert problems == []


def test_what_cannot_be_read_or_named_is_one_line_each(tmp_path: Path) -> None:
    write(tmp_path / "good.png")
    write(tmp_path / "two\nlines.png")
    (tmp_path / "empty.png").touch()
    images, problems = find_gallery_images(str(tmp_path))
    assert [image.id for image in images] == ["good.png"]
    assert len(problems) == 2
    assert not any("\n" in problem for problem in problems)
    assert sum("rename the file" in problem for problem in problems) == 1
    assert sum("is empty" in problem for problem in problems) == 1


def test_a_split_takes_the_folder_as_a_data_set(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png", "c/1.png", "d/1.png"):
        write(tmp_path / name)
    images, _ = find_gallery_images(str(tmp_path), split="validation")
    assert [image.id for image in images] == ["b/1.png", "d/1.png"]


def test_a_manifest_gives_labels_and_attributes(tmp_path: Path) -> None:
    write(tmp_path / "p" / "1.png")
    write(tmp_path / "p" / "2.png")
    (tmp_path / "manifest.csv").write_text("path,label,colour\np/1.png,cup,blue\np/2.png,jug,red\n")
    images, _ = find_gallery_images(str(tmp_path))
    assert [(image.id, image.label, image.attributes) for image in images] == [
        ("p/1.png", "cup", {"colour": "blue"}),
        ("p/2.png", "jug", {"colour": "red"}),
    ]


def test_nothing_to_index_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no readable image"):
        find_gallery_images(str(tmp_path))
    with pytest.raises(DataError, match="neither a folder"):
        find_gallery_images(str(tmp_path / "nowhere"))
