"""The owner's commands, typed, on a real ledger with the real program."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner, Result

from closed_output import CLOSED, run_unread
from neurogrid_node.__main__ import main
from neurogrid_node.journal import Journal
from neurogrid_node.key_files import forgo_backup
from neurogrid_node.market.reservations import Reservation
from neurogrid_node.money.desk import NOTE_FILE, OUTBOX_FILE, MoveDesk
from neurogrid_node.money.holdings import read_holdings
from neurogrid_node.money.left_market import has_left
from neurogrid_node.money.moves import Move, MoveKind, MoveRefused, Refusal
from neurogrid_node.money.plans import plan
from neurogrid_node.money.staking import Staking
from neurogrid_node.setup import initialise
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Outbox, Payment
from neurogrid_wallet.transactions import signers_from
from node.chain_world import (
    MAX_COST,
    USDC,
    ChainWorld,
    Parties,
    chain_world,
    market_on_ledger,
    pubkey,
)
from node.market import COORDINATOR, NEED
from wallet.terminal import Terminal

ADDRESS = f"/ip4/127.0.0.1/tcp/4001/p2p/{COORDINATOR}"
STAKE_5 = Move(MoveKind.STAKE, 5 * USDC)


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parties]:
    with market_on_ledger(tmp_path_factory.mktemp("market")) as made:
        yield made


class Killed(BaseException):
    """kill -9, as near as one process can come to it."""


class DyingOutbox(Outbox):
    """An outbox whose process dies at one of the steps of a payment; -1: at none.

    0: before it is stored. 1: before it is sent. 2: after it was carried out.
    """

    def __init__(self, *arguments: Any, dies_at: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._dies_at = dies_at

    def _passed(self, step: int) -> None:
        if step == self._dies_at:
            raise Killed

    async def submit(self, *arguments: Any, **options: Any) -> Payment:
        self._passed(0)
        payment = await super().submit(*arguments, **options)
        self._passed(1)
        return payment

    async def confirmed(self, *arguments: Any, **options: Any) -> Payment:
        payment = await super().confirmed(*arguments, **options)
        self._passed(2)
        return payment


class Owner:
    """Somebody with a node's directory, whose wallet has SOL and 100 USDC, at a keyboard."""

    def __init__(self, directory: Path, parties: Parties) -> None:
        self.directory = directory
        self._parties = parties
        chain_file = directory.parent / "chain.json"

        async def deployment() -> dict[str, str]:
            async with chain_world(directory.parent, parties) as world:
                return {
                    "rpc_url": parties.ledger.url,
                    "genesis_hash": world.genesis_hash,
                    **world.deployment.to_json(),
                }

        chain_file.write_text(json.dumps(trio.run(deployment)))
        initialise(
            directory,
            coordinators=(ADDRESS,),
            chain_file=chain_file,
            region="local",
            encrypted=False,
            passphrase_file=None,
            back_up=forgo_backup,
        )
        self.wallet = KeyPair.read_solana_file(directory / "wallet.json")
        self.on_chain(lambda world: world.fund(self.wallet, 100 * USDC))

    def on_chain(self, act: Callable[[ChainWorld], Awaitable[None]]) -> None:
        """Have the others of the market do something."""

        async def acted() -> None:
            async with chain_world(self.directory.parent, self._parties) as world:
                world.wallet = self.wallet
                await act(world)

        trio.run(acted)

    def types(self, *words: str) -> Result:
        return CliRunner().invoke(main, [*words, "--data", str(self.directory)])

    def moves(self, *words: str) -> dict[str, Any]:
        """A command that moves money and succeeds; its JSON."""
        done = self.types(*words, "--yes", "--json")
        assert done.exit_code == 0, done.output
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def refusal(self, *words: str) -> tuple[int, str]:
        """Exit code and code of a command that is refused."""
        refused = self.types(*words, "--json")
        return refused.exit_code, json.loads(refused.stdout)["error"]["code"]

    def money(self) -> dict[str, Any]:
        shown = self.types("earnings", "--json")
        assert shown.exit_code == 0, shown.output
        document: dict[str, Any] = json.loads(shown.stdout)
        return document

    @asynccontextmanager
    async def outbox(self, world: ChainWorld, *, dies_at: int = -1) -> AsyncIterator[Outbox]:
        """The commands' outbox, at work until it is to die with something unsent."""
        outbox = DyingOutbox(
            self.directory / OUTBOX_FILE,
            rpc=world.rpc,
            signers=signers_from([self.wallet]),
            dies_at=dies_at,
        )
        async with outbox, trio.open_nursery() as nursery:
            if dies_at not in (0, 1):
                nursery.start_soon(outbox.run)
            yield outbox
            nursery.cancel_scope.cancel()

    def amounts(self) -> tuple[str, str, str]:
        """In the wallet, staked, unbonding."""
        money = self.money()
        return money["wallet_usdc"], money["staked_usdc"], money["unbonding_usdc"]


