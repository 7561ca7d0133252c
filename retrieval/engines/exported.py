"""A model's network in the form of another engine, in a folder of that engine's name within the bundle.

    BUNDLE/openvino/
      export.json                   of which weights it is, how close it came to torch, and a checksum of each file
      network.xml, network.bin      what the engine reads

The folder is made beside its place and renamed, so a crash leaves a stray `.openvino.tmp-*`, which may be deleted, and
between the two renames of a replacement no export at all: make it again. The bundle's own files are not touched.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from retrieval.bundle import Bundle
from retrieval.durable import sync
from retrieval.engines.engine import EXPORTED
from retrieval.errors import BundleError

FORMAT = 1
RECORD = "export.json"


@dataclass(frozen=True)
class Exported:
    """What is known of an export.

    fingerprint: of the bundle it was made of. mirror: whether it embeds both views. precision: in which it was
    compared. cosine_min, cosine_mean: with torch in float32, over `images` images of `images_of`. recall: of an engine
    that is held to recall, see `engines.int8`; else {}. refused: {precision: its least cosine} of those that were not
    close enough. versions: of the libraries that made it. files: {name: its SHA-256}.
    """

    engine: str
    fingerprint: str
    mirror: bool
    precision: str
    cosine_min: float
    cosine_mean: float
    images: int
    images_of: str
    refused: dict[str, float]
    recall: dict[str, float]
    versions: dict[str, str]
    files: dict[str, str]


def export_folder(bundle: Bundle, engine: str) -> Path:
    """Where an engine's export of this model is, or would be. Raises BundleError if the model is in no folder."""
    if bundle.folder is None:
        raise BundleError(
            f"the {engine} engine reads a file beside the weights, and this model is in no folder; give a bundle, or "
            f"the collection that was made with it, to `hdhe export`"
        )
    return bundle.folder / engine


def read_exported(bundle: Bundle, engine: str) -> Exported:
    """What is known of a model's export, once its files have been compared with their checksums.

    Raises BundleError, which says to export again, if there is none, or it is damaged or of other weights.
    """
    folder = export_folder(bundle, engine)
    again = f"; run `hdhe export --model {bundle.folder} --engine {engine}`"
    path = folder / RECORD
    try:
        values: dict[str, Any] = json.loads(path.read_text())
        if values.pop("format") != FORMAT:
            raise BundleError(f"{path} is of another version of hdhe{again}")
        exported = Exported(**values)
        sums = {name: checksum(folder / name) for name in exported.files}
    except FileNotFoundError as error:
        missing = "is not exported" if Path(error.filename) == path else f"lacks {error.filename}"
        raise BundleError(f"{bundle.folder} {missing} for the {engine} engine{again}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path} is damaged ({error!r}){again}") from error
    if exported.fingerprint != bundle.fingerprint or exported.engine != engine:
        raise BundleError(f"{folder} was exported of other weights than those beside it{again}")
    for name, found in sums.items():
        if found != exported.files[name]:
            raise BundleError(f"{folder / name} is damaged{again}")
    if exported.mirror != bundle.network.spec.mirror:
        wanted = "with" if bundle.network.spec.mirror else "without"
        raise BundleError(
            f"{folder} was not exported {wanted} the mirrored view; use --engine torch for that"
        )
    return exported


def write_exported(
    bundle: Bundle,
    engine: str,
    write: Callable[[Path], None],
    check: Callable[[Path, dict[str, str]], Exported],
) -> Exported:
    """Make an export in place of the one that is there; what is there stays if anything fails.

    write: puts the files into a folder. check: compares that folder's with torch and describes them, given their
    checksums. Raises BundleError if the disk refuses, and whatever the two raise.
    """
    folder = export_folder(bundle, engine)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{engine}.tmp-", dir=folder.parent))
        try:
            temporary.chmod(0o755)
            write(temporary)
            exported = check(temporary, {path.name: checksum(path) for path in sorted(temporary.iterdir())})
            document = {"format": FORMAT, **asdict(exported)}
            (temporary / RECORD).write_text(json.dumps(document, indent=2) + "\n")
            put_in_place(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise BundleError(f"{folder} cannot be written: {error}; make room or its folder writable") from error
    return exported


def copy_exports(bundle: Bundle, target: Path) -> None:
    """Copy a model's exports, those that are good, into the folder of another bundle of the same model."""
    for engine in EXPORTED if bundle.folder is not None else ():
        try:
            read_exported(bundle, engine)
        except BundleError:
            continue
        shutil.copytree(export_folder(bundle, engine), target / engine)
        _sync_all(target / engine)
        sync(target)


def put_in_place(temporary: Path, folder: Path) -> None:
    """Let a finished folder take the place of another, and wait until all of it is on the disk."""
    _sync_all(temporary)
    old = temporary.with_name(f"{temporary.name}-old")
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_all(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        sync(path)
