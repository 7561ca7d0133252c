from pathlib import Path

import pytest

from retrieval.errors import UserError
from training.studies.lock import locked


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "study"
    with locked(folder), pytest.raises(UserError, match="another `hdhe study` works in"), locked(folder):
        pass
    with locked(folder):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written to"), locked(tmp_path / "file" / "study"):
        pass
