"""Whether the FAISS in use can use the GPU that the machine has.

The wheels faiss-gpu and faiss-cpu install the same module, and whichever comes second silently takes the other's place.
Another library may bring the second (Milvus Lite asks for faiss-cpu). Everything works after that, but on the CPU.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import faiss

logger = logging.getLogger(__name__)

REPAIR = "pip uninstall -y faiss-cpu && pip install --force-reinstall --no-deps faiss-gpu"

_DEVICES = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"))
_warned = False


def unused_gpu() -> str | None:
    """Why FAISS cannot use the NVIDIA device that is here, in one line with what to do; None if all is well."""
    if not any(path.exists() for path in _DEVICES) or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return None
    if not hasattr(faiss, "StandardGpuResources"):
        return f"there is an NVIDIA device, but this FAISS is built without its GPU part; run: {REPAIR}"
    if faiss.get_num_gpus() == 0:
        return "there is an NVIDIA device, but FAISS sees none; see that the driver works (nvidia-smi)"
    return None


def warn_of_unused_gpu() -> None:
    """Log it, once for the process."""
    global _warned
    if not _warned and (why := unused_gpu()) is not None:
        logger.warning("%s", why)
    _warned = True
