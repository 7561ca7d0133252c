"""Damaged images: each is decoded or refused, none is a failure of the server, and the memory stays bounded."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from retrieval.gallery import Gallery
from service.app import create_app
from service.settings import Settings
from tests.service.damaged_images import DAMAGES, damaged_files, sound_files
from tests.service.fuzz_uploads import fuzz

MOST_MIB = 800
"""What one picture of 50 million pixels, the most by default, may cost while it is decoded, scaled and freed."""


def test_the_sound_files_are_what_they_are_meant_to_be(client: TestClient) -> None:
    statuses = [client.post("/v1/search", files={"image": file}).status_code for file in sound_files()]
    assert len(DAMAGES) == 10
    assert statuses.count(422) == 3  # the animations
    assert set(statuses) == {200, 422}


def test_the_damage_is_the_same_for_the_same_seed() -> None:
    assert list(damaged_files(50, 3)) == list(damaged_files(50, 3))
    assert list(damaged_files(50, 3)) != list(damaged_files(50, 4))


def test_a_few_hundred_damaged_uploads(
    gallery: Gallery, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.CRITICAL, "httpx2")
    with TestClient(create_app(gallery, Settings()), raise_server_exceptions=False) as client:
        answers = fuzz(client, 400, seed=1)
    assert set(answers) == {200, 422}, capsys.readouterr().err
    # Damage that decodes all the same, and damage that does not: both are there to be tested.
    assert min(answers.values()) > 40
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.slow
def test_ten_thousand_damaged_uploads() -> None:
    command = [sys.executable, "-m", "tests.service.fuzz_uploads", "--uploads", "10000"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True, timeout=1800
    )
    print(done.stdout)
    told = json.loads(done.stdout)
    assert set(told["answers"]) == {"200", "422"}, done.stderr
    assert told["peak_mib_after"] - told["peak_mib_before"] < MOST_MIB
