"""Makes the synchronous client's modules from those of the asynchronous one.

    .venv/bin/python scripts/unasync.py            # after a change in sdk/neurogrid/aio/
    .venv/bin/python scripts/unasync.py --check    # says which are not as they would be made

A module of sdk/neurogrid/aio/ becomes the one of the same name in sdk/neurogrid/, token by token: `await` goes,
`AsyncClient` becomes `Client`, `async for` becomes `for`. What can't be had so is written twice, by hand: BY_HAND.
"""

import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "sdk" / "neurogrid" / "aio"
TARGET = SOURCE.parent
# What waits, and what holds threads.
BY_HAND = frozenset({"__init__", "providing", "runtime", "task_access"})
# Beside every name that begins with Async and a capital, which loses that.
NAMES = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
    "aclosing": "closing",
    "aiter_bytes": "iter_bytes",
    "aiter_lines": "iter_lines",
    "anext": "next",
    "aread": "read",
    "asynccontextmanager": "contextmanager",
    "enter_async_context": "enter_context",
}
_ASYNC_NAME = re.compile(r"Async(?=[A-Z])")
_STRINGS = frozenset({tokenize.STRING, tokenize.COMMENT})
# A word of the language before something that looks like code, in docstrings and comments.
_WORDS = re.compile(r"\b(?:await|async)(?= (?:with|for|def|\w+[.(]))\s")


def head(name: str) -> str:
    """The first line of a module that was made here."""
    return f"# Made from aio/{name}.py by scripts/unasync.py: change that one, and run it.\n"


def made(name: str, source: str) -> str:
    """The synchronous module of an asynchronous one."""
    text = re.sub(r"(?m)^(\s*from )\.\.", r"\1.", source)
    text = head(name) + _unwrapped(_without_async(text))
    # A piece at a time, where a whole iterator will do.
    text = re.sub(r"(?m)^( *)for (\w+) in (.+):\n\1    yield \2$", r"\1yield from \3", text)
    return _formatted(name, text)


def modules() -> dict[str, str]:
    """Name and text of each module that is made."""
    sources = {path.stem: path for path in sorted(SOURCE.glob("*.py"))}
    return {
        name: made(name, path.read_text("utf-8"))
        for name, path in sources.items()
        if name not in BY_HAND
    }


def _without_async(text: str) -> str:
    """The text with every token as the synchronous side has it; its lines stay where they are."""
    lines = text.splitlines(keepends=True)
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    changes: list[tuple[int, int, int, str]] = []
    for token, following in zip(tokens, [*tokens[1:], tokens[-1]], strict=True):
        (row, start), (last, end) = token.start, token.end
        if token.type == tokenize.NAME:
            if token.string in ("async", "await"):
                changes.append((row, start, following.start[1], ""))
            elif (new := _name(token.string)) != token.string:
                changes.append((row, start, end, new))
        elif token.type in _STRINGS or tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
            for number in range(row, last + 1):
                line = lines[number - 1]
                begin, until = (
                    (start if number == row else 0),
                    (end if number == last else len(line)),
                )
                said = line[begin:until]
                new = re.sub(r"\w+", lambda word: _name(word[0]), _WORDS.sub("", said))
                if new != said:
                    changes.append((number, begin, until, new))
    for row, start, end, new in sorted(changes, reverse=True):
        line = lines[row - 1]
        lines[row - 1] = line[:start] + new + line[end:]
    return "".join(lines)


def _name(name: str) -> str:
    return NAMES.get(name) or _ASYNC_NAME.sub("", name)


def _unwrapped(text: str) -> str:
    """``Awaitable[T]`` is T."""
    while (found := re.search(r"\bAwaitable\[", text)) is not None:
        depth, end = 1, found.end()
        while depth:
            depth += {"[": 1, "]": -1}.get(text[end], 0)
            end += 1
        text = text[: found.start()] + text[found.end() : end - 1] + text[end:]
    return text


def _formatted(name: str, text: str) -> str:
    """As `make fix` would leave it, without imports that nothing needs any more."""
    file = str(TARGET / f"{name}.py")
    ruff = str(Path(sys.executable).with_name("ruff"))
    fix = [
        ruff,
        "check",
        "--quiet",
        "--fix-only",
        "--select",
        "F401,I,UP034",
        "--stdin-filename",
        file,
    ]
    for command in (fix, [ruff, "format", "--quiet", "--stdin-filename", file]):
        done = subprocess.run(
            [*command, "-"], input=text, capture_output=True, text=True, check=False, cwd=ROOT
        )
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr}\n{text}")
        text = done.stdout
    return text


def main() -> None:
    """Write them, or say which differ."""
    differing = []
    for name, text in modules().items():
        target = TARGET / f"{name}.py"
        if target.exists() and target.read_text("utf-8") == text:
            continue
        differing.append(name)
        if "--check" not in sys.argv:
            target.write_text(text, "utf-8")
            print(f"made sdk/neurogrid/{name}.py")
    if differing and "--check" in sys.argv:
        raise SystemExit(f"made anew they differ: {', '.join(differing)}: run scripts/unasync.py")


if __name__ == "__main__":
    main()
