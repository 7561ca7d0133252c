from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from retrieval.bundle import save_bundle
from retrieval.commands.explain import explain, short_name
from retrieval.errors import BundleError, DataError, ImageError, UserError
from retrieval.networks import EnsembleSpec, HeadSpec, build_ensemble
from retrieval.transforms import Preprocessing

app = typer.Typer()
app.command()(explain)


def run(*arguments: object) -> str:
    """stdout of a command; what it raises goes through, as the front door turns that into a line."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models and some photographs."""
    folder = tmp_path_factory.mktemp("explain")
    torch.manual_seed(0)
    two = EnsembleSpec(
        "mobilenet_v3_small", "B3", (HeadSpec("res4_last", 1, "penultimate+"), HeadSpec("res4_1"))
    )
    for name, spec in {
        "two": two,
        "one": EnsembleSpec("mobilenet_v3_small", "B3", (HeadSpec("res4_1"),)),
    }.items():
        network = build_ensemble(spec, weights=None)
        save_bundle(
            folder / name / "bundle", network, Preprocessing(32, 40), recipe={}, scores=[], pretraining="none"
        )
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png", "typical/x/c.png", "typical/y/d.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (30, 50, 3), dtype=np.uint8)).save(folder / name)
    (folder / "corrupt.png").write_bytes((folder / "a.png").read_bytes()[:200])
    return folder


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.size


def test_draws_heads_of_one_image_and_of_two(folder: Path, tmp_path: Path) -> None:
    alone, both = tmp_path / "alone.png", tmp_path / "both.png"
    model = folder / "two" / "bundle"
    printed = run(folder / "a.png", "--model", model, "--out", alone)
    assert printed.splitlines() == ["1.0000  two", str(alone)]
    printed = run(folder / "a.png", "--against", folder / "b.png", "--model", model, "--out", both)
    score = float(printed.split()[0])
    assert -1 <= score < 1
    assert size_of(both)[0] == size_of(alone)[0]
    assert size_of(both)[1] > 1.8 * size_of(alone)[1]


def test_a_named_head_is_one_panel_and_blocks_are_panels(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    widths = {}
    for case in (
        ("--head", "all"),
        ("--head", "2"),
        ("--head", "ensemble"),
        ("--blocks", "1,4,7"),
        ("--blocks", "11"),
    ):
        run(folder / "a.png", "--model", folder / "two" / "bundle", "--out", out, *case)
        widths[case[1]] = size_of(out)[0]
    # The photograph is a panel too.
    assert widths["2"] == widths["ensemble"] == widths["11"] < widths["all"] == widths["1,4,7"]


def test_models_with_one_map_each_stand_in_one_row(folder: Path, tmp_path: Path) -> None:
    out, single = tmp_path / "out.png", tmp_path / "single.png"
    one, two = folder / "one" / "bundle", folder / "two" / "bundle"
    run(folder / "a.png", "--model", one, "--out", single)
    printed = run(folder / "a.png", "--model", one, "--model", two, "--head", "ensemble", "--out", out)
    assert printed.splitlines()[:2] == ["1.0000  one", "1.0000  two"]
    assert size_of(out)[1] == size_of(single)[1]
    assert size_of(out)[0] > size_of(single)[0]
    run(folder / "a.png", "--model", one, "--model", two, "--out", out)
    assert size_of(out)[1] > 1.8 * size_of(single)[1]


def test_a_model_that_is_not_fine_tuned_may_be_named(folder: Path, tmp_path: Path) -> None:
    printed = run(
        folder / "a.png",
        "--model",
        "pruned:efficientnet_lite0@32",
        "--blocks",
        "1,14",
        "--out",
        tmp_path / "o.png",
    )
    assert printed.startswith("1.0000  pruned:efficientnet_lite0@32")


@pytest.mark.parametrize("typical", ["typical", "b.png"])
def test_typical_images_are_a_folder_or_one(folder: Path, tmp_path: Path, typical: str) -> None:
    plain, centred = tmp_path / "plain.png", tmp_path / "centred.png"
    arguments = (folder / "a.png", "--model", folder / "one" / "bundle")
    run(*arguments, "--out", plain)
    run(*arguments, "--typical", folder / typical, "--out", centred)
    assert plain.read_bytes() != centred.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("--blocks", "12"), UserError, "no block 12: the network has blocks 1 to 11"),
        (("--blocks", "0"), UserError, "no block 0"),
        (("--blocks", "11", "--head", "2"), UserError, "no block 11: head 2 has blocks 1 to 9"),
        (("--blocks", "1;2"), UserError, "whole numbers between commas"),
        (("--blocks", ""), UserError, "whole numbers between commas"),
        (("--head", "3"), UserError, "all, ensemble or a number from 1 to 2"),
        (("--head", "0"), UserError, "all, ensemble or a number from 1 to 2"),
        (("--head", "both"), UserError, "got 'both'"),
        (("--against", "gone.png"), ImageError, "gone.png cannot be read: No such file"),
        (("--against", "corrupt.png"), ImageError, "corrupt.png is damaged"),
        (("--typical", "gone"), DataError, "'gone' is neither a folder"),
        (("--typical", "corrupt.png"), DataError, "none of its 1 images can be decoded"),
        (("--out", "out.jpg"), UserError, "must end in .png"),
        (("--out", "gone/out.png"), UserError, "folder gone of --out does not exist"),
        (("--out", "folder.png"), UserError, "cannot be written: Is a directory"),
        (("--model", "single"), BundleError, "single is not a model bundle"),
    ],
)
def test_a_mistake_is_one_line(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    error: type[UserError],
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    (folder / "folder.png").mkdir(exist_ok=True)
    with pytest.raises(error, match=message) as caught:
        run("a.png", "--model", "two/bundle", "--out", "out.png", *arguments)
    assert "\n" not in str(caught.value)
    assert not (folder / "out.png").exists()


def test_a_missing_image_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg cannot be read"):
        run(tmp_path / "gone.jpg", "--model", folder / "one" / "bundle", "--out", tmp_path / "o.png")


def test_a_run_is_named_by_its_folder() -> None:
    assert short_name("runs/cars/bundle") == "cars"
    assert short_name("models/birds") == "birds"
    assert short_name("single:resnet50") == "single:resnet50"
