"""A market on a real ledger: created once, funded once, whatever is interrupted."""

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import trio
from solders.pubkey import Pubkey

from contracts.ledger_process import LedgerProcess
from neurogrid_contracts.accounts import ClientAccount, ConfigAccount
from neurogrid_devnet.errors import DevnetError, NotRunning
from neurogrid_devnet.faucet import fund
from neurogrid_devnet.layout import Layout
from neurogrid_devnet.market_setup import (
    DEPOSIT_MICRO_USDC,
    Chain,
    Keys,
    LedgerInfo,
    load_keys,
    open_chain,
    read_ledger_info,
    write_chain_file,
)
from neurogrid_devnet.terms import Terms
from neurogrid_devnet.time_travel import warp
from neurogrid_marketplace.demand import MAX_TIMEOUT_S
from neurogrid_node.key_files import forgo_backup
from neurogrid_node.setup import initialise
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.usdc import usdc_balance

pytestmark = pytest.mark.processes

OPERATOR = KeyPair(b"o" * 32).address
NODE = KeyPair(b"n" * 32).address


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    made = Layout(tmp_path_factory.mktemp("devnet"))
    made.make_folders()
    with LedgerProcess(made.ledger):
        yield made


@pytest.fixture
def info(layout: Layout) -> LedgerInfo:
    found = read_ledger_info(layout)
    assert found is not None
    return found


@pytest.fixture
def keys(layout: Layout) -> Keys:
    return load_keys(layout)


async def client_account(chain: Chain, keys: Keys) -> ClientAccount:
    owner = Pubkey.from_bytes(keys.client.public_key)
    account = await chain.rpc.get_account(chain.deployment.client(owner))
    assert account is not None
    return ClientAccount.parse(account.data)


async def test_making_everything_twice_makes_it_once(
    layout: Layout, info: LedgerInfo, keys: Keys
) -> None:
    for _ in range(2):
        async with open_chain(layout, keys, info) as chain:
            await chain.create_market(Terms())
            await chain.fund_operator(OPERATOR)
            await chain.fund_provider(NODE)
            await chain.open_client(keys.client, OPERATOR)
    async with open_chain(layout, keys, info) as chain:
        account = await client_account(chain, keys)
        assert account.available_micro_usdc == DEPOSIT_MICRO_USDC
        assert str(account.operator) == OPERATOR
        assert account.open_escrows == 0
        owner = Pubkey.from_bytes(keys.client.public_key)
        assert await usdc_balance(chain.rpc, chain.deployment.usdc_mint, owner) == 1_000_000_000
        assert await chain.rpc.sol_balance(Pubkey.from_string(NODE)) == 10 * 10**9
        node = Pubkey.from_string(NODE)
        assert await usdc_balance(chain.rpc, chain.deployment.usdc_mint, node) == 100_000_000


async def test_the_longest_task_that_may_be_asked_for_fits_an_escrow(
    layout: Layout, info: LedgerInfo, keys: Keys
) -> None:
    async with open_chain(layout, keys, info) as chain:
        await chain.create_market(Terms())
        account = await chain.rpc.get_account(chain.deployment.config)
        assert account is not None
        terms = ConfigAccount.parse(account.data)
    assert terms.longest_escrow_s > MAX_TIMEOUT_S + 86_400
    assert terms.grace_window_s == Terms().grace_window_s
    assert terms.arbiter == Pubkey.from_bytes(keys.arbiter.public_key)
    # Receipts hold the domain as a number that every JSON reader keeps exactly.
    assert 0 <= terms.domain < 2**32


async def test_another_coordinator_becomes_the_operator(
    layout: Layout, info: LedgerInfo, keys: Keys
) -> None:
    other = KeyPair(b"p" * 32).address
    async with open_chain(layout, keys, info) as chain:
        await chain.create_market(Terms())
        await chain.open_client(keys.client, OPERATOR)
        await chain.open_client(keys.client, other)
        assert str((await client_account(chain, keys)).operator) == other


def test_the_chain_file_is_what_a_node_is_initialised_with(
    layout: Layout, info: LedgerInfo, keys: Keys, tmp_path: Path
) -> None:
    write_chain_file(layout, info, keys.admin)
    peer = "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq"
    made = initialise(
        tmp_path / "node",
        coordinators=(f"/ip4/127.0.0.1/tcp/4001/p2p/{peer}",),
        chain_file=layout.chain,
        region="local",
        encrypted=False,
        passphrase_file=None,
        back_up=forgo_backup,
        settings={"prices.cpu_core": "0.5", "offer.cpu_cores": 3},
    )
    text = made.config.read_text()
    assert 'cpu_core = "0.5"' in text
    assert "cpu_cores = 3" in text
    assert info.program_id in text


def test_any_wallet_is_given_test_money(layout: Layout, info: LedgerInfo) -> None:
    wallet = KeyPair.generate()
    with layout.locked():
        for _ in range(2):
            fund(layout, wallet.address, micro_usdc=5, sol=1)
        with pytest.raises(DevnetError, match="the faucet gave nothing"):
            fund(layout, "nobody", micro_usdc=5, sol=1)

    async def has() -> tuple[int, int]:
        owner, mint = Pubkey(wallet.public_key), Pubkey.from_string(info.usdc_mint)
        async with Rpc(info.rpc_url) as rpc:
            return await usdc_balance(rpc, mint, owner), await rpc.sol_balance(owner)

    assert trio.run(has) == (10, 2 * 10**9)


def test_the_chains_clock_is_moved_for_a_running_devnet_only(
    layout: Layout, info: LedgerInfo
) -> None:
    with pytest.raises(NotRunning):
        warp(layout, 1000)
    before = time.time()
    with layout.locked():
        shown = warp(layout, 86_400)
    moved = datetime.fromisoformat(
        shown.removeprefix("the chain's clock shows ").replace(" UTC", "Z")
    )
    # Its slots may be behind the machine's clock.
    assert moved.timestamp() > before + 86_400 / 2


def test_keys_stay_the_same(layout: Layout, keys: Keys) -> None:
    assert load_keys(layout) == keys
