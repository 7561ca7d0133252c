"""The walk of `hdhe demo`, with a stand-in for the commands that it runs; the README's test runs the real ones."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from retrieval.errors import UserError
from service import demo
from service.demo import gain, run_demo

# Notes its arguments, prints a line, leaves what training leaves, and fails if told to.
STAND_IN = """
import pathlib, sys
folder, arguments = pathlib.Path(sys.argv[1]), sys.argv[2:]
with (folder / "log").open("a") as log:
    log.write(" ".join(arguments) + "\\n")
if (folder / "fail").exists() and arguments[0] == (folder / "fail").read_text():
    sys.exit(2)
if arguments[0] == "train":
    (folder / "out" / "run" / "bundle").mkdir(parents=True)
print("output of", arguments[0])
if arguments[0] == "evaluate":
    trained = (folder / "out" / "run" / "bundle").exists()
    recall, precision = ("96.67", "65.73") if trained else (" 58.89", "16.81")
    print(f"\\nRecall@1        {recall} %\\nRecall@10       99.00 %\\nMAP@R           {precision} %\\n")
"""


# The demo as a process of its own, with commands that go on until they are ended.
STAYING = """
import sys
from pathlib import Path
from service import demo
stay = "import os, time; from pathlib import Path; Path('pid').write_text(f'{os.getpid()} '); time.sleep(60)"
demo._command = lambda arguments: [sys.executable, "-c", stay if arguments[0] == sys.argv[2] else ""]
Path("out").mkdir()
for result in ("recall_before.txt", "recall_after.txt"):
    (Path("out") / result).touch()
demo.run_demo(Path("out"), None, host="127.0.0.1", port=int(sys.argv[1]))
"""


class Walk:
    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port

    def __call__(self, images: Path | None = None) -> int:
        return run_demo(self.folder / "out", images, host="127.0.0.1", port=self.port)

    @property
    def commands(self) -> list[str]:
        lines = (self.folder / "log").read_text().splitlines()
        (self.folder / "log").unlink()
        return [
            " ".join(line.split()[:2]) if line.startswith(("data", "index")) else line.split()[0]
            for line in lines
        ]


@pytest.fixture
def walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Walk:
    def command(arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-c", STAND_IN, str(tmp_path), *arguments]

    monkeypatch.setattr(demo, "_command", command)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return Walk(tmp_path, port)


def test_it_walks_from_the_sample_to_the_service(walk: Walk, capfd: pytest.CaptureFixture[str]) -> None:
    assert walk() == 0
    assert walk.commands == ["data sample", "evaluate", "train", "evaluate", "index build", "serve"]
    out = capfd.readouterr().out
    assert out.count("output of evaluate") == 2
    assert f"http://127.0.0.1:{walk.port}/" in out


def test_the_second_time_it_shows_the_scores_and_serves_at_once(
    walk: Walk, capfd: pytest.CaptureFixture[str]
) -> None:
    walk()
    assert walk.commands
    capfd.readouterr()
    assert walk() == 0
    assert walk.commands == ["serve"]
    assert capfd.readouterr().out.count("output of evaluate") == 2


def test_it_says_what_training_brought_just_before_the_address(
    walk: Walk, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in ("the first time", "from what is there"):
        walk()
        told = [line for line in capfd.readouterr().out.splitlines() if line.startswith("== ")]
        assert told[-2] == (
            "== Untrained -> trained, on classes that training did not see: "
            "Recall@1 58.9 % -> 96.7 %, MAP@R 16.8 % -> 65.7 %"
        )
        assert f"http://127.0.0.1:{walk.port}/" in told[-1]


def test_without_scores_there_is_no_gain() -> None:
    scores = "Recall@1         58.89 %\nMAP@R            16.81 %\n"
    assert gain(scores, "stopped") is None
    assert gain(scores, scores) is not None


def test_a_step_that_failed_ends_the_walk_and_is_run_again_the_next_time(walk: Walk) -> None:
    (walk.folder / "fail").write_text("train")
    assert walk() == 2
    assert walk.commands == ["data sample", "evaluate", "train"]
    (walk.folder / "fail").unlink()
    assert walk() == 0
    assert walk.commands == ["train", "evaluate", "index build", "serve"]


def test_a_training_that_was_cut_off_is_resumed(walk: Walk) -> None:
    (walk.folder / "fail").write_text("train")
    walk()
    (walk.folder / "out" / "run").mkdir()
    (walk.folder / "out" / "run" / "recipe.yaml").touch()
    (walk.folder / "fail").unlink()
    (walk.folder / "log").unlink()
    walk()
    assert "--resume" in (walk.folder / "log").read_text().splitlines()[0]


def test_own_images_are_not_mixed_with_the_samples(walk: Walk) -> None:
    (walk.folder / "photos").mkdir()
    assert walk(walk.folder / "photos") == 0
    assert walk.commands == ["evaluate", "train", "evaluate", "index build", "serve"]
    with pytest.raises(UserError, match=r"holds a demo of .*photos; delete it"):
        walk()


def test_mistakes_are_found_before_the_minutes_of_training(walk: Walk) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        walk(walk.folder / "nowhere")
    with (
        socket.create_server(("127.0.0.1", walk.port)),
        pytest.raises(UserError, match="address already in use; choose another --host or --port"),
    ):
        walk()
    assert not (walk.folder / "log").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("at", ["train", "serve"])
def test_killed_it_leaves_no_command_behind(walk: Walk, at: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STAYING, str(walk.port), at],
        cwd=walk.folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    note = walk.folder / "pid"
    try:
        deadline = time.monotonic() + 60
        while not (note.exists() and note.read_text().endswith(" ")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait()
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), signal.SIGKILL)
