from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.errors import DataError
from retrieval.shards.shard_file import Shard
from retrieval.shards.shard_folder import EmbeddingShards, Manifest, images_digest

IDS = [f"cup/{number}.jpg" for number in range(7)]
MANIFEST = Manifest(
    model="ab" * 32,
    embedding_size=3,
    images=7,
    images_digest=images_digest([(id, "cup") for id in IDS]),
    shard_size=3,
    thumbnails=True,
)


def shard_of(shards: EmbeddingShards, number: int) -> Shard:
    ids = [IDS[position] for position in shards.manifest.members(number)]
    return Shard(
        embeddings=np.eye(3, dtype=np.float32)[: len(ids)],
        ids=tuple(ids),
        labels=("cup", None, "jug ä")[: len(ids)],
        attributes=({"price": 3.5}, {}, {"new": True})[: len(ids)],
        thumbnails=(b"JPEG\x00", None, b"\x00")[: len(ids)],
        left_out=(),
    )


@pytest.fixture
def shards(tmp_path: Path) -> EmbeddingShards:
    return EmbeddingShards.claim(tmp_path / "all", MANIFEST)


def test_what_is_written_is_read(shards: EmbeddingShards) -> None:
    assert shards.missing == [0, 1, 2]
    for number in (2, 0):
        shards.write(number, shard_of(shards, number))
    assert shards.missing == [1]
    shards.write(1, shard_of(shards, 1))
    again = EmbeddingShards.open(shards.folder)
    assert again.manifest == MANIFEST
    found = list(again)
    assert [id for shard in found for id in shard.ids] == IDS
    first, wanted = found[0], shard_of(shards, 0)
    assert np.array_equal(first.embeddings, wanted.embeddings)
    assert (first.labels, first.attributes) == (wanted.labels, wanted.attributes)
    assert (first.thumbnails, first.left_out) == (wanted.thumbnails, ())
    assert sorted(path.name for path in shards.folder.iterdir()) == [
        "manifest.json", "shard-000000.npz", "shard-000001.npz", "shard-000002.npz",
    ]  # fmt: skip


def test_a_shard_whose_images_are_all_unreadable(shards: EmbeddingShards) -> None:
    none = Shard(np.empty((0, 3), np.float32), (), (), (), (), tuple(IDS[:3]))
    shards.write(0, none)
    assert shards.read(0).left_out == tuple(IDS[:3])
    assert shards.read(0).embeddings.shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"model": "cd" * 32}, r"another model \(abababababab\.\.\., not cdcdcdcdcdcd"),
        ({"images_digest": "0" * 64}, "another list of images"),
        ({"images": 8}, r"another number of images \(7, not 8\)"),
        ({"shard_size": 4}, "another --shard-size"),
        ({"thumbnails": False}, "another choice of --thumbnails"),
    ],
)
def test_shards_of_something_else_are_refused(
    shards: EmbeddingShards, change: dict[str, object], what: str
) -> None:
    with pytest.raises(DataError, match=what):
        EmbeddingShards.claim(shards.folder, replace(MANIFEST, **change))  # type: ignore[arg-type]  # one each
    assert EmbeddingShards.claim(shards.folder, MANIFEST).manifest == MANIFEST


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match="in use by something else; choose another --out"):
        EmbeddingShards.claim(tmp_path, MANIFEST)
    with pytest.raises(DataError, match=r"holds no embeddings \(no manifest.json\)"):
        EmbeddingShards.open(tmp_path)
    with pytest.raises(DataError, match="cannot be written"):
        EmbeddingShards.claim(tmp_path / "notes.txt", MANIFEST)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        (json.dumps({"format_version": 9}), "has format version 9; this release reads 1"),
        (json.dumps({"format_version": 1, "model": "x"}), "is damaged"),
    ],
)
def test_a_manifest_that_cannot_be_read(shards: EmbeddingShards, text: str, what: str) -> None:
    (shards.folder / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=what):
        EmbeddingShards.open(shards.folder)


def test_missing_and_damaged_shards_are_named(shards: EmbeddingShards) -> None:
    for number in (0, 1):
        shards.write(number, shard_of(shards, number))
    with pytest.raises(DataError, match=r"lacks 1 of 3 shards; give the same `hdhe embed` command again"):
        iter(shards)
    file = shards.folder / "shard-000001.npz"
    whole = file.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole.replace(b"cup", b"cap", 1)[:-4] + b"????"):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=r"shard-000001.npz is damaged .* delete it"):
            shards.read(1)
    # Whole in itself, but of other images than the manifest speaks of.
    shards.write(2, shard_of(shards, 0))
    with pytest.raises(DataError, match=r"shard-000002.npz is damaged .* 3 images, not 1"):
        shards.read(2)


def test_strays_of_a_killed_process_go_with_the_next_write(shards: EmbeddingShards) -> None:
    (shards.folder / ".shard-000001.npz.tmp-elsewhere-7").touch()
    assert shards.missing == [0, 1, 2]
    shards.write(1, shard_of(shards, 1))
    assert not list(shards.folder.glob(".*"))
