"""Who is let in: keys and scopes on every route, and the open service on one machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from retrieval.gallery import Gallery
from service.app import create_app
from service.security.access import is_loopback, needed
from service.security.key_file import KeyFile, create_key, revoke_key
from service.settings import Settings

Picture = Callable[..., bytes]
PUBLIC = ["/", "/healthz", "/readyz", "/web/style.css"]


class Locked:
    """A service with a read key and a write key."""

    def __init__(self, gallery: Gallery, folder: Path, settings: Settings) -> None:
        self.path = folder / "keys.json"
        self.tokens = {"read": create_key(self.path, "reader", "read")[1]}
        self.tokens["write"] = create_key(self.path, "writer", "write")[1]
        self.app = create_app(gallery, settings, keys=KeyFile(self.path))
        self.client = TestClient(self.app, raise_server_exceptions=False)

    def ask(self, method: str, path: str, scope: str | None, **body: Any) -> Any:
        headers = {} if scope is None else {"Authorization": f"Bearer {self.tokens[scope]}"}
        return self.client.request(method, path, headers=headers, **body)


@pytest.fixture
def locked(gallery: Gallery, tmp_path: Path, settings: Settings) -> Iterator[Locked]:
    service = Locked(gallery, tmp_path, settings)
    with service.client:
        yield service


def test_every_operation_but_the_public_ones_needs_a_key(locked: Locked) -> None:
    document = locked.ask("get", "/openapi.json", "read").json()
    checked = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answer = locked.ask(method, path.replace("{id}", "a"), None)
            if path in PUBLIC:
                assert answer.status_code == 200
                continue
            checked += 1
            assert answer.status_code == 401, (method, path)
            assert answer.json()["type"] == "urn:hdhe:problem:unauthorized"
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert operation["security"]
    assert checked > 10
    # Also what is in no document, and what is nowhere.
    elsewhere = ("/openapi.json", "/nothing", "/web", "/healthz/x", "http://testserver//healthz")
    for path in elsewhere:
        assert locked.ask("get", path, None).status_code == 401, path


def test_the_page_and_the_health_checks_need_none(locked: Locked) -> None:
    for path in PUBLIC:
        assert locked.ask("get", path, None).status_code == 200, path


def test_a_read_key_changes_nothing(locked: Locked, gallery: Gallery, picture: Picture) -> None:
    image = {"image": picture("red")}
    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("put", "/v1/items/a", {"files": image}),
        ("post", "/v1/items", {"files": image, "data": {"id": "a"}}),
        ("delete", "/v1/items/a", {}),
        ("post", "/v1/whatever/comes/later", {}),
        ("patch", "/v1/items/a", {}),
    ]
    for method, path, body in changes:
        answer = locked.ask(method, path, "read", **body)
        assert answer.status_code == 403, (method, path)
        assert answer.json()["type"] == "urn:hdhe:problem:forbidden"
    assert gallery.collection.count() == 0
    assert locked.ask("put", "/v1/items/a", "write", files=image).status_code == 201
    for scope in ("read", "write"):
        assert locked.ask("get", "/v1/items/a", scope).status_code == 200
        assert locked.ask("post", "/v1/search", scope, files=image).json()["hits"][0]["id"] == "a"
        assert locked.ask("post", "/v1/embeddings", scope, files=image).status_code == 200
        assert locked.ask("get", "/metrics", scope).status_code == 200
    assert locked.ask("delete", "/v1/items/a", "write").status_code == 204


def test_what_is_not_known_to_be_harmless_needs_write() -> None:
    assert needed("GET", "/v1/anything") == "read"
    assert needed("POST", "/v1/search") == "read"
    assert needed("POST", "/v1/search/") == "write"
    assert needed("POST", "/v1/items") == "write"
    assert needed("BREW", "/v1/search") == "write"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic {token}", "{token}", "Bearer {token}x", "Bearer x{token}", "Bearer é"],
)
def test_what_is_not_the_key_is_refused(locked: Locked, header: str) -> None:
    value = header.format(token=locked.tokens["write"]).encode("latin-1")
    assert locked.client.get("/v1/stats", headers={b"Authorization": value}).status_code == 401


def test_a_revoked_key_is_refused_within_a_second(locked: Locked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.security.key_file.LOOK_SECONDS", 0.0)
    assert locked.ask("get", "/v1/stats", "read").status_code == 200
    revoke_key(locked.path, "reader")
    assert locked.ask("get", "/v1/stats", "read").status_code == 401
    assert locked.ask("get", "/v1/stats", "write").status_code == 200


def test_a_key_has_its_own_budget_counted_in_images(
    gallery: Gallery, tmp_path: Path, picture: Picture
) -> None:
    path = tmp_path / "keys.json"
    tokens = [create_key(path, name, "write", rate=0.01, burst=4)[1] for name in ("one", "two")]
    settings = Settings(key_rate=1000, key_burst=1000)
    with TestClient(create_app(gallery, settings, keys=KeyFile(path))) as client:

        def search(token: str) -> Any:
            headers = {"Authorization": f"Bearer {token}"}
            return client.post("/v1/search", files={"image": picture("red")}, headers=headers)

        def many(token: str) -> Any:
            files = [("image", picture("red"))] * 6
            return client.post("/v1/embeddings", files=files, headers={"Authorization": f"Bearer {token}"})

        assert [search(tokens[0]).status_code for _ in range(5)] == [200] * 4 + [429]
        refused = search(tokens[0])
        assert refused.json()["type"] == "urn:hdhe:problem:rate-limited"
        assert 90 <= int(refused.headers["retry-after"]) <= 100
        # Six images are let in while one token is there; then five are owed.
        assert many(tokens[1]).status_code == 200
        assert 290 <= int(many(tokens[1]).headers["retry-after"]) <= 300
        # Who has no key takes nothing from anybody's budget.
        assert client.get("/healthz").status_code == 200


def test_who_reads_the_metrics_pays_for_it_like_for_anything(gallery: Gallery, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    _, token = create_key(path, "prometheus", "read", rate=0.01, burst=2)
    with TestClient(create_app(gallery, keys=KeyFile(path))) as client:
        headers = {"Authorization": f"Bearer {token}"}
        answers = [client.get("/metrics", headers=headers) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
    # And without keys, no other site's page reads them.
    with TestClient(create_app(gallery, keys=KeyFile(tmp_path / "none.json"))) as client:
        for host, status in (("localhost", 200), ("evil.example", 403)):
            assert client.get("/metrics", headers={"Host": host}).status_code == status


@pytest.fixture
def open_service(gallery: Gallery, tmp_path: Path) -> Iterator[Callable[..., int]]:
    settings = Settings(cors_origins="http://shop.example")
    app = create_app(gallery, settings, keys=KeyFile(tmp_path / "none.json"))
    with TestClient(app, base_url="http://localhost:8000") as client:

        def status(**headers: str) -> int:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            answer = client.delete("/v1/items/a", headers=named)
            assert answer.status_code in (403, 404)
            return answer.status_code

        yield status


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:9", "127.1.2.3", "[::1]:8000"])
def test_without_keys_this_machine_may_do_everything(open_service: Callable[..., int], host: str) -> None:
    assert open_service(host=host) == 404
    assert open_service(host=host, origin=f"http://{host}", sec_fetch_site="same-origin") == 404


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "192.168.0.7", "0.0.0.0", "", "[", "::1"],
)
def test_without_keys_no_other_name_is_answered(open_service: Callable[..., int], host: str) -> None:
    assert open_service(host=host) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:3000"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://["},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_without_keys_no_other_sites_page_is_answered(
    open_service: Callable[..., int], headers: dict[str, str]
) -> None:
    assert open_service(host="localhost:8000", **headers) == 403


def test_an_origin_of_the_settings_is_answered(open_service: Callable[..., int]) -> None:
    assert open_service(origin="http://shop.example", sec_fetch_site="cross-site") == 404


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("", False)],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
