"""The chain as a wallet command meets it: endpoints, market, currencies, outbox."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import Any, Final

import anyio
import click
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from neurogrid_contracts.client_money import Standing, read_standing
from neurogrid_contracts.deployment import Deployment, Market
from neurogrid_contracts.wallet_cli.config import Config, load_config
from neurogrid_contracts.wallet_cli.failures import UsageRefused
from neurogrid_contracts.wallet_cli.session import FILE, Session
from neurogrid_wallet.chain import Commitment
from neurogrid_wallet.currencies import Currency, currencies_of
from neurogrid_wallet.errors import RpcError, SignerMissing
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Outbox, OutboxPolicy
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.wallets import Wallet

# A public endpoint allows 40 calls of one method in 10 s.
_POLL_FIRST_S: Final = 0.25
_POLL_MAX_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Chain:
    """What the options and the configuration say.

    Attributes:
        deployment: the market; None: none is known, and there is no client account.
        second_rpc_url: empty: none.
    """

    rpc_url: str
    second_rpc_url: str
    deployment: Deployment | None
    currencies: tuple[Currency, ...]
    config: Config

    def currency(self, name: str | None) -> Currency:
        """The currency of this name, by default the market's.

        Raises:
            UsageRefused: there is none of this name.
        """
        for entry in self.currencies:
            if name is None or entry.name == name.upper():
                return entry
        known = ", ".join(entry.name for entry in self.currencies) or "none"
        raise UsageRefused(f"there is no currency {name} here: {known}; config.toml can name more")

    def market(self) -> Deployment:
        """The market.

        Raises:
            UsageRefused: none is known.
        """
        if self.deployment is None:
            raise UsageRefused("which market? Give --chain FILE, or chain in config.toml")
        return self.deployment

    async def standing(
        self, rpc: Rpc, owner: Pubkey, commitment: Commitment = Commitment.CONFIRMED
    ) -> Standing:
        return await read_standing(rpc, owner, self.currencies, self.deployment, commitment)

    @asynccontextmanager
    async def endpoints(self) -> AsyncIterator[tuple[Rpc, Rpc | None]]:
        """Both endpoints, open; that the second is on the same chain is made sure.

        Raises:
            UsageRefused: it is on another chain.
            RpcUnavailable: the first does not answer. The second is only missed when needed.
        """
        async with AsyncExitStack() as stack:
            rpc = await stack.enter_async_context(Rpc(self.rpc_url))
            if not self.second_rpc_url:
                yield rpc, None
                return
            second = await stack.enter_async_context(Rpc(self.second_rpc_url))
            ours = await rpc.call("getGenesisHash", retry=True)
            try:
                theirs = await second.call("getGenesisHash", retry=True)
            except RpcError:
                theirs = ours
            if ours != theirs:
                raise UsageRefused("the second RPC endpoint is of another chain than the first")
            yield rpc, second


def with_chain(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command a `Chain` after its session, and the options that say which."""

    def run(
        session: Session,
        /,
        *args: Any,
        chain_file: Path | None,
        rpc_url: str | None,
        second_rpc_url: str | None,
        **kwargs: Any,
    ) -> None:
        config = load_config(session.folder.path / "config.toml")
        chain = _chain(config, chain_file, rpc_url, second_rpc_url)
        function(session, chain, *args, **kwargs)

    command = update_wrapper(run, function)
    for option in (
        click.option(
            "--second-rpc-url",
            metavar="URL",
            envvar="NEUROGRID_SECOND_RPC_URL",
            help="Another operator's endpoint: large sums count when both agree.",
        ),
        click.option(
            "--rpc-url",
            metavar="URL",
            envvar="NEUROGRID_RPC_URL",
            help="Solana's JSON-RPC; else the market's.",
        ),
        click.option(
            "--chain",
            "chain_file",
            type=FILE,
            envvar="NEUROGRID_CHAIN",
            help="The market's file, as its coordinator gives it out.",
        ),
    ):
        command = option(command)
    return command


def _chain(
    config: Config, chain_file: Path | None, rpc_url: str | None, second_rpc_url: str | None
) -> Chain:
    path = chain_file or (Path(config.chain).expanduser() if config.chain else None)
    market = None
    if path is not None:
        try:
            market = Market.load(path)
        except ValueError as error:
            raise UsageRefused(f"{path} is no market's file: {error}") from error
    url = rpc_url or config.rpc_url or (market.rpc_url if market else "")
    second = second_rpc_url or config.second_rpc_url
    if not url:
        raise UsageRefused("which chain? Give --chain FILE or --rpc-url, or set one in config.toml")
    for address in filter(None, (url, second)):
        if not address.startswith(("http://", "https://")):
            raise UsageRefused("an RPC address begins with http:// or https://")
    if url == second:
        raise UsageRefused("the second RPC endpoint is the first one: it would always agree")
    deployment = market.deployment if market else None
    mint = deployment.usdc_mint if deployment else None
    return Chain(url, second, deployment, currencies_of(mint, config.mints()), config)


class LateSigner:
    """A signer source that gets its key when the passphrase has been typed.

    Until then the outbox can be looked into, and nothing in it can be signed.
    """

    def __init__(self) -> None:
        self._keypair: Keypair | None = None

    def give(self, key: KeyPair) -> None:
        self._keypair = key.to_solders()

    def __call__(self, addresses: list[Pubkey]) -> list[Keypair]:
        held = self._keypair
        if held is None or any(address != held.pubkey() for address in addresses):
            raise SignerMissing(f"no key for {', '.join(map(str, addresses))}")
        return [held]


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that a payment needs, open.

    Attributes:
        second_rpc: None: none is configured.
        signer: holds no key yet.
    """

    rpc: Rpc
    second_rpc: Rpc | None
    outbox: Outbox
    signer: LateSigner
    owner: Pubkey


def at_desk(chain: Chain, wallet: Wallet, work: Callable[[Desk], Awaitable[None]]) -> None:
    """Run ``work`` with the wallet's outbox, which no other command has meanwhile."""

    async def main() -> None:
        signer = LateSigner()
        policy = OutboxPolicy(
            poll_first_s=_POLL_FIRST_S,
            poll_max_s=_POLL_MAX_S,
            check_interval_s=_POLL_MAX_S,
            fees=chain.config.fees.policy(),
            two_endpoints_from_micro_usdc=chain.config.two_endpoints_from_micro_usdc(),
        )
        async with (
            chain.endpoints() as (rpc, second),
            Outbox(
                wallet.outbox_path, rpc=rpc, signers=signer, policy=policy, second_rpc=second
            ) as outbox,
        ):
            owner = Pubkey.from_string(wallet.address)
            await work(Desk(rpc, second, outbox, signer, owner))

    anyio.run(main)


@asynccontextmanager
async def running(desk: Desk, key: KeyPair) -> AsyncIterator[None]:
    """The outbox at work, with the key."""
    desk.signer.give(key)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.outbox.run)
        yield
        tasks.cancel_scope.cancel()


def ask(chain: Chain, question: Callable[[Rpc, Rpc | None], Awaitable[None]]) -> None:
    """Run a question that needs no key."""

    async def main() -> None:
        async with chain.endpoints() as (rpc, second):
            await question(rpc, second)

    anyio.run(main)
