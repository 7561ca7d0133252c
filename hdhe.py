"""The front door: one command line that joins the command groups of the packages."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Annotated

# Two OpenMP runtimes live in one process, torch's and FAISS's, and each reads these once, when it is loaded. Passive
# waiting removes stalls of 20-60x where cores are shared; HDHE_THREADS is the one knob for every pool.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "HDHE_THREADS" in os.environ:
    for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[pool] = os.environ["HDHE_THREADS"]

import typer
from typer.exceptions import TyperException

import retrieval.commands
import service.commands
import training.commands
from indexes.errors import UserError
from retrieval.allocator import keep_freed_memory
from retrieval.processes import let_others_speak

app = typer.Typer(
    name="hdhe",
    help="Turn a folder of labelled photos into a measured image search engine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"hdhe {version('hdhe')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_say_version, is_eager=True),
    ] = False,
) -> None:
    pass


retrieval.commands.register(app)
training.commands.register(app)
service.commands.register(app)


def main() -> None:
    """Run one command. Exit code 2 for a user's mistake, 1 for a failure, each with one line on stderr."""
    keep_freed_memory()
    threads = os.environ.get("HDHE_THREADS", "1")
    if not threads.isdecimal() or int(threads) < 1:
        _stop(f"HDHE_THREADS must be a number of threads, 1 or more; got {threads!r}", 2)
    try:
        code = app(standalone_mode=False)
    except TyperException as error:
        _stop(error.format_message(), 2)
    except UserError as error:
        let_others_speak()
        _stop(str(error), 2)
    except (typer.Abort, KeyboardInterrupt):
        _stop("interrupted", 130)
    except BrokenPipeError:
        # The reader of our output (`| head`) has left: nothing is wrong, and nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _stop(message: str, code: int) -> None:
    print(f"hdhe: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
