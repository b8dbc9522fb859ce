"""Groups of commands. Imports nothing but click, so that --help is quick and always there."""

from importlib import import_module
from typing import Any

import click


class ExtraGroup(click.Group):
    """The commands of a program that an extra of our distribution brings."""

    def __init__(self, *args: Any, extra: str, **kwargs: Any) -> None:
        """
        Args:
            extra: what to install when a package is missing.
        """
        super().__init__(*args, **kwargs)
        self._extra = extra

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; say which extra is not installed."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("neurogrid"):
                raise  # ours is there, or the installation is broken
            raise click.ClickException(
                f"{error.name} is not installed: pip install 'neurogrid[{self._extra}]'"
            ) from error


def load_command(package: str, place: str) -> click.Command:
    """Import a command.

    Args:
        place: ``module:attribute`` in the package.
    """
    module, _, attribute = place.partition(":")
    loaded = getattr(import_module(f"{package}.{module}"), attribute)
    assert isinstance(loaded, click.Command), f"{place} is no command"
    return loaded
