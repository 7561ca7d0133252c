"""What every answer carries, and what none may."""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from indexes.errors import StorageError
from retrieval.gallery import Gallery

Picture = Callable[..., bytes]
Put = Callable[..., None]

SENT = [
    ("get", "/", 200),
    ("get", "/web/app.js", 200),
    ("get", "/healthz", 200),
    ("get", "/v1/stats", 200),
    ("get", "/metrics", 200),
    ("get", "/nothing", 404),
    ("post", "/v1/search", 415),
    ("delete", "/v1/stats", 405),
]


@pytest.mark.parametrize(("method", "path", "status"), SENT)
def test_every_answer_is_safe_in_a_browser(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    headers = answer.headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    # Nothing inline, nothing evaluated, nothing from elsewhere.
    assert not re.search(r"unsafe|\*|http|data:", headers["content-security-policy"])
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == headers["cross-origin-opener-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers
    assert "x-powered-by" not in headers


def test_answers_are_not_left_in_a_browsers_cache(client: TestClient, put: Put) -> None:
    put("a", "red")
    assert client.get("/v1/items/a").headers["cache-control"] == "no-store"
    assert client.get("/v1/nothing").headers["cache-control"] == "no-store"
    assert client.get("/v1/items/a/image").headers["cache-control"] == "no-cache"


def _failures(folder: Path) -> list[Exception]:
    return [
        RuntimeError(f"{folder}/secret is broken"),
        OSError(errno.ENOSPC, "No space left on device", f"{folder}/secret"),
        OSError(errno.EACCES, "Permission denied", f"{folder}/secret"),
        StorageError(f"{folder}/secret: the disk is full"),
        sqlite3.OperationalError(f"unable to open {folder}/secret"),
        MemoryError(f"{folder}/secret"),
        KeyError(f"{folder}/secret"),
        ExceptionGroup(f"{folder}/secret", [ValueError("one")]),
    ]


@pytest.mark.parametrize("which", range(8))
def test_no_failure_shows_a_path_or_a_stack(
    client: TestClient, gallery: Gallery, picture: Picture, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise _failures(gallery.folder)[which]

    for name in ("upsert", "delete", "get", "vectors", "thumbnail", "page", "search", "labelled", "stats"):
        monkeypatch.setattr(gallery.collection, name, fail)
    image = {"image": ("/etc/passwd", picture("red"))}
    answers = [
        client.post("/v1/search", files=image),
        client.post("/v1/search", json={"id": "a"}),
        client.put("/v1/items/a", files=image),
        client.post("/v1/items", files=image, data={"id": "a"}),
        client.get("/v1/items"),
        client.get("/v1/items/a"),
        client.get("/v1/items/a/image"),
        client.delete("/v1/items/a"),
        client.get("/v1/recall"),
        client.get("/v1/stats"),
        client.get("/metrics"),
    ]
    for answer in answers:
        assert answer.status_code in (200, 500, 507), answer.text
        assert not re.search(r"secret|passwd|Traceback|\.py|/tmp|site-packages", answer.text), answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "name", ["../../../../etc/passwd", "/etc/cron.d/x", "a\\..\\b", "C:\\x", "x" * 300, ".", ""]
)
def test_the_name_of_an_upload_is_no_path(
    client: TestClient, gallery: Gallery, picture: Picture, name: str
) -> None:
    def files() -> set[Path]:
        return set(gallery.folder.parent.rglob("*"))

    before = files()
    answer = client.put("/v1/items/a", files={"image": (name, picture("red"), "text/html")})
    # A part without a name is a field and no file.
    assert answer.status_code == (201 if name else 422)
    assert {path.name for path in files() - before} <= {"collection.sqlite-wal", "collection.sqlite-shm"}
