"""PyPI's ``solana`` against a real ledger process: its client on asyncio and on trio, its websocket."""

import asyncio
import functools
from collections.abc import Awaitable, Callable

import anyio
import pytest
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized
from solana.rpc.core import RPCException, TransactionExpiredBlockheightExceededError
from solana.rpc.models import DataSliceOpts, MemcmpOpts, TokenAccountOpts, TxOpts
from solana.rpc.websocket_api import SolanaWsClient
from solders.account_decoder import ParsedAccount
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.rpc.config import RpcTransactionLogsFilterMentions
from solders.rpc.errors import SendTransactionPreflightFailureMessage
from solders.rpc.responses import (
    AccountNotification,
    LogsNotification,
    ProgramNotification,
    RootNotification,
    SignatureNotification,
    SlotNotification,
)
from solders.signature import Signature
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import TransferParams, transfer
from solders.token.associated import get_associated_token_address
from solders.transaction import VersionedTransaction
from solders.transaction_status import TransactionConfirmationStatus, TransactionDetails
from spl.token.constants import TOKEN_PROGRAM_ID

from contracts.ledger_process import LedgerProcess
from contracts.ledger_world import SOL

pytestmark = pytest.mark.processes

Story = Callable[[AsyncClient, LedgerProcess], Awaitable[None]]


def on_both_loops(story: Story) -> Callable[[LedgerProcess, str], None]:
    """A test that tells ``story`` once on asyncio and once on trio, each with a client of its own."""

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    @functools.wraps(story)
    def test(ledger: LedgerProcess, backend: str) -> None:
        async def main() -> None:
            async with AsyncClient(ledger.url, commitment=Confirmed) as client:
                await story(client, ledger)

        anyio.run(main, backend=backend)

    # pytest reads the arguments from here, not from the story.
    del test.__wrapped__
    return test


async def funded(client: AsyncClient, lamports: int = 10 * SOL) -> Keypair:
    wallet = Keypair()
    await client.request_airdrop(wallet.pubkey(), lamports)
    return wallet


def pay(payer: Keypair, to: Pubkey, lamports: int) -> Instruction:
    return transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports))


async def signed(client: AsyncClient, payer: Keypair, *orders: Instruction) -> VersionedTransaction:
    latest = (await client.get_latest_blockhash()).value
    return VersionedTransaction(
        MessageV0.try_compile(payer.pubkey(), orders, [], latest.blockhash), [payer]
    )


async def send(client: AsyncClient, payer: Keypair, *orders: Instruction) -> Signature:
    options = TxOpts(preflight_commitment=Confirmed)
    return (await client.send_transaction(await signed(client, payer, *orders), options)).value


@on_both_loops
async def test_a_transfer_is_sent_and_confirmed(client: AsyncClient, ledger: LedgerProcess) -> None:
    payer, to = await funded(client), Keypair().pubkey()
    latest = (await client.get_latest_blockhash()).value
    signature = await send(client, payer, pay(payer, to, SOL))
    found = await client.confirm_transaction(
        signature, Confirmed, last_valid_block_height=latest.last_valid_block_height
    )
    assert found.value[0] is not None
    assert found.value[0].err is None
    assert (await client.get_balance(to)).value == SOL
    assert (await client.get_balance(payer.pubkey())).value == 9 * SOL - 5000


@on_both_loops
async def test_what_was_never_sent_is_expired(client: AsyncClient, ledger: LedgerProcess) -> None:
    with pytest.raises(TransactionExpiredBlockheightExceededError):
        await client.confirm_transaction(Signature.default(), last_valid_block_height=1)


def test_confirm_transaction_waits_on_asyncio(ledger: LedgerProcess) -> None:
    async def main() -> None:
        async with AsyncClient(ledger.url, commitment=Confirmed) as client:
            payer = await funded(client)
            signature = await send(client, payer, pay(payer, payer.pubkey(), 1))
            found = await client.confirm_transaction(signature, Finalized, sleep_seconds=0.05)
            status = found.value[0]
            assert status is not None
            assert status.confirmation_status == TransactionConfirmationStatus.Finalized

    asyncio.run(main())


def test_confirm_transaction_cannot_wait_on_trio(ledger: LedgerProcess) -> None:
    """The library sleeps by asyncio; our wallet confirms by itself (neurogrid_wallet)."""

    async def main() -> None:
        async with AsyncClient(ledger.url) as client:
            with pytest.raises(RuntimeError, match="no running event loop"):
                await client.confirm_transaction(Signature.default(), last_valid_block_height=2**40)

    anyio.run(main, backend="trio")


