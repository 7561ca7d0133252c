"""What goes on in the background must not outlive the interpreter."""

import subprocess
import sys
from pathlib import Path

ENDS_WITHOUT_CLOSING = """
import sys, threading, time
from indexes.derived_index import DerivedIndex
from indexes.local_collection import LocalCollection
from tests.indexes.unit_vectors import FINGERPRINT, items

under_way = threading.Event()

def renew(self, *, trial=False):
    under_way.set()
    try:
        while True:
            self.go_on()
            time.sleep(0.01)
    finally:
        print("gave up", flush=True)

collection = LocalCollection.create(sys.argv[1], embedding_size=16, model_fingerprint=FINGERPRINT, index="ivf")
DerivedIndex.renew = renew
collection.upsert(items(2000, 16))
assert under_way.wait(30)
"""


def test_at_the_end_of_the_process_it_is_given_up_and_waited_for(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS_WITHOUT_CLOSING, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "gave up\n"), done.stderr
