import os
import subprocess
import sys
from pathlib import Path

import pytest

from indexes.errors import CollectionLockedError, StorageError
from indexes.lock import FolderLock


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(
        CollectionLockedError, match=rf"open for writing in another process \(pid {os.getpid()}\)"
    ):
        FolderLock(tmp_path)
    lock.release()
    lock.release()
    FolderLock(tmp_path).release()


def test_another_process_is_refused_and_its_end_sets_free(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from indexes.lock import FolderLock\n"
    code += "lock = FolderLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(CollectionLockedError, match=f"pid {child.pid}"):
            FolderLock(tmp_path)
        child.kill()
    FolderLock(tmp_path).release()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        FolderLock(tmp_path / "missing")
