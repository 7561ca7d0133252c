"""What is wrong with a recipe, in one line for people."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from training.sections.section import RemediedError

Key: TypeAlias = tuple[str, ...]
"""Where a value stands in the file, from the outside in: ("optimiser", "lr")."""


def problem_of(kind: type[BaseModel], errors: Sequence[ErrorDetails], places: Mapping[Key, str]) -> str:
    """One line: the dotted key, what is wrong, what was given, and where it was written.

    kind: the model that the values do not fit. places: where each key was written, in words.
    """
    # A value that may have several types gives an error for each; the one that got furthest into it is meant.
    error = max(errors, key=lambda error: len(_key(error, places)))
    key = _key(error, places)
    place = next(places[key[:n]] for n in range(len(key), -1, -1) if key[:n] in places)
    return f"{_say(kind, error, '.'.join(key) or 'the recipe', key)} ({place})"


def _key(error: ErrorDetails, places: Mapping[Key, str]) -> Key:
    """Where in the file; between the keys Pydantic puts the names of types that it tried, which stand in no file."""
    key: Key = ()
    *parts, last = map(str, error["loc"] or ("",))
    for part in parts:
        if (*key, part) in places:
            key = (*key, part)
    # A key that is missing stands in no file either.
    return (*key, last) if (*key, last) in places or error["type"] == "missing" else key


_BOUNDS = {
    "greater_than": ("gt", "must be > {}"),
    "greater_than_equal": ("ge", "must be >= {}"),
    "less_than": ("lt", "must be < {}"),
    "less_than_equal": ("le", "must be <= {}"),
    "literal_error": ("expected", "must be one of {}"),
}


def _say(model: type[BaseModel], error: ErrorDetails, dotted: str, key: Key) -> str:
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "missing":
        return f"{dotted} is missing"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        near = difflib.get_close_matches(key[-1], _names(model, key[:-1]), n=1)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(_names(model, key[:-1]))}"
        return f"{dotted} is not a key of a recipe; {hint}"
    if kind == "value_error":
        # Raised by the recipe's own checks, which say everything.
        said = str(context["error"])
        if isinstance(context["error"], RemediedError):
            said = f"{said}; {context['error'].remedy(dotted)}"
        return f"{dotted} {said}" if said.startswith("must ") else f"{dotted}: {said}"
    if kind in _BOUNDS:
        name, text = _BOUNDS[kind]
        bound = context[name]
        said = f"{bound:g}" if isinstance(bound, float) else bound
        return f"{dotted} {text.format(said)}; got {given!r}"
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"{dotted}: {message.removeprefix('input ')}; got {given!r}"


def _names(model: type[BaseModel], key: Key) -> list[str]:
    """The keys that may stand below `key`."""
    for part in key:
        if part.isdigit():
            continue  # the place in a list, whose items are all of one kind
        field = model.model_fields.get(part)
        section = None if field is None else _section(field.annotation)
        if section is None:
            return []
        model = section
    return list(model.model_fields)


def _section(annotation: Any) -> type[BaseModel] | None:
    """The part of a recipe that a field holds, also where it may be left out or be written in another way."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section(part)) is not None), None)
