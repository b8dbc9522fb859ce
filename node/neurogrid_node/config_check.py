"""Everything that is wrong with a node.toml at once, each with its line and what to do about it. Pure.

What types say is looked at key by key, what they do not say by the rules of `config`; a rule whose keys are wrong
already is left out, so that one slip is one mistake.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, Final, get_type_hints

import msgspec

from .config import RULE_ERRORS, RULES, Config

_HEADER: Final = re.compile(r"\s*\[\s*([A-Za-z0-9_.\s-]+?)\s*\]\s*(#.*)?\Z")
_KEY: Final = re.compile(r"\s*([A-Za-z0-9_-]+(?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*=")
# "Expected `int` >= 1 - at `$[2]`", "(at line 3, column 1)".
_AT: Final = re.compile(r" - at `\$(?:\[(\d+|\.\.\.)\])?.*`\Z")
_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)|\(at end of document\)")
# A file of ours has 300 lines; what is much larger is something else.
LINES_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong.

    Attributes:
        key: such as "risk.max_unpaid_s"; "" of the file itself.
        line: from 1; 0: the key is not there.
        fix: what to do.
    """

    key: str
    line: int
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.message}; {self.fix}" if self.fix else self.message


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that is in force.

    Attributes:
        line: where it is set; 0: it is the default.
    """

    key: str
    value: Any
    line: int


def find_mistakes(text: str) -> tuple[Mistake, ...]:
    """What is wrong with the text of a node.toml, in the order of its lines."""
    if text.count("\n") > LINES_MAX:
        return (Mistake("", 0, f"more than {LINES_MAX} lines", "this is no node.toml"),)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return (_not_toml(str(error), text),)
    lines = _lines(text)
    found = list(_of_table(document, Config, "", lines))
    broken = {mistake.key for mistake in found}
    config = msgspec.convert(_usable(document, broken), Config)
    for rule in RULES:
        if any(_touches(key, wrong) for key in rule.keys for wrong in broken):
            continue
        try:
            rule.check(config)
        except RULE_ERRORS as error:
            key = rule.keys[0]
            found.append(Mistake(key, _line_of(key, lines), str(error), _fix(key)))
    return tuple(sorted(found, key=lambda mistake: (mistake.line, mistake.key)))


def settings_of(text: str) -> tuple[Setting, ...]:
    """Every value that is in force, in the order of the documentation's file.

    Raises:
        msgspec.ValidationError, tomllib.TOMLDecodeError: the file has mistakes: ask `find_mistakes` first.
    """
    document = tomllib.loads(text)
    lines = _lines(text)
    values = msgspec.to_builtins(msgspec.convert(document, Config))
    found = []
    for name, value in values.items():
        inside = (
            {f"{name}.{key}": each for key, each in value.items()}
            if isinstance(value, dict)
            else {name: value}
        )
        found += [Setting(key, each, lines.get(key, 0)) for key, each in inside.items()]
    # As in a file: what is in no section comes first.
    return tuple(sorted(found, key=lambda setting: "." in setting.key))


def _of_table(
    table: Mapping[str, Any], kind: type, prefix: str, lines: Mapping[str, int]
) -> Iterator[Mistake]:
    hints = get_type_hints(kind, include_extras=True)
    for name, value in table.items():
        key = prefix + name
        line = _line_of(key, lines)
        if name not in hints:
            near = get_close_matches(name, hints, 1)
            fix = f"do you mean {near[0]}?" if near else f"known here: {', '.join(sorted(hints))}"
            yield Mistake(key, line, f"there is no key {_shown(key)}", fix)
        elif is_dataclass(hints[name]):
            section = hints[name]
            assert isinstance(section, type), "a section's class"
            if isinstance(value, dict):
                yield from _of_table(value, section, f"{key}.", lines)
            else:
                yield Mistake(
                    key, line, f"{key} is a section", f"write [{key}] in a line of its own"
                )
        else:
            try:
                msgspec.convert(value, hints[name])
            except msgspec.ValidationError as error:
                yield Mistake(key, line, f"{_shown(key)}: {_words(error)}", _fix(key))
    for field in fields(kind):
        required = field.default is MISSING and field.default_factory is MISSING
        if required and field.name not in table:
            key = prefix + field.name
            fix = "neurogrid-node init writes it; configs/node.toml says what it is"
            yield Mistake(
                key, _line_of(prefix.rstrip("."), lines), f"{_shown(key)} is missing", fix
            )


def _usable(document: Mapping[str, Any], broken: set[str]) -> dict[str, Any]:
    """What is not wrong, with something in the place of what has no default; no rule looks at that."""
    kept: dict[str, Any] = {"coordinators": (), "chain": {}}
    kept["chain"] = dict.fromkeys(
        ("rpc_url", "program_id", "usdc_mint", "admin", "genesis_hash"), ""
    )
    for name, value in document.items():
        if name in broken:
            continue
        if isinstance(value, dict):
            inside = {key: each for key, each in value.items() if f"{name}.{key}" not in broken}
            kept[name] = kept.get(name, {}) | inside
        else:
            kept[name] = value
    return kept


def _touches(key: str, wrong: str) -> bool:
    """Whether a mistake is in a key, or in a section, or in the section that a key is in."""
    return key == wrong or wrong.startswith(f"{key}.") or key.startswith(f"{wrong}.")


def _fix(key: str) -> str:
    """The default, where there is one."""
    kind: Any = Config
    *sections, name = key.split(".")
    for section in sections:
        kind = get_type_hints(kind)[section]
    field = next(each for each in fields(kind) if each.name == name)
    if field.default is MISSING:
        return ""
    return f"left out, it is {msgspec.json.encode(field.default).decode()}"


def _words(error: msgspec.ValidationError) -> str:
    text = str(error)
    found = _AT.search(text)
    item = (
        f" (item {int(found.group(1)) + 1})" if found and (found.group(1) or "").isdigit() else ""
    )
    return _AT.sub("", text) + item


def _shown(key: str) -> str:
    section, dot, name = key.rpartition(".")
    return f"[{section}] {name}" if dot else name


def _not_toml(words: str, text: str) -> Mistake:
    found = _LINE.search(words)
    last = text.count("\n") + 1
    line = int(found.group(1)) if found and found.group(1) else last
    return Mistake(
        "", line, _LINE.sub("", words).strip(), "see https://toml.io for how it is written"
    )


def _line_of(key: str, lines: Mapping[str, int]) -> int:
    """Of a key, or else of what it is in."""
    while key and key not in lines:
        key = key.rpartition(".")[0]
    return lines.get(key, 0)


def _lines(text: str) -> dict[str, int]:
    """In which line each key, and each section, stands. Only of a text that is TOML."""
    found: dict[str, int] = {}
    section = ""
    before: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        header, key = _HEADER.match(line), _KEY.match(line)
        # Inside a text or a list of several lines something may look like a key: what is before it is then no TOML.
        if (header or key) and _is_whole(before):
            if header:
                section = _dotted(header.group(1))
                found.setdefault(section, number)
            elif key:
                name = _dotted(key.group(1))
                found.setdefault(f"{section}.{name}" if section else name, number)
            before = []
        before.append(line)
    return found


def _is_whole(lines: list[str]) -> bool:
    try:
        tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError:
        return False
    return True


def _dotted(name: str) -> str:
    return ".".join(part.strip() for part in name.split("."))
