"""What every command that talks to the coordinator has: its options and its client."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..profile import NETWORK_VARIABLE
from .direct import OwnCoordinator, open_own, take_options

# What it brings along takes longer to import than all else: only a command that runs waits for it, and no help.
if TYPE_CHECKING:
    from ..client import Client

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class Session:
    """A command's client, and whether it prints JSON.

    Attributes:
        own: the coordinator of one's own that the client speaks with (``--direct``), or None.
    """

    client: "Client"
    as_json: bool
    own: OwnCoordinator | None = None


def json_option(function: F) -> F:
    """Add ``--json``; the command gets ``as_json``."""

    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
        # Where the group looks when the command fails.
        ctx.meta["neurogrid.json"] = value
        return value

    return click.option(
        "--json", "as_json", is_flag=True, callback=remember, help="Print JSON for programs."
    )(function)


def with_session(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command a `Session` as its first argument, and the options that make it."""

    @click.pass_context
    def run(
        ctx: click.Context,
        /,
        *args: Any,
        api_url: str | None,
        network: Path | None,
        profile: str | None,
        as_json: bool,
        **kwargs: Any,
    ) -> None:
        from ..client import Client

        options = take_options(kwargs)
        if options is not None:
            own = ctx.with_resource(open_own(options))
            function(Session(own.client, as_json, own), *args, **kwargs)
            return
        client = ctx.with_resource(Client(base_url=api_url, network=network, profile=profile))
        function(Session(client, as_json), *args, **kwargs)

    command = update_wrapper(run, function)
    # Under the command's own options in its help.
    parameters = getattr(function, "__click_params__", [])
    command = json_option(command)
    command = click.option(
        "--profile",
        metavar="NAME",
        help="One that `neurogrid configure` wrote [NEUROGRID_PROFILE].",
    )(command)
    command = click.option(
        "--network",
        type=_FILE,
        help=f"network.json of a devnet: its address and key [{NETWORK_VARIABLE}].",
    )(command)
    command = click.option("--api-url", help="Address of the coordinator [NEUROGRID_API_URL].")(
        command
    )
    added = command.__click_params__  # type: ignore[attr-defined]  # set by click.option
    assert all(parameter in added for parameter in parameters), "update_wrapper copies them"
    return command
