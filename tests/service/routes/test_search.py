"""POST /v1/search."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

Picture = Callable[..., bytes]
Put = Callable[..., None]

RED, ORANGE, GREEN, BLUE = (250, 0, 0), (250, 90, 0), (0, 250, 0), (0, 0, 250)


def vector_of(colour: tuple[int, int, int]) -> Any:
    """What the test's embedder makes of a picture of this colour, by its formula."""
    vector = np.array([*(np.array(colour) / 255), 0.1])
    return vector / np.linalg.norm(vector)


@pytest.fixture
def colours(put: Put) -> None:
    put("red", RED, label="warm", attributes='{"price": 10, "sold": true}')
    put("orange", ORANGE, label="warm", attributes='{"price": 20}')
    put("green", GREEN, label="cold")
    put("blue", BLUE)


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hit["id"] for hit in answer.json()["hits"]]


@pytest.mark.usefixtures("colours")
def test_an_image_finds_the_most_alike_with_their_cosines(client: TestClient, picture: Picture) -> None:
    answer = client.post("/v1/search", files={"image": picture((240, 40, 0))}, data={"k": "2"})
    assert ids(answer) == ["red", "orange"]
    query = vector_of((240, 40, 0))
    first, second = answer.json()["hits"]
    assert first["score"] == pytest.approx(query @ vector_of(RED), abs=1e-5)
    assert second["score"] == pytest.approx(query @ vector_of(ORANGE), abs=1e-5)
    assert first["label"] == "warm"
    assert first["attributes"] == {"price": 10, "sold": True}
    assert set(first) == {"id", "score", "label", "attributes"}
    took = answer.json()["took_ms"]
    assert set(took) == {"decode", "wait", "embed", "search"}
    assert all(value >= 0 for value in took.values())
    assert took["decode"] > 0


@pytest.mark.usefixtures("colours")
def test_k_beyond_the_collection_returns_all_there_are(client: TestClient, picture: Picture) -> None:
    answer = client.post("/v1/search", files={"image": picture(RED)}, data={"k": "50"})
    assert sorted(ids(answer)) == ["blue", "green", "orange", "red"]


@pytest.mark.usefixtures("colours")
def test_k_is_ten_where_it_is_not_given(client: TestClient, put: Put) -> None:
    for number in range(12):
        put(f"extra/{number}", (number, 0, 0))
    assert len(ids(client.post("/v1/search", json={"id": "red"}))) == 10


@pytest.mark.usefixtures("colours")
def test_a_vector_of_any_length_is_a_direction(client: TestClient) -> None:
    for scale in (1.0, 1e-200, 1e200):
        vector = (vector_of(GREEN) * scale).tolist()
        answer = client.post("/v1/search", json={"vector": vector, "k": 1})
        assert ids(answer) == ["green"]
        assert answer.json()["hits"][0]["score"] == pytest.approx(1, abs=1e-5)
        assert answer.json()["took_ms"]["embed"] == 0


@pytest.mark.usefixtures("colours")
def test_an_item_is_not_among_its_own_hits(client: TestClient, put: Put) -> None:
    put("red twin", RED)
    assert ids(client.post("/v1/search", json={"id": "red", "k": 2})) == ["red twin", "orange"]
    assert len(ids(client.post("/v1/search", json={"id": "red", "k": 50}))) == 4


@pytest.mark.usefixtures("colours")
@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ({"label": "warm"}, {"red", "orange"}),
        ({"label": None}, {"blue"}),
        ({"attributes": {"price": {"gte": 15}}}, {"orange"}),
        ({"not": {"label": {"in": ["warm", "cold"]}}}, {"blue"}),
        ({"label": "none of them"}, set()),
    ],
)
def test_only_items_that_pass_the_filter_are_hits(
    client: TestClient, picture: Picture, filter: Any, found: set[str]
) -> None:
    vector = client.post("/v1/search", json={"vector": [1, 0, 0, 0], "filter": filter})
    image = client.post("/v1/search", files={"image": picture(BLUE)}, data={"filter": json.dumps(filter)})
    assert set(ids(vector)) == set(ids(image)) == found


def test_an_empty_collection_has_no_hits(client: TestClient, picture: Picture) -> None:
    assert ids(client.post("/v1/search", files={"image": picture(RED)})) == []


