"""The line on stderr for an image that a command goes on without: one wording, whatever the command."""

from __future__ import annotations


def left_out(problem: object) -> str:
    """problem: an error or a line that names the image and says what is wrong with it."""
    return f"hdhe: left out: {problem}"
