"""The devnet's chain: a market on it, and money for everybody, from the ledger's faucet.

Each step looks at the chain first and goes through an outbox, so that a start which was interrupted
at any point is simply made again.
"""

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

import trio
from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import ClientAccount
from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions import (
    MarketTerms,
    deposit,
    init_config,
    open_client,
    set_operator,
)
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import signers_from
from neurogrid_wallet.usdc import create_token_account, usdc_balance

from .layout import Layout, replace_json
from .terms import Terms

USDC = 1_000_000
# What each client has deposited at the start, and what it keeps in its wallet.
DEPOSIT_MICRO_USDC = 10_000 * USDC
_POCKET_MICRO_USDC = 1_000 * USDC
# Each node stakes ten of these.
_PROVIDER_MICRO_USDC = 100 * USDC
_SOL_LAMPORTS = 10 * 10**9
_SOL_LAMPORTS_LOW = 10**9
# The operator's limit only ever falls, by the maximum of each escrow; a devnet must not run dry.
_OPERATOR_LIMIT_MICRO_USDC = 1_000_000_000 * USDC
_OPERATOR_LIMIT_LOW_MICRO_USDC = 1_000_000 * USDC
_OPERATOR_DAYS = 365
_DAY_S = 86_400
_CONFIRM_S = 20.0


@dataclass(frozen=True, slots=True)
class Keys:
    """The wallets that the devnet itself keeps.

    Attributes:
        models: whose deposit pays for models that are kept warm.
    """

    admin: KeyPair
    arbiter: KeyPair
    treasury: KeyPair
    client: KeyPair
    models: KeyPair


@dataclass(frozen=True, slots=True)
class LedgerInfo:
    """What ledger.json says."""

    rpc_url: str
    pid: int
    usdc_mint: str
    program_id: str
    genesis_hash: str
    control_key_file: str


def load_keys(layout: Layout) -> Keys:
    """The devnet's keys, made at the first time."""
    found = []
    for path in (
        *(layout.admin_key, layout.arbiter_key, layout.treasury_key),
        *(layout.client_key, layout.models_key),
    ):
        if not path.exists():
            KeyPair.generate().write_solana_file(path)
        found.append(KeyPair.read_solana_file(path))
    return Keys(*found)


def read_ledger_info(layout: Layout) -> LedgerInfo | None:
    """What the ledger says of itself; None until it is ready."""
    try:
        document = json.loads(layout.ledger_info.read_text())
    except FileNotFoundError:
        return None
    return LedgerInfo(**{name: document[name] for name in LedgerInfo.__dataclass_fields__})


def write_chain_file(layout: Layout, info: LedgerInfo, admin: KeyPair) -> None:
    """chain.json: which market on which chain, for the daemons' `init`."""
    document = {
        "rpc_url": info.rpc_url,
        "program_id": info.program_id,
        "usdc_mint": info.usdc_mint,
        "admin": admin.address,
        "genesis_hash": info.genesis_hash,
    }
    replace_json(layout.chain, document, mode=0o644)


