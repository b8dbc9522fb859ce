"""The status of the node that runs, for commands that show it."""

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from ..status import NodeStatus, read_status
from .exits import NOT_RUNNING, fail


def running(directory: Path) -> dict[str, Any]:
    """A `NodeStatus` as JSON; else the command ends, with code 3 where none runs."""
    document = read_status(directory)
    if document is None:
        click.echo(f"neurogrid-node: no node runs on {directory}: neurogrid-node start", err=True)
        sys.exit(NOT_RUNNING)
    if not {field.name for field in fields(NodeStatus)} <= document.keys():
        fail("the running node is older than this command: neurogrid-node stop, then start")
    return document
