"""All commands: what each of them has."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from neurogrid.cli.group import neurogrid

# Why a command prints no JSON for programs.
_WITHOUT_JSON = {
    "models schema": "what it prints is JSON",
    "devnet demo": "it is watched; devnet status --json tells of what it leaves",
    "devnet down": "it prints what it has stopped, and ends with 0",
    "devnet fund": "it prints nothing that is not asked for by account --json",
    "devnet logs": "it prints other programs' lines",
    "devnet lose": "for trying out what breaks",
    "devnet restore": "for trying out what breaks",
    "devnet warp": "for trying out what takes time",
}
# Document 000's, with our name.
DOCUMENT_000 = (
    "configure --api-key=KEY",
    "task submit --model=gpt-4 --input=Hello",
    "task monitor --id=TASK",
    "resources gpu",
    "webhook test --url=URL --event=task.complete",
)


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Each command that is no group, by its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


ALL = dict(commands(neurogrid))


def test_every_command_prints_json_or_has_a_reason_not_to() -> None:
    without = {
        words
        for words, command in ALL.items()
        if not any("--json" in parameter.opts for parameter in command.params)
    }
    assert without == set(_WITHOUT_JSON)


@pytest.mark.parametrize("words", sorted(ALL))
def test_every_command_says_what_it_does(words: str) -> None:
    assert len(ALL[words].get_short_help_str()) > 10


@pytest.mark.parametrize("line", DOCUMENT_000)
def test_document_000s_words_are_understood(line: str) -> None:
    words = line.split()
    group: click.Group = neurogrid
    while words and not words[0].startswith("--"):
        command = group.get_command(click.Context(group), words.pop(0))
        assert command is not None
        if isinstance(command, click.Group):
            group = command
    assert command is not None
    with command.make_context("neurogrid", [*words, "--help"], resilient_parsing=True) as context:
        assert context.args == []


def test_a_mistyped_command_is_told_the_likeliest() -> None:
    told = CliRunner().invoke(neurogrid, ["recepits"])
    assert told.exit_code == 2
    assert "neurogrid receipts" in told.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_is_given_its_completion(shell: str) -> None:
    given = CliRunner().invoke(neurogrid, ["completion", shell])
    assert given.exit_code == 0
    assert "_NEUROGRID_COMPLETE" in given.output


# What these do needs the HTTP stack's types where they are defined.
_SLOWER_HELP = {"exec", "shell", "provider"}


def test_no_help_waits_for_the_http_stack() -> None:
    """A quarter of a second, of the half that a command's help took with it."""
    program = """
import sys
from importlib import import_module
from neurogrid.cli.group import _COMMANDS
for name, (place, _) in _COMMANDS.items():
    if name not in sys.argv[1:]:
        import_module(place.partition(":")[0], "neurogrid.cli")
        assert "httpx" not in sys.modules, name
"""
    subprocess.run([sys.executable, "-c", program, *_SLOWER_HELP], check=True, timeout=60)