@on_both_loops
async def test_a_refused_preflight_tells_why(client: AsyncClient, ledger: LedgerProcess) -> None:
    payer = await funded(client, SOL)
    with pytest.raises(RPCException) as caught:
        await send(client, payer, pay(payer, Keypair().pubkey(), 2 * SOL))
    refusal = caught.value.args[0]
    assert isinstance(refusal, SendTransactionPreflightFailureMessage)
    assert any("insufficient lamports" in line for line in refusal.data.logs or [])


@on_both_loops
async def test_a_transaction_is_simulated(client: AsyncClient, ledger: LedgerProcess) -> None:
    payer, to = await funded(client), Keypair().pubkey()
    transaction = await signed(client, payer, pay(payer, to, SOL))
    checked = (await client.simulate_transaction(transaction, sig_verify=True)).value
    assert checked.err is None
    assert checked.units_consumed
    replaced = await client.simulate_transaction(
        transaction,
        replace_recent_blockhash=True,
        inner_instructions=True,
        accounts_addresses=[to],
    )
    assert replaced.value.accounts is not None
    account = replaced.value.accounts[0]
    assert account is not None
    assert account.lamports == SOL
    assert isinstance(transaction.message, MessageV0)
    fee = await client.get_fee_for_message(transaction.message)
    assert fee.value == 5000


@on_both_loops
async def test_history_is_paged_and_read(client: AsyncClient, ledger: LedgerProcess) -> None:
    payer, to = await funded(client), Keypair().pubkey()
    sent = [await send(client, payer, pay(payer, to, SOL + number)) for number in range(4)]
    rows = (await client.get_signatures_for_address(to, before=sent[3], until=sent[0])).value
    assert [row.signature for row in rows] == [sent[2], sent[1]]
    (newest,) = (await client.get_signatures_for_address(to, limit=1)).value
    assert newest.signature == sent[3]
    for encoding in ("json", "jsonParsed", "base64"):
        past = await client.get_transaction(sent[0], encoding, max_supported_transaction_version=0)
        assert past.value is not None
        assert past.value.transaction.meta is not None
        assert past.value.transaction.meta.fee == 5000
    slot = rows[0].slot
    block = await client.get_block(slot, max_supported_transaction_version=0, commitment=Confirmed)
    assert block.value is not None
    assert block.value.transactions
    for details in (TransactionDetails.Signatures, TransactionDetails.None_):
        thin = await client.get_block(
            slot,
            max_supported_transaction_version=0,
            transaction_details=details,
            rewards=False,
            commitment=Confirmed,
        )
        assert thin.value is not None
        assert thin.value.transactions is None
    assert (await client.get_block_time(slot)).value == block.value.block_time
    statuses = (await client.get_signature_statuses(sent, search_transaction_history=True)).value
    assert all(status is not None and status.err is None for status in statuses)


@on_both_loops
async def test_accounts_and_tokens_are_read(client: AsyncClient, ledger: LedgerProcess) -> None:
    owner = await funded(client)
    mint = Pubkey.from_string(ledger.info["usdc_mint"])
    ledger.call("neurogrid_requestUsdc", str(owner.pubkey()), 2_500_000)
    tokens = get_associated_token_address(owner.pubkey(), mint)
    part = await client.get_account_info(tokens, data_slice=DataSliceOpts(offset=32, length=32))
    assert part.value is not None
    assert part.value.data == bytes(owner.pubkey())
    parsed = await client.get_account_info_json_parsed(tokens)
    assert parsed.value is not None
    assert isinstance(parsed.value.data, ParsedAccount)
    assert parsed.value.data.program == "spl-token"
    held = await client.get_token_account_balance(tokens)
    assert held.value.ui_amount_string == "2.5"
    both = await client.get_multiple_accounts([tokens, Keypair().pubkey()])
    assert [account is None for account in both.value] == [False, True]
    by_mint = await client.get_token_accounts_by_owner(owner.pubkey(), TokenAccountOpts(mint=mint))
    by_program = await client.get_token_accounts_by_owner_json_parsed(
        owner.pubkey(), TokenAccountOpts(program_id=TOKEN_PROGRAM_ID)
    )
    assert [one.pubkey for one in by_mint.value] == [tokens]
    assert [one.pubkey for one in by_program.value] == [tokens]
    of_owner = await client.get_program_accounts(
        TOKEN_PROGRAM_ID,
        encoding="base64",
        filters=[165, MemcmpOpts(offset=32, bytes=str(owner.pubkey()))],
    )
    assert [one.pubkey for one in of_owner.value] == [tokens]
    packed = await client.get_account_info(mint, encoding="base64+zstd")
    plain = await client.get_account_info(mint)
    assert packed.value is not None
    assert plain.value is not None
    assert packed.value.data == plain.value.data
    supply = (await client.get_token_supply(mint)).value
    assert int(supply.amount) >= 2_500_000
    largest = (await client.get_token_largest_accounts(mint)).value
    assert largest


