"""`hdhe export` and `--engine`, from the arguments to the output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import hdhe
from tests.retrieval.engines.models import needs_onnx, patterns, write_model

Run = Callable[..., tuple[int | str | None, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """A model and photos in the working folder."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "model")
    for number, pixels in enumerate(patterns(4)):
        path = tmp_path / "photos" / ("cup" if number % 2 else "jug") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    def command(*arguments: str) -> tuple[int | str | None, str, str]:
        monkeypatch.setattr(sys, "argv", ["hdhe", *arguments])
        with pytest.raises(SystemExit) as stopped:
            hdhe.main()
        return stopped.value.code, *capsys.readouterr()

    return command


@needs_onnx
def test_a_collections_model_is_exported_and_then_runs_everywhere(run: Run, tmp_path: Path) -> None:
    build = ("index", "build", "--model", "model", "--images", "photos", "--collection", "shop")
    assert run(*build)[0] == 0
    code, _, err = run(*build, "--engine", "onnx")
    assert code == 2
    assert "hdhe export --model shop/model --engine onnx" in err

    code, out, err = run("export", "--collection", "shop", "--engine", "onnx", "--images", "photos", "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    assert (said["engine"], said["images"], said["images_of"]) == ("onnx", 4, "photos")
    assert said["cosine_min"] > 0.999

    code, out, _ = run(*build, "--engine", "onnx")
    assert code == 0
    assert "images a second by onnx (float32), which was busy" in out
    code, out, err = run("search", "--collection", "shop", "--engine", "onnx", "photos/jug/0.png", "--json")
    assert (code, err) == (0, "")
    best = json.loads(out)["results"][0]["hits"][0]
    assert best["id"] == "jug/0.png"
    assert best["score"] == pytest.approx(1, abs=1e-3)

    # The exports of a bundle go with it into a collection that is made of it.
    first = ("--model", "shop/model", "--images", "photos")
    assert run("index", "build", *first, "--collection", "second", "--engine", "onnx")[0] == 0
    assert (tmp_path / "second" / "model" / "onnx" / "export.json").is_file()

    code, out, _ = run("evaluate", "--model", "shop/model", "--data", "photos", "--engine", "onnx", "--json")
    assert code == 0
    assert json.loads(out)["engine"] == "onnx (float32)"
    code, out, _ = run("embed", *first, "--out", "vectors.npz", "--engine", "onnx")
    assert code == 0
    code, _, err = run("explain", "photos/jug/0.png", "--model", "shop/model", "--engine", "onnx", "--typical",
                       "photos", "--out", "map.png")  # fmt: skip
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "torch", "--model", "model"), "--engine must be one of onnx, openvino, openvino-int8"),
        (("--engine", "onnx"), "give either --model or --collection"),
        (("--engine", "onnx", "--model", "model", "--collection", "shop"), "give either --model or --coll"),
        (("--engine", "onnx", "--model", "photos"), "not a model bundle"),
        (("--engine", "onnx", "--collection", "photos"), "photos is not a collection"),
        (("--engine", "onnx", "--model", "model", "--images", "nowhere"), "nowhere"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(run: Run, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = run("export", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_an_engine_that_does_not_exist(run: Run) -> None:
    code, _, err = run("evaluate", "--model", "model", "--data", "photos", "--engine", "abacus")
    assert code == 2
    assert "engine must be one of torch, torch-bf16" in err


def test_an_engine_is_nothing_for_vectors_in_a_file(run: Run) -> None:
    code, _, err = run("evaluate", "--embeddings", "vectors.npz", "--engine", "onnx")
    assert code == 2
    assert "--engine does not go with --embeddings" in err


def test_8_bits_need_labelled_images(run: Run) -> None:
    code, _, err = run("export", "--model", "model", "--engine", "openvino-int8")
    assert code == 2
    assert "openvino-int8 is held to its recall: give --images with a data set" in err
