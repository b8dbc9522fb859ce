"""The program's interface as data: instructions and accounts by their names, for people to read.

``idl.json`` describes the program for machines. What is read by it needs no code of its own: an
instruction that the program learns appears here with its next release.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from solders.pubkey import Pubkey

_INTEGERS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i64": 8}
_BYTES = 32


@dataclass(frozen=True, slots=True)
class Field:
    """A named value: an integer, an address, or 32 bytes.

    Args:
        unit: of an integer: ``micro_usdc``, ``s``, ``unix_s``; empty for a plain number.
        meaning: what an integer stands for, such as a state; empty when it is just a number.
    """

    name: str
    value: int | Pubkey | bytes
    unit: str = ""
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Described:
    """An instruction or an account in the program's own words.

    Args:
        roles: of an instruction: what each of its accounts is to it, in their order.
    """

    name: str
    fields: tuple[Field, ...]
    roles: tuple[str, ...] = ()


@cache
def _idl() -> dict[str, Any]:
    parsed = json.loads((Path(__file__).parent / "idl.json").read_text())
    assert isinstance(parsed, dict)
    return parsed


def describe_instruction(data: bytes) -> Described | None:
    """What an instruction with these data says; None when the program has no such instruction."""
    for entry in _idl()["instructions"]:
        if data[:1] == bytes([entry["tag"]]):
            return _instruction(entry, data)
    return None


def _instruction(entry: dict[str, Any], data: bytes) -> Described | None:
    fields = []
    offset = 1
    for argument in entry["args"]:
        field = _field(entry["name"], argument, data, offset)
        if field is None:
            return None
        fields.append(field)
        offset += _INTEGERS.get(argument["type"], _BYTES)
    accounts = [*entry["accounts"], *entry.get("optional_accounts", [])]
    return Described(entry["name"], tuple(fields), tuple(each["name"] for each in accounts))


def describe_account(data: bytes) -> Described | None:
    """What an account of the program holds; None when it is none that this release knows."""
    for entry in _idl()["accounts"]:
        if len(data) == entry["size"] and data[:2] == bytes([entry["tag"], entry["version"]]):
            fields = [_field(entry["name"], each, data, each["offset"]) for each in entry["fields"]]
            shown = (each for each in fields if each is not None)
            skipped = ("tag", "version", "bump")
            return Described(
                entry["name"], tuple(each for each in shown if each.name not in skipped)
            )
    return None


def _meaning(owner: str, name: str, value: int) -> str:
    """The name that the interface gives to a number; empty when it gives none."""
    named = _idl()["enumerations"].get(owner, {}).get(name, {})
    if name == "fault":
        faults = _idl()["faults"]
        named = {**faults["proven"], **faults["unproven"]}
    return next((str(key) for key, number in named.items() if number == value), "")


def _field(owner: str, entry: dict[str, Any], data: bytes, offset: int) -> Field | None:
    """The value at ``offset``; None when the data end before it does."""
    kind = entry["type"]
    part = data[offset : offset + _INTEGERS.get(kind, _BYTES)]
    if len(part) < _INTEGERS.get(kind, _BYTES):
        return None
    unit = entry.get("unit", "")
    if kind in _INTEGERS:
        number = int.from_bytes(part, "little", signed=kind.startswith("i"))
        return Field(entry["name"], number, unit, _meaning(owner, entry["name"], number))
    return Field(entry["name"], Pubkey(part) if kind == "pubkey" else part, unit)
