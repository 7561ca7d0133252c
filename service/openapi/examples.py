"""Examples for the OpenAPI document: one small shop of vases, told from request to answer."""

from __future__ import annotations

from typing import Any

from service.problems import MEDIA_TYPE

_JSON = "application/json"
_FINGERPRINT = "964bf8440ca9944639e2622d9af1866856d5d9a8bab013d0da30c65a47d98292"
_MODEL = {
    "fingerprint": _FINGERPRINT,
    "backbone": "efficientnet_lite0",
    "heads": 2,
    "embedding_size": 1024,
    "pixels": 128,
    "mirror": True,
    "pretraining": "ImageNet",
    "engine": "openvino (bfloat16)",
}
_VASE = {"id": "vase-03/004.jpg", "label": "vase-03", "attributes": {"glaze": "moss", "price": 12.5}}
_ITEM = {**_VASE, "sequence": 241}
_REFUSED = {
    "type": "urn:hdhe:problem:unreadable-image",
    "title": "The image cannot be used",
    "status": 422,
    "detail": "the image is empty (0 bytes)",
}

ANSWERS: dict[tuple[str, str], object] = {
    ("post", "/v1/search"): {
        "hits": [
            {"score": 0.894, **_VASE},
            {
                "id": "vase-11/004.jpg",
                "score": 0.7904,
                "label": "vase-11",
                "attributes": {"glaze": "turquoise"},
            },
        ],
        "took_ms": {"decode": 1.9, "wait": 0.1, "embed": 41.6, "search": 0.8},
    },
    ("post", "/v1/embeddings"): {"embeddings": [[0.6, 0.0, -0.8]], "model": _FINGERPRINT},
    ("post", "/v1/items"): {
        "results": [
            {"id": _VASE["id"], "status": 201, "item": _ITEM, "problem": None},
            {"id": "vase-03/005.jpg", "status": 422, "item": None, "problem": _REFUSED},
        ],
        "created": 1,
        "replaced": 0,
        "failed": 1,
    },
    ("get", "/v1/items"): {"items": [_ITEM], "next_cursor": "dmFzZS0wMy8wMDQuanBn"},
    ("get", "/v1/items/{id}"): _ITEM,
    ("put", "/v1/items/{id}"): _ITEM,
    ("get", "/v1/recall"): {
        "recall": {"1": 0.9375, "2": 0.9625, "4": 0.9792, "8": None},
        "map_at_r": 0.7632,
        "r_precision": 0.7997,
        "protocol": "leave-one-out",
        "queries": 240,
        "queries_without_positive": 3,
        "index_recall": {"10": 1.0},
        "computed_at": "2026-11-23T09:30:00Z",
        "age_seconds": 12.5,
        "sequence": 241,
        "stale": False,
    },
    ("get", "/v1/model"): {**_MODEL, "query_model": {**_MODEL, "heads": 1, "fingerprint": "4f" * 32}},
    ("get", "/v1/stats"): {
        "items": 240,
        "labels": 24,
        "sequence": 241,
        "embedding_size": 1024,
        "model": _FINGERPRINT,
        "index_kind": "flat",
        "index_on_gpu": False,
        "index_recall": {"10": 1.0},
        "bytes_on_disk": 4_753_947,
    },
    ("get", "/healthz"): {"status": "ok"},
    ("get", "/readyz"): {"status": "ready"},
}
"""Of the answers 200 and 201 in JSON."""

PROBLEMS: dict[int, tuple[str | None, str, str | None]] = {
    400: ("malformed", "The body is not JSON", "The body is not JSON: expected value at line 1 column 9."),
    401: ("unauthorized", "A key is needed", "Send a key in the header Authorization: Bearer KEY."),
    403: ("forbidden", "The key does not allow this", "This key may only read."),
    404: ("unknown-item", "There is no such item", "no item has the id 'vase-99/000.jpg'"),
    405: (None, "Method Not Allowed", None),
    408: ("slow-request", "The request came too slowly", "The request was not complete within 30 s."),
    413: ("too-large", "The upload is too large", "An image may have at most 20971520 bytes."),
    415: ("unsupported-media-type", "The body is of another type", "Send the body as multipart/form-data."),
    422: ("invalid-request", "The request is not valid", "k is a whole number from 1 to 1000; got 0."),
    429: ("rate-limited", "Too many requests", "This key may send 50 images or requests a second."),
    500: ("internal", "The server failed", "The cause is in the server's log."),
    503: ("not-ready", "The service is starting", "The model and the index are still being loaded."),
    507: ("storage", "The collection cannot be stored", "The server's disk refused the operation."),
}
"""By status: the end of the problem's type (None: about:blank), its title, its detail."""

PARAMETERS: dict[str, object] = {
    "id": _VASE["id"],
    "label": "vase-03",
    "limit": 100,
    "cursor": "dmFzZS0wMy8wMDQuanBn",
    "k": "1,2,4,8",
    "if-none-match": '"0f343b0931126a20f133d67c2b018a3b"',
    "idempotency-key": "0b6f1c5e-upload-17",
}


def describe_examples(document: dict[str, Any]) -> None:
    """Give every parameter, JSON answer and problem of the document an example, where it has none yet."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", []):
                if parameter["name"] in PARAMETERS and "examples" not in parameter["schema"]:
                    parameter.setdefault("example", PARAMETERS[parameter["name"]])
            for status, answer in operation["responses"].items():
                content = answer.get("content", {})
                if _JSON in content and (method, path) in ANSWERS:
                    content[_JSON]["example"] = ANSWERS[method, path]
                if MEDIA_TYPE in content and int(status) in PROBLEMS:
                    # A copy: one description serves many operations.
                    answer["content"] = {
                        MEDIA_TYPE: {**content[MEDIA_TYPE], "example": _problem(int(status))}
                    }


def _problem(status: int) -> dict[str, object]:
    kind, title, detail = PROBLEMS[status]
    type = "about:blank" if kind is None else f"urn:hdhe:problem:{kind}"
    return {"type": type, "title": title, "status": status, **({} if detail is None else {"detail": detail})}
