import csv
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.datasets import open_dataset
from retrieval.datasets.pottery import design_vase, photograph
from retrieval.datasets.pottery.ornament import MOTIFS
from retrieval.datasets.pottery.surface import BODY, Rays, meet, radius_at
from retrieval.datasets.sample_catalogue import render
from retrieval.errors import DataError

ROOT = Path(__file__).parents[3]


def digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_the_same_parameters_give_the_same_bytes_however_many_processes(tmp_path: Path) -> None:
    for name, processes in (("one", 1), ("two", 2)):
        render(tmp_path / name, seed=5, classes=3, images=2, pixels=32, processes=processes)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    render(tmp_path / "other", seed=6, classes=3, images=2, pixels=32, processes=1)
    assert digests(tmp_path / "one")["vase-00/000.jpg"] != digests(tmp_path / "other")["vase-00/000.jpg"]


def test_more_classes_leave_the_first_ones_as_they_are(tmp_path: Path) -> None:
    render(tmp_path / "few", classes=2, images=1, pixels=32, processes=1)
    render(tmp_path / "more", classes=3, images=2, pixels=32, processes=1)
    few, more = digests(tmp_path / "few"), digests(tmp_path / "more")
    assert all(more[name] == digest for name, digest in few.items() if name.endswith(".jpg"))


def test_the_catalogue_is_a_data_set_with_attributes(tmp_path: Path) -> None:
    render(tmp_path / "vases", classes=4, images=3, pixels=48, processes=1)
    dataset = open_dataset(str(tmp_path / "vases"))
    assert [len(dataset.subset(split)) for split in ("all", "train", "validation")] == [12, 6, 6]
    assert dataset.subset("all").classes == ("vase-00", "vase-01", "vase-02", "vase-03")
    assert set(dataset.records[0].attributes) == {"form", "glaze", "handles"}
    with Image.open(dataset.records[0].path) as image:
        assert image.size == (48, 48)
    assert "CC0" in (tmp_path / "vases" / "README.md").read_text()
    with (tmp_path / "vases" / "manifest.csv").open() as file:
        assert len(list(csv.reader(file))) == 13


def test_a_catalogue_that_is_there_is_left_alone_and_anything_else_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "vases"
    target.mkdir()
    render(target, classes=2, images=1, pixels=32, processes=1)
    before = (target / "vase-00" / "000.jpg").stat().st_mtime_ns
    render(target, classes=2, images=1, pixels=32, processes=1)
    assert (target / "vase-00" / "000.jpg").stat().st_mtime_ns == before
    with pytest.raises(DataError, match="holds another sample catalogue"):
        render(target, seed=1, classes=2, images=1, pixels=32, processes=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match="is not empty and holds no sample catalogue"):
        render(tmp_path / "mine", classes=2, images=1, pixels=32, processes=1)
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="file"):
        render(tmp_path / "file" / "below", classes=2, images=1, pixels=32, processes=1)


RENDER = """
import sys
from pathlib import Path
from retrieval.datasets.sample_catalogue import render
if __name__ == "__main__":
    render(Path(sys.argv[1]), classes=1000, images=1, pixels=32, processes=2)
"""


def test_a_killed_render_leaves_no_catalogue_and_no_processes_and_the_next_one_clears_up(
    tmp_path: Path,
) -> None:
    script = tmp_path / "script.py"
    script.write_text(RENDER)
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "vases")], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".vases.part-*/vase-003/*.jpg")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    count = -1
    while count != (count := len(list(tmp_path.glob(".vases.part-*/*")))):  # until the workers have ended
        time.sleep(1)
    assert count < 1000
    assert not (tmp_path / "vases").exists()
    render(tmp_path / "vases", classes=2, images=1, pixels=32, processes=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["script.py", "vases"]


@pytest.mark.parametrize(("name", "value"), [("seed", -1), ("classes", 1), ("images", 0), ("pixels", 8)])
def test_parameters_out_of_range_are_refused(tmp_path: Path, name: str, value: int) -> None:
    with pytest.raises(DataError, match=name):
        render(tmp_path / "vases", processes=1, **{name: value})


def test_a_ray_meets_the_vase_where_a_fine_walk_meets_it() -> None:
    vase = design_vase(0, 2)
    rng = np.random.default_rng(0)
    origin = np.array([0.3, 0.9, 3.0], np.float32)
    aims = np.stack([rng.uniform(-0.4, 0.4, 60), rng.uniform(0.1, 0.9, 60), np.zeros(60)], axis=1)
    directions = (aims - origin).astype(np.float32)
    directions /= np.abs(directions[:, 2:])
    hits = meet(vase, Rays(origin, directions), 0.0)
    checked = 0
    for number in np.flatnonzero(hits.part == BODY):
        t = np.linspace(2, 4, 40_001, dtype=np.float32)
        walk = origin + t[:, None] * directions[number]
        inside = (np.hypot(walk[:, 0], walk[:, 2]) < radius_at(vase, walk[:, 1])) & (
            np.abs(walk[:, 1] - 0.5) < 0.5
        )
        assert abs(t[inside.argmax()] - hits.depth[number]) < 0.01
        assert abs(np.linalg.norm(hits.normal[number]) - 1) < 1e-3
        assert hits.normal[number] @ directions[number] < 0.05  # faces the eye
        checked += 1
    assert checked > 20


@pytest.mark.parametrize("name", list(MOTIFS))
def test_a_motif_repeats_and_neither_fills_nor_empties_its_belt(name: str) -> None:
    b, a = np.meshgrid(
        np.linspace(0.01, 0.99, 40, dtype=np.float32), np.linspace(0, 6, 600, dtype=np.float32)
    )
    for variant in (0.1, 0.9):
        ink = MOTIFS[name][0](a, b, variant)
        assert ink.shape == a.shape
        assert ink.min() >= 0
        assert ink.max() <= 1
        assert 0.05 < ink.mean() < 0.95
        # Three cells on (the signs of the script come in turns of three) it is the same again.
        assert np.abs(MOTIFS[name][0](a + 3, b, variant) - ink).mean() < 0.02


def test_photos_of_one_vase_differ_and_the_vase_is_in_them() -> None:
    vase = design_vase(0, 0)
    photos = [np.asarray(photograph(vase, np.random.default_rng(n), 48).image, float) for n in range(4)]
    for photo in photos:
        assert photo.std() > 10
    assert min(np.abs(photos[0] - other).mean() for other in photos[1:]) > 8
