"""The OpenAPI document: what is read off the routes, and what is the same of all of them or stands beside them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.openapi.access_description import describe_access
from service.openapi.examples import describe_examples
from service.problems import Problem


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
