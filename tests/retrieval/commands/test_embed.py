"""`hdhe embed` into shards, by one process and by several, and what becomes of them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hdhe
from indexes import LocalCollection
from retrieval import processes
from retrieval.bundle import load_bundle, save_bundle
from retrieval.embedder import Embedder
from retrieval.embeddings_file import read_embeddings
from retrieval.networks import EnsembleSpec, HeadSpec, build_ensemble
from retrieval.shards import EmbeddingShards
from retrieval.transforms import Preprocessing

Run = Callable[..., tuple[int | str | None, str, str]]

ROOT = Path(__file__).parents[3]
NAMES = [f"{label}/{number}.png" for label in ("cup", "jug") for number in range(5)]
EMBED = ("embed", "--model", "model", "--images", "photos", "--out", "all", "--shard-size", "3")
BUILD = ("index", "build", "--model", "model", "--collection", "shop")


def write_bundle(folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    spec = EnsembleSpec("resnet18", "B3", (HeadSpec("res4_1", 1, "penultimate+"),))
    network = build_ensemble(spec, weights=None)
    save_bundle(folder, network, Preprocessing(32), recipe={}, scores=[], pretraining="none")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """The front door in a folder with a model and ten photos; place: (rank, processes)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(processes, "_PATIENCE", 0.0)
    write_bundle(tmp_path / "model", seed=0)
    noise = np.random.default_rng(0)
    for name in NAMES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)

    def command(*arguments: str, place: tuple[int, int] | None = None) -> tuple[int | str | None, str, str]:
        for name, value in zip(("RANK", "WORLD_SIZE"), place or (None, None), strict=True):
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, str(value))
        monkeypatch.setattr(sys, "argv", ["hdhe", *arguments])
        with pytest.raises(SystemExit) as stopped:
            hdhe.main()
        return stopped.value.code, *capsys.readouterr()

    return command