@pytest.mark.usefixtures("colours")
@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ('{"vector": [NaN, 0, 0, 1]}', 400, "JSON"),
        ('{"vector": [Infinity, 0, 0, 1]}', 400, "JSON"),
        ('{"vector": [1e999, 0, 0, 1]}', 422, "vector"),
        ('{"vector": [0, 0, 0, 0]}', 422, "vector"),
        ('{"vector": [1, 0, 0]}', 422, "3 numbers"),
        ('{"vector": []}', 422, "0 numbers"),
        ('{"vector": ["1", 0, 0, "x"]}', 422, "vector.3"),
        ('{"vector": 3}', 422, "vector"),
        ('{"id": "nobody"}', 404, "nobody"),
        ('{"id": ""}', 422, "id"),
        ('{"id": "a\\u0000b"}', 422, "id"),
        ('{"id": "\\ud800"}', 400, "JSON"),
        ('{"id": 7}', 422, "id"),
        (json.dumps({"id": "x" * 10_000}), 422, "id"),
        ('{"id": "red", "vector": [1, 0, 0, 0]}', 422, "either"),
        ("{}", 422, "either"),
        ("[]", 422, "object"),
        ('{"id": "red", "k": 0}', 422, "k"),
        ('{"id": "red", "k": -1}', 422, "k"),
        ('{"id": "red", "k": 51}', 422, "50"),
        ('{"id": "red", "k": true}', 422, "k"),
        ('{"id": "red", "k": 1.5}', 422, "k"),
        ('{"id": "red", "k": 1e99}', 422, "k"),
        ('{"id": "red", "fliter": {}}', 422, "fliter"),
        ('{"id": "red", "filter": {"colour": 1}}', 422, "colour"),
        ('{"id": "red", "filter": {"label": {"like": "x"}}}', 422, "label"),
        ('{"id": "red", "filter": 7}', 422, "filter"),
        ('{"id": "red", "filter": {"attributes": {"a": 1e999}}}', 422, "a"),
        ("", 400, "JSON"),
        ("{", 400, "JSON"),
        ("[" * 100_000, 400, "JSON"),
        ('{"id": "red", "filter": ' + '{"not": ' * 150 + "{}" + "}" * 151, 422, "nested"),
    ],
)
def test_a_wrong_json_search_is_named(client: TestClient, body: str, status: int, named: str) -> None:
    answer = client.post("/v1/search", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert named in answer.json()["detail"]
    assert len(answer.content) < 2_000


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"k": "0"}, "k"),
        ({"k": "51"}, "50"),
        ({"k": "two"}, "two"),
        ({"k": "١"}, "k"),
        ({"k": "9" * 5000}, "k"),
        ({"k": ["1", "2"]}, "k"),
        ({"k": ""}, "k is a whole number"),
        ({"filter": ""}, "filter is not JSON"),
        ({"include": ""}, "include is not JSON"),
        ({"filter": "{"}, "filter"),
        ({"filter": "NaN"}, "filter"),
        ({"filter": '{"label": NaN}'}, "filter"),
        ({"filter": "[]"}, "filter"),
        ({"filtre": "{}"}, "filtre"),
    ],
)
def test_a_wrong_form_field_is_named(
    client: TestClient, picture: Picture, fields: dict[str, str], named: str
) -> None:
    answer = client.post("/v1/search", files={"image": picture(RED)}, data=fields)
    assert answer.status_code == 422, answer.text
    assert named in answer.json()["detail"]


def test_the_image_must_be_one_file(client: TestClient, picture: Picture) -> None:
    nothing = client.post("/v1/search", files={"picture": picture(RED)})
    text = client.post("/v1/search", data={"image": "hello"}, files={"k": b"1"})
    two = client.post("/v1/search", files=[("image", ("a", picture(RED))), ("image", ("b", picture(RED)))])
    assert [nothing.status_code, text.status_code, two.status_code] == [422, 422, 422]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "image/png", ""])
def test_a_body_of_another_type_is_refused(client: TestClient, content_type: str) -> None:
    answer = client.post("/v1/search", content=b"k=3", headers={"Content-Type": content_type})
    assert answer.status_code == 415
    assert "multipart/form-data or application/json" in answer.json()["detail"]


def test_a_large_json_body_is_refused(client: TestClient) -> None:
    body = b'{"id": "' + b"x" * (1 << 20) + b'"}'
    answer = client.post("/v1/search", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.usefixtures("colours")
@pytest.mark.parametrize("include", [[], ["label"], ["attributes"], ["attributes", "label"]])
def test_a_hit_says_what_was_asked_for(client: TestClient, picture: Picture, include: list[str]) -> None:
    form = {"k": "2", "include": json.dumps(include)}
    for answer in (
        client.post("/v1/search", files={"image": picture(RED)}, data=form),
        client.post("/v1/search", json={"vector": vector_of(RED).tolist(), "k": 2, "include": include}),
        client.post("/v1/search", json={"id": "red", "include": include}),
    ):
        said = answer.json()["hits"]
        assert "orange" in ids(answer)
        assert all(set(hit) == {"id", "score", *include} for hit in said)
        if "attributes" in include:
            assert {"price": 20} in [hit["attributes"] for hit in said]
        if "label" in include:
            assert "warm" in [hit["label"] for hit in said]


@pytest.mark.parametrize("include", ['"label"', '["lable"]', "[1]", "{}", "["])
def test_a_wrong_include_is_named(client: TestClient, picture: Picture, include: str) -> None:
    form = client.post("/v1/search", files={"image": picture(RED)}, data={"include": include})
    assert form.status_code == 422
    assert "include" in form.json()["detail"]
    text = f'{{"vector": [1, 0, 0, 0], "include": {include}}}'
    body = client.post("/v1/search", content=text, headers={"Content-Type": "application/json"})
    assert body.status_code in (400, 422)
