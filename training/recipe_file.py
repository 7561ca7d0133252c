"""A recipe as a YAML file: reading it with messages that name the key and the line, and writing it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from retrieval.errors import UserError
from training.recipe import Recipe
from training.recipe_problem import Key, problem_of
from training.sections.section import RunSection

R = TypeVar("R", bound=RunSection)

BASED_ON = "based_on"
"""The key of a file that names another one; it is no part of the recipe."""


class RecipeError(UserError):
    """A recipe that cannot be used; the message names the key and where it was written."""


def packaged_recipes(kind: type[RunSection] = Recipe) -> tuple[str, ...]:
    """The names of the recipes of a kind that come with the project."""
    return tuple(sorted(file.stem for file in kind.packaged.glob("*.yaml")))


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """`load_recipe_of` for fine-tuning."""
    return load_recipe_of(Recipe, path, overrides)


def load_recipe_of(kind: type[R], path: Path | str, overrides: Sequence[str] = ()) -> R:
    """Read and check a recipe of a kind.

    path: a YAML file, or the name of a packaged recipe (`cub200_hdhe`). overrides: `dotted.key=value` with the value
    in YAML, applied in order. Raises RecipeError: no such file, not YAML, an unknown key, a wrong value, a
    combination that cannot work.

    A file may be `based_on` another one, by a path from its own folder or a packaged name: it then holds what differs.
    Sections are joined key by key, and everything else takes the place of what was there.
    """
    file = _find(Path(path), kind)
    values, places = _read(file, (), kind)
    for override in overrides:
        key = _apply(values, override)
        for length in range(1, len(key)):
            places.setdefault(key[:length], f"--set {override}")
        value = yaml.compose(override.partition("=")[2], Loader=yaml.SafeLoader)
        inner = [] if value is None else _lines(value, key, file)
        places |= dict.fromkeys([key, *(below for below, _ in inner)], f"--set {override}")
    values.setdefault("name", file.stem)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise RecipeError(problem_of(kind, error.errors(), places)) from error


def dump_recipe(recipe: RunSection) -> str:
    """The recipe as YAML with every default written out; `load_recipe` reads it back to an equal recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def first_difference(old: RunSection, new: RunSection) -> str | None:
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


def _read(
    file: Path, above: tuple[Path, ...], kind: type[RunSection]
) -> tuple[dict[str, Any], dict[Key, str]]:
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
        below = _find(file.parent / base if (file.parent / base).is_file() else Path(base), kind)
    except RecipeError as error:
        raise RecipeError(f"{BASED_ON}: {error} ({place})") from error
    if below.resolve() in (each.resolve() for each in (*above, file)):
        raise RecipeError(f"{BASED_ON}: {below} is based on itself ({place})")
    base_values, base_places = _read(below, (*above, file), kind)
    base_values.pop("name", None)
    return _joined(base_values, values), base_places | places


def _joined(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` in place of what is in `below`, section by section."""
    joined = below | above
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            joined[key] = _joined(below[key], above[key])
    return joined


def _find(path: Path, kind: type[RunSection]) -> Path:
    if path.exists() and not path.is_dir():
        return path
    # A run's folder is often named as its recipe, and must not stand in the recipe's way.
    packaged = kind.packaged / f"{path.name.removesuffix('.yaml')}.yaml"
    if path.parent == Path() and packaged.exists():
        return packaged
    if path.is_dir():
        raise RecipeError(
            f"{path} is a folder; give a recipe file, or one of {', '.join(packaged_recipes(kind))}"
        )
    raise RecipeError(
        f"there is no recipe {path}; give a YAML file, or one of {', '.join(packaged_recipes(kind))}"
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
