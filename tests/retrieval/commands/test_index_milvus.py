"""`hdhe index` and `hdhe search` on a gallery whose items are in Milvus (Lite), from the arguments to the output."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hdhe
from indexes import LocalCollection
from indexes.milvus.settings import FILE_NAME, read_settings
from indexes.milvus_collection import MilvusCollection
from retrieval.gallery import open_gallery
from tests.indexes.milvus_lite import needs_milvus_lite
from tests.retrieval.students import write_model

pytestmark = needs_milvus_lite

Run = Callable[..., tuple[int | str | None, str, str]]
BUILD = ("index", "build", "--model", "model", "--images", "photos", "--collection", "shop")
LITE = ("--milvus", "milvus.db", "--milvus-option", "index=FLAT")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    write_model(folder / "model")
    generator = np.random.default_rng(0)
    for name in ("cup/1.png", "cup/2.png", "jug/1.png", "jug/2.png"):
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture
def run(
    template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HDHE_MILVUS_URI", raising=False)

    def command(*arguments: str) -> tuple[int | str | None, str, str]:
        monkeypatch.setattr(sys, "argv", ["hdhe", *arguments])
        with pytest.raises(SystemExit) as stopped:
            hdhe.main()
        return stopped.value.code, *capsys.readouterr()

    return command


def test_built_described_checked_searched_and_copied(run: Run) -> None:
    code, out, err = run(*BUILD, *LITE)
    assert (code, err) == (0, "")
    assert out.startswith("4 images indexed, 0 left out; shop holds 4 items in an index of kind FLAT")
    assert sorted(path.name for path in Path("shop").iterdir()) == ["milvus.db", FILE_NAME, "model"]
    assert json.loads((Path("shop") / FILE_NAME).read_text())["collection"] == "hdhe_shop"

    code, out, _ = run("index", "info", "--collection", "shop", "--json")
    stats = json.loads(out)
    assert (stats["items"], stats["labels"], stats["index_kind"]) == (4, 2, "FLAT")

    code, out, _ = run("index", "check", "--collection", "shop")
    assert code == 0
    assert out.splitlines() == ["4 items stored, 4 in the FLAT index", "rows and index agree"]

    code, out, err = run("search", "--collection", "shop", "--k", "2", "--json", "photos/jug/2.png")
    assert (code, err) == (0, "")
    (hits,) = (result["hits"] for result in json.loads(out)["results"])
    assert hits[0]["id"] == "jug/2.png"
    code, out, _ = run("search", "--collection", "shop", "--filter", '{"label": "cup"}', "photos/jug/2.png")
    assert out.count("cup/") == 2

    code, out, _ = run("index", "snapshot", "--collection", "shop", "--to", "copy")
    assert code == 0
    code, out, _ = run("index", "restore", "--snapshot", "copy", "--collection", "here")
    assert code == 0
    with open_gallery(Path("here"), read_only=True) as gallery:
        assert isinstance(gallery.collection, LocalCollection)
        assert gallery.collection.count() == 4
        assert gallery.collection.thumbnail("cup/1.png") is not None


def test_more_is_added_to_what_is_there(run: Run) -> None:
    assert run(*BUILD, *LITE)[0] == 0
    shutil.copytree("photos/cup", "photos/mug")
    for options in ((), LITE):
        code, out, _ = run(*BUILD, *options, "--skip-existing")
        assert code == 0
    assert "shop holds 6 items" in out
    # A folder that was moved still finds its Milvus Lite file.
    Path("shop").rename("store")
    with open_gallery(Path("store")) as gallery:
        assert isinstance(gallery.collection, MilvusCollection)
        assert gallery.collection.count() == 6


@pytest.mark.parametrize(
    "command",
    [
        ("index", "rebuild", "--collection", "shop"),
        ("index", "compact", "--collection", "shop"),
        ("index", "reembed", "--collection", "shop", "--model", "model", "--to", "new"),
        ("index", "reembed", "--collection", "local", "--model", "model", "--to", "shop"),
        ("index", "switch", "--collection", "current", "--to", "shop"),
        ("index", "switch", "--collection", "link", "--to", "local"),
    ],
)
def test_what_is_milvus_own_business_is_refused(run: Run, command: tuple[str, ...]) -> None:
    assert run(*BUILD, *LITE)[0] == 0
    if "local" in command:
        assert run(*BUILD[:-1], "local")[0] == 0
    Path("link").symlink_to("shop")
    code, out, err = run(*command)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "its items are in Milvus" in err
    assert not Path("current").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--milvus", "nowhere"), "'nowhere' is no Milvus"),
        (("--milvus", "http://user:word@host:1"), "set HDHE_MILVUS_TOKEN"),
        (("--milvus-option", "replicas=2"), "nothing without --milvus URI"),
        (("--milvus", "a.db", "--milvus-option", "index=hnsw"), "index must be one of AUTOINDEX"),
        (("--milvus", "a.db", "--index", "flat"), "--index is for items in a folder"),
        (("--milvus", "http://127.0.0.1:1", "--milvus-option", "timeout=1"), "does not answer within 1 s"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(run: Run, options: tuple[str, ...], message: str) -> None:
    code, out, err = run(*BUILD, *options)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert message in err
    assert not Path("shop").exists()


def test_another_place_than_it_has_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(*BUILD)[0] == 0
    code, _, err = run(*BUILD, *LITE)
    assert code == 2
    assert "keeps its items in its own files" in err
    assert run(*BUILD[:-1], "other", *LITE)[0] == 0
    code, _, err = run(*BUILD[:-1], "other", *LITE, "--milvus-option", "replicas=2")
    assert code == 2
    assert "other settings of Milvus" in err
    # As in a container, which reaches Milvus by another name.
    monkeypatch.setenv("HDHE_MILVUS_URI", "http://127.0.0.1:1")
    assert read_settings(Path("other")).uri == "http://127.0.0.1:1"
    Path("other", FILE_NAME).write_text(Path("other", FILE_NAME).read_text().replace("30.0", "1"))
    code, _, err = run("index", "info", "--collection", "other")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert err.startswith("hdhe: hdhe_other at http://127.0.0.1:1: Milvus does not answer within 1 s; ")