def test_many_processes_write_what_one_would(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos" / "cup" / "3.png").write_bytes(b"no image")
    code, out, err = run(*EMBED, place=(1, 3))
    assert code == 0
    # Shard 1 of 4: photos 3, 4 and 5.
    assert (
        out
        == "2 images embedded, 1 left out; 1 of 4 shards in all, the others are other processes' to write\n"
    )
    assert re.search("^hdhe: left out: .*cup/3.png ", err, re.MULTILINE)
    first = (tmp_path / "all" / "shard-000001.npz").stat().st_mtime_ns
    assert run(*EMBED, place=(0, 3))[1].startswith("4 images embedded, 0 left out; 3 of 4 shards")
    # Another number of processes goes on, and does nothing twice.
    assert run(*EMBED, place=(0, 1))[1] == "3 images embedded, 0 left out; 4 of 4 shards in all\n"
    assert run(*EMBED)[1] == "0 images embedded, 0 left out; 4 of 4 shards in all\n"
    assert (tmp_path / "all" / "shard-000001.npz").stat().st_mtime_ns == first

    found = read_embeddings(tmp_path / "all")
    kept = [name for name in NAMES if name != "cup/3.png"]
    assert found.paths is not None
    assert found.paths.tolist() == kept
    assert found.labels.tolist() == [name.split("/")[0] for name in kept]
    embedder = Embedder(load_bundle(tmp_path / "model"))
    alone = embedder.embed([tmp_path / "photos" / name for name in kept])
    np.testing.assert_allclose(found.embeddings, alone, atol=1e-5)
    code, out, err = run("evaluate", "--embeddings", "all", "--k", "1")
    assert code == 0, err
    assert "Recall@1" in out


def test_an_index_takes_the_shards_as_they_are(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos" / "jug" / "0.png").write_bytes(b"no image")
    run(*EMBED)
    code, out, err = run(*BUILD, "--embeddings", "all")
    assert (code, err) == (0, "")
    assert out.startswith("9 images indexed, 1 left out; shop holds 9 items")
    run("index", "build", "--model", "model", "--images", "photos", "--collection", "direct")
    with (
        LocalCollection.open(tmp_path / "shop", read_only=True) as shop,
        LocalCollection.open(tmp_path / "direct", read_only=True) as direct,
    ):
        items, others = shop.page(limit=20), direct.page(limit=20)
        assert [(item.id, item.label) for item in items] == [(item.id, item.label) for item in others]
        ids = [item.id for item in items]
        np.testing.assert_allclose(shop.vectors(ids), direct.vectors(ids), atol=1e-5)
        assert all(shop.thumbnail(id) == direct.thumbnail(id) != None for id in ids)  # noqa: E711  # a chain
    # What is there is left alone, or written again.
    assert run(*BUILD, "--embeddings", "all", "--skip-existing")[1].startswith("0 images indexed, 1 left out")
    assert run(*BUILD, "--embeddings", "all")[1].startswith(
        "9 images indexed, 1 left out; shop holds 9 items"
    )


def test_without_thumbnails_there_are_none(run: Run, tmp_path: Path) -> None:
    run(*EMBED, "--no-thumbnails")
    assert set(EmbeddingShards.open(tmp_path / "all").read(0).thumbnails) == {None}
    assert run(*BUILD, "--embeddings", "all")[0] == 0


def test_photos_without_a_label_are_indexed_and_not_scored(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos" / "cup" / "0.png").rename(tmp_path / "photos" / "loose.png")
    run(*EMBED)
    assert run(*BUILD, "--embeddings", "all")[0] == 0
    code, _, err = run("evaluate", "--embeddings", "all")
    assert code == 2
    assert "loose.png has no label" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("embed", "--model", "model", "--images", "photos", "--out", "all.txt"),
            "must end in .npz, or be a folder",
        ),
        ((*EMBED[:-1], "0"), "--shard-size must be 1 or more; got 0"),
        ((*EMBED[:-3], "all.npz", "--shard-size", "2"), "--shard-size is for a folder of shards"),
        ((*EMBED[:-3], "all.npz", "--no-thumbnails"), "--thumbnails is for a folder of shards"),
        (BUILD, "give --images, or --embeddings with the folder"),
        ((*BUILD, "--images", "photos", "--embeddings", "all"), "give --images, or --embeddings"),
        ((*BUILD, "--embeddings", "photos"), "holds no embeddings"),
        ((*BUILD, "--embeddings", "all", "--split", "train"), "--split and --root go with --images"),
    ],
)
def test_what_cannot_be_asked(run: Run, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_shards_of_other_models_images_and_half_done_ones_are_refused(run: Run, tmp_path: Path) -> None:
    run(*EMBED, place=(0, 2))
    assert "lacks 2 of 4 shards" in run(*BUILD, "--embeddings", "all")[2]
    assert "lacks 2 of 4 shards" in run("evaluate", "--embeddings", "all")[2]
    write_bundle(tmp_path / "other", seed=1)
    foreign = [("other" if part == "model" else part) for part in EMBED]
    assert "was begun with another model" in run(*foreign)[2]
    run(*EMBED)
    build = [("other" if part == "model" else part) for part in BUILD]
    assert "all was embedded by another model than other" in run(*build, "--embeddings", "all")[2]
    assert not (tmp_path / "shop").exists()
    (tmp_path / "photos" / "cup" / "4.png").unlink()
    code, _, err = run(*EMBED)
    assert code == 2
    assert "was begun with another number of images (10, not 9)" in err


def test_several_processes_cannot_write_one_file(run: Run) -> None:
    code, _, err = run(*EMBED[:-3], "all.npz", place=(1, 2))
    assert code == 2
    assert "2 processes cannot write one file; give --out a folder's name" in err


@pytest.mark.slow
def test_torchrun_killed_in_the_middle_goes_on(run: Run, tmp_path: Path) -> None:
    noise = np.random.default_rng(1)
    for number in range(300):
        image = Image.fromarray(noise.integers(0, 256, (32, 32, 3), dtype=np.uint8))
        image.save(tmp_path / "photos" / "cup" / f"many{number}.png")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*launcher, str(ROOT / "hdhe.py"), *EMBED]
    with subprocess.Popen(command, env=environment, cwd=tmp_path, start_new_session=True) as child:
        until = time.monotonic() + 200
        while len(list((tmp_path / "all").glob("shard-*.npz"))) < 5:
            assert child.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < until
            time.sleep(0.01)
        os.killpg(child.pid, signal.SIGKILL)
    there = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "all").glob("shard-*.npz")}
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, timeout=300)
    for name, written in there.items():
        assert (tmp_path / "all" / name).stat().st_mtime_ns == written
    found = read_embeddings(tmp_path / "all")
    assert found.paths is not None
    assert len(set(found.paths.tolist())) == 310