@pytest.fixture
def owner(tmp_path: Path, parties: Parties) -> Owner:
    return Owner(tmp_path / "node", parties)


def test_an_owner_registers_stakes_unstakes_and_is_told_when_to_come_back(owner: Owner) -> None:
    assert owner.money()["registered"] is False
    assert owner.refusal("stake", "5", "--yes") == (1, "NOT_REGISTERED")
    assert owner.moves("register")["command"] == "register"
    assert owner.refusal("register", "--yes") == (1, "ALREADY_REGISTERED")
    assert owner.refusal("stake", "100.000001", "--yes") == (1, "NOT_ENOUGH_USDC")
    # As much as node.toml's stake_usdc, and then no more.
    assert owner.moves("stake")["command"] == "stake 10.00"
    assert owner.refusal("stake", "--yes") == (1, "AMOUNT_INVALID")
    staked = owner.moves("stake", "2.5")
    assert staked["interrupted"] is False
    assert staked["money"]["staked_usdc"] == "12.50"
    assert owner.refusal("withdraw", "--yes") == (1, "NOTHING_UNBONDING")
    assert owner.refusal("unstake", "12.500001", "--yes") == (1, "NOT_ENOUGH_STAKE")
    owner.moves("unstake", "4")
    assert owner.amounts() == ("87.50", "8.50", "4.00")
    refused = owner.types("withdraw", "--yes")
    assert refused.exit_code == 1
    assert "STILL_UNBONDING: 4.00 USDC are unbonding until 20" in refused.output
    assert re.search(r"come back in (7 d|6 d 23 h)$", refused.output)
    assert owner.refusal("close", "--yes") == (1, "STAKE_LEFT")
    owner.moves("rebond", "3")
    assert owner.amounts() == ("87.50", "11.50", "1.00")
    assert not (owner.directory / NOTE_FILE).exists()


def test_who_has_left_the_market_is_not_registered_again_by_a_start(owner: Owner) -> None:
    owner.moves("register")
    owner.moves("close")
    assert owner.money()["registered"] is False

    async def starts(world: ChainWorld) -> None:
        provider = world.deployment.provider(pubkey(owner.wallet))
        async with owner.outbox(world) as outbox, trio.open_nursery() as nursery:
            staking = Staking(
                world.market(),
                outbox,
                has_left=lambda: has_left(owner.directory, provider),
            )
            await staking.ensure(10 * USDC)
            told = trio.Event()

            def changed(may_work: bool) -> None:
                assert not may_work
                told.set()

            nursery.start_soon(staking.follow, changed)
            await told.wait()
            assert "neurogrid-node register" in staking.problem
            nursery.cancel_scope.cancel()

    owner.on_chain(starts)
    assert owner.amounts() == ("100.00", "0.00", "0.00")
    owner.moves("register")
    assert owner.money()["registered"] is True


