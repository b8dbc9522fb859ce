"""Requests as they are kept with their tasks: whether one is sent again, also when its task was changed since. Pure."""

import hashlib
from collections.abc import Mapping

import msgspec

from neurogrid_marketplace.canonical import Json

# When its owner asked for a task that was stored later, with its batch: no part of what was asked.
SUBMITTED_AT_MS = "submitted_at_ms"
# Of the record of the request that made a task, where the task has been changed since.
_FIRST = "first_sha256"
_BESIDE = (SUBMITTED_AT_MS, _FIRST)


def is_same(kept: Mapping[str, Json], asked: Mapping[str, Json]) -> bool:
    """Whether a task of which ``kept`` is the record was asked for like this at first."""
    return kept.get(_FIRST, _digest(kept)) == _digest(asked)


def amended(kept: Mapping[str, Json], asked: Mapping[str, Json]) -> dict[str, Json]:
    """The record of a task that is asked for otherwise from now on."""
    beside = {name: kept[name] for name in _BESIDE if name in kept}
    return {**asked, _FIRST: _digest(kept), **beside}


def differences(kept: Mapping[str, Json], asked: Mapping[str, Json]) -> tuple[str, ...]:
    """The fields of the two that are not the same."""
    names = dict.fromkeys((*kept, *asked))
    return tuple(
        name
        for name in names
        if name not in _BESIDE and _json(kept.get(name)) != _json(asked.get(name))
    )


def _digest(record: Mapping[str, Json]) -> str:
    return hashlib.sha256(_json(record)).hexdigest()


def _json(value: object) -> bytes:
    # As they are stored: a tuple of a request is a list in its row.
    return msgspec.json.encode(value, order="sorted")
