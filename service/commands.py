"""`hdhe serve`: the REST service and the web page over one collection."""

from __future__ import annotations

import logging
import signal
import socket
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from indexes.errors import UserError
from service.listening import address_of, is_for_others, listen
from service.security.key_commands import keys_app

if TYPE_CHECKING:
    from retrieval.gallery import Gallery
    from service.security.key_file import KeyFile

logger = logging.getLogger(__name__)


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
    engine: Annotated[
        str,
        typer.Option(
            envvar="HDHE_ENGINE",
            help="What runs the network: torch, openvino, auto, ...; see docs/engines.md.",
        ),
    ] = "torch",
    keys: Annotated[
        Path | None,
        typer.Option(envvar="HDHE_KEYS", help="The file of keys; the collection's keys.json otherwise."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; HDHE_HOST, else this machine only.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; HDHE_PORT, else 8000. 0 takes a free one.")
    ] = None,
) -> None:
    """Serve a collection: REST under /v1, the web page at /."""
    # Imported here, so that `hdhe --help` does not wait, and what is heavy after the checks, so that a mistake is told
    # at once.
    from retrieval.gallery_folder import check_is_gallery
    from service.security.key_file import FILE_NAME, KeyFile
    from service.settings import settings_from_environment

    settings = settings_from_environment()
    check_is_gallery(collection)
    key_file = KeyFile(keys or collection / FILE_NAME)
    listening = listen(settings.host if host is None else host, settings.port if port is None else port)
    _stay_here_without_keys(listening, key_file, collection)

    import uvicorn

    from service.app import create_app
    from service.observability.logs import logging_config
    from service.security.connection_limits import HEAD_BYTES, ConnectionLimits

    failure: list[BaseException] = []

    def opened(folder: Path) -> Gallery:
        from retrieval.gallery import open_gallery

        gallery = open_gallery(folder, query_model=query_model, engine=engine)
        logger.info(
            "%d items in %s, embedded by %s; the page is at %s",
            gallery.collection.count(),
            folder,
            gallery.asks.engine,
            address_of(listening),
        )
        return gallery

    def stop(error: BaseException) -> None:
        failure.append(error)
        server.should_exit = True

    config = uvicorn.Config(
        create_app(opened, settings, collection=collection, keys=key_file, on_failure=stop),
        log_config=logging_config(settings.log_format),
        access_log=False,
        http=ConnectionLimits,
        # A library for them may happen to be installed; what guards the service guards HTTP.
        ws="none",
        h11_max_incomplete_event_size=HEAD_BYTES,
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
    app.add_typer(keys_app, name="keys")


def _stay_here_without_keys(listening: socket.socket, keys: KeyFile, collection: Path) -> None:
    if keys.open and is_for_others(listening):
        host = listening.getsockname()[0]
        listening.close()
        raise UserError(
            f"{host} can be reached by others and there are no keys; make one with "
            f"`hdhe keys create --collection {collection} --name NAME --scope write`, or listen on 127.0.0.1"
        )


def _leave(_: int, __: FrameType | None) -> None:
    raise SystemExit(0)
