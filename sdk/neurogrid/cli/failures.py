"""How a failed command is shown: what is wrong, and what to do next."""

import click
import msgspec

from ..errors import ApiError, NeuroGridError, ProviderUnavailableError
from .output import print_explanation


def print_failure(error: Exception, *, as_json: bool) -> None:
    """For people on standard error; as JSON on standard output, where a program looks for it."""
    if as_json:
        click.echo(msgspec.json.encode({"error": _plain(error)}))
        return
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(str(error) or type(error).__name__, err=True)
    if isinstance(error, ProviderUnavailableError) and error.explanation is not None:
        print_explanation(error.explanation, err=True)
    hint = error.hint if isinstance(error, NeuroGridError) else ""
    if hint:
        click.echo(hint, err=True)


def _plain(error: Exception) -> dict[str, object]:
    if isinstance(error, ApiError):
        return {"code": error.code, "message": error.message, "details": error.details}
    return {"code": type(error).__name__, "message": str(error), "details": {}}
