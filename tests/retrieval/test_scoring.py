"""Scores of one model and of two against sorting by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.bundle import Bundle, load_bundle
from retrieval.datasets import ImageDataset, open_dataset
from retrieval.embedder import Embedder
from retrieval.errors import DataError
from retrieval.scoring import reachable, score
from tests.retrieval.students import write_model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    """A teacher, and a student in its space that sees other pixels."""
    folder = tmp_path_factory.mktemp("models")
    fingerprint = write_model(folder / "teacher", seed=2)
    write_model(folder / "student", seed=3, pixels=40, space=fingerprint)
    return load_bundle(folder / "teacher"), load_bundle(folder / "student")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four classes of five noisy photos; a damaged one; a manifest with queries and a gallery."""
    root = tmp_path_factory.mktemp("photos") / "plates"
    rng = np.random.default_rng(0)
    lines = ["path,label,split"]
    for label in range(4):
        colour = rng.integers(60, 200, 3)
        (root / f"class-{label}").mkdir(parents=True)
        for number in range(5):
            pixels = np.clip(colour + rng.integers(-60, 60, (36, 36, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / f"class-{label}" / f"{number}.png")
            split = "query" if number < 2 else "gallery"
            lines.append(f"plates/class-{label}/{number}.png,class-{label},{split}")
    (root / "class-2" / "broken.png").write_bytes(b"no image")
    lines.append("plates/class-2/broken.png,class-2,query")
    (root.parent / "pairs.csv").write_text("\n".join(lines) + "\n")
    return root


def sorted_by_hand(asks: Bundle, model: Bundle, query: list[Path], gallery: list[Path], k: int) -> float:
    """Share of queries with an image of their own folder, other than themselves, among the k nearest."""
    asked, there = Embedder(asks).embed(query), Embedder(model).embed(gallery)
    found = 0
    for path, vector in zip(query, asked, strict=True):
        others = [row for row, other in enumerate(gallery) if other != path]
        nearest = sorted(others, key=lambda row: -float(there[row] @ vector))[:k]
        found += any(gallery[row].parent == path.parent for row in nearest)
    return found / len(query)


def readable(dataset: ImageDataset, split: str) -> list[Path]:
    return [path for path in dataset.subset(split).paths if path.name != "broken.png"]


@pytest.mark.parametrize("asymmetric", [False, True])
def test_leave_one_out(photos: Path, models: tuple[Bundle, Bundle], asymmetric: bool) -> None:
    teacher, student = models
    dataset, lines = open_dataset(str(photos)), list[str]()
    scored = score(
        dataset, teacher, query_model=student if asymmetric else None, ks=(1, 3), report=lines.append
    )
    paths = readable(dataset, "all")
    for k in (1, 3):
        truth = sorted_by_hand(student if asymmetric else teacher, teacher, paths, paths, k)
        assert scored.report.recall[k] == pytest.approx(truth)
    assert (scored.split, scored.classes, scored.unreadable) == ("all", 4, 1)
    assert (scored.report.protocol, scored.report.queries) == ("leave-one-out", 20)
    assert len(lines) == 1, "what cannot be read is reported once"
    assert "broken.png" in lines[0]


@pytest.mark.parametrize("asymmetric", [False, True])
def test_queries_against_a_gallery(photos: Path, models: tuple[Bundle, Bundle], asymmetric: bool) -> None:
    teacher, student = models
    dataset = open_dataset(str(photos.parent / "pairs.csv"))
    scored = score(dataset, teacher, query_model=student if asymmetric else None, report=lambda line: None)
    asks = student if asymmetric else teacher
    for k, found in scored.report.recall.items():
        query, gallery = readable(dataset, "query"), readable(dataset, "gallery")
        assert found == pytest.approx(sorted_by_hand(asks, teacher, query, gallery, k))
    assert list(scored.report.recall) == [1, 2, 4, 8]
    assert (scored.report.protocol, scored.report.queries, scored.unreadable) == ("query/gallery", 8, 1)


def test_two_models_are_not_one(photos: Path, models: tuple[Bundle, Bundle]) -> None:
    """The random student knows nothing of the teacher's space, so it must not score as the teacher does."""
    dataset = open_dataset(str(photos))
    alone, both = (
        score(dataset, models[0], query_model=asks, ks=(1,), report=lambda line: None).report.map_at_r
        for asks in (None, models[1])
    )
    assert alone != both


def test_a_split_without_a_readable_image_is_refused(models: tuple[Bundle, Bundle], tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=f"none of the 2 images of {tmp_path.name}/all can be decoded"):
        score(open_dataset(str(tmp_path)), models[0], report=lambda line: None)


def test_a_small_gallery_allows_few_ks() -> None:
    assert reachable((1, 10, 100), 10) == (1, 10)
    assert reachable((1, 10, 100), 0) == (1,)
