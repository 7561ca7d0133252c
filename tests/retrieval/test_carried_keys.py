"""Who may use what is served, when another collection is served in its place."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from retrieval.bundle import load_bundle
from retrieval.gallery import create_gallery
from retrieval.gallery_switch import switch


def test_a_key_that_was_revoked_stays_so_after_a_switch_back(tmp_path: Path) -> None:
    bundle = load_bundle("single:efficientnet_lite0@64")
    for name in ("one", "two"):
        create_gallery(tmp_path / name, bundle).close()
    link = tmp_path / "shop"

    def point_to(name: str) -> None:
        switch(link, tmp_path / name, on_error=lambda *error: pytest.fail(str(error)))

    point_to("one")
    (link / "keys.json").write_text("a key that will be revoked")
    (link / "keys.json").chmod(0o600)
    point_to("two")
    assert (link / "keys.json").read_text() == "a key that will be revoked"
    (link / "keys.json").write_text("nobody")
    point_to("one")
    assert (tmp_path / "one" / "keys.json").read_text() == "nobody"
    assert stat.S_IMODE((tmp_path / "one" / "keys.json").stat().st_mode) == 0o600
