"""For every test: how the OpenMP runtimes wait, set before a test module loads one of them."""

import os

# As the front door and the Makefile do it; a bare `pytest` on shared cores takes several times as long without.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
