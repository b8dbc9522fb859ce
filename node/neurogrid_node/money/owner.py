"""Runs the commands with which an owner moves money or looks at it (`owner_commands` declares them).

They work beside a running daemon, which notices within seconds what they changed.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import click
import trio
from solders.pubkey import Pubkey

from neurogrid_contracts.chain_payments import open_outbox
from neurogrid_contracts.terminal.output import note
from neurogrid_marketplace.money import format_usdc, parse_usdc
from neurogrid_wallet.errors import OutboxInUse, RpcError, WalletError
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import signers_from

from ..commands.options import Asked
from ..config import CONFIG_NAME, ConfigError, load_config
from ..key_files import load_keys, wallet_address
from .chain import Market, MarketMissing
from .desk import OUTBOX_FILE, MoveDesk
from .funding import until_funded
from .holdings import Holdings, read_escrows, read_holdings, read_vouchers
from .left_market import forget_left, note_left
from .moves import Move, MoveKind, MoveRefused, Plan, Refusal
from .plans import REGISTRATION_LAMPORTS, plan
from .staking import missing_funds
from .view import Money, print_money, print_moved, print_plan, print_refusal

EXIT_REFUSED = 1
EXIT_UNUSABLE = 2
EXIT_UNREACHABLE = 7


def show(directory: Path, *, as_json: bool) -> None:
    """Show what the owner has."""

    async def shown() -> None:
        chain = load_config(directory / CONFIG_NAME).chain
        owner = Pubkey.from_string(wallet_address(directory))
        async with Rpc(chain.rpc_url) as rpc:
            market = Market(rpc, chain.deployment(), owner, chain.genesis_hash)
            print_money(await _money(market, directory), as_json=as_json)

    _run(shown, as_json=as_json)


def wait_for_funds(directory: Path, timeout_s: float) -> None:
    """Wait until the wallet has what the first `start` registers and stakes with, and end the program if
    it never does."""

    async def funded() -> None:
        config = load_config(directory / CONFIG_NAME)
        owner = Pubkey.from_string(wallet_address(directory))
        async with Rpc(config.chain.rpc_url) as rpc:
            market = Market(rpc, config.chain.deployment(), owner, config.chain.genesis_hash)

            async def attempt() -> Holdings:
                return _funded(await read_holdings(market), parse_usdc(config.risk.stake_usdc))

            holdings = await until_funded(attempt, timeout_s, note)
        note(f"{format_usdc(holdings.wallet_micro_usdc)} USDC are there")

    _run(funded, as_json=False)


def _funded(holdings: Holdings, stake_micro_usdc: int) -> Holdings:
    """The same, if a registration with this stake lacks nothing."""
    wanted = max(stake_micro_usdc, holdings.terms.min_stake_micro_usdc)
    missing = "" if holdings.provider is not None else missing_funds(holdings, wanted)
    if missing:
        lacks_sol = holdings.wallet_lamports < REGISTRATION_LAMPORTS
        raise MoveRefused(Refusal.NOT_ENOUGH_SOL if lacks_sol else Refusal.NOT_ENOUGH_USDC, missing)
    return holdings


def make(asked: Asked, wanted: Move, *, wait_s: float = 0.0) -> None:
    """Make a move, once, however often the command is interrupted and typed again.

    Args:
        wanted: for a stake of no amount, what is missing to node.toml's `stake_usdc` is staked.
        wait_s: how long is waited for money that the wallet lacks.
    """

    async def made() -> None:
        async with _at_desk(asked) as (market, desk):
            await _make(asked, wanted, market, desk, wait_s)

    _run(made, as_json=asked.as_json)


async def _make(asked: Asked, wanted: Move, market: Market, desk: MoveDesk, wait_s: float) -> None:
    left = await desk.unfinished()
    if left is not None:
        signature = await desk.finish()
        if wanted in (left, replace(left, amount_micro_usdc=0)):
            money = await _money(market, asked.directory)
            print_moved(left, signature, money, as_json=asked.as_json, interrupted=True)
            await desk.shown()
            return
        click.echo(f"finished first: `{left}`, which was interrupted: {signature}", err=True)
        await desk.shown()

    async def planned() -> tuple[Holdings, Move, Plan]:
        holdings = await read_holdings(market)
        move = _completed(wanted, holdings, asked.directory)
        return holdings, move, plan(move, holdings, market.deployment)

    holdings, move, ready = await until_funded(planned, wait_s, note)
    _confirm(asked, ready.question, lambda: print_plan(holdings, ready))
    account = market.deployment.provider(market.wallet)
    if move.kind is MoveKind.CLOSE:
        # First: a daemon that starts in between must not register again.
        await trio.to_thread.run_sync(note_left, asked.directory, account)
    elif move.kind is MoveKind.REGISTER:
        await trio.to_thread.run_sync(forget_left, asked.directory)
    signature = await desk.carry_out(move, ready.instructions)
    money = await _money(market, asked.directory)
    print_moved(move, signature, money, as_json=asked.as_json, interrupted=False)
    await desk.shown()


def _completed(wanted: Move, holdings: Holdings, directory: Path) -> Move:
    """A stake of no amount brings the account up to what `start` would register with."""
    if wanted.kind is not MoveKind.STAKE or wanted.amount_micro_usdc:
        return wanted
    configured = parse_usdc(load_config(directory / CONFIG_NAME).risk.stake_usdc)
    target = max(configured, holdings.terms.min_stake_micro_usdc)
    missing = target - holdings.staked_micro_usdc
    if missing <= 0:
        raise MoveRefused(
            Refusal.AMOUNT_INVALID,
            f"{format_usdc(holdings.staked_micro_usdc)} USDC are staked, no less than node.toml "
            "asks for: name an amount to stake more",
        )
    return replace(wanted, amount_micro_usdc=missing)


@asynccontextmanager
async def _at_desk(asked: Asked) -> AsyncIterator[tuple[Market, MoveDesk]]:
    """The market of this node, and the desk, on which the outbox is at work meanwhile."""
    chain = load_config(asked.directory / CONFIG_NAME).chain
    wallet = load_keys(asked.directory, asked.passphrase_file).wallet
    owner = Pubkey(wallet.public_key)
    path = asked.directory / OUTBOX_FILE
    async with (
        open_outbox(chain, path, signers_from([wallet])) as (rpc, outbox),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(outbox.run)
        market = Market(rpc, chain.deployment(), owner, chain.genesis_hash)
        yield market, MoveDesk(asked.directory, outbox, owner)
        nursery.cancel_scope.cancel()


async def _money(market: Market, directory: Path) -> Money:
    return Money(
        await read_holdings(market),
        await read_escrows(market),
        await trio.to_thread.run_sync(read_vouchers, directory),
    )


def _confirm(asked: Asked, question: str, show_first: Callable[[], None]) -> None:
    """Ask before money moves.

    Raises:
        MoveRefused: it was not confirmed, or there is nobody to ask.
    """
    if asked.yes:
        return
    if asked.as_json or not sys.stdin.isatty():
        raise MoveRefused(Refusal.NOT_CONFIRMED, f"{question} Nobody is here to answer: add --yes")
    show_first()
    if not click.confirm(question, err=True):
        raise MoveRefused(Refusal.NOT_CONFIRMED, "not confirmed; nothing was moved")


def _run(command: Callable[[], Awaitable[None]], *, as_json: bool) -> None:
    """Run a command; what can go wrong outside of us is a code, a message and an exit status."""
    try:
        trio.run(command)
    except Exception as error:  # noqa: BLE001 - the outermost boundary; `_known` raises bugs again
        refused, status = _refusal(_known(error))
        print_refusal(refused, as_json=as_json)
        sys.exit(status)


def _known(error: Exception) -> Exception:
    """The one error inside groups of one, if it is one of those that a command may meet."""
    found: BaseException = error
    while isinstance(found, BaseExceptionGroup) and len(found.exceptions) == 1:
        found = found.exceptions[0]
    if isinstance(found, BrokenPipeError):
        raise found from None  # nobody reads its output any more
    if isinstance(found, (MoveRefused, MarketMissing, WalletError, ConfigError, OSError)):
        return found
    raise error


def _refusal(error: Exception) -> tuple[MoveRefused, int]:
    match error:
        case MoveRefused(code=Refusal.NOT_DECIDED):
            return error, EXIT_UNREACHABLE
        case MoveRefused():
            return error, EXIT_REFUSED
        case RpcError():
            return MoveRefused(Refusal.CHAIN_AWAY, str(error)), EXIT_UNREACHABLE
        case OutboxInUse():
            message = "another such command is at work in this directory: wait until it has ended"
            return MoveRefused(Refusal.COMMAND_RUNNING, message), EXIT_REFUSED
    return MoveRefused(Refusal.UNUSABLE, str(error)), EXIT_UNUSABLE
