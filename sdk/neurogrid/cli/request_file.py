"""A request that somebody has written into a file, as TOML or JSON."""

import json
import tomllib
from pathlib import Path
from typing import Any

import click


def read_request(file: Path) -> dict[str, Any]:
    """The request in a .toml or .json file.

    Raises:
        click.BadParameter: it is none.
    """
    text = file.read_text("utf-8")
    try:
        document = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise click.BadParameter(f"{file}: {error}", param_hint="FILE") from error
    if not isinstance(document, dict):
        raise click.BadParameter(f"{file} is no table of fields", param_hint="FILE")
    return document
