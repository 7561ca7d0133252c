"""The examples of the OpenAPI document, checked against its schemas by another library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from fastapi.testclient import TestClient

from service.openapi.examples import PROBLEMS
from service.problems import MEDIA_TYPE

JSON = "application/json"


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/openapi.json").json()
    return answer


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def check(document: dict[str, Any], schema: dict[str, Any], example: object, where: str) -> None:
    # The schemas refer to each other by their place in the document.
    validator = jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})
    found = [
        f"{'.'.join(map(str, error.instance_path))}: {error.message}"
        for error in validator.iter_errors(example)
    ]
    assert found == [], where


def test_every_answer_in_json_has_an_example_that_fits(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            for kind in (JSON, MEDIA_TYPE):
                if kind in answer.get("content", {}):
                    content = answer["content"][kind]
                    check(document, content["schema"], content["example"], f"{name} {status}")
                    if kind == MEDIA_TYPE:
                        assert content["example"]["status"] == int(status)


def test_every_parameter_and_json_body_has_an_example_that_fits(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            schema = parameter["schema"]
            examples = [parameter["example"]] if "example" in parameter else schema["examples"]
            for example in examples:
                check(document, schema, example, f"{name} {parameter['name']}")
        body = operation.get("requestBody", {}).get("content", {})
        if JSON in body:
            for example in body[JSON]["schema"]["examples"]:
                check(document, body[JSON]["schema"], example, name)


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names))
    for name, operation in operations(document):
        assert len(operation.get("description", "")) > 10, name
        assert operation["tags"], name


def test_problems_are_told_as_in_the_examples(client: TestClient) -> None:
    found = client.get("/v1/items/vase-99%2F000.jpg").json()
    kind, title, detail = PROBLEMS[404]
    assert found == {"type": f"urn:hdhe:problem:{kind}", "title": title, "status": 404, "detail": detail}
    wrong = client.post("/v1/search", json={"id": "a", "k": 0}).json()
    assert (wrong["status"], wrong["title"]) == (422, PROBLEMS[422][1])
