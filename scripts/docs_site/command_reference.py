"""A page for each command: every leaf of its tree, with usage, arguments and options. Lazy groups are asked for their own."""

from collections.abc import Iterator
from importlib import import_module

import click

# Command -> the module and name of its click tree, as pyproject.toml has them.
COMMANDS = {
    "neurogrid": ("neurogrid.cli.group", "neurogrid"),
    "neurogrid-node": ("neurogrid_node.__main__", "main"),
    "neurogrid-coordinator": ("neurogrid_coordinator.__main__", "main"),
    "neurogrid-ledger": ("neurogrid_contracts.ledger.__main__", "main"),
    "neurogrid-contracts": ("neurogrid_contracts.cli.__main__", "main"),
}


def tree(command: str) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Each command below this one, itself first: its full name, and what click knows."""
    module, name = COMMANDS[command]
    top: click.Command = getattr(import_module(module), name)
    yield from _below(top, click.Context(top, info_name=command))


def _below(
    command: click.Command, context: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    yield context.command_path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _below(child, click.Context(child, info_name=name, parent=context))


def page(command: str) -> str:
    """The page of one command."""
    parts = [f"# `{command}`\n\nAs `--help` prints it; made from the code.\n"]
    for path, _, context in tree(command):
        if path != command:
            parts.append(f"\n## {path}\n")
        parts.append("\n```text\n" + context.get_help().strip() + "\n```\n")
    return "".join(parts)
