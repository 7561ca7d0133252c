"""The parts of the OpenAPI document that cannot be read off the routes: bodies that a route reads by itself."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from indexes.collection import MAX_ID_LENGTH
from service.access_description import describe_access
from service.openapi_examples import describe_examples
from service.problems import Problem
from service.schemas import DEFAULT_K, TEXT_PATTERN, ExplanationChoices, ExplanationQuery, SearchQuery
from service.uploads import JSON, MULTIPART

_IMAGE = {
    "type": "string",
    "format": "binary",
    "description": "JPEG, PNG, WebP, GIF, TIFF or BMP; not animated.",
}
_IMAGE_TYPES = {
    "image": {"contentType": "image/jpeg, image/png, image/webp, image/gif, image/tiff, image/bmp"}
}
_LABEL = {"type": "string", "description": "What the image shows; Recall@K counts hits of the same label."}
ID: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_ID_LENGTH,
    "pattern": TEXT_PATTERN,
}
_ATTRIBUTES = {
    "type": "string",
    "contentMediaType": JSON,
    "description": "A JSON object, name to string, number, boolean or null.",
    "examples": ['{"color": "red", "price": 12.5}'],
}
_FILTER = {
    "type": "string",
    "contentMediaType": JSON,
    "description": "A JSON filter on id, label and attributes.",
    "examples": ['{"label": "vase-03"}', '{"attributes": {"price": {"gte": 10, "lt": 20}}}'],
}


_INCLUDE = {
    "type": "string",
    "contentMediaType": JSON,
    "description": "A JSON list of what each hit says of its item beside id and score.",
    "default": '["label", "attributes"]',
    "examples": ['["label"]', "[]"],
}


def _form(required: list[str], **properties: object) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "properties": properties}
    return {"schema": schema, "encoding": _IMAGE_TYPES}


def _body(**content: object) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


def _many(of: object, least: int = 1) -> dict[str, object]:
    return {"type": "array", "items": of, "minItems": least}


SEARCH_BODY = _body(
    **{
        MULTIPART: _form(
            ["image"],
            image=_IMAGE,
            k={"type": "integer", "minimum": 1, "default": DEFAULT_K},
            filter=_FILTER,
            include=_INCLUDE,
        ),
        JSON: {"schema": SearchQuery.model_json_schema()},
    }
)
IMAGES_BODY = _body(**{MULTIPART: _form(["image"], image=_many(_IMAGE))})
EXPLANATION_BODY = _body(
    **{
        MULTIPART: {
            "schema": {
                **ExplanationChoices.model_json_schema(),
                "required": ["image", "id"],
                "properties": {
                    "image": _IMAGE,
                    **ExplanationChoices.model_json_schema()["properties"],
                },
            }
        },
        JSON: {"schema": ExplanationQuery.model_json_schema()},
    }
)
ITEM_BODY = _body(**{MULTIPART: _form(["image"], image=_IMAGE, label=_LABEL, attributes=_ATTRIBUTES)})
ITEMS_BODY = _body(
    **{
        MULTIPART: _form(
            ["image", "id"],
            image=_many(_IMAGE),
            id=_many({**ID, "description": "As many as images, in the same order."}),
            label=_many(_LABEL, 0),
            attributes=_many(_ATTRIBUTES, 0),
        )
    }
)


def describe(app: FastAPI) -> None:
    """Make `app.openapi()` include the problem document, which the routes refer to by name."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas = schema.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(problem.pop("$defs", {}))
            schemas["Problem"] = problem
            describe_access(schema)
            describe_examples(schema)
            app.openapi_schema = schema
        return app.openapi_schema

    # FastAPI's documented way to adjust the document is to replace the method.
    app.openapi = document  # type: ignore[method-assign]
