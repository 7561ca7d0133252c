"""Bodies of requests that a route reads by itself, for `openapi_extra`."""

from __future__ import annotations

from typing import Any

from indexes.collection import MAX_ID_LENGTH
from service.requests.uploads import JSON, MULTIPART
from service.schemas import DEFAULT_K, TEXT_PATTERN, ExplanationChoices, ExplanationQuery, SearchQuery

_IMAGE = {
    "type": "string",
    "format": "binary",
    "description": "JPEG, PNG, WebP, GIF, TIFF or BMP; not animated.",
}
_IMAGE_TYPES = {
    "image": {"contentType": "image/jpeg, image/png, image/webp, image/gif, image/tiff, image/bmp"}
}
_LABEL = {"type": "string", "description": "What the image shows; Recall@K counts hits of the same label."}
_ID: dict[str, Any] = {
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
_EXPLAINED = ExplanationChoices.model_json_schema()
EXPLANATION_BODY = _body(
    **{
        MULTIPART: {
            "schema": {
                **_EXPLAINED,
                "required": ["image", "id"],
                "properties": {"image": _IMAGE, **_EXPLAINED["properties"]},
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
            id=_many({**_ID, "description": "As many as images, in the same order."}),
            label=_many(_LABEL, 0),
            attributes=_many(_ATTRIBUTES, 0),
        )
    }
)
