"""Groups of commands. Imports nothing but click, so that --help is quick and always there."""

import os
from importlib import import_module
from typing import Any, Final, NoReturn

import click

# What a shell says of a program that SIGPIPE ended. Python ignores the signal.
_UNREAD: Final = 141
_STANDARD_OUTPUT: Final = 1


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
        """Run a command; say which extra is not installed; end quietly when nobody reads any more."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _end_unread()
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("neurogrid"):
                raise  # ours is there, or the installation is broken
            raise click.ClickException(
                f"{error.name} is not installed: pip install 'neurogrid[{self._extra}]'"
            ) from error


def _end_unread() -> NoReturn:
    # What is still in the buffer would be written at the end, and that be complained of.
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STANDARD_OUTPUT)
    raise click.exceptions.Exit(_UNREAD)


def load_command(package: str, place: str) -> click.Command:
    """Import a command.

    Args:
        place: ``module:attribute`` in the package.
    """
    module, _, attribute = place.partition(":")
    loaded = getattr(import_module(f"{package}.{module}"), attribute)
    assert isinstance(loaded, click.Command), f"{place} is no command"
    return loaded
