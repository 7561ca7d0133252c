"""The engines' libraries report nothing to their makers: they leave no identifier in the home folder."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from retrieval.engines import quiet_imports
from retrieval.errors import UserError

PROGRAM = """
from importlib.util import find_spec
from retrieval.engines import quiet_imports
if find_spec("onnxruntime"):
    quiet_imports.onnxruntime().SessionOptions()
if find_spec("openvino"):
    quiet_imports.openvino().Core().available_devices
"""


@pytest.mark.skipif(not (find_spec("onnxruntime") or find_spec("openvino")), reason="neither is installed")
def test_nothing_is_left_in_the_home_folder(tmp_path: Path) -> None:
    # These variables would keep the libraries quiet by themselves.
    quieting = ("CI", "TF_BUILD", "JENKINS_URL", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")
    environment = {name: value for name, value in os.environ.items() if name not in quieting}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env=environment | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_a_library_that_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("onnxruntime", "onnxscript", "openvino", "nncf"):
        monkeypatch.setitem(sys.modules, library, None)
    for ask, extra in (
        (quiet_imports.onnxruntime, "onnx"),
        (quiet_imports.onnxscript, "onnx"),
        (quiet_imports.openvino, "openvino"),
        (quiet_imports.nncf, "int8"),
    ):
        with pytest.raises(UserError, match=rf"pip install 'hdhe\[{extra}\]'"):
            ask()
