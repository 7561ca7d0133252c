import os
from pathlib import Path

import pytest
from PIL import Image

from retrieval.datasets import keep_readable, open_dataset
from retrieval.errors import DataError


def fill(root: Path, **classes: int) -> None:
    for label, count in classes.items():
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("RGB", (4, 4)).save(root / label / f"{number}.png")


def test_each_folder_is_a_class_and_the_order_is_fixed(tmp_path: Path) -> None:
    fill(tmp_path, cup=2, bowl=3, plate=1)
    (tmp_path / "bowl" / "more").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "bowl" / "more" / "a.JPG")
    dataset = open_dataset(str(tmp_path))
    assert dataset.name == tmp_path.name
    assert dataset.split_names == ("train", "validation", "all")
    assert dataset.default_split == "all"
    everything = dataset.subset("all")
    names = [path.relative_to(tmp_path.resolve()).as_posix() for path in everything.paths]
    assert names == [
        "bowl/0.png",
        "bowl/1.png",
        "bowl/2.png",
        "bowl/more/a.JPG",
        "cup/0.png",
        "cup/1.png",
        "plate/0.png",
    ]
    assert everything.classes == ("bowl", "cup", "plate")
    assert everything.labels.tolist() == [0, 0, 0, 0, 1, 1, 2]
    assert dataset.subset("train").classes == ("bowl", "plate")
    assert dataset.subset("validation").classes == ("cup",)
    assert dataset.problems == ()


def test_hidden_files_and_files_that_are_no_images_are_passed_over(tmp_path: Path) -> None:
    fill(tmp_path, a=1, b=1)
    fill(tmp_path / ".thumbnails", c=1)
    for name in (".hidden.png", "notes.txt", "Thumbs.db", "noending"):
        (tmp_path / "a" / name).write_text("x")
    dataset = open_dataset(str(tmp_path))
    assert len(dataset.records) == 2
    assert dataset.problems == ()


def test_unreadable_files_are_left_out_and_named(tmp_path: Path) -> None:
    fill(tmp_path, a=2, b=2)
    (tmp_path / "a" / "empty.jpg").touch()
    (tmp_path / "b" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    Image.new("RGB", (4, 4)).save(tmp_path / "loose.png")
    dataset = open_dataset(str(tmp_path))
    assert len(dataset.records) == 4
    loose, empty, gone = dataset.problems
    assert "loose.png: lies beside the class folders" in loose
    assert "empty.jpg: is empty (0 bytes)" in empty
    assert "gone.jpg: cannot be read (No such file" in gone


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_is_left_out(tmp_path: Path) -> None:
    fill(tmp_path, a=2, b=2)
    (tmp_path / "a" / "0.png").chmod(0)
    assert "Permission denied" in open_dataset(str(tmp_path)).problems[0]


def test_files_that_do_not_decode_are_reported_and_dropped(tmp_path: Path) -> None:
    fill(tmp_path, a=2, b=1, c=1)
    (tmp_path / "a" / "bad.jpg").write_text("no image")
    noise = Image.effect_noise((64, 64), 90)
    noise.save(tmp_path / "b" / "0.png")
    (tmp_path / "b" / "0.png").write_bytes((tmp_path / "b" / "0.png").read_bytes()[:900])
    lines: list[str] = []
    kept = keep_readable(open_dataset(str(tmp_path)).subset("all"), lines.append)
    assert [path.name for path in kept.paths] == ["0.png", "1.png", "0.png"]
    assert kept.classes == ("a", "c")
    assert kept.labels.tolist() == [0, 0, 1]
    assert len(lines) == 2
    assert all("\n" not in line for line in lines)
    with pytest.raises(DataError, match="none of the 1 images"):
        keep_readable(open_dataset(str(tmp_path)).subset("validation"), lines.append)


def test_folders_that_cannot_be_a_data_set_are_refused(tmp_path: Path) -> None:
    def refused(name: str, why: str) -> None:
        with pytest.raises(DataError, match=why) as caught:
            open_dataset(str(tmp_path / name))
        assert "\n" not in str(caught.value)

    (tmp_path / "nothing").mkdir()
    refused("nothing", "holds no images")
    fill(tmp_path, flat=3)
    refused("flat", "3 images but no folders")
    fill(tmp_path / "one", a=3)
    refused("one", "one class, 'a'")
    fill(tmp_path / "hole", a=3, b=0, c=1)
    refused("hole", "hole/b holds no readable image")
    fill(tmp_path / "holes", a=0, b=0)
    refused("holes", "no readable images in the 2 class folders")
    what_to_do = "give a folder that holds a folder of images for each class, or one of cub200, "
    refused("missing", f"neither a folder, nor a .csv manifest, nor a known data set; {what_to_do}")


def test_a_root_goes_only_with_a_known_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--root goes with a known data set"):
        open_dataset("vases", tmp_path)
