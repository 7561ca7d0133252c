"""`hdhe serve`: the REST service and the web page over one collection."""

from __future__ import annotations

import copy
import signal
import socket
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from indexes.errors import UserError

if TYPE_CHECKING:
    from retrieval.gallery import Gallery


def serve(
    collection: Annotated[
        Path, typer.Option(envvar="HDHE_COLLECTION", help="The folder that `hdhe index build` made.")
    ],
    query_model: Annotated[
        str | None,
        typer.Option(
            envvar="HDHE_QUERY_MODEL",
            help="A bundle that embeds the queries in the space of the collection's own model.",
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; HDHE_HOST, else this machine only.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; HDHE_PORT, else 8000. 0 takes a free one.")
    ] = None,
) -> None:
    """Serve a collection: REST under /v1, the web page at /."""
    # Imported here, so that `hdhe --help` does not wait for the web framework; and torch only where the model is
    # loaded, so that a mistake is told, and /healthz answered, at once.
    import uvicorn

    from service.app import create_app
    from service.settings import settings_from_environment

    settings = settings_from_environment()
    listening = _listen(settings.host if host is None else host, settings.port if port is None else port)
    failure: list[BaseException] = []

    def opened() -> Gallery:
        from retrieval.gallery import open_gallery

        gallery = open_gallery(collection, query_model=query_model)
        typer.echo(
            f"{gallery.collection.count()} items in {collection}; the page is at {_address(listening)}"
        )
        return gallery

    def stop(error: BaseException) -> None:
        failure.append(error)
        server.should_exit = True

    config = uvicorn.Config(
        create_app(opened, settings, on_failure=stop),
        log_config=_logging(),
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    server = uvicorn.Server(config)
    # Uvicorn finishes what it has accepted and then raises the signal again; being asked to stop is no failure.
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        listening.close()
    if failure:
        raise failure[0]


def demo(
    images: Annotated[
        Path | None, typer.Option(help="A folder with one folder a class; the sample catalogue otherwise.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder that holds what the demo makes.")] = Path("demo"),
    host: Annotated[str, typer.Option(help="Address to serve on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 8000,
) -> None:
    """Walk from photos to a search page: measure, train, measure again, index, serve."""
    from service.demo import run_demo

    raise typer.Exit(run_demo(out, images, host=host, port=port))


def register(app: typer.Typer) -> None:
    """Add this package's commands to the front door."""
    app.command()(serve)
    app.command()(demo)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise UserError(f"cannot listen on {host}:{port}: {error}; choose another --host or --port") from None


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _logging() -> dict[str, Any]:
    """Uvicorn's own, one line a request on stdout, but without its report of starting and stopping."""
    from uvicorn.config import LOGGING_CONFIG

    config = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["uvicorn.error"]["level"] = "WARNING"
    # The parser of forms warns of every malformed one; the client is told, and the log is not theirs to fill.
    config["loggers"]["python_multipart"] = {"level": "ERROR"}
    return config


def _leave(_: int, __: FrameType | None) -> None:
    raise SystemExit(0)
