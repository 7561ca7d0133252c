"""Where a Chromium is that Playwright can drive."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium(playwrights_own: str) -> str | None:
    """The path of HDHE_CHROMIUM, of a browser on the search path, or of the one that Playwright has installed."""
    named = os.environ.get("HDHE_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and Path(playwrights_own).exists():
        found = playwrights_own
    return found
