"""Where in Milvus a collection is and how it is kept there: what `milvus.json` in a gallery's folder says.

The token is not among it. It comes from HDHE_MILVUS_TOKEN, or from the file that HDHE_MILVUS_TOKEN_FILE names.
HDHE_MILVUS_URI, where it is set, takes the place of the stored URI: a container reaches Milvus by another name than the
machine it runs on.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from indexes.durable import sync
from indexes.errors import CollectionError, StorageError
from indexes.milvus.index_choice import IndexChoice, Parameter

FILE_NAME = "milvus.json"
"""In a gallery's folder."""

_FORMAT = 1
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")
Consistency = Literal["Strong", "Session", "Bounded", "Eventually"]


@dataclass(frozen=True)
class MilvusSettings:
    """uri: http://host:port of a server or cluster, or the name of a Milvus Lite file, which ends in .db and lies in
    the folder of the gallery. collection: its name in Milvus. consistency: what a search sees of the writes before it.

    index, build, search: see IndexChoice. replicas: copies in memory. shards: logs that writes are spread over; an
    upsert is all or none with one. partitions: that items are spread over by their label; 0: none. exact_up_to: if so
    few items pass a filter, they are compared one by one. timeout: seconds for one request.
    """

    uri: str
    collection: str
    database: str = "default"
    consistency: Consistency = "Strong"
    index: str = "AUTOINDEX"
    build: Mapping[str, Parameter] = field(default_factory=dict)
    search: Mapping[str, Parameter] = field(default_factory=dict)
    replicas: int = 1
    shards: int = 1
    partitions: int = 0
    exact_up_to: int = 2000
    timeout: float = 30.0

    def __post_init__(self) -> None:
        _check_uri(self.uri)
        for name in (self.collection, self.database):
            if not _NAME.fullmatch(name):
                raise CollectionError(f"{name!r} is no name in Milvus: letters, digits and _, no digit first")
        if self.consistency not in get_args(Consistency):
            raise CollectionError(
                f"consistency must be one of {', '.join(get_args(Consistency))}; got {self.consistency!r}"
            )
        for key, least, most in (
            ("replicas", 1, 100),
            ("shards", 1, 16),
            ("partitions", 0, 1024),
            ("exact_up_to", 0, 16_384),
            ("timeout", 1, 3600),
        ):
            if not least <= getattr(self, key) <= most:
                raise CollectionError(f"{key} must be {least} to {most}; got {getattr(self, key)}")
        _ = self.choice

    @property
    def choice(self) -> IndexChoice:
        """The index."""
        return IndexChoice(self.index, self.build, self.search)

    @property
    def lite(self) -> bool:
        """Whether it is Milvus Lite, in this process."""
        return self.uri.endswith(".db")


def settings_of(uri: str, collection: str, options: Sequence[str] = ()) -> MilvusSettings:
    """Settings from KEY=VALUE texts. Keys are the fields of MilvusSettings; `build.M=30` and `search.ef=128` are
    parameters of the index. Raises CollectionError naming the option.
    """
    known = {
        each.name: each for each in fields(MilvusSettings) if each.name not in ("uri", "build", "search")
    }
    values: dict[str, Any] = {"collection": collection, "build": {}, "search": {}}
    for option in options:
        key, equals, text = option.partition("=")
        group, dot, name = key.partition(".")
        if equals and dot and group in ("build", "search") and name:
            values[group][name] = _parameter(text)
        elif equals and key in known:
            values[key] = _typed(key, text, known[key].type)
        else:
            shown = ", ".join([*known, "build.NAME", "search.NAME"])
            raise CollectionError(f"{option!r} is no option of Milvus; give KEY=VALUE with {shown}")
    return MilvusSettings(uri=uri, **values)


def lives_in_milvus(folder: Path) -> bool:
    """Whether the items of the gallery in this folder are in Milvus."""
    return (folder / FILE_NAME).is_file()


def write_settings(folder: Path, settings: MilvusSettings) -> None:
    """Keep them in a gallery's folder. Raises StorageError."""
    values = {each.name: getattr(settings, each.name) for each in fields(settings)}
    text = json.dumps({"format": _FORMAT, **{key: _plain(value) for key, value in values.items()}}, indent=2)
    temporary = folder / f".{FILE_NAME}"
    try:
        temporary.write_text(text + "\n")
        sync(temporary)
        temporary.rename(folder / FILE_NAME)
        sync(folder)
    except OSError as error:
        raise StorageError(f"{folder / FILE_NAME}: it cannot be written ({error.strerror})") from error


def read_settings(folder: Path) -> MilvusSettings:
    """As they apply here: with HDHE_MILVUS_URI, and a Milvus Lite file found in the folder. Raises CollectionError."""
    path = folder / FILE_NAME
    try:
        values = json.loads(path.read_text())
        found = values.pop("format")
        if found != _FORMAT:
            raise CollectionError(
                f"{path}: format {found} is not the format {_FORMAT} of this version; upgrade hdhe"
            )
        settings = MilvusSettings(**values)
    except OSError as error:
        raise CollectionError(f"{path}: it cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CollectionError(f"{path}: it does not say where the collection is ({error})") from error
    if uri := os.environ.get("HDHE_MILVUS_URI"):
        settings = replace(settings, uri=uri)
    return located(settings, folder)


def located(settings: MilvusSettings, folder: Path) -> MilvusSettings:
    """With the path of a Milvus Lite file from here, which is given from the gallery's folder."""
    return replace(settings, uri=str(folder.absolute() / settings.uri)) if settings.lite else settings


def token() -> str:
    """What the environment says; empty where nothing is needed. Raises CollectionError."""
    path = os.environ.get("HDHE_MILVUS_TOKEN_FILE")
    if path is None:
        return os.environ.get("HDHE_MILVUS_TOKEN", "")
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CollectionError(f"HDHE_MILVUS_TOKEN_FILE: {path} cannot be read ({error})") from error


def _check_uri(uri: str) -> None:
    if uri.endswith(".db") and "://" not in uri:
        return
    try:
        parts = urlsplit(uri)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise CollectionError(
            f"{uri!a} is no Milvus: give http://HOST:PORT, https://HOST, or NAME.db for Milvus Lite"
        )
    if parts.username or parts.password:
        raise CollectionError(
            "a URI with a password would be stored; set HDHE_MILVUS_TOKEN=user:password instead"
        )


def _typed(key: str, text: str, kind: Any) -> str | int | float:
    if kind not in ("int", "float"):
        return text
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError:
        raise CollectionError(f"{key} must be a number; got {text!r}") from None


def _parameter(text: str) -> Parameter:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else value
