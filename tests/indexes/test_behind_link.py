from __future__ import annotations

from pathlib import Path

import pytest

from indexes.behind_link import behind_link
from indexes.local_collection import LocalCollection
from tests.indexes.unit_vectors import FINGERPRINT, items


def test_a_folder_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "link").symlink_to("c")
    monkeypatch.chdir(tmp_path.resolve())
    assert behind_link(Path("c")) == Path("c")
    assert behind_link(Path("link")) == tmp_path.resolve() / "c"


def test_an_open_collection_stays_the_same_when_its_link_is_switched(tmp_path: Path) -> None:
    for name, count in (("old", 3), ("new", 5)):
        folder = tmp_path / name
        with LocalCollection.create(folder, embedding_size=4, model_fingerprint=FINGERPRINT) as collection:
            collection.upsert(items(count, 4))
    link = tmp_path / "link"
    link.symlink_to("old")
    with LocalCollection.open(link, read_only=True) as collection, collection._rows.database.reading():
        # The one connection there is, is in use: the next reading opens the file again.
        link.unlink()
        link.symlink_to("new")
        assert collection.count() == 3
