"""docs/command.md says of exit codes what the command itself says, and shows every command of the top level."""

import re
from pathlib import Path

import click

from neurogrid.cli import exit_codes
from neurogrid.cli.group import neurogrid

PAGE = Path(__file__).parents[2] / "docs" / "command.md"
SCREENS = PAGE.parent / "screens"
# Commands without a picture of their own, and why.
_NOT_SHOWN = {
    "shell": "a shell has the terminal to itself; `exec` is shown",
    "port-forward": "it prints one line and goes on until it is stopped",
    "checkpoints": "a job has to run for minutes before one is kept",
    "artifacts": "it deletes by a hash, and prints that",
    "chat": "it is typed into, turn by turn; `generate` is shown",
    "image": "it writes a file, after a minute",
    "transcribe": "it needs a recording",
    "verify-evidence": "it needs the file of a challenge, which a market makes in hours",
    "webhook": "the same as `webhooks`",
    "wallet": "docs/wallet.md shows it",
}


def test_the_page_has_each_exit_code_in_the_words_of_the_help() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    told = " ".join(exit_codes.EPILOG.split())
    assert [code for code, _ in rows] == re.findall(r"^  (\d+)  ", exit_codes.EPILOG, re.MULTILINE)
    words = [(code, text.replace("\\|", "|")) for code, text in rows]
    assert all(f"{code} {text}" in told for code, text in words)
    known = {
        value
        for name, value in vars(exit_codes).items()
        if name.isupper() and isinstance(value, int)
    }
    assert known == {int(code) for code, _ in rows}


def test_the_page_shows_each_picture_and_there_is_each() -> None:
    shown = re.findall(r"\(screens/([\w-]+)\.svg\)", PAGE.read_text())
    assert sorted(shown) == sorted(file.stem for file in SCREENS.glob("*.svg"))


def test_each_command_of_the_top_level_has_a_picture_or_a_reason() -> None:
    shown = {file.stem for file in SCREENS.glob("*.svg")}
    names = neurogrid.list_commands(click.Context(neurogrid))
    without = {
        name
        for name in names
        if not any(each == name or each.startswith(f"{name}-") for each in shown)
    }
    assert without == set(_NOT_SHOWN)
