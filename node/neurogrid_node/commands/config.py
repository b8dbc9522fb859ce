"""`neurogrid-node config`: what a node.toml says, and what is wrong with it."""

import json
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from . import options
from .exits import fail

_EXIT_MISTAKES: Final = 1
# Addresses that may hold an access key: in their path, their query or before their host.
_SECRET: Final = frozenset({"chain.rpc_url", "chain.second_rpc_url"})


@click.group()
def config() -> None:
    """What node.toml says, and what is wrong with it."""


@config.command(
    epilog="""\b
Exit codes:
  0  the file can be used
  1  it can not: a line for each mistake
  2  it cannot be read
"""
)
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@options.directory
@options.json_output
def check(file: Path | None, directory: Path, as_json: bool) -> None:
    """Name every mistake of FILE, or of this node's node.toml, with its line and what to do about it."""
    from ..config_check import find_mistakes

    path, text = _read(file, directory)
    mistakes = find_mistakes(text)
    if as_json:
        rows = [
            {"key": each.key, "line": each.line, "message": each.message, "fix": each.fix}
            for each in mistakes
        ]
        click.echo(json.dumps({"file": str(path), "ok": not mistakes, "mistakes": rows}, indent=2))
    else:
        for each in mistakes:
            click.echo(f"{path}:{each.line or 1}: {each}")
        if not mistakes:
            click.echo(f"{path} can be used")
    if mistakes:
        sys.exit(_EXIT_MISTAKES)


@config.command()
@click.option("--origin", is_flag=True, help="Say of each value in which line it is set.")
@options.directory
@options.json_output
def show(origin: bool, directory: Path, as_json: bool) -> None:
    """Every value that is in force, defaults too; access keys in addresses are left out."""
    from ..config_check import find_mistakes, settings_of

    path, text = _read(None, directory)
    if find_mistakes(text):
        fail(f"{path} has mistakes: neurogrid-node config check")
    settings = settings_of(text)
    if as_json:
        rows = {
            each.key: {"value": _shown(each.key, each.value), "line": each.line or None}
            for each in settings
        }
        click.echo(json.dumps(rows, indent=2))
        return
    section = ""
    for each in settings:
        here, _, name = each.key.rpartition(".")
        if here != section:
            section = here
            click.echo(f"\n[{section}]")
        # JSON's texts, numbers and lists are TOML's.
        line = f"{name} = {json.dumps(_shown(each.key, each.value), ensure_ascii=False)}"
        where = f"  # line {each.line}" if each.line else "  # default"
        click.echo(line + (where if origin else ""))


def _read(file: Path | None, directory: Path) -> tuple[Path, str]:
    path = file or directory / "node.toml"
    try:
        return path, path.read_text()
    except FileNotFoundError:
        fail(f"{path} does not exist: run `neurogrid-node init` first")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path}: {error}")


def _shown(key: str, value: Any) -> Any:
    if key not in _SECRET or not value:
        return value
    parts = urlsplit(value)
    host = parts.netloc.rpartition("@")[2]
    has_more = parts.path.strip("/") or parts.query or host != parts.netloc
    return f"{parts.scheme}://{host}" + ("/…" if has_more else "")
