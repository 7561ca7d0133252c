"""Which methods a path takes: for the header Allow of a 405."""

from __future__ import annotations

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
