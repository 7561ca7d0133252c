"""For every test: how the OpenMP runtimes wait and how many threads they have, set before one of them is loaded, and
what becomes of freed memory.
"""

import os

from retrieval.allocator import keep_freed_memory

# As the front door and the Makefile do it; a bare `pytest` on shared cores takes several times as long without.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    threads = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
keep_freed_memory()
