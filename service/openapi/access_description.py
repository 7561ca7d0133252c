"""What the OpenAPI document says of keys and limits: the same of every operation, and read off no route."""

from __future__ import annotations

from typing import Any

from service.problems import responses
from service.security.access import is_public, needed

_HEADERS = {
    401: ("WWW-Authenticate", {"type": "string"}, "How to send a key."),
    429: ("Retry-After", {"type": "integer"}, "Seconds to wait."),
    503: ("Retry-After", {"type": "integer"}, "Seconds to wait."),
}
_SCHEME = "key"


def describe_access(document: dict[str, Any]) -> None:
    """Add the key, and the refusals that any operation but the public ones can answer with."""
    document["components"]["securitySchemes"] = {
        _SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "description": "Made by `hdhe keys create`; not needed where the service has no keys.",
        }
    }
    for path, operations in document["paths"].items():
        if is_public(path):
            continue
        for method, operation in operations.items():
            # The empty alternative is the service without keys.
            operation["security"] = [{_SCHEME: []}, {}]
            operation["x-scope"] = needed(method.upper(), path)
            answers = operation["responses"]
            for status, answer in responses(401, 403, 408, 429, 503).items():
                answers.setdefault(str(status), answer)
            for status, (name, schema, text) in _HEADERS.items():
                answers[str(status)]["headers"] = {name: {"schema": schema, "description": text}}
            operation["responses"] = dict(sorted(answers.items()))