def pay_for_going_first(owner: Owner) -> None:
    """Have the node pay 30,000 lamports: 200,000 units at a whole one each are more than this cap."""
    settings = owner.directory / "node.toml"
    text = settings.read_text().replace('fee_policy = "percentile"', 'fee_policy = "fixed"')
    text = text.replace("_price_micro_lamports = 0", "_price_micro_lamports = 1_000_000")
    settings.write_text(text.replace("fee_cap_lamports = 100_000", "fee_cap_lamports = 30_000"))


def test_a_move_pays_for_going_first_as_node_toml_says(owner: Owner) -> None:
    pay_for_going_first(owner)
    signature = owner.moves("register")["transaction"]

    async def paid(world: ChainWorld) -> None:
        record = await world.rpc.transaction(signature)
        assert record is not None
        assert record.fee_lamports == 5_000 + 30_000

    owner.on_chain(paid)


@pytest.mark.engine
@pytest.mark.processes
def test_a_daemon_pays_for_going_first_as_node_toml_says(owner: Owner) -> None:
    pay_for_going_first(owner)

    async def registered(world: ChainWorld) -> None:
        account = str(world.deployment.provider(pubkey(world.wallet)))
        found: list[dict[str, Any]] = []
        with trio.fail_after(120):
            while not found:
                await trio.sleep(0.1)
                found = await world.rpc.call("getSignaturesForAddress", [account])
        record = await world.rpc.transaction(found[0]["signature"])
        assert record is not None
        assert record.fee_lamports == 5_000 + 30_000

    command = [sys.executable, "-m", "neurogrid_node", "start", "--data", str(owner.directory)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as daemon:
        try:
            owner.on_chain(registered)
        finally:
            # A kill would leave the disk of a probe that is under way.
            daemon.terminate()
            daemon.wait(timeout=60)


def test_a_command_waits_until_the_money_is_there(owner: Owner) -> None:
    owner.moves("register")
    command = [sys.executable, "-m", "neurogrid_node", "stake", "150", "--yes", "--wait-for-funds"]
    with Terminal([*command, "--data", str(owner.directory)], dict(os.environ)) as terminal:
        terminal.expect(r"has 100\.00 USDC; send it 50\.00 more.*waiting for at most 60 min")
        owner.on_chain(lambda world: world.fund(owner.wallet, 50 * USDC))
        status, said = terminal.ended()
    assert (status, "staked 150.00 USDC" in said) == (0, True)
    # What no money mends is refused at once, and so is a wait that is over.
    wait = ("stake", "7", "--wait-for-funds", "--wait-limit", "1")
    assert owner.refusal(*wait, "--yes") == (1, "NOT_ENOUGH_USDC")
    # `init` waits for what `start` will register with; who is registered lacks nothing.
    again = owner.types("init", "--wait-for-funds")
    assert again.exit_code == 0, again.output


def test_an_owner_is_asked_before_money_moves(owner: Owner) -> None:
    owner.moves("register")
    assert owner.refusal("stake", "5") == (1, "NOT_CONFIRMED")
    piped = owner.types("stake", "5")
    assert (piped.exit_code, "Stake 5.00 USDC? Nobody is here to answer" in piped.output) == (
        1,
        True,
    )
    assert owner.amounts() == ("100.00", "0.00", "0.00")


@pytest.mark.parametrize(("answer", "staked"), [("n", "0.00"), ("y", "5.00")])
def test_at_a_terminal_the_owner_sees_what_will_be_left_and_answers(
    owner: Owner, answer: str, staked: str
) -> None:
    owner.moves("register")
    command = [sys.executable, "-m", "neurogrid_node", "stake", "5", "--data", str(owner.directory)]
    with Terminal(command, dict(os.environ)) as terminal:
        terminal.expect(r"in wallet 100\.00 -> 95\.00 USDC")
        terminal.expect(r"staked    0\.00 -> 5\.00 USDC")
        terminal.expect(r"Stake 5\.00 USDC\?")
        terminal.type(answer)
        status, _ = terminal.ended()
    assert status == (0 if answer == "y" else 1)
    assert ("NOT_CONFIRMED" in terminal.screen) is (answer == "n")
    assert owner.money()["staked_usdc"] == staked


@pytest.mark.parametrize("amount", ["", "-1", "0", "1e3", "1.0000001", "show", "NaN"])
def test_an_amount_is_digits_above_zero(tmp_path: Path, amount: str) -> None:
    refused = CliRunner().invoke(main, ["unstake", "--data", str(tmp_path), "--", amount])
    assert refused.exit_code == 2
    assert "Invalid value for 'AMOUNT'" in refused.output


def test_escrows_that_pay_us_and_vouchers_we_hold_are_shown(owner: Owner) -> None:
    owner.moves("register")
    owner.moves("stake")

    async def job(world: ChainWorld) -> None:
        await world.open_escrow()
        lease = world.lease()
        voucher = await world.voucher(12_345, final=False)
        journal = Journal(owner.directory / "journal.db")
        journal.add(lease, Reservation(NEED, (), None))
        journal.save(replace(lease, voucher=voucher))
        journal.close()
        # Another provider's escrow is nobody's business here.
        other = KeyPair.generate()
        world.wallet, world.lease_id = other, f"lease_{'7' * 32}"
        world.directory = owner.directory.parent / "other"
        world.directory.mkdir()
        await world.stake()
        await world.open_escrow()

    owner.on_chain(job)
    money = owner.money()
    (escrow,) = money["escrows"]
    assert (escrow["state"], escrow["released_usdc"]) == ("open", "0.00")
    assert escrow["max_usdc"] == f"{MAX_COST / USDC:.6f}"
    (voucher,) = money["vouchers"]
    assert voucher["usdc"] == "0.012345"
    shown = owner.types("earnings").output
    assert "10.00 USDC (the market asks for 5.00)" in shown
    assert "1 open, 0.166667 USDC promised and not paid yet" in shown
    assert "0.012345 USDC held for 1 lease, not redeemed yet" in shown


def test_a_journal_that_a_starting_daemon_holds_hides_only_the_vouchers(owner: Owner) -> None:
    journal = Journal(owner.directory / "journal.db")
    money = owner.money()
    journal.close()
    assert (money["vouchers"], money["wallet_usdc"]) == (None, "100.00")


async def die_at(owner: Owner, world: ChainWorld, call: int) -> None:
    """Type `stake 5` and die at a call to the outbox."""
    market = world.market()
    ready = plan(STAKE_5, await read_holdings(market), market.deployment)
    async with owner.outbox(world, dies_at=call) as outbox:
        with pytest.raises(Killed):
            await MoveDesk(owner.directory, outbox, pubkey(owner.wallet)).carry_out(
                STAKE_5, ready.instructions
            )


@pytest.mark.parametrize("dies_at", [0, 1, 2])
def test_a_command_that_dies_anywhere_and_is_typed_again_stakes_once(
    owner: Owner, dies_at: int
) -> None:
    owner.moves("register")

    async def dies(world: ChainWorld) -> None:
        await die_at(owner, world, dies_at)

    owner.on_chain(dies)
    again = owner.moves("stake", "5")
    assert again["interrupted"] is (dies_at > 0)
    assert owner.amounts() == ("95.00", "5.00", "0.00")
    # A third time it is another command.
    assert owner.moves("stake", "5")["interrupted"] is False
    assert owner.amounts() == ("90.00", "10.00", "0.00")


def test_another_command_first_finishes_the_one_that_was_interrupted(owner: Owner) -> None:
    owner.moves("register")
    owner.moves("stake", "20")

    async def dies(world: ChainWorld) -> None:
        await die_at(owner, world, 1)

    owner.on_chain(dies)
    done = owner.types("unstake", "1", "--yes")
    assert done.exit_code == 0, done.output
    assert "finished first: `stake 5.00`, which was interrupted" in done.stderr
    assert owner.amounts() == ("75.00", "24.00", "1.00")


def test_a_command_that_is_killed_wherever_it_is_and_typed_again_stakes_once(owner: Owner) -> None:
    owner.moves("register")
    command = [sys.executable, "-m", "neurogrid_node", "stake", "5", "--yes"]
    note = owner.directory / NOTE_FILE
    with subprocess.Popen([*command, "--data", str(owner.directory)]) as process:
        while not note.exists() and process.poll() is None:
            time.sleep(0.002)  # wherever it is then: what is asserted holds for each moment
        process.kill()
    # It may have been quicker than we are, and have struck its note out again.
    was_told = not note.exists()
    owner.moves("stake", "5")
    assert owner.amounts() == (
        ("90.00", "10.00", "0.00") if was_told else ("95.00", "5.00", "0.00")
    )


def test_what_the_chain_refuses_moves_nothing_and_is_named(owner: Owner) -> None:
    owner.moves("register")
    owner.moves("stake", "5")

    async def twice(world: ChainWorld) -> None:
        """The stake is taken out between the look at it and our own request."""
        market = world.market()
        move = Move(MoveKind.UNSTAKE, 5 * USDC)
        ready = plan(move, await read_holdings(market), market.deployment)
        async with owner.outbox(world) as outbox:
            desk = MoveDesk(owner.directory, outbox, pubkey(owner.wallet))
            await desk.carry_out(move, ready.instructions)
            with pytest.raises(MoveRefused, match="INSUFFICIENT_STAKE") as refused:
                await desk.carry_out(move, ready.instructions)
            assert refused.value.code is Refusal.CHAIN_REFUSED

    owner.on_chain(twice)
    assert owner.amounts() == ("95.00", "0.00", "5.00")
    # It was told, so the same words are a new command.
    assert owner.refusal("unstake", "5", "--yes") == (1, "NOT_ENOUGH_STAKE")


def test_two_commands_at_once_are_one(owner: Owner) -> None:
    owner.moves("register")

    async def holds(world: ChainWorld) -> None:
        path = owner.directory / OUTBOX_FILE
        async with Outbox(path, rpc=world.rpc, signers=signers_from([owner.wallet])):
            refusal = await trio.to_thread.run_sync(owner.refusal, "stake", "5", "--yes")
            assert refusal == (1, "COMMAND_RUNNING")
            # Looking needs no turn.
            assert (await trio.to_thread.run_sync(owner.money))["wallet_usdc"] == "100.00"

    owner.on_chain(holds)


def test_a_chain_that_is_away_is_said_and_nothing_is_moved(owner: Owner) -> None:
    config = owner.directory / "node.toml"
    url = owner._parties.ledger.url
    config.write_text(config.read_text().replace(url, "http://127.0.0.1:1"))
    assert owner.refusal("stake", "5", "--yes") == (7, "CHAIN_AWAY")


def test_without_keys_the_command_says_what_to_do(tmp_path: Path) -> None:
    refused = CliRunner().invoke(main, ["stake", "5", "--yes", "--data", str(tmp_path)])
    assert refused.exit_code == 2
    assert "run `neurogrid-node init` first" in refused.output


def test_money_that_moved_is_no_failure_where_nobody_reads_of_it(owner: Owner) -> None:
    where = ("--data", str(owner.directory))
    assert run_unread("neurogrid_node", "earnings", *where) == (CLOSED, "")
    owner.moves("register")
    assert run_unread("neurogrid_node", "stake", "3", "--yes", "--json", *where) == (CLOSED, "")
    # Nobody has seen it, so whoever types it again is told of it, and it is not done twice.
    assert owner.moves("stake", "3")["interrupted"] is True
    assert owner.amounts() == ("97.00", "3.00", "0.00")
