"""node.toml as text: values put into it, its comments left where they are. No I/O."""

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import tomlkit
from tomlkit.exceptions import TOMLKitError

from .config import ConfigError

Value: TypeAlias = str | int | bool | Sequence[str]


def with_values(text: str, values: Mapping[str, Value]) -> str:
    """The same file with these values.

    Args:
        text: the commented example, or a file that its owner has edited.
        values: by ``section.key``, or ``key`` alone at the top.

    Raises:
        ConfigError: the text is no TOML. Whether a key or a value is known is `load_config`'s affair.
    """
    document = _parsed(text)
    for name, value in values.items():
        section, _, key = name.rpartition(".")
        table = document.setdefault(section, tomlkit.table()) if section else document
        table[key] = value if isinstance(value, str | int) else list(value)
    return tomlkit.dumps(document)


def differing(text: str, values: Mapping[str, Value]) -> list[str]:
    """What the file says other than these values, each as ``key = what it says``.

    Raises:
        ConfigError: the text is no TOML.
    """
    document = _parsed(text).unwrap()
    found = []
    for name, value in values.items():
        section, _, key = name.rpartition(".")
        says = (document.get(section) or {} if section else document).get(key)
        wanted = value if isinstance(value, str | int) else list(value)
        if says != wanted:
            shown = "unset" if says is None else json.dumps(says, ensure_ascii=False)
            found.append(f"{name} = {shown}")
    return found


def read_assignment(example: str, text: str) -> tuple[str, Value]:
    """``prices.gpu=0.80`` as the key and its value.

    Args:
        example: says of which type the value is: where it has text, text is meant.

    Raises:
        ConfigError: no such key, or no value of its type.
    """
    name, equals, given = text.partition("=")
    section, _, key = name.rpartition(".")
    document = _parsed(example).unwrap()
    default = (document.get(section) or {} if section else document).get(key)
    if not equals or default is None or isinstance(default, dict):
        raise ConfigError(
            f"{text!r}: give KEY=VALUE with a key of node.toml, such as prices.gpu=0.80"
        )
    if isinstance(default, str):
        return name, given
    try:
        value = tomlkit.value(given).unwrap()
    except (TOMLKitError, ValueError):
        value = None
    # bool is an int in Python, not in the file.
    if type(value) is not type(default):
        raise ConfigError(f"{name}: {given!r} is no value like {json.dumps(default)}")
    return name, value


def _parsed(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigError(f"node.toml: {error}") from error
