"""What the units of our daemons have in common, as text. No I/O."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

# Of which PrivateTmp=yes gives a service its own, empty ones.
_TEMPORARY: Final = (Path("/tmp"), Path("/var/tmp"))


class UnitUnwritable(ValueError):
    """A word that no unit can say; the message names it."""


def quoted(word: str, *, is_command: bool = False) -> str:
    """A word as a unit has it; source: man 5 systemd.service, COMMAND LINES, and systemd.syntax, QUOTING.

    Raises:
        UnitUnwritable: it has a control character.
    """
    word = plain(word)
    if is_command:
        word = word.replace("$", "$$")
    if any(letter in word for letter in " \t\"'\\;"):
        escaped = word.replace("\\", "\\\\").replace('"', '\\"')
        word = f'"{escaped}"'
    return word


def plain(value: str) -> str:
    """A value as settings have it that take one and know no quotes, such as EnvironmentFile=.

    Raises:
        UnitUnwritable: it has a control character.
    """
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
        raise UnitUnwritable(f"{value!r} cannot be written in a unit: choose another path")
    return value.replace("%", "%%")


def command_line(words: Iterable[str]) -> str:
    """A command as ExecStart= has it.

    Raises:
        UnitUnwritable: see `quoted`.
    """
    return " ".join(quoted(word, is_command=True) for word in words)


def private_tmp(needed: Iterable[Path]) -> str:
    """What PrivateTmp= may be for a service that needs these files: one of its own has none of them."""
    return (
        "no" if any(path.is_relative_to(each) for path in needed for each in _TEMPORARY) else "yes"
    )
