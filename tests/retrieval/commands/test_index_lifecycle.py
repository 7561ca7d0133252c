"""`hdhe index snapshot | restore | rebuild | compact | reembed | switch`, from the arguments to the output."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hdhe
from indexes import LocalCollection
from indexes.index_file import INDEX_NAME
from indexes.item_rows import DATABASE_NAME
from retrieval.bundle import load_bundle
from retrieval.gallery import GalleryImage, create_gallery
from tests.retrieval.students import write_model

Run = Callable[..., tuple[int | str | None, str, str]]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, photos of three kinds, and a collection of them."""
    folder = tmp_path_factory.mktemp("template")
    write_model(folder / "model")
    generator = np.random.default_rng(0)
    images = []
    for name in (f"{kind}/{number}.png" for kind in ("cup", "jug", "vase") for number in range(3)):
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((640, 480), Image.Resampling.BICUBIC).save(path)
        images.append(GalleryImage(name, path, path.parent.name))
    with create_gallery(folder / "shop", load_bundle(str(folder / "model"))) as gallery:
        assert len(list(gallery.add(images, on_error=lambda *error: pytest.fail(str(error))))) == 9
    return folder


@pytest.fixture
def run(
    template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    """In a copy of that folder."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int | str | None, str, str]:
        monkeypatch.setattr(sys, "argv", ["hdhe", *arguments])
        with pytest.raises(SystemExit) as stopped:
            hdhe.main()
        return stopped.value.code, *capsys.readouterr()

    return command


def nearest(run: Run, collection: str, photo: str) -> list[tuple[str, float]]:
    code, out, err = run("search", "--collection", collection, "--k", "9", "--json", f"photos/{photo}")
    assert code == 0, err
    return [(hit["id"], hit["score"]) for hit in json.loads(out)["results"][0]["hits"]]


def test_a_snapshot_of_a_collection_in_use_is_restored_elsewhere(run: Run, tmp_path: Path) -> None:
    before = nearest(run, "shop", "jug/1.png")
    with LocalCollection.open(tmp_path / "shop") as collection:
        code, out, _ = run("index", "snapshot", "--collection", "shop", "--to", "copies/monday")
        assert (code, out) == (0, "copies/monday holds 9 items, as of sequence number 9\n")
        collection.delete(["jug/1.png", "cup/0.png"])
    code, out, _ = run("index", "restore", "--snapshot", "copies/monday", "--collection", "restored")
    assert code == 0
    assert re.fullmatch(
        r"restored holds 9 items, as of sequence number 9 \(\d{4}-\d\d-\d\dT[\d:]+\+00:00\)\n", out
    )
    assert nearest(run, "restored", "jug/1.png") == before
    assert len(nearest(run, "shop", "jug/1.png")) == 7
    # It is a collection like any other.
    with LocalCollection.open(tmp_path / "restored") as restored:
        restored.delete(["jug/1.png"])
    assert run("index", "check", "--collection", "restored")[0] == 0
    # A snapshot opens like one too.
    assert nearest(run, "copies/monday", "jug/1.png") == before


def test_what_is_no_good_copy_is_refused(run: Run, tmp_path: Path) -> None:
    run("index", "snapshot", "--collection", "shop", "--to", "copy")
    for arguments, message in [
        (("snapshot", "--collection", "nothing", "--to", "new"), "nothing is not a collection"),
        (("snapshot", "--collection", "shop", "--to", "copy"), "something is there already"),
        (("restore", "--snapshot", "shop", "--collection", "new"), "no snapshot is there"),
        (("restore", "--snapshot", "copy", "--collection", "shop"), "something is there already"),
    ]:
        code, _, err = run("index", *arguments)
        assert (code, len(err.splitlines())) == (2, 1), err
        assert message in err
    weights = tmp_path / "copy" / "model" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    code, _, err = run("index", "restore", "--snapshot", "copy", "--collection", "new")
    assert code == 2
    assert "weights.safetensors: it is not as it was when the snapshot was taken" in err
    assert not (tmp_path / "new").exists()
    # Of the collection alone, without a model.
    with LocalCollection.open(tmp_path / "shop") as collection:
        collection.snapshot(tmp_path / "rows")
    code, _, err = run("index", "restore", "--snapshot", "rows", "--collection", "new")
    assert code == 2
    assert "it has no model" in err


def test_rebuilt_and_compacted(run: Run, tmp_path: Path) -> None:
    before = nearest(run, "shop", "jug/1.png")
    code, out, _ = run("index", "rebuild", "--collection", "shop", "--index", "hnsw")
    assert (code, out) == (0, "shop has a new hnsw index\n")
    assert dict(nearest(run, "shop", "jug/1.png")) == pytest.approx(dict(before))
    code, _, err = run("index", "rebuild", "--collection", "shop", "--index", "best")
    assert code == 2
    assert "index must be one of" in err
    with LocalCollection.open(tmp_path / "shop") as collection:
        collection.delete([item.id for item in collection.page() if item.label != "jug"])
        code, _, err = run("index", "compact", "--collection", "shop")
        assert code == 2
        assert "open for writing in another process" in err
    code, out, _ = run("index", "compact", "--collection", "shop")
    assert code == 0
    before_bytes, after_bytes = (int(text.replace(",", "")) for text in re.findall(r"([\d,]+) bytes", out))
    assert after_bytes < before_bytes
    assert len(nearest(run, "shop", "jug/1.png")) == 3


def test_check_names_a_damaged_index_file_and_a_damaged_page(run: Run, tmp_path: Path) -> None:
    index = tmp_path / "shop" / INDEX_NAME
    index.write_bytes(index.read_bytes()[:-9])
    code, out, _ = run("index", "check", "--collection", "shop")
    assert code == 1
    assert "index file: it is cut short" in out
    assert out.splitlines()[-1] == "rows and index do not agree"
    assert run("index", "rebuild", "--collection", "shop")[0] == 0
    assert run("index", "check", "--collection", "shop")[0] == 0
    database = tmp_path / "shop" / DATABASE_NAME
    content = bytearray(database.read_bytes())
    content[-16_384:] = bytes(16_384)
    database.write_bytes(content)
    code, out, err = run("index", "check", "--collection", "shop")
    assert code in (1, 2)
    assert "database" in out or str(DATABASE_NAME) in err


def test_a_new_model_beside_the_old_one_and_then_in_its_place(run: Run, tmp_path: Path) -> None:
    write_model(tmp_path / "better", seed=1, size=24)
    Image.new("RGB", (640, 480), "red").save(tmp_path / "photos" / "cup" / "0.png")  # not what was indexed
    (tmp_path / "photos" / "cup" / "1.png").unlink()
    code, _, err = run("index", "switch", "--collection", "shop", "--to", "shop")
    assert code == 2
    assert "shop is a folder; only a link can be switched" in err
    (tmp_path / "shop").rename(tmp_path / "shop-1")
    code, out, _ = run("index", "switch", "--collection", "shop", "--to", "shop-1")
    assert (code, out) == (0, "shop points to shop-1\n")

    reembed = ("index", "reembed", "--collection", "shop", "--model", "better", "--to", "shop-2")
    code, out, err = run(*reembed, "--images", "photos")
    assert (code, err) == (0, "")
    assert out.startswith("7 items embedded from their originals, 2 from thumbnails, 0 left out, 0 deleted; ")
    assert "shop-2 holds 9 items" in out
    (agreement,) = re.findall(r"a mean cosine of (\d\.\d+)", out)
    assert 0.8 < float(agreement) <= 1.0

    # What was written meanwhile is taken over at the end.
    with LocalCollection.open(tmp_path / "shop-1") as collection:
        collection.delete(["jug/0.png"])
    code, out, _ = run("index", "switch", "--collection", "shop", "--to", "shop-2")
    assert (code, out) == (0, "1 writes were taken over, 0 of them left out\nshop points to shop-2\n")
    assert (tmp_path / "shop").readlink() == Path("shop-2")
    info = json.loads(run("index", "info", "--collection", "shop", "--json")[1])
    assert (info["items"], info["labels"], info["embedding_size"]) == (8, 3, 24)

    # The same vectors as a collection that was built by that model, where the photos are the same.
    for photo in ("cup/1.png", "jug/0.png"):
        (tmp_path / "photos" / photo).unlink(missing_ok=True)
    run("index", "build", "--model", "better", "--images", "photos", "--collection", "built")
    with LocalCollection.open(tmp_path / "shop-2") as ours, LocalCollection.open(tmp_path / "built") as built:
        same = [item.id for item in built.page() if item.id != "cup/0.png"]
        assert len(same) == 6
        np.testing.assert_allclose(ours.vectors(same), built.vectors(same), atol=1e-5)
        assert abs(ours.vectors(["cup/0.png"]) - built.vectors(["cup/0.png"])).max() > 0.01

    code, _, err = run("index", "switch", "--collection", "shop", "--to", "shop-2")
    assert code == 2
    assert "points to shop-2 already" in err
    code, _, err = run("index", "reembed", "--collection", "built", "--model", "better", "--to", "shop-2")
    assert code == 2
    assert "it was not made from this collection" in err
    code, _, err = run("index", "reembed", "--collection", "built", "--model", "model", "--to", "shop-2")
    assert code == 2
    assert "another model" in err
