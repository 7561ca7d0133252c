"""Where a link to a collection points: asked once, because the link may be switched while the collection is open."""

from __future__ import annotations

from pathlib import Path


def behind_link(folder: Path) -> Path:
    """The folder itself, or the one that a link on its path points to now.

    SQLite opens its file by name again and again, and index and model lie beside it: all of them by one name that does
    not change meanwhile.
    """
    found = folder.resolve()
    return folder if found == folder.absolute() else found
