"""The commands and programs that a page shows, read from its Markdown."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
# Decisions show what was thought of, not what is to be typed.
PAGES = sorted(
    path for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")] if "adr" not in path.parts
)
_NOT_RUN = re.compile(r"<!-- not run: (?P<reason>.+) -->\s*$")
_COMMAND = re.compile(r"^(?:\$ |    )?(neurogrid(?:-node|-coordinator|-contracts|-ledger)?) (.*)$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        reason: why it is not run; "" of one that is.
    """

    page: Path
    line: int
    language: str
    text: str
    reason: str


def blocks(page: Path) -> Iterator[Block]:
    """Those of a page, in their order."""
    whole = page.read_text()
    for match in re.finditer(r"^```([a-z]*)[^\n]*\n(.*?)^```", whole, re.MULTILINE | re.DOTALL):
        before = whole[: match.start()].rstrip("\n").rpartition("\n")[2]
        marked = _NOT_RUN.search(before)
        line = whole.count("\n", 0, match.start()) + 1
        reason = marked["reason"] if marked else ""
        yield Block(page, line, match[1], match[2], reason)


def typed(block: Block) -> tuple[str, list[str]]:
    """Of a console: what is typed, as a script; and what is seen, where it says so between two `…`."""
    script, seen, goes_on = "", [], False
    for line in block.text.splitlines():
        if line.startswith("$ ") or goes_on:
            script += line.removeprefix("$ ") + "\n"
            goes_on = line.endswith("\\") or _is_open(script)
        else:
            seen += re.findall("…([^…]+)…", line)
    return script, seen


def _is_open(script: str) -> bool:
    """Whether a quotation has not ended."""
    try:
        shlex.split(script)
    except ValueError:
        return True
    return False


def command_lines(page: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Each command of ours that a page shows outside of what is run: its line, its program, its words."""
    lines = page.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        match = _COMMAND.match(line)
        if match is None:
            continue
        words = _words(match[2])
        if words is not None:
            yield number, match[1], words


def _words(text: str) -> list[str] | None:
    """As a shell reads it, up to what is another command's; None: it goes on in the next line, or is no command."""
    if text.rstrip().endswith(("\\", ":")):
        return None
    try:
        lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>()")
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:
        return None
    for number, word in enumerate(words):
        if set(word) <= set("|&;<>()"):
            # What a number before `>` redirects is no word.
            end = number - 1 if word.startswith(">") and words[number - 1].isdigit() else number
            return words[:end]
    return words
