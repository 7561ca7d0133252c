"""How the process's allocator treats memory that was freed.

A network asks for the same few hundred mebibytes again and again. glibc hands every array over 32 MiB, and the end of
its heap, back to the system as soon as they are free, which then has to clear the same pages anew: a third of the time
of a light network. Kept instead, they are there for the next batch.
"""

from __future__ import annotations

import ctypes

# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MOST_KEPT = 2**31 - 1
_OWN_MAPPING = 256 * 2**20, 32 * 2**20
"""Bytes from which an array has a mapping of its own, which is handed back at once: galleries do, activations do not.
Older versions of glibc accept no more than the second.
"""


def keep_freed_memory() -> bool:
    """Have the allocator keep up to 2 GiB of what is freed. For the start of a process that runs networks.

    Returns whether it could be asked for that: glibc can (mallopt(3)), other C libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    kept = mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)
    return bool(kept) and any(mallopt(_M_MMAP_THRESHOLD, size) for size in _OWN_MAPPING)
