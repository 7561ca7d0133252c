"""The client against the service on a real port, and against services that are busy, gone or not ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from retrieval.gallery import Gallery
from service.app import create_app
from service.client import Client, NewImage, ServiceError, UnreachableError
from service.settings import Settings
from tests.service.serving import serving

Picture = Callable[..., bytes]
Answers = Callable[..., tuple[Client, list[httpx.Request]]]


@pytest.fixture
def shop(gallery: Gallery, settings: Settings) -> Iterator[Client]:
    with serving(create_app(gallery, settings)) as address, Client(address) as client:
        yield client


def test_items_are_put_found_and_deleted(shop: Client, picture: Picture, tmp_path: Path) -> None:
    file = tmp_path / "red.png"
    file.write_bytes(picture("red"))
    item = shop.put("shop/1", file, label="warm", attributes={"price": 12.5, "sold": False})
    shop.put("shop/2", picture("orange"), label="warm")
    shop.put("shop/3", picture("blue"))
    assert (item.label, item.attributes) == ("warm", {"price": 12.5, "sold": False})
    assert shop.get("shop/1") == item
    assert shop.thumbnail("shop/1").startswith(b"\xff\xd8")

    assert [hit.id for hit in shop.search(file, k=2).hits] == ["shop/1", "shop/2"]
    assert [hit.id for hit in shop.search(id="shop/1", k=1).hits] == ["shop/2"]
    (vector,) = shop.embed([file]).embeddings
    assert shop.search(vector=vector, k=1).hits[0].score == pytest.approx(1, abs=1e-4)
    cheap = {"attributes": {"price": {"lt": 20}}}
    assert [hit.id for hit in shop.search(picture("blue"), filter=cheap).hits] == ["shop/1"]
    for answer in (
        shop.search(file, k=1, include=["label"]),
        shop.search(id="shop/2", k=1, include=["label"]),
    ):
        assert [(hit.label, hit.attributes) for hit in answer.hits] == [("warm", {})]

    shop.delete("shop/1")
    with pytest.raises(ServiceError, match=r"404.*shop/1") as refused:
        shop.get("shop/1")
    assert refused.value.problem.type == "urn:hdhe:problem:unknown-item"
    assert shop.stats().items == 2


def test_any_id_goes_there_and_back(shop: Client, picture: Picture) -> None:
    for id in ("a b", "a/b", "a%2Fb", "ä?#&=+", "a/image", "a..b", "..", ".", "/", "日本"):
        assert shop.put(id, picture("red")).id == id
        assert shop.get(id).id == id
        assert shop.thumbnail(id)
        assert [item.id for item in shop.items()] == [id]
        shop.delete(id)


def test_many_are_stored_and_paged_through(shop: Client, picture: Picture) -> None:
    new = [
        NewImage(f"{number:02}", picture((number, 0, 0)), "even" if number % 2 == 0 else None, {"n": number})
        for number in range(11)
    ]
    new[4] = NewImage("04", b"no image")
    results = list(shop.put_many(iter(new), batch=4))
    assert [result.id for result in results] == [image.id for image in new]
    assert [result.status for result in results] == [201] * 4 + [422] + [201] * 6
    assert results[4].problem is not None
    stored = list(shop.items(page=3))
    assert [item.id for item in stored] == [image.id for image in new if image.id != "04"]
    assert stored[1].attributes == {"n": 1}
    assert [item.id for item in shop.items(label="even", page=2)] == ["00", "02", "06", "08", "10"]
    recall = shop.recall([1, 2])
    assert set(recall.recall) == {"1", "2"}
    assert shop.model().embedding_size == np.size(shop.embed([picture("red")]).embeddings[0])


def test_what_is_refused_is_told(shop: Client, picture: Picture) -> None:
    with pytest.raises(ServiceError, match="colour"):
        shop.search(picture("red"), filter={"colour": "red"})
    with pytest.raises(ServiceError) as refused:
        shop.put("a", b"no image")
    assert (refused.value.status, refused.value.retry_after) == (422, None)
    with pytest.raises(ServiceError, match="404"):
        shop.explain("nothing", picture("red"))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """A client, to which a service gives these answers one after the other, and the requests it gets."""
    monkeypatch.setattr("time.sleep", lambda _: None)

    def script(*given: httpx.Response | Exception) -> tuple[Client, list[httpx.Request]]:
        requests: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            requests.append(request)
            following = given[len(requests) - 1]
            if isinstance(following, Exception):
                raise following
            return following

        return Client("http://shop", key="secret", transport=httpx.MockTransport(answer)), requests

    return script


def busy(status: int, wait: str | None = "0") -> httpx.Response:
    problem = {"type": "urn:hdhe:problem:busy", "title": "Busy", "status": status, "detail": "Later."}
    return httpx.Response(status, json=problem, headers={} if wait is None else {"Retry-After": wait})


ITEM = httpx.Response(200, json={"id": "a", "label": None, "attributes": {}, "sequence": 1})
BULK = httpx.Response(200, json={"results": [], "created": 0, "replaced": 0, "failed": 0})
GONE = httpx.ConnectError("refused")


def test_a_busy_service_is_asked_again(answers: Answers) -> None:
    client, requests = answers(busy(503), busy(429, "2"), GONE, ITEM)
    assert client.get("a").sequence == 1
    assert len(requests) == 4
    assert {request.headers["authorization"] for request in requests} == {"Bearer secret"}


def test_a_repeated_upload_carries_the_image_again(answers: Answers, picture: Picture) -> None:
    client, requests = answers(busy(503), ITEM)
    client.put("a", picture("red"))
    bodies = [request.content for request in requests]
    assert all(picture("red") in body for body in bodies)


def test_an_upload_has_a_name_of_its_own_that_its_repetitions_share(
    answers: Answers, picture: Picture
) -> None:
    client, requests = answers(GONE, ITEM, busy(503), BULK, ITEM)
    client.put("a", picture("red"))
    list(client.put_many([NewImage("a", picture("red"))]))
    client.put("a", picture("red"))
    first, again, bulk, bulk_again, other = (request.headers["idempotency-key"] for request in requests)
    assert (first, bulk) == (again, bulk_again)
    assert len({first, bulk, other}) == 3


def test_an_upload_whose_answer_was_lost_is_answered_as_the_first_time(
    gallery: Gallery, settings: Settings, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    sent: list[httpx.Request] = []

    class LosesTheFirstAnswer(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = super().handle_request(request)
            sent.append(request)
            if len(sent) == 1:
                answer.read()
                raise httpx.ReadError("reset")
            return answer

    with (
        serving(create_app(gallery, settings)) as address,
        Client(address, transport=LosesTheFirstAnswer()) as client,
    ):
        (result,) = client.put_many([NewImage("a", picture("red"))])
    assert len(sent) == 2
    assert (result.status, gallery.collection.count()) == (201, 1)


@pytest.mark.parametrize(
    ("given", "asked", "error"),
    [
        ([busy(503)] * 4, 4, ServiceError),
        ([busy(503, "3600")], 1, ServiceError),
        ([busy(422)], 1, ServiceError),
        ([busy(500)], 1, ServiceError),
        ([httpx.Response(502, html="<h1>Bad gateway</h1>")], 1, ServiceError),
        ([GONE] * 4, 4, UnreachableError),
        ([httpx.Response(200, html="<h1>Another site</h1>")], 1, UnreachableError),
    ],
)
def test_when_it_gives_up(
    answers: Answers, given: list[httpx.Response | Exception], asked: int, error: type[Exception]
) -> None:
    client, requests = answers(*given)
    with pytest.raises(error) as raised:
        client.get("a")
    assert len(requests) == asked
    assert len(str(raised.value).splitlines()) == 1


def test_it_waits_as_long_as_it_is_told(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = answers(busy(503, "7"), busy(503, None), ITEM)
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    client.get("a")
    assert waited == [7, 1]


def test_a_deletion_is_not_sent_twice(answers: Answers) -> None:
    client, requests = answers(GONE)
    with pytest.raises(UnreachableError):
        client.delete("a")
    assert len(requests) == 1


def test_a_deletion_that_may_have_been_carried_out_is_not_sent_again(answers: Answers) -> None:
    problem = {"type": "urn:hdhe:problem:time-limit", "title": "Too long", "status": 503}
    client, requests = answers(httpx.Response(503, json=problem, headers={"Retry-After": "2"}))
    with pytest.raises(ServiceError, match="503"):
        client.delete("a")
    assert len(requests) == 1
