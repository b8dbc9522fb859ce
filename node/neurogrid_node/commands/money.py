"""The commands with which an owner moves money or looks at it. What they do is in `owner`.

Imports nothing heavy until a command runs, so that `--help` stays quick.
"""

from pathlib import Path

import click

from . import options
from .options import Asked, UsdcAmount, moves, waits_for_funds

_EPILOG = """\b
Exit codes:
  0  done
  1  refused: the code and the message say why and what to do
  2  wrong usage, or keys or a configuration that cannot be used
  7  the chain can't be reached, or it is not decided yet: type the same command again
  141  nobody reads what it prints any more, as after `| head`: what it did stands
"""


@click.command(epilog=_EPILOG)
@options.directory
@options.json_output
def earnings(directory: Path, as_json: bool) -> None:
    """Show what you have: wallet, stake, earnings, escrows that pay you, vouchers."""
    from ..money.owner import show

    show(directory, as_json=as_json)


@click.command(epilog=_EPILOG)
@moves
@click.option(
    "--payout-wallet",
    default="",
    metavar="ADDRESS",
    help="Wallet that is paid, for good.  [default: this node's own]",
)
def register(asked: Asked, payout_wallet: str) -> None:
    """Become a provider of the market, without stake yet."""
    _make(asked, "register", payout_wallet=payout_wallet)


@click.command(epilog=_EPILOG)
@moves
@click.argument("amount", type=UsdcAmount(), required=False)
@waits_for_funds
def stake(asked: Asked, amount: int | None, wait_for_funds: bool, wait_limit_s: float) -> None:
    """Add AMOUNT USDC to the stake.

    Without AMOUNT: what is missing to node.toml's stake_usdc.
    """
    _make(asked, "stake", amount or 0, wait_s=wait_limit_s if wait_for_funds else 0.0)


@click.command(epilog=_EPILOG)
@moves
@click.argument("amount", type=UsdcAmount())
def unstake(asked: Asked, amount: int) -> None:
    """Ask AMOUNT USDC back; `withdraw` pays it out after the market's unbonding window.

    The window of everything that is unbonding starts again. Until it ends, all of it can be slashed.
    """
    _make(asked, "unstake", amount)


@click.command(epilog=_EPILOG)
@moves
@click.argument("amount", type=UsdcAmount())
def rebond(asked: Asked, amount: int) -> None:
    """Let AMOUNT USDC that are unbonding be stake again, at once."""
    _make(asked, "rebond", amount)


@click.command(epilog=_EPILOG)
@moves
def withdraw(asked: Asked) -> None:
    """Take out what has finished unbonding; says from when on, if it is too early."""
    _make(asked, "withdraw")


@click.command(epilog=_EPILOG)
@moves
def close(asked: Asked) -> None:
    """Leave the market: close the empty provider account and take its rent back.

    The node does not register by itself any more; `register` does.
    """
    _make(asked, "close")


def _make(
    asked: Asked,
    kind: str,
    amount_micro_usdc: int = 0,
    payout_wallet: str = "",
    *,
    wait_s: float = 0.0,
) -> None:
    from ..money.moves import Move, MoveKind
    from ..money.owner import make

    make(asked, Move(MoveKind(kind), amount_micro_usdc, payout_wallet), wait_s=wait_s)


COMMANDS = (earnings, register, stake, unstake, rebond, withdraw, close)
