"""For every test: how the OpenMP runtimes wait and how many threads they have, set before one of them is loaded,
what becomes of freed memory, where Abseil logs to, and what FAISS searches with.
"""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from retrieval.allocator import keep_freed_memory

# As the front door and the Makefile do it; a bare `pytest` on shared cores takes several times as long without.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    threads = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
keep_freed_memory()
# Abseil comes with TensorBoard. Its log handler closes the stream that was standard error when it was imported, unless
# that is standard error still; and each set-up of logging, such as uvicorn's, closes all handlers. Imported during a
# test, that stream is the file into which pytest captures output.
if find_spec("absl"):
    import_module("absl.logging").get_absl_handler().python_handler.stream = sys.__stderr__


def _keep_numpy_search() -> None:
    """Let FAISS's `search` of arrays take parameters, as Milvus Lite gives it, whatever else is in the process.

    pytorch-metric-learning imports `faiss.contrib.torch_utils`, whose `search` takes none.
    """
    faiss, numpy = import_module("faiss"), import_module("numpy")
    import_module("faiss.contrib.torch_utils")

    def by_type(of_tensors: Any, of_arrays: Any) -> Any:
        def search(self: Any, x: Any, *others: Any, **named: Any) -> Any:
            return (of_arrays if isinstance(x, numpy.ndarray) else of_tensors)(self, x, *others, **named)

        return search

    for each in vars(faiss).values():
        if isinstance(each, type) and "search_numpy" in vars(each):
            own: Any = each
            own.search = by_type(own.search, own.search_numpy)


_keep_numpy_search()
