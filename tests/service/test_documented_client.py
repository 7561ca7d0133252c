"""The example of docs/service.md runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

import service
from retrieval.bundle import load_bundle
from retrieval.gallery import create_gallery
from service.app import create_app
from tests.service.serving import serving

PAGE = Path(service.__file__).parents[1] / "docs" / "service.md"


def test_the_client_of_the_documentation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    for label in range(2):
        (photos / f"vase-{label:02}").mkdir(parents=True)
        for number in range(3):
            image = Image.new("RGB", (64, 64), (60 * number, 120 * label, 90))
            ImageDraw.Draw(image).ellipse((8 * label, 10, 50, 60), fill="white")
            image.save(photos / f"vase-{label:02}" / f"{number:03}.jpg")
    monkeypatch.chdir(photos)
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    with (
        create_gallery(tmp_path / "collection", load_bundle("single:efficientnet_lite0@64")) as gallery,
        serving(create_app(gallery)) as address,
    ):
        exec(compile(code.replace("http://localhost:8000", address), "service.md", "exec"), {})
        assert gallery.collection.count() == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("shop/vase-00/000.jpg")
    assert [line.split("/")[1] for line in lines[:3]] == ["vase-00"] * 3
    assert lines[3].startswith("{'1': ")
    assert (photos / "why.png").read_bytes().startswith(b"\x89PNG")
