"""What a user asks of a study of distillation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from retrieval.errors import UserError


@dataclass(frozen=True)
class Asked:
    """data: name of the data set, which decides what published figures there are. student: a network's name; None =
    the study's own. teachers: where trained ones lie, or their weights, by network.
    """

    data: str
    student: str | None
    teachers: Mapping[str, str]

    def refuse_student(self, study: str) -> None:
        """Raises UserError for a student where rows have students of their own."""
        if self.student is not None:
            raise UserError(f"the rows of study {study} have their own students; leave out --backbone")
