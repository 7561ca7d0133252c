"""A recipe as a YAML file: reading it with messages that name the key and the line, and writing it back."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from retrieval.errors import UserError
from training.recipe import Recipe

PACKAGED = Path(__file__).parent / "recipes"

BASED_ON = "based_on"
"""The key of a file that names another one; it is no part of the recipe."""

Key = tuple[str, ...]
"""Where a value stands in the file, from the outside in: ("optimiser", "lr")."""


class RecipeError(UserError):
    """A recipe that cannot be used; the message names the key and where it was written."""


def packaged_recipes() -> tuple[str, ...]:
    """The names of the recipes that come with the project."""
    return tuple(sorted(file.stem for file in PACKAGED.glob("*.yaml")))


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    path: a YAML file, or the name of a packaged recipe (`cub200_hdhe`). overrides: `dotted.key=value` with the value
    in YAML, applied in order. Raises RecipeError: no such file, not YAML, an unknown key, a wrong value, a
    combination that cannot work.

    A file may be `based_on` another one, by a path from its own folder or a packaged name: it then holds what differs.
    Sections are joined key by key, and everything else takes the place of what was there.
    """
    file = _find(Path(path))
    values, places = _read(file, ())
    for override in overrides:
        key = _apply(values, override)
        for length in range(1, len(key)):
            places.setdefault(key[:length], f"--set {override}")
        value = yaml.compose(override.partition("=")[2], Loader=yaml.SafeLoader)
        inner = [] if value is None else _lines(value, key, file)
        places |= dict.fromkeys([key, *(below for below, _ in inner)], f"--set {override}")
    values.setdefault("name", file.stem)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(_problem(error.errors(), places, file)) from error


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML with every default written out; `load_recipe` reads it back to an equal recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def first_difference(old: Recipe, new: Recipe) -> str | None:
    """The first key whose value would change a run's result, as `key: old, now new`; None when they agree."""
    return next(_differences(old, new, ()), None)


def _differences(old: BaseModel, new: BaseModel, key: Key) -> Iterator[str]:
    for name in type(old).model_fields:
        before, now = getattr(old, name), getattr(new, name)
        if name == "machine" and not key:
            continue
        if isinstance(before, BaseModel) and type(before) is type(now):
            yield from _differences(before, now, (*key, name))
        elif before != now:
            yield f"{'.'.join((*key, name))} was {before!r} and is now {now!r}"


def _read(file: Path, above: tuple[Path, ...]) -> tuple[dict[str, Any], dict[Key, str]]:
    """The values of a file on top of those of the one that it is based on, and where each was written.

    above: the files that led here.
    """
    try:
        text = file.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise RecipeError(f"{file} cannot be read: {reason}") from error
    except yaml.YAMLError as error:
        raise RecipeError(_yaml_problem(file, error)) from error
    if root is None or not isinstance(values, dict):
        raise RecipeError(f"{file} holds no recipe: expected keys such as data: and network:")
    places = {key: f"{file}, line {line}" for key, line in _lines(root, (), file)}
    if BASED_ON not in values:
        return values, places
    base = values.pop(BASED_ON)
    place = places.pop((BASED_ON,))
    if not isinstance(base, str) or not base:
        raise RecipeError(f"{BASED_ON} must be a recipe's name or path; got {base!r} ({place})")
    try:
        below = _find(file.parent / base if (file.parent / base).is_file() else Path(base))
    except RecipeError as error:
        raise RecipeError(f"{BASED_ON}: {error} ({place})") from error
    if below.resolve() in (each.resolve() for each in (*above, file)):
        raise RecipeError(f"{BASED_ON}: {below} is based on itself ({place})")
    base_values, base_places = _read(below, (*above, file))
    base_values.pop("name", None)
    return _joined(base_values, values), base_places | places


def _joined(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` in place of what is in `below`, section by section."""
    joined = below | above
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            joined[key] = _joined(below[key], above[key])
    return joined


def _find(path: Path) -> Path:
    if path.exists() and not path.is_dir():
        return path
    # A run's folder is often named as its recipe, and must not stand in the recipe's way.
    packaged = PACKAGED / f"{path.name.removesuffix('.yaml')}.yaml"
    if path.parent == Path() and packaged.exists():
        return packaged
    if path.is_dir():
        raise RecipeError(
            f"{path} is a folder; give a recipe file, or one of {', '.join(packaged_recipes())}"
        )
    raise RecipeError(
        f"there is no recipe {path}; give a YAML file, or one of {', '.join(packaged_recipes())}"
    )


def _yaml_problem(file: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "not a text file"
    return f"{file} is not YAML: {problem}" + (f" (line {mark.line + 1})" if mark else "")


def _lines(node: yaml.Node, key: Key, file: Path) -> Iterator[tuple[Key, int]]:
    """Every key of the file with its line, counted from 1. A key written twice is refused: YAML keeps the last."""
    yield key, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for name, value in node.value:
            line = name.start_mark.line + 1
            if name.value in seen:
                dotted = ".".join((*key, name.value))
                raise RecipeError(f"{dotted} is written twice ({file}, lines {seen[name.value]} and {line})")
            seen[name.value] = line
            yield from _lines(value, (*key, name.value), file)
            yield (*key, name.value), line
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield from _lines(value, (*key, str(position)), file)


def _apply(values: dict[str, Any], override: str) -> Key:
    """Set one `dotted.key=value` in place; returns its key."""
    dotted, equals, text = override.partition("=")
    key = tuple(part.strip() for part in dotted.split("."))
    if not equals or not all(key):
        raise RecipeError(f"--set needs key=value, for example --set schedule.epochs=5; got {override!r}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override}: the value is not YAML") from error
    for part in key[:-1]:
        inner = values.get(part)
        if not isinstance(inner, dict):
            inner = values[part] = {}
        values = inner
    values[key[-1]] = value
    return key


def _problem(errors: list[ErrorDetails], places: dict[Key, str], file: Path) -> str:
    """One line: the dotted key, what is wrong, what was given, and where it was written."""
    # A value that may have several types gives an error for each; the one that got furthest into it is meant.
    error = max(errors, key=lambda error: len(_key(error, places)))
    key = _key(error, places)
    place = next(places[key[:n]] for n in range(len(key), -1, -1) if key[:n] in places)
    return f"{_say(error, '.'.join(key) or 'the recipe', key)} ({place})"


def _key(error: ErrorDetails, places: dict[Key, str]) -> Key:
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


def _say(error: ErrorDetails, dotted: str, key: Key) -> str:
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "missing":
        return f"{dotted} is missing"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        near = difflib.get_close_matches(key[-1], _names(key[:-1]), n=1)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(_names(key[:-1]))}"
        return f"{dotted} is not a key of a recipe; {hint}"
    if kind == "value_error":
        # Raised by the recipe's own checks, which say everything.
        said = str(context["error"])
        return f"{dotted} {said}" if said.startswith("must ") else f"{dotted}: {said}"
    if kind in _BOUNDS:
        name, text = _BOUNDS[kind]
        bound = context[name]
        said = f"{bound:g}" if isinstance(bound, float) else bound
        return f"{dotted} {text.format(said)}; got {given!r}"
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"{dotted}: {message.removeprefix('input ')}; got {given!r}"


def _names(key: Key) -> list[str]:
    """The keys that may stand below `key`."""
    model: type[BaseModel] = Recipe
    for part in key:
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
