from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from indexes import CollectionError, ForeignModelError, NewItem
from indexes.collection_reading import stored_items
from retrieval.bundle import Bundle, load_bundle, save_bundle
from retrieval.embedder import Embedder
from retrieval.errors import BundleError, ImageError, UserError
from retrieval.gallery import UPSERT_BATCH, GalleryImage, create_gallery, open_gallery
from retrieval.gallery_snapshot import snapshot_gallery
from retrieval.gallery_switch import switch
from retrieval.networks import EnsembleSpec, HeadSpec, build_ensemble
from retrieval.transforms import Preprocessing
from tests.retrieval.students import write_model


def make_bundle(folder: Path, seed: int) -> Bundle:
    torch.manual_seed(seed)
    spec = EnsembleSpec("resnet18", "B3", (HeadSpec("res4_1", 1, "penultimate+"),))
    network = build_ensemble(spec, weights=None)
    save_bundle(folder, network, Preprocessing(32), recipe={}, scores=[], pretraining="none")
    return load_bundle(folder)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("model") / "bundle", seed=0)


def photo(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 300, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def refuse(id: str, error: ImageError) -> None:
    raise AssertionError(f"{id}: {error}")


def test_an_image_is_found_again_after_the_gallery_was_closed_and_opened(
    bundle: Bundle, tmp_path: Path
) -> None:
    images = [GalleryImage(f"shelf/{n}", photo(n), label=f"c{n % 2}", attributes={"n": n}) for n in range(5)]
    with create_gallery(tmp_path / "g", bundle) as gallery:
        assert list(gallery.add(images, on_error=refuse)) == images
    with open_gallery(tmp_path / "g") as gallery:
        hits = gallery.collection.search(gallery.embedder.embed([photo(3)]), 2)[0]
        thumbnail = gallery.collection.thumbnail("shelf/3")
    assert (hits[0].id, hits[0].label, dict(hits[0].attributes)) == ("shelf/3", "c1", {"n": 3})
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    assert thumbnail is not None
    with Image.open(io.BytesIO(thumbnail)) as small:
        assert (small.format, max(small.size)) == ("JPEG", 256)


def test_an_unreadable_image_is_reported_and_the_others_are_kept(bundle: Bundle, tmp_path: Path) -> None:
    reported: list[str] = []
    images = [
        GalleryImage("good", photo(1)),
        GalleryImage("bad", b"no image"),
        GalleryImage("last", photo(2)),
    ]
    with create_gallery(tmp_path / "g", bundle) as gallery:
        done = list(gallery.add(images, on_error=lambda id, error: reported.append(id)))
        assert done == images
        assert reported == ["bad"]
        assert [item and item.id for item in gallery.collection.get(["good", "bad", "last"])] == [
            "good",
            None,
            "last",
        ]


def test_what_was_yielded_stays_when_the_rest_is_abandoned(bundle: Bundle, tmp_path: Path) -> None:
    images = [GalleryImage(str(n), photo(n % 3)) for n in range(UPSERT_BATCH + 10)]
    with create_gallery(tmp_path / "g", bundle) as gallery:
        steps = gallery.add(images, on_error=refuse)
        next(steps)
        del steps
    with open_gallery(tmp_path / "g") as gallery:
        assert gallery.collection.count() == UPSERT_BATCH


def test_a_folder_in_use_is_not_made_into_a_gallery(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CollectionError, match="not empty"):
        create_gallery(tmp_path, bundle)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_failed_start_leaves_no_half_made_gallery(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="abacus"):
        create_gallery(tmp_path / "g", bundle, index="abacus")
    assert not (tmp_path / "g").exists()


def test_a_gallery_whose_model_was_exchanged_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    create_gallery(tmp_path / "g", bundle).close()
    make_bundle(tmp_path / "g" / "model", seed=1)
    with pytest.raises(ForeignModelError):
        open_gallery(tmp_path / "g")


def test_queries_may_have_a_model_of_their_own(tmp_path: Path) -> None:
    teacher = write_model(tmp_path / "teacher")
    write_model(tmp_path / "student", seed=1, pixels=40, space=teacher)
    create_gallery(tmp_path / "g", load_bundle(tmp_path / "teacher")).close()
    with open_gallery(tmp_path / "g", query_model=str(tmp_path / "student")) as gallery:
        assert list(gallery.add([GalleryImage("a", photo(1))], on_error=refuse))
        stored, asked = gallery.collection.vectors(["a"]), gallery.asks.embed([photo(1)])
    with open_gallery(tmp_path / "g") as gallery:
        assert gallery.asks is gallery.embedder
        np.testing.assert_allclose(stored, gallery.embedder.embed([photo(1)]), atol=1e-5)
    student = Embedder(load_bundle(tmp_path / "student"))
    np.testing.assert_allclose(asked, student.embed([photo(1)]), atol=1e-5)
    assert np.abs(stored - asked).max() > 0.01

    write_model(tmp_path / "stranger", seed=2)
    with pytest.raises(BundleError, match="embeds in its own space"):
        open_gallery(tmp_path / "g", query_model=str(tmp_path / "stranger"))
    open_gallery(tmp_path / "g").close()  # a refusal leaves no lock


def test_a_gallery_keeps_its_models_space(tmp_path: Path) -> None:
    write_model(tmp_path / "student", space="b" * 64)
    create_gallery(tmp_path / "g", load_bundle(tmp_path / "student")).close()
    with open_gallery(tmp_path / "g") as gallery:
        assert gallery.embedder.bundle.space == "b" * 64


def switch_while(name: str, where: str, link: Path, to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the link point to another gallery while a function of a module does its work."""
    done = getattr(import_module(where), name)

    def meanwhile(*arguments: object) -> object:
        result = done(*arguments)
        monkeypatch.undo()
        switch(link, link.with_name(to), on_error=lambda *error: pytest.fail(str(error)))
        return result

    monkeypatch.setattr(f"{where}.{name}", meanwhile)


def test_a_link_that_is_switched_while_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written then must be behind the link afterwards."""
    for name in ("old", "new"):
        write_model(tmp_path / f"model of {name}", seed=len(name))
        create_gallery(tmp_path / name, load_bundle(tmp_path / f"model of {name}")).close()
    link = tmp_path / "link"
    link.symlink_to("old")
    switch_while("load_bundle", "retrieval.gallery", link, "new", monkeypatch)
    with open_gallery(link) as gallery:
        assert list(gallery.add([GalleryImage("a", photo(1))], on_error=refuse))
    with stored_items(link) as items:
        assert items.ids() == ["a"]
    open_gallery(tmp_path / "old").close()  # it was let go


def test_a_snapshot_is_of_one_gallery_whatever_happens_to_the_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, name in enumerate(("old", "new")):
        write_model(tmp_path / f"model of {name}", seed=seed)
        create_gallery(tmp_path / name, load_bundle(tmp_path / f"model of {name}")).close()
    link = tmp_path / "link"
    link.symlink_to("old")
    switch_while("copy_files", "retrieval.gallery_snapshot", link, "new", monkeypatch)
    snapshot_gallery(link, tmp_path / "copy")
    with open_gallery(tmp_path / "copy") as copy:
        assert copy.embedder.fingerprint == load_bundle(tmp_path / "model of old").fingerprint


def test_a_folder_that_is_no_gallery_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="hdhe index build"):
        open_gallery(tmp_path)


def test_a_batch_is_written_while_the_next_is_embedded(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.gallery.UPSERT_BATCH", 2)
    images = [GalleryImage(str(n), photo(n)) for n in range(5)]
    embedded = threading.Semaphore(0)
    waited: list[bool] = []
    with create_gallery(tmp_path / "g", bundle) as gallery:
        embed, upsert = gallery.embedder.embed_prepared, gallery.collection.upsert

        def announced(prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
            rows = embed(prepared)
            embedded.release()
            return rows

        def late(items: Sequence[NewItem]) -> object:
            # The batch's own embedding, and that of the one after it, for which the last batch waits in vain.
            waited.append(embedded.acquire(timeout=10) and (len(items) == 1 or embedded.acquire(timeout=10)))
            embedded.release()
            return upsert(items)

        monkeypatch.setattr(gallery.embedder, "embed_prepared", announced)
        monkeypatch.setattr(gallery.collection, "upsert", late)
        for count, image in enumerate(gallery.add(images, on_error=refuse)):
            assert image.id == str(count)
            assert gallery.collection.get([image.id]) != [None]
    assert waited == [True, True, True]
