"""The OpenAPI document against what the service does."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

OPERATIONS = {
    ("post", "/v1/search"),
    ("post", "/v1/embeddings"),
    ("post", "/v1/items"),
    ("get", "/v1/items"),
    ("put", "/v1/items/{id}"),
    ("get", "/v1/items/{id}"),
    ("delete", "/v1/items/{id}"),
    ("get", "/v1/items/{id}/image"),
    ("post", "/v1/explanations"),
    ("get", "/v1/recall"),
    ("get", "/v1/model"),
    ("get", "/v1/stats"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/metrics"),
}
REFUSED = {"401", "403", "408", "429", "500", "503"}
"""What any operation that needs a key can answer with."""


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/openapi.json").json()
    return answer


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_it_lists_what_there_is(document: dict[str, Any]) -> None:
    assert set(operations(document)) == OPERATIONS


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            return [
                *([node["$ref"]] if "$ref" in node else []),
                *(found for value in node.values() for found in references(value)),
            ]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    found = references(document)
    assert found
    for reference in set(found):
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_error_is_a_problem_document(document: dict[str, Any]) -> None:
    for operation in operations(document).values():
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                schema = answer["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}
                assert "application/json" not in answer["content"]


def test_the_statuses_of_each_operation(document: dict[str, Any]) -> None:
    described = {key: set(operation["responses"]) for key, operation in operations(document).items()}
    upload = {"400", "413", "415", "422", "507"} | REFUSED
    assert described["post", "/v1/search"] == {"200", "404"} | upload
    assert described["post", "/v1/embeddings"] == {"200"} | upload
    assert described["post", "/v1/items"] == {"200"} | upload
    assert described["put", "/v1/items/{id}"] == {"200", "201", "405"} | upload
    assert described["get", "/v1/items/{id}/image"] == {"200", "304", "404", "422", "507"} | REFUSED
    assert described["delete", "/v1/items/{id}"] == {"204", "404", "405", "422", "507"} | REFUSED
    assert described["get", "/readyz"] == {"200", "500", "503"}


def test_both_bodies_of_a_search_are_described(document: dict[str, Any]) -> None:
    content = operations(document)["post", "/v1/search"]["requestBody"]["content"]
    assert set(content) == {"multipart/form-data", "application/json"}
    assert set(content["application/json"]["schema"]["properties"]) == {
        "vector",
        "id",
        "k",
        "filter",
        "include",
    }
    assert set(content["multipart/form-data"]["schema"]["properties"]) == {"image", "k", "filter", "include"}
