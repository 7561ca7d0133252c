import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from retrieval.bundle import save_bundle
from retrieval.commands.evaluate import evaluate, parse_ks
from retrieval.errors import UserError
from retrieval.networks import build_ensemble, preset_spec
from retrieval.recall import leave_one_out
from retrieval.transforms import Preprocessing
from tests.retrieval.students import write_model

app = typer.Typer()
app.command()(evaluate)


def run(*arguments: object) -> str:
    """stdout of a command; what it raises goes through, as the front door turns that into a line."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def run_json(*arguments: object) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run(*arguments, "--json"))
    return answer


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "e.npz"
    rng = np.random.default_rng(0)
    np.savez(path, embeddings=rng.standard_normal((40, 8)), labels=np.arange(40) // 4)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    root = tmp_path / "plates"
    rng = np.random.default_rng(0)
    for number, color in enumerate([(200, 30, 30), (30, 200, 30), (30, 30, 200)]):
        (root / f"class-{number}").mkdir(parents=True)
        for i in range(3):
            pixels = np.clip(np.array(color) + rng.integers(-25, 25, (40, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / f"class-{number}" / f"{i}.png")
    return root


def test_scores_a_file(file: Path) -> None:
    answer = run_json("--embeddings", file)
    rows = np.load(file)["embeddings"]
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    truth = leave_one_out(rows, np.arange(40) // 4, (1, 2, 4, 8))
    assert answer["recall"] == {str(k): value for k, value in truth.recall.items()}
    assert (answer["map_at_r"], answer["r_precision"]) == (truth.map_at_r, truth.r_precision)
    assert answer["protocol"] == "leave-one-out"
    assert (answer["queries"], answer["queries_without_positive"], answer["classes"]) == (40, 0, 10)


def test_prints_a_table_that_says_what_was_scored(file: Path) -> None:
    table = run("--embeddings", file, "--k", "1,10")
    for text in ("leave-one-out", "embedding size 8", "queries        40", "Recall@10", "MAP@R"):
        assert text in table


def test_scores_queries_against_a_gallery(tmp_path: Path) -> None:
    path = tmp_path / "e.npz"
    np.savez(
        path,
        embeddings=np.array([[1, 0], [1, 0.1], [0, 1], [0.5, 0.5], [1, 0]]),
        labels=np.array(["a", "a", "b", "c", "a"]),
        is_query=np.array([True, True, False, True, False]),
        is_gallery=np.array([False, True, True, True, False]),
    )
    answer = run_json("--embeddings", path, "--k", "1")
    # Row 0 finds row 1; rows 1 and 3 are in the gallery themselves, where nothing else is of their class; row 4 is
    # in neither part.
    assert answer["protocol"] == "query/gallery"
    assert (answer["queries"], answer["queries_without_positive"], answer["recall"]) == (3, 2, {"1": 1.0})


def test_default_ks_are_those_a_small_gallery_allows(tmp_path: Path) -> None:
    path = tmp_path / "e.npz"
    np.savez(path, embeddings=np.eye(4), labels=np.array([0, 0, 1, 1]))
    assert list(run_json("--embeddings", path)["recall"]) == ["1", "2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--k", "40"], "k 40 is larger than the gallery"),
        (["--k", "0"], "1 or more"),
        (["--k", "1,x"], "whole numbers"),
        (["--model", "single:efficientnet_lite0"], "--model does not go with"),
        (["--query-model", "student"], "--query-model does not go with"),
        (["--pixels", "64"], "--pixels does not go with"),
    ],
)
def test_refuses_options_that_make_no_sense(file: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        run("--embeddings", file, *arguments)
    assert "\n" not in str(raised.value)


def test_wants_a_model_or_a_file() -> None:
    with pytest.raises(UserError, match="--model and --data, or --embeddings"):
        run()


def test_ks_come_in_order() -> None:
    assert parse_ks("8, 1,2,2") == (1, 2, 8)


def test_scores_a_model_on_a_folder(images: Path) -> None:
    (images / "class-1" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    (images / "class-1" / "empty.png").write_bytes(b"")
    result = CliRunner().invoke(
        app, ["--model", "single:efficientnet_lite0@64", "--data", str(images), "--json"]
    )
    assert result.exit_code == 0, result.exception
    answer = json.loads(result.stdout)
    assert answer["recall"]["1"] == 1.0
    assert (answer["queries"], answer["classes"], answer["unreadable"]) == (9, 3, 2)
    assert (answer["data"], answer["split"], answer["pixels"]) == ("plates", "all", 64)
    assert len(answer["fingerprint"]) == 64
    assert answer["embedding_size"] == 1280
    assert "broken.png" in result.stderr
    assert "empty.png" in result.stderr


def test_mirror_changes_the_embedding(images: Path) -> None:
    arguments = ("--model", "single:efficientnet_lite0@64", "--data", images, "--split", "validation")
    answers = [run_json(*arguments, "--k", "1", flag) for flag in ("--mirror", "--no-mirror")]
    assert [answer["mirror"] for answer in answers] == [True, False]


def test_pixels_are_those_of_the_network_that_was_named_so(images: Path) -> None:
    arguments = ("--data", images, "--split", "validation", "--k", "1")
    at_64 = run_json("--model", "single:efficientnet_lite0@64", *arguments)
    shrunk = run_json("--model", "single:efficientnet_lite0@96", "--pixels", 64, *arguments)
    assert {key: shrunk[key] for key in ("pixels", "recall", "map_at_r")} == {
        key: at_64[key] for key in ("pixels", "recall", "map_at_r")
    }


def test_what_is_cut_off_at_other_pixels_is_the_same_share(images: Path, tmp_path: Path) -> None:
    network = build_ensemble(preset_spec("single", "efficientnet_lite0"), weights=None)
    for name, cut in {"small": Preprocessing(32, 40), "large": Preprocessing(64, 80)}.items():
        save_bundle(tmp_path / name, network, cut, recipe={}, scores=[], pretraining="none")
    large = run_json("--model", tmp_path / "large", "--data", images, "--k", "1")
    grown = run_json("--model", tmp_path / "small", "--data", images, "--k", "1", "--pixels", 64)
    assert (grown["recall"], grown["map_at_r"]) == (large["recall"], large["map_at_r"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pixels", "0"], "--pixels: pixels must be between 1 and 4096; got 0"),
        (["--pixels", "64", "--engine", "onnx"], "--pixels goes with --engine torch"),
    ],
)
def test_refuses_pixels_that_cannot_be(images: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run("--model", "single:efficientnet_lite0@64", "--data", images, *arguments)


def test_queries_by_a_student(images: Path, tmp_path: Path) -> None:
    teacher = write_model(tmp_path / "teacher")
    student = write_model(tmp_path / "student", seed=1, pixels=40, space=teacher)
    arguments = ("--data", images, "--k", "1,2", "--no-mirror")
    alone = run_json("--model", tmp_path / "teacher", *arguments)
    assert not [key for key in alone if key.startswith("query")]
    both = run_json("--model", tmp_path / "teacher", "--query-model", tmp_path / "student", *arguments)
    assert {key: both[key] for key in alone if key in ("model", "fingerprint", "pixels", "mirror")} == {
        "model": str(tmp_path / "teacher"),
        "fingerprint": teacher,
        "pixels": 32,
        "mirror": False,
    }
    assert {key: value for key, value in both.items() if key.startswith("query_")} == {
        "query_model": str(tmp_path / "student"),
        "query_fingerprint": student,
        "query_mirror": False,
        "query_pixels": 40,
        "query_pretraining": "none",
    }
    assert both["queries"] == alone["queries"] == 9
    table = run("--model", tmp_path / "teacher", "--query-model", tmp_path / "student", "--data", images)
    assert f"query model    {tmp_path / 'student'} (40 pixels, mirror, none)" in table


def test_a_stranger_asks_nothing(images: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "teacher")
    write_model(tmp_path / "stranger", seed=1)
    with pytest.raises(UserError, match="embeds in its own space"):
        run("--model", tmp_path / "teacher", "--query-model", tmp_path / "stranger", "--data", images)
