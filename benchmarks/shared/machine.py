"""The line about the machine that stands above every table."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FAISS = ("faiss-gpu", "faiss-cpu")
"""Two packages of one module; which of them is there depends on the platform."""


def machine(*packages: str) -> str:
    """Processor, cores, load, thread policy, and the versions of these packages; `faiss` is either of its two."""
    name = platform.processor() or platform.machine()
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
            break
    parts = [
        name,
        f"{len(os.sched_getaffinity(0))} cores",
        f"OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'unset')}",
        f"OMP_WAIT_POLICY {os.environ.get('OMP_WAIT_POLICY', 'unset')}",
        f"load {os.getloadavg()[0]:.1f}",
    ]
    for package in packages:
        found = [each for each in map(_version, FAISS if package == "faiss" else (package,)) if each]
        parts.append(found[0] if found else f"{package} not installed")
    return ", ".join(parts)


def resident_bytes() -> int:
    """Of this process, without what it only maps from files."""
    for line in _lines(Path("/proc/self/status")):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
