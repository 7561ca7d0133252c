"""A spec as the plain object that a bundle's `model.json` holds, and back."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from retrieval.errors import NetworkError
from retrieval.networks.spec import EnsembleSpec, HeadSpec
from retrieval.networks.spec_check import check_spec

# Of each field, the types that JSON may give it. A boolean is an integer to Python, so types are compared
# exactly.
_HEAD_TYPES: dict[str, tuple[type, ...]] = {
    "last_block": (str,),
    "stride": (int,),
    "reduction": (str,),
    "pool": (str,),
    "lr": (float, int),
    "norm": (str,),
    "size": (int, type(None)),
    "attention": (bool,),
}
_ENSEMBLE_TYPES: dict[str, tuple[type, ...]] = {
    "backbone": (str,),
    "share_until": (str,),
    "heads": (list,),
    "mirror": (bool,),
    "tied": (bool,),
    "tied_linear": (bool,),
    "whitened": (int, type(None)),
}

# Fields that came after the first bundles. They are written only where they are in use: a bundle's fingerprint
# counts every field written, and that of an old model may not change.
_LATER_HEAD_FIELDS = {"norm": "none", "size": None, "attention": False}
_LATER_FIELDS = {"tied": False, "tied_linear": False, "whitened": None}


def spec_to_dict(spec: EnsembleSpec) -> dict[str, Any]:
    """Strings, numbers, booleans and lists only, so that it is the same after a trip through JSON."""
    written = _without(asdict(spec), _LATER_FIELDS)
    return {**written, "heads": [_without(asdict(head), _LATER_HEAD_FIELDS) for head in spec.heads]}


def spec_from_dict(data: object) -> EnsembleSpec:
    """The spec of such an object; left-out fields take their defaults.

    Raises NetworkError, naming the field, for unknown or missing fields, wrong types, and what its backbone
    lacks.
    """
    values = _checked(data, "network", _ENSEMBLE_TYPES)
    if "backbone" not in values:
        raise NetworkError("network.backbone is missing")
    if "heads" in values:
        heads = []
        for index, item in enumerate(values["heads"]):
            head = _checked(item, f"network.heads[{index}]", _HEAD_TYPES)
            if "lr" in head:
                head["lr"] = float(head["lr"])
            heads.append(HeadSpec(**head))
        values["heads"] = tuple(heads)
    spec = EnsembleSpec(**values)
    check_spec(spec)
    return spec


def _without(written: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Leave out the later fields that stand at their defaults."""
    return {key: value for key, value in written.items() if key not in later or value != later[key]}


def _checked(data: object, where: str, types: dict[str, tuple[type, ...]]) -> dict[str, Any]:
    """A copy of the object once its keys and the types of its values are known to be right."""
    if not isinstance(data, dict):
        raise NetworkError(f"{where} must be an object; got {type(data).__name__}")
    for key, value in data.items():
        if key not in types:
            raise NetworkError(f"{where}.{key} is unknown; the fields are {', '.join(types)}")
        if type(value) not in types[key]:
            raise NetworkError(f"{where}.{key} must be {types[key][0].__name__}; got {value!r}")
    return dict(data)


assert set(_HEAD_TYPES) == {field.name for field in fields(HeadSpec)}
assert set(_ENSEMBLE_TYPES) == {field.name for field in fields(EnsembleSpec)}
