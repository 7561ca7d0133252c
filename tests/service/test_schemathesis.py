"""Requests that are made from the OpenAPI document, valid and invalid, against a service that needs keys."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from retrieval.bundle import load_bundle
from retrieval.gallery import Gallery, create_gallery
from service.app import create_app
from service.security.key_file import KeyFile, create_key
from service.settings import Settings
from tests.service.serving import serving

Picture = Callable[..., bytes]
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    # A real network, because an explanation looks into it.
    with create_gallery(tmp_path / "collection", load_bundle("single:efficientnet_lite0@64")) as opened:
        yield opened


def check(gallery: Gallery, picture: Picture, *, examples: int, seed: int) -> str:
    """What schemathesis says of all operations under all its checks; fails where it does."""
    key_file = gallery.folder / "keys.json"
    _, token = create_key(key_file, "tester", "write", rate=1e6, burst=1_000_000)
    app = create_app(gallery, Settings(), keys=KeyFile(key_file))
    authorization = f"Authorization: Bearer {token}"
    with TestClient(app) as client:
        for id in ("a", "b"):
            headers = dict([authorization.split(": ")])
            client.put(f"/v1/items/{id}", files={"image": picture("red")}, headers=headers)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)]
    # Its reports would go to the folder that the tests are run in.
    with serving(create_app(gallery, Settings(), keys=KeyFile(key_file))) as address:
        done = subprocess.run(
            [
                *command,
                "run",
                f"{address}/openapi.json",
                *("--header", authorization, "--checks", "all", "--no-color"),
                *("--max-examples", str(examples), "--seed", str(seed)),
            ],
            cwd=gallery.folder.parent,
            env={**os.environ, "PYTHONWARNINGS": ""},
            capture_output=True,
            text=True,
            timeout=3000,
        )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    return done.stdout


def test_every_operation_keeps_to_its_description(gallery: Gallery, picture: Picture) -> None:
    said = check(gallery, picture, examples=3, seed=1)
    tested = re.search(r"Tested: (\d+)", said)
    assert tested is not None
    assert int(tested.group(1)) >= 14


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_every_operation_keeps_to_its_description_for_long(
    gallery: Gallery, picture: Picture, seed: int
) -> None:
    print(check(gallery, picture, examples=200, seed=seed)[-600:])
