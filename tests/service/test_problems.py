"""Every error is a problem document, and none tells what the server looks like inside."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from indexes.errors import CollectionError, CollectionLockedError, StorageError, UnreachableError
from retrieval.gallery import Gallery
from service.problems import invalid_request, problem_of
from service.schemas import SearchQuery

Picture = Callable[..., bytes]


def check_problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["type"]
    return problem


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        (
            "get",
            "/v1/serach",
            404,
            "There is no such path; did you mean /v1/search? /openapi.json lists all.",
        ),
        ("get", "/nothing/here", 404, "There is no such path. /openapi.json lists all."),
        ("get", "/" + "a" * 5000, 404, "There is no such path. /openapi.json lists all."),
        ("get", "/web/nothing.js", 404, "There is no such path. /openapi.json lists all."),
        ("get", "/v1/search", 405, "This path takes POST; see /openapi.json."),
        ("post", "/v1/items/a", 405, "This path takes DELETE, GET, PUT; see /openapi.json."),
        ("post", "/", 405, "This path takes GET; see /openapi.json."),
    ],
)
def test_a_wrong_path_or_method_is_told_what_to_do(
    client: TestClient, method: str, path: str, status: int, detail: str
) -> None:
    assert check_problem(client.request(method, path), status)["detail"] == detail
    assert client.get("/openapi.json").status_code == 200


def test_unknown_paths_and_methods(client: TestClient) -> None:
    check_problem(client.get("/nothing/here"), 404)
    check_problem(client.get("/web/nothing.js"), 404)
    check_problem(client.get("/web/../app.py"), 404)
    check_problem(client.get("/web/%2e%2e/app.py"), 404)
    check_problem(client.get("/v1/nothing"), 404)
    refused = client.delete("/v1/search")
    check_problem(refused, 405)
    assert refused.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StorageError("/secret/collection.sqlite: disk I/O error"), 507),
        (OSError(errno.ENOSPC, "No space left on device", "/secret/tmp"), 507),
        (OSError(errno.EIO, "Input/output error", "/secret/tmp"), 500),
        (CollectionLockedError("/secret is locked by process 12"), 503),
        (UnreachableError("/secret at http://secret:19530 does not answer"), 503),
        (CollectionError("/secret is closed"), 500),
        (RuntimeError("/secret/model.py failed"), 500),
        (ZeroDivisionError(), 500),
    ],
)
def test_a_failure_of_the_server_is_told_without_its_insides(
    client: TestClient,
    gallery: Gallery,
    picture: Picture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
) -> None:
    def fail(*_: object, **__: object) -> object:
        raise error

    for name in ("search", "upsert", "get", "delete", "stats", "page", "thumbnail"):
        monkeypatch.setattr(gallery.collection, name, fail)
    image = {"image": picture("red")}
    for answer in (
        client.post("/v1/search", files=image),
        client.put("/v1/items/a", files=image),
        client.get("/v1/items/a"),
        client.get("/v1/items/a/image"),
        client.delete("/v1/items/a"),
        client.get("/v1/items"),
        client.get("/v1/stats"),
        client.get("/v1/recall"),
    ):
        check_problem(answer, status)
        for inside in ("secret", "Traceback", ".py", "process 12"):
            assert inside not in answer.text
        if status == 503:
            assert int(answer.headers["retry-after"]) > 0
    assert client.get("/healthz").status_code == 200


def test_an_upload_over_the_cap_is_refused_by_its_declared_length(client: TestClient) -> None:
    read = 0

    def body() -> Iterator[bytes]:
        nonlocal read
        read += 1
        yield b"x"

    headers = {"Content-Length": str(1 << 40), "Content-Type": "multipart/form-data; boundary=x"}
    check_problem(client.put("/v1/items/a", content=body(), headers=headers), 413)


def test_an_upload_without_a_length_is_read_up_to_the_cap_and_not_beyond(client: TestClient) -> None:
    chunk = b"x" * 65_536
    sent = 0

    async def app_read() -> dict[str, Any]:
        nonlocal sent
        sent += len(chunk)
        start = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        return {
            "type": "http.request",
            "body": start + chunk if sent == len(chunk) else chunk,
            "more_body": True,
        }

    answers: list[dict[str, Any]] = []

    async def app_send(message: Any) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "PUT",
        "scheme": "http",
        "path": "/v1/items/a",
        "raw_path": b"/v1/items/a",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"multipart/form-data; boundary=x")],
        "server": ("test", 80),
        "client": ("test", 1),
    }
    assert client.portal is not None
    client.portal.call(client.app, scope, app_read, app_send)
    assert answers[0]["status"] == 413
    # 100,000 bytes of image and 2 MiB for the rest of the form are allowed; the body has no end.
    assert sent < 100_000 + (2 << 20) + 2 * len(chunk)


def test_an_image_over_the_cap_is_refused(client: TestClient) -> None:
    for answer in (
        client.put("/v1/items/a", files={"image": b"x" * 100_001}),
        client.post("/v1/search", files={"image": b"x" * 100_001}),
        client.post("/v1/embeddings", files={"image": b"x" * 100_001}),
        client.post("/v1/items", files={"image": b"x" * 500_000}, data={"id": "a"}),
    ):
        assert check_problem(answer, 413)["type"] == "urn:hdhe:problem:too-large"


# Starlette leaves the file of a part that never ended to the garbage collector, which closes it at once.
@pytest.mark.filterwarnings("ignore:Unclosed file <tempfile.SpooledTemporaryFile:ResourceWarning")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"--x",
        b"--x\r\n",
        b"--x--\r\n",
        b"--x\r\nContent-Disposition: form-data\r\n\r\nvalue\r\n--x--\r\n",
        b"--x\r\n\r\n\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\ncut off',
        b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\ntext\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="\xff\xfe"; filename="a"\r\n\r\n1\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="k"\r\n\r\n' + b"1" * 1_100_000 + b"\r\n--x--\r\n",
        b"--x\r\n" + b"A: b\r\n" * 1000 + b"\r\n\r\n--x--\r\n",
    ],
)
def test_a_torn_form_is_the_clients_mistake(client: TestClient, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    for path in ("/v1/search", "/v1/embeddings", "/v1/items"):
        answer = client.post(path, content=body, headers=headers)
        assert answer.status_code in (400, 413, 422), answer.text
        check_problem(answer, answer.status_code)
    no_boundary = client.post("/v1/search", content=body, headers={"Content-Type": "multipart/form-data"})
    check_problem(no_boundary, 400)


def test_a_rejected_value_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        SearchQuery.model_validate({"id": ["s3cret"] * 3, "k": "s3cret"})
    problem = problem_of(invalid_request(caught.value))
    assert problem.errors is not None
    assert {each.field for each in problem.errors} == {"id", "k"}
    assert "s3cret" not in problem.model_dump_json()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("post", "/v1/items/a", "DELETE, GET, PUT"),
        ("options", "/v1/items", "GET, POST"),
        ("post", "/v1/items/a/image", "GET"),
        ("put", "/v1/items/a/image", "GET"),
        ("get", "/v1/search", "POST"),
        ("delete", "/healthz", "GET"),
    ],
)
def test_a_wrong_method_is_told_which_are_right(
    client: TestClient, method: str, path: str, allowed: str
) -> None:
    answer = client.request(method, path)
    check_problem(answer, 405)
    assert answer.headers["allow"] == allowed