@on_both_loops
async def test_the_cluster_answers(client: AsyncClient, ledger: LedgerProcess) -> None:
    assert await client.is_connected()
    await funded(client)
    identity = (await client.get_identity()).value.identity
    epoch = (await client.get_epoch_info()).value
    schedule = (await client.get_epoch_schedule()).value
    assert epoch.slots_in_epoch == schedule.slots_per_epoch
    assert str((await client.get_genesis_hash()).value) == ledger.info["genesis_hash"]
    assert (await client.get_version()).value.solana_core
    assert (await client.get_slot_leader()).value == identity
    assert (await client.get_slot_leaders(epoch.absolute_slot, 2)).value == [identity] * 2
    assert [node.pubkey for node in (await client.get_cluster_nodes()).value] == [identity]
    votes = (await client.get_vote_accounts()).value
    assert [one.node_pubkey for one in votes.current] == [identity]
    leaders = (await client.get_leader_schedule()).value
    assert leaders is not None
    assert len(leaders[identity]) == epoch.slots_in_epoch
    supply = (await client.get_supply()).value
    assert supply.total == supply.circulating
    largest = (await client.get_largest_accounts()).value
    assert str(largest[0].address) == ledger.info["faucet"]
    assert (await client.get_inflation_governor()).value.initial == 0
    assert (await client.get_inflation_rate()).value.total == 0
    assert (await client.get_inflation_reward([identity], epoch=0)).value == [None]
    assert (await client.get_block_commitment(epoch.absolute_slot)).value.total_stake == 0
    assert len((await client.get_recent_performance_samples(1)).value) <= 1
    assert (await client.get_recent_prioritization_fees([identity])).value
    assert (await client.get_transaction_count()).value > 0
    assert (await client.get_first_available_block()).value <= epoch.absolute_slot
    assert (await client.get_minimum_ledger_slot()).value <= epoch.absolute_slot
    assert (await client.get_block_height()).value >= epoch.block_height
    blocks = (await client.get_blocks(epoch.absolute_slot, epoch.absolute_slot)).value
    assert blocks in ([], [epoch.absolute_slot])  # whether it is final by now
    assert (await client.get_minimum_balance_for_rent_exemption(165)).value == 2_039_280


def test_the_websocket_tells_of_everything(ledger: LedgerProcess) -> None:
    """On asyncio: the library's websocket has no other loop."""

    async def main() -> None:
        async with (
            AsyncClient(ledger.url, commitment=Confirmed) as client,
            SolanaWsClient(ledger.info["ws_url"]) as socket,
        ):
            payer, to = await funded(client), Keypair().pubkey()
            transaction = await signed(client, payer, pay(payer, to, SOL))
            subscriptions = [
                await socket.account_subscribe(pubkey=to, commitment=Confirmed, encoding="base64"),
                await socket.program_subscribe(
                    program_id=SYSTEM_PROGRAM, commitment=Confirmed, encoding="base64"
                ),
                await socket.logs_subscribe(
                    filter_=RpcTransactionLogsFilterMentions(to), commitment=Confirmed
                ),
                await socket.slot_subscribe(),
                await socket.root_subscribe(),
            ]
            await socket.signature_subscribe(
                signature=transaction.signatures[0], commitment=Confirmed
            )
            await client.send_transaction(transaction, TxOpts(preflight_commitment=Confirmed))
            missing = {
                AccountNotification,
                ProgramNotification,
                LogsNotification,
                SignatureNotification,
                SlotNotification,
                RootNotification,
            }
            async with asyncio.timeout(60):
                while missing:
                    missing.discard(type(await socket.recv()))
            for subscription in subscriptions:
                await socket.unsubscribe(subscription)

    asyncio.run(main())
