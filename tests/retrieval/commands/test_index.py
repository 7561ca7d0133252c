"""`hdhe index`, `hdhe search` and `hdhe embed` on a folder of photos, from the arguments to the output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hdhe
from indexes import LocalCollection
from retrieval.bundle import save_bundle
from retrieval.networks import EnsembleSpec, HeadSpec, build_ensemble
from retrieval.transforms import Preprocessing
from tests.retrieval.students import write_model

Run = Callable[..., tuple[int | str | None, str, str]]


def write_bundle(folder: Path, seed: int) -> str:
    torch.manual_seed(seed)
    network = build_ensemble(
        EnsembleSpec("resnet18", "B3", (HeadSpec("res4_1", 1, "penultimate+"),)), weights=None
    )
    save_bundle(folder, network, Preprocessing(32), recipe={}, scores=[], pretraining="none")
    return str(folder)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    write_bundle(tmp_path / "model", seed=0)
    generator = np.random.default_rng(0)
    for name in ("cup/1.png", "cup/2.png", "jug/1.png", "jug/2.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)

    def command(*arguments: str) -> tuple[int | str | None, str, str]:
        monkeypatch.setattr(sys, "argv", ["hdhe", *arguments])
        with pytest.raises(SystemExit) as stopped:
            hdhe.main()
        return stopped.value.code, *capsys.readouterr()

    return command


BUILD = ("index", "build", "--model", "model", "--images", "photos", "--collection", "shop")


def test_built_described_checked_and_searched(run: Run) -> None:
    code, out, err = run(*BUILD)
    assert (code, err) == (0, "")
    assert out.startswith("4 images indexed, 0 left out; shop holds 4 items")

    code, out, _ = run("index", "info", "--collection", "shop", "--json")
    assert code == 0
    assert json.loads(out).items() >= {"items": 4, "labels": 2, "embedding_size": 512}.items()

    code, out, _ = run("index", "info", "--collection", "shop")
    assert code == 0
    told = [" ".join(line.split()) for line in out.splitlines()]
    assert {"items 4", "index on gpu no", "recall@10 1.0"} <= {*told}
    assert told[-1].startswith("size on disk ")

    code, out, _ = run("index", "check", "--collection", "shop")
    assert code == 0
    assert out.splitlines()[-1] == "rows and index agree"

    code, out, _ = run("search", "--collection", "shop", "--k", "2", "--json", "photos/jug/2.png")
    assert code == 0
    (result,) = json.loads(out)["results"]
    assert [result["hits"][0][key] for key in ("id", "label")] == ["jug/2.png", "jug"]
    assert result["hits"][0]["score"] == pytest.approx(1, abs=1e-5)

    code, out, _ = run("search", "--collection", "shop", "--filter", '{"label": "cup"}', "photos/jug/2.png")
    assert code == 0
    assert sorted(line.split()[-1] for line in out.splitlines()[1:]) == ["cup/1.png", "cup/2.png"]


def test_building_again_adds_what_is_new_and_keeps_the_rest(run: Run, tmp_path: Path) -> None:
    run(*BUILD)
    Image.new("RGB", (20, 20), "red").save(tmp_path / "photos" / "cup" / "3.png")
    _, out, _ = run(*BUILD, "--skip-existing")
    assert out.startswith("1 images indexed, 0 left out; shop holds 5 items")
    _, out, _ = run(*BUILD)
    assert out.startswith("5 images indexed, 0 left out; shop holds 5 items")


def test_a_damaged_photo_is_named_and_the_others_are_indexed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos" / "cup" / "bad.png").write_bytes(b"no image at all")
    code, out, err = run(*BUILD)
    assert code == 0
    assert out.startswith("4 images indexed, 1 left out")
    assert len(err.splitlines()) == 1
    assert "bad.png" in err


def test_items_without_labels_are_mentioned_with_what_gives_them_labels(run: Run, tmp_path: Path) -> None:
    for photo in sorted(tmp_path.glob("photos/*/*.png")):
        photo.rename(tmp_path / f"{photo.parent.name}{photo.name}")
    build = ("index", "build", "--model", "model", "--images", ".", "--collection")
    shards = ("embed", "--model", "model", "--images", ".", "--out")
    remedy = "for labels, put the images of each class into a folder named after it"
    told = f"hdhe: the items have no label, because their images lie in no class folder; {remedy}\n"
    assert run(*build, "shop")[::2] == (0, told)
    assert run(*shards, "shards")[::2] == (0, told)
    (tmp_path / "jug1.png").rename(tmp_path / "photos" / "jug1.png")
    code, _, err = run(*build, "other")
    assert (code, len(err.splitlines())) == (0, 1)
    assert "3 of the 4 items have no label" in err


def test_every_command_names_what_it_leaves_out_in_the_same_words(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos" / "cup" / "bad.png").write_bytes(b"no image at all")
    (tmp_path / "photos" / "cup" / "void.png").touch()
    scored = ("evaluate", "--model", "model", "--data", "photos", "--k", "1")
    embedded = ("embed", "--model", "model", "--images", "photos", "--out")
    told = []
    for command in (BUILD, scored, (*embedded, "photos.npz"), (*embedded, "shards")):
        code, _, err = run(*command)
        assert code == 0
        told.append(err.replace(f"{tmp_path}/", "").splitlines())
    formats = "JPEG, PNG, WebP, GIF, TIFF, BMP"
    empty = "hdhe: left out: photos/cup/void.png: is empty (0 bytes)"
    damaged = f"hdhe: left out: photos/cup/bad.png is not an image of a known format ({formats})"
    assert told == [[empty, damaged]] * 4


def test_another_model_is_refused_and_nothing_is_changed(run: Run, tmp_path: Path) -> None:
    run(*BUILD)
    write_bundle(tmp_path / "other", seed=1)
    code, _, err = run("index", "build", "--model", "other", "--images", "photos", "--collection", "shop")
    assert code == 2
    assert "another model" in err
    with LocalCollection.open(tmp_path / "shop") as collection:
        assert collection.count() == 4


def test_a_collection_that_is_open_elsewhere_is_locked(run: Run, tmp_path: Path) -> None:
    run(*BUILD)
    with LocalCollection.open(tmp_path / "shop"):
        code, _, err = run(*BUILD)
        assert code == 2
        assert "another process" in err or "open" in err
        code, _, _ = run("search", "--collection", "shop", "photos/jug/2.png")
        assert code == 0


def test_check_tells_of_rows_that_the_index_lacks(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(*BUILD)
    from indexes.collection_check import CheckReport

    report = CheckReport(4, 3, 4, "flat", {}, ("item 'cup/1.png' is missing from the index",))
    monkeypatch.setattr(LocalCollection, "check", lambda self: report)
    code, out, _ = run("index", "check", "--collection", "shop")
    assert code == 1
    assert "cup/1.png" in out


def test_embeddings_can_be_written_and_scored(run: Run) -> None:
    code, out, _ = run("embed", "--model", "model", "--images", "photos", "--out", "photos.npz")
    assert code == 0
    assert out == "4 embeddings of 512 numbers in photos.npz\n"
    code, out, _ = run("evaluate", "--embeddings", "photos.npz", "--k", "1,3", "--json")
    assert code == 0
    from_file = json.loads(out)
    _, out, _ = run(
        "evaluate", "--model", "model", "--data", "photos", "--split", "all", "--k", "1,3", "--json"
    )
    from_model = json.loads(out)
    assert from_file["recall"] == from_model["recall"]
    assert from_file["recall"]["3"] == 1.0


def test_a_student_searches_its_teachers_collection(run: Run, tmp_path: Path) -> None:
    write_model(tmp_path / "student", seed=1, space=write_model(tmp_path / "teacher"))
    run("index", "build", "--model", "teacher", "--images", "photos", "--collection", "shop")
    search = ("search", "--collection", "shop", "--k", "4", "--json", "photos/jug/2.png")
    code, out, _ = run(*search, "--query-model", "student")
    assert code == 0
    scores = {hit["id"]: hit["score"] for hit in json.loads(out)["results"][0]["hits"]}

    # The same by embedding with each model.
    vectors = {}
    for model in ("teacher", "student"):
        run("embed", "--model", model, "--images", "photos", "--out", f"{model}.npz")
        file = np.load(tmp_path / f"{model}.npz")
        vectors[model] = dict(zip(file["paths"].tolist(), file["embeddings"], strict=True))
    asked = vectors["student"]["jug/2.png"]
    expected = {id: float(vector @ asked) for id, vector in vectors["teacher"].items()}
    assert scores == pytest.approx(expected, abs=1e-4)

    code, _, err = run(*search, "--query-model", "model")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "the query model model" in err
