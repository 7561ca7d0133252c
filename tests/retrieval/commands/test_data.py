import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from retrieval.commands.data import data_app
from retrieval.datasets import DATASETS
from retrieval.errors import DataError

runner = CliRunner()


def fill(root: Path, **classes: int) -> None:
    for label, count in classes.items():
        (root / label).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (4, 4)).save(root / label / f"{number}.png")


def test_list_tells_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HDHE_DATA", str(tmp_path))
    (tmp_path / "sop").mkdir()
    plain = runner.invoke(data_app, ["list"])
    assert plain.exit_code == 0
    assert all(name in plain.stdout for name in DATASETS)
    assert f"{tmp_path / 'cub200'}: absent" in plain.stdout
    assert (
        f"{tmp_path / 'sop'}: not as expected: {tmp_path / 'sop' / 'Ebay_train.txt'} is missing"
        in plain.stdout
    )
    rows = json.loads(runner.invoke(data_app, ["list", "--json"]).stdout)
    assert [row["name"] for row in rows] == list(DATASETS)
    assert rows[0]["splits"]["test"] == {"images": 5924, "classes": 100}


def test_check_of_a_sound_folder(tmp_path: Path) -> None:
    fill(tmp_path / "cups", a=2, b=3)
    result = runner.invoke(data_app, ["check", str(tmp_path / "cups"), "--decode"])
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "cups/train: 2 images of 1 classes",
        "cups/validation: 3 images of 1 classes",
        "cups/all: 5 images of 2 classes",
        "no problems",
    ]


def test_check_prints_a_line_for_each_problem(tmp_path: Path) -> None:
    fill(tmp_path / "cups", a=2, b=3)
    (tmp_path / "cups" / "a" / "void.jpg").touch()
    (tmp_path / "cups" / "b" / "text.jpg").write_text("no image")
    quick = runner.invoke(data_app, ["check", str(tmp_path / "cups")])
    assert quick.exit_code == 1
    assert "void.jpg: is empty" in quick.stdout
    assert quick.stdout.splitlines()[-1].startswith("1 problem; ")
    thorough = runner.invoke(data_app, ["check", str(tmp_path / "cups"), "--decode"])
    assert thorough.exit_code == 1
    assert "text.jpg is not an image of a known format" in thorough.stdout
    assert thorough.stdout.splitlines()[-1] == "2 problems"


def test_a_check_without_decoding_says_so(tmp_path: Path) -> None:
    fill(tmp_path / "cups", a=2, b=3)
    (tmp_path / "cups" / "b" / "text.jpg").write_text("no image")
    quick = runner.invoke(data_app, ["check", str(tmp_path / "cups")])
    assert quick.exit_code == 0
    said = "no problems; images were not decoded: repeat with --decode to find damaged ones"
    assert quick.stdout.splitlines()[-1] == said


def test_check_of_what_is_no_data_set_is_a_users_mistake(tmp_path: Path) -> None:
    result = runner.invoke(data_app, ["check", str(tmp_path / "nowhere")])
    assert isinstance(result.exception, DataError)


def test_sample_renders_what_check_accepts(tmp_path: Path) -> None:
    target = str(tmp_path / "vases")
    result = runner.invoke(data_app, ["sample", target, "--classes", "2", "--images", "2", "--pixels", "32"])
    assert result.exit_code == 0
    assert f"2 designs x 2 photos in {target}" in result.stdout
    assert runner.invoke(data_app, ["check", target, "--decode"]).exit_code == 0


def test_unpacked_cifar_is_what_check_reads(tmp_path: Path) -> None:
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "fine_label_names.txt").write_text("apple\nbear\n")
    for name in ("train", "test"):
        images = b"".join(bytes([0, label]) + bytes(3072) for label in (0, 1, 1))
        (tmp_path / "packed" / f"{name}.bin").write_bytes(images)
    result = runner.invoke(data_app, ["unpack-cifar", str(tmp_path / "packed"), str(tmp_path / "cifar100")])
    assert result.stdout == f"3 images to train and 3 to test in {tmp_path / 'cifar100'}\n"
    checked = runner.invoke(data_app, ["check", "cifar100", "--root", str(tmp_path / "cifar100")])
    assert "split 'train' of cifar100 must have 50,000 images of 100 classes" in str(checked.exception)
