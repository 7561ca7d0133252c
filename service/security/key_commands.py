"""`hdhe keys create | list | revoke`: who may use a service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

keys_app = typer.Typer(help="Make, list and revoke the keys of a service.", no_args_is_help=True)

CollectionFolder = Annotated[
    Path | None,
    typer.Option(envvar="HDHE_COLLECTION", help="The collection's folder; its keys.json holds the keys."),
]
KeysFile = Annotated[
    Path | None, typer.Option("--keys", envvar="HDHE_KEYS", help="Another file that holds the keys.")
]


@keys_app.command("create")
def create(
    name: Annotated[str, typer.Option(help="Who will use it: letters, digits, spaces and . _ @ -")],
    collection: CollectionFolder = None,
    keys: KeysFile = None,
    scope: Annotated[
        Literal["read", "write"], typer.Option(help="read: search and look; write: everything.")
    ] = "read",
    rate: Annotated[
        float | None, typer.Option(help="Images a second in the long run; HDHE_KEY_RATE otherwise.")
    ] = None,
    burst: Annotated[
        int | None, typer.Option(help="Images at once after a pause; HDHE_KEY_BURST otherwise.")
    ] = None,
) -> None:
    """Make a key and print it. It is shown this once: the file holds only its hash."""
    from service.security.key_file import create_key, key_path

    path = key_path(collection, keys)
    key, token = create_key(path, name, scope, rate=rate, burst=burst)
    # The key alone on stdout, so that it can be sent to a file.
    typer.echo(token)
    typer.echo(f"key {key.id} ({name}, {scope}) is in {path}; it is not shown again", err=True)


@keys_app.command("list")
def list_keys(
    collection: CollectionFolder = None,
    keys: KeysFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the keys that there are, without what would open anything."""
    from service.security.key_file import key_path, read_keys

    found = read_keys(key_path(collection, keys))
    if as_json:
        typer.echo(json.dumps({"keys": [key.model_dump(mode="json", exclude={"sha256"}) for key in found]}))
        return
    for key in found:
        limits = "" if key.rate is None and key.burst is None else f"  rate {key.rate}, burst {key.burst}"
        typer.echo(f"{key.id}  {key.scope:5}  {key.created:%Y-%m-%d}  {key.name}{limits}")


@keys_app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="The name or the id of the key.")],
    collection: CollectionFolder = None,
    keys: KeysFile = None,
) -> None:
    """Remove a key. A running service stops accepting it within a second."""
    from service.security.key_file import key_path, revoke_key

    key = revoke_key(key_path(collection, keys), name)
    typer.echo(f"key {key.id} ({key.name}) is revoked")