class Chain:
    """The market's chain, as the devnet's admin, client and faucet user. Made by `open_chain`."""

    def __init__(self, rpc: Rpc, outbox: Outbox, keys: Keys, info: LedgerInfo) -> None:
        self.rpc = rpc
        self.deployment = Deployment(
            program_id=Pubkey.from_string(info.program_id),
            usdc_mint=Pubkey.from_string(info.usdc_mint),
            admin=_pubkey(keys.admin),
        )
        self._outbox = outbox
        self._keys = keys
        # Vouchers of one devnet must be worthless on every other one; receipts hold it as a number
        # that JavaScript can read, so 4 bytes of the chain's own name.
        self._domain = int.from_bytes(bytes(Pubkey.from_string(info.genesis_hash))[:4])

    async def create_market(self, wanted: Terms) -> None:
        """Create the market, unless it is there."""
        if await self.rpc.get_account(self.deployment.config) is not None:
            return
        admin, treasury = _pubkey(self._keys.admin), _pubkey(self._keys.treasury)
        arbiter = _pubkey(self._keys.arbiter)
        await self._fund(arbiter, 0)
        await self._fund(admin, 0)
        terms = MarketTerms(**asdict(wanted))
        instructions = [
            create_token_account(admin, treasury, self.deployment.usdc_mint),
            init_config(
                self.deployment,
                treasury=self.deployment.token_account(treasury),
                arbiter=arbiter,
                domain=self._domain,
                terms=terms,
            ),
        ]
        await self._outbox.submit("market", instructions, admin)
        await self._outbox.confirmed("market", _CONFIRM_S)

    async def fund_operator(self, operator: str) -> None:
        """Give the coordinator SOL for its escrows' rent and fees."""
        await self._fund(Pubkey.from_string(operator), 0)

    async def fund_provider(self, wallet: str) -> None:
        """Give a node what it needs to register and stake."""
        await self._fund(Pubkey.from_string(wallet), _PROVIDER_MICRO_USDC)

    async def open_client(self, client: KeyPair, operator: str) -> None:
        """Open a client's account, deposit, and let the coordinator open escrows from it."""
        owner = _pubkey(client)
        account = await self._client_account(owner)
        if account is None:
            await self._fund(owner, DEPOSIT_MICRO_USDC + _POCKET_MICRO_USDC)
            instructions = [
                open_client(self.deployment, owner=owner),
                deposit(
                    self.deployment,
                    funder=owner,
                    client_owner=owner,
                    source=self.deployment.token_account(owner),
                    amount_micro_usdc=DEPOSIT_MICRO_USDC,
                ),
            ]
            payment_id = f"client:{client.address}"
            await self._outbox.submit(payment_id, instructions, owner)
            await self._outbox.confirmed(payment_id, _CONFIRM_S)
            account = await self._client_account(owner)
            assert account is not None, "it was just opened"
        await self._allow_operator(owner, account, Pubkey.from_string(operator))

    async def _allow_operator(
        self, owner: Pubkey, account: ClientAccount, operator: Pubkey
    ) -> None:
        now_s = int(time.time())
        if (
            account.operator == operator
            and account.operator_expiry_unix_s > now_s + 7 * _DAY_S
            and account.operator_limit_micro_usdc > _OPERATOR_LIMIT_LOW_MICRO_USDC
        ):
            return
        instruction = set_operator(
            self.deployment,
            owner=owner,
            operator=operator,
            limit_micro_usdc=_OPERATOR_LIMIT_MICRO_USDC,
            expiry_unix_s=now_s + _OPERATOR_DAYS * _DAY_S,
        )
        payment_id = f"operator:{os.urandom(8).hex()}"  # setting it twice is harmless
        await self._outbox.submit(payment_id, [instruction], owner)
        await self._outbox.confirmed(payment_id, _CONFIRM_S)

    async def _client_account(self, owner: Pubkey) -> ClientAccount | None:
        found = await self.rpc.get_account(self.deployment.client(owner))
        return ClientAccount.parse(found.data) if found else None

    async def _fund(self, wallet: Pubkey, micro_usdc: int) -> None:
        """Give test money to a wallet that has none: SOL last, because it says that all is given."""
        if await self.rpc.sol_balance(wallet) >= _SOL_LAMPORTS_LOW:
            return
        missing = micro_usdc - await usdc_balance(self.rpc, self.deployment.usdc_mint, wallet)
        if missing > 0:
            await self.rpc.call("neurogrid_requestUsdc", [str(wallet), missing])
        await self.rpc.request_airdrop(wallet, _SOL_LAMPORTS)


@asynccontextmanager
async def open_chain(layout: Layout, keys: Keys, info: LedgerInfo) -> AsyncIterator[Chain]:
    """Connect to the ledger and carry out what an earlier start left undone."""
    async with (
        Rpc(info.rpc_url) as rpc,
        Outbox(
            layout.payments, rpc=rpc, signers=signers_from([keys.admin, keys.client, keys.models])
        ) as outbox,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(outbox.run)
        yield Chain(rpc, outbox, keys, info)
        nursery.cancel_scope.cancel()


def _pubkey(key: KeyPair) -> Pubkey:
    return Pubkey.from_bytes(key.public_key)
