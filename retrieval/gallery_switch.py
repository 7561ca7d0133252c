"""One gallery in the place of another: a link that is served, and where it points.

    current -> shop-1          served as `--collection current`
    shop-2                     made beside it: another model, an older snapshot, a new build

The link is replaced in one step, so that whoever opens it gets the one gallery or the other. Where the second follows
the first (`retrieval.reembedding`), no write is lost: first it catches up while writes go on; then they wait for the
last few to be taken over, and from there on the first takes none any more.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from indexes import CollectionError, LocalCollection
from indexes.collection_reading import stored_items
from indexes.control_socket import NobodyThereError, ask
from indexes.errors import StorageError
from indexes.lock import FolderLock
from indexes.opening import check_is_in_folder
from retrieval.durable import sync
from retrieval.gallery import Gallery, open_gallery
from retrieval.gallery_folder import check_is_gallery
from retrieval.reembedding import Followed, OnError, follow, followed_up_to

CARRIED = ("keys.json",)
"""Files that belong to what is served and not to the collection: who may use it. They take the place of those that are
there: after a switch back, a key that was revoked meanwhile must not open anything again."""

_FEW = 64
"""So few writes are taken over while others wait."""

_ROUNDS = 20
"""If writes come as fast as they are taken over, they have to wait for the last round all the same."""


def switch(link: Path, folder: Path, *, on_error: OnError) -> tuple[Followed, bool]:
    """Let a link point to another gallery and, if the one it points to is served, the service go over to it.

    A link that is not there is made. on_error: of `follow`. Returns what was taken over, and whether a running service
    did it. Raises CollectionError, and then everything is as it was.
    """
    check_is_gallery(folder)
    for each in (link, folder):
        check_is_in_folder(each, "switching")
    if not link.is_symlink():
        if link.exists():
            raise CollectionError(
                f"{link} is a folder; only a link can be switched: rename the folder, run this command again to make "
                "the link, and serve the link"
            )
        _point(link, folder)
        return Followed(), False
    before = link.resolve()
    if before == folder.resolve():
        raise CollectionError(f"{link} points to {folder} already")
    try:
        # Relative, because a service in a container sees other paths.
        answer = ask(before, "switch", to=_relative(folder, link))
        return Followed(**answer), True
    except NobodyThereError:
        return _switch_here(link, before, folder, on_error), False


def hand_over(
    old: LocalCollection,
    new: Gallery,
    link: Path,
    *,
    on_error: OnError,
    go_on: Callable[[], None] = lambda: None,
    then: Callable[[], None] = lambda: None,
) -> Followed:
    """Take over what is missing, point the link to the new gallery and call `then`, between two writes.

    After that the old collection refuses writes. go_on: called between the parts of long work; what it raises gives up.
    If anything fails, the old collection goes on and the link is as it was; `then` must not fail.
    """

    def caught_up() -> Followed:
        done = Followed()
        for batch in follow(old, new, on_error=on_error):
            go_on()
            done += batch
        return done

    taken = Followed()
    follows = followed_up_to(new.folder, old.name) is not None
    for _ in range(_ROUNDS if follows else 0):
        done = caught_up()
        taken += done
        if done.writes <= _FEW:
            break
    with old.handing_over():
        if follows:
            taken += caught_up()
        _carry(old.folder, new.folder)
        _point(link, new.folder)
        then()
    return taken


def _switch_here(link: Path, before: Path, folder: Path, on_error: OnError) -> Followed:
    if not before.exists():
        _point(link, folder)
        return Followed()
    with stored_items(before) as items:
        follows = followed_up_to(folder, items.name) is not None
    if follows:
        with LocalCollection.open(before) as old, open_gallery(folder) as new:
            return hand_over(old, new, link, on_error=on_error)
    # Nobody may be writing to either.
    with FolderLock(before), FolderLock(folder):
        _carry(before, folder)
        _point(link, folder)
    return Followed()


def _carry(old: Path, new: Path) -> None:
    for name in CARRIED:
        if (old / name).is_file():
            try:
                temporary = new / f".{name}"
                temporary.touch(mode=0o600)
                shutil.copy2(old / name, temporary)
                sync(temporary)
                temporary.rename(new / name)
            except OSError as error:
                raise StorageError(f"{new / name}: it cannot be written ({error.strerror})") from error


def _point(link: Path, folder: Path) -> None:
    temporary = link.with_name(f".{link.name}-{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(_relative(folder, link))
        temporary.replace(link)
        sync(link.absolute().parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(
            f"{link}: the link cannot be replaced ({error.strerror}); make its folder writable"
        ) from error


def _relative(folder: Path, link: Path) -> str:
    return os.path.relpath(folder.resolve(), link.absolute().parent.resolve())
