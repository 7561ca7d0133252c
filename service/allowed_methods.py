"""Which paths there are and which methods a path takes: what a 404 and a 405 tell."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute


def remember_routes(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Keep the routes of these routers where `allowed_methods` finds them."""
    app.state.routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]


def allowed_methods(request: Request) -> str:
    """The methods of this request's path, separated by commas; empty for a path of no route.

    The router itself names only those of the first route that fits, and each method here has a route of its own.
    """
    path = request.scope["path"]
    routes: list[APIRoute] = [route for route in request.app.state.routes if route.path_regex.match(path)]
    return ", ".join(
        sorted({method for route in routes if route.path == routes[0].path for method in route.methods or ()})
    )


def nearest_path(request: Request) -> str | None:
    """The path among those of the routes that was probably meant, as the OpenAPI document has it; None for none."""
    paths = sorted({route.path for route in request.app.state.routes})
    return next(iter(difflib.get_close_matches(request.scope["path"][:200], paths, n=1, cutoff=0.8)), None)
