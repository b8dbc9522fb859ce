"""``neurogrid-contracts market, terms, admin, escrow, dispute, provider, client`` on a ledger."""

import base64
import hashlib
import json
import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account

from closed_output import CLOSED, run_unread
from contracts.command_chain import Chain
from contracts.ledger_process import LedgerProcess
from neurogrid_contracts import instructions
from neurogrid_contracts.cli.spending import LATELY_SLOTS
from neurogrid_contracts.deployment import Market
from neurogrid_marketplace.receipt import escrow_job_id
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.transactions import build_transaction

USDC = 1_000_000
DAY_S = 86_400
MULTISIG_BYTES = 355
TERMS = (
    *("--fee", "2.5", "--slash-cap", "50", "--min-stake", "5", "--dispute-bond", "1"),
    *("--unbonding-window", "10d", "--grace-window", "1h", "--arbitration-window", "3d"),
)


class Trade(Chain):
    """A market with an administrator, an arbiter, a client and a provider."""

    def begin(self, arbiter: Pubkey | None = None) -> None:
        self.admin, self.arbiter, self.client, self.provider = (
            self.key(name) for name in ("admin", "arbiter", "client", "provider")
        )
        self.market = self.path("market")
        program, mint = self.ledger.info["program_id"], self.ledger.info["usdc_mint"]
        self.do(
            *("market init --program", program, "--mint", mint, "--out", str(self.market)),
            *("--arbiter", self.arbiter.address if arbiter is None else str(arbiter), *TERMS),
            payer="admin",
        )
        self.deployment = Market.load(self.market).deployment

    def arguments(self, command: str, *rest: str, payer: str = "payer") -> list[str]:
        """A command of several words, with the market that it is about."""
        made = super().arguments(command, *rest, payer=payer)
        market = [] if "init" in command else ["--market", str(self.path("market"))]
        return [*command.split(), *made[1:], *market]

    def look(self, command: str, *rest: str) -> dict[str, Any]:
        result = self.run(*command.split(), *rest, "--market", str(self.market), "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert isinstance(found, dict)
        return found

    def by(self, name: str) -> tuple[str, str]:
        return "--authority", str(self.path(name))

    def send(self, steps: list[Instruction], *keys: KeyPair) -> None:
        """A transaction that the first key pays."""
        latest = self.ledger.call("getLatestBlockhash", {"commitment": "confirmed"})["value"]
        raw = build_transaction(
            steps,
            Pubkey(keys[0].public_key),
            [key.to_solders() for key in keys],
            Hash.from_string(latest["blockhash"]),
        )
        options = {"encoding": "base64", "preflightCommitment": "confirmed"}
        self.ledger.call("sendTransaction", base64.b64encode(raw).decode(), options)

    def furnish(self) -> None:
        """The client deposits, the provider stakes."""
        d, client, provider = self.deployment, owner(self.client), owner(self.provider)
        for key in (self.client, self.provider):
            self.ledger.call("neurogrid_requestUsdc", key.address, 1_000 * USDC)
        registered = instructions.register_provider(d, owner=provider, payout_owner=provider)
        staked = instructions.stake(
            d,
            funder=provider,
            provider_owner=provider,
            source=d.token_account(provider),
            amount_micro_usdc=100 * USDC,
        )
        self.send([registered, staked], self.provider)
        deposited = instructions.deposit(
            d,
            funder=client,
            client_owner=client,
            source=d.token_account(client),
            amount_micro_usdc=500 * USDC,
        )
        self.send([instructions.open_client(d, owner=client), deposited], self.client)

    def open(self, lease: str, *, needs_acceptance: bool = False) -> str:
        """An escrow of 50 USDC for a lease; its address."""
        job_id = escrow_job_id(lease)
        opened = instructions.open_escrow(
            self.deployment,
            authority=owner(self.client),
            client_owner=owner(self.client),
            provider_owner=owner(self.provider),
            job_id=job_id,
            max_micro_usdc=50 * USDC,
            deadline_unix_s=self.chain_time_s() + DAY_S,
            voucher_signer=owner(self.client),
            needs_acceptance=needs_acceptance,
        )
        self.send([opened], self.client)
        return str(self.deployment.escrow(owner(self.client), job_id))

    def wait(self, seconds: int, *, slots: int = 1) -> None:
        key = (self.ledger.data / "control.key").read_text().strip()
        self.ledger.call("neurogrid_warp", {"key": key, "seconds": seconds, "slots": slots})

    def chain_time_s(self) -> int:
        slot = self.ledger.call("getSlot", {"commitment": "confirmed"})
        found = self.ledger.call("getBlockTime", slot)
        assert isinstance(found, int)
        return found


def owner(key: KeyPair) -> Pubkey:
    return Pubkey(key.public_key)


@pytest.fixture(scope="module")
def slow_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerProcess]:
    with LedgerProcess(
        tmp_path_factory.mktemp("slow"), "--slot-ms", "1000", "--no-fsync"
    ) as process:
        yield process


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerProcess]:
    # Slow slots: what was sent "lately" is counted in them, and no test may depend on its speed.
    options = ("--slot-ms", "200", "--no-fsync")
    with LedgerProcess(tmp_path_factory.mktemp("ledger"), *options) as process:
        yield process


@pytest.fixture
def trade(ledger: LedgerProcess, tmp_path: Path) -> Trade:
    made = Trade(ledger, tmp_path)
    made.key("payer")
    made.begin()
    return made


def test_a_market_is_created_and_shown(trade: Trade) -> None:
    shown = trade.look("market show")
    assert shown["market"] == str(trade.deployment.config)
    assert (shown["admin"], shown["arbiter"]) == (trade.admin.address, trade.arbiter.address)
    assert (shown["fee_bps"], shown["dispute_bond_micro_usdc"]) == (250, USDC)
    for_people = trade.run("market", "show", "--market", str(trade.market)).output
    for line in ("fee +2.5 %", "dispute bond +1.00 USDC", "unbonding window +10d", "paused +no"):
        assert re.search(f"^{line}$", for_people, re.MULTILINE), line
    assert "pending arbiter" not in for_people


def test_a_command_that_nobody_reads_has_not_failed(trade: Trade) -> None:
    market = ("--market", str(trade.market))
    assert run_unread("neurogrid_contracts.cli", "market", "show", *market) == (CLOSED, "")
    paused = trade.arguments("market pause", *trade.by("admin"))
    exit_code, said = run_unread("neurogrid_contracts.cli", *paused, "--yes")
    assert exit_code == CLOSED, said
    assert "ipe" not in said
    assert trade.look("market show")["paused"] is True


def test_a_market_runs_on_the_program_that_was_deployed(trade: Trade) -> None:
    program = Chain.arguments(trade, "deploy")
    deployed = trade.run(*program, "--json")
    assert deployed.exit_code == 0, deployed.output
    program_id = json.loads(deployed.stdout)["program"]
    created = trade.do(
        *("market init --program", program_id, "--mint", trade.ledger.info["usdc_mint"]),
        *("--arbiter", trade.arbiter.address, "--out", str(trade.path("second")), *TERMS),
    )
    assert Market.load(trade.path("second")).deployment.program_id == Pubkey.from_string(program_id)
    assert created["market"] != str(trade.deployment.config)


def test_only_the_administrator_pauses_and_resumes(trade: Trade) -> None:
    said = trade.refused(3, "market pause")
    assert trade.admin.address in said
    trade.do("market pause", *trade.by("admin"))
    assert trade.look("market show")["paused"] is True
    trade.do("market resume", *trade.by("admin"))
    assert trade.look("market show")["paused"] is False


def test_terms_change_after_notice_and_not_before(trade: Trade) -> None:
    said = trade.refused(2, "terms propose", "--unbonding-window", "9d", *trade.by("admin"))
    assert "can only grow" in said
    assert "no terms are announced" in trade.refused(1, "terms apply")
    trade.do("terms propose", "--fee", "1", *trade.by("admin"))
    assert trade.look("market show")["pending_fee_bps"] == 100
    assert trade.look("market show")["pending_slash_bps"] == 5_000
    assert "WRONG_TIME" in trade.refused(1, "terms apply")
    trade.do("terms cancel", *trade.by("admin"))
    trade.do("terms propose", "--fee", "3", *trade.by("admin"))
    trade.wait(11 * DAY_S)
    trade.do("terms apply")
    assert trade.look("market show")["fee_bps"] == 300


def test_the_same_command_soon_again_is_another_transaction(
    slow_ledger: LedgerProcess, tmp_path: Path
) -> None:
    trade = Trade(slow_ledger, tmp_path)
    trade.key("payer")
    trade.begin()
    new = trade.key("new")
    for _ in range(2):
        # Three commands in one slot, if each did not wait for the next one.
        trade.do("admin propose", new.address, *trade.by("admin"))
        trade.do("admin propose", "--cancel", *trade.by("admin"))
    trade.do("admin propose", new.address, *trade.by("admin"))
    trade.do("admin accept", *trade.by("new"))


def test_the_administration_is_handed_over_in_two_steps(trade: Trade) -> None:
    new = trade.key("new")
    trade.do("admin propose", new.address, *trade.by("admin"))
    assert new.address in trade.refused(3, "admin accept")
    trade.do("admin propose", "--cancel", *trade.by("admin"))
    assert "offered to nobody" in trade.refused(1, "admin accept", *trade.by("new"))
    trade.do("admin propose", new.address, *trade.by("admin"))
    trade.do("admin accept", *trade.by("new"))
    trade.refused(3, "market pause", *trade.by("admin"))
    trade.do("market pause", *trade.by("new"))


def test_an_escrow_grows_and_is_found_by_its_lease(trade: Trade) -> None:
    trade.furnish()
    address = trade.open("lease-1")
    found = trade.look("escrow show", "--lease", "lease-1", "--client", trade.client.address)
    assert found == trade.look("escrow show", address)
    assert found["provider_owner"] == trade.provider.address
    said = trade.refused(3, "escrow top-up", address, "--amount", "5", *trade.by("provider"))
    assert trade.client.address in said
    trade.do("escrow top-up", address, "--amount", "2.5", *trade.by("client"))
    later = found["deadline_unix_s"] + 3_600
    extended = ("--deadline", datetime.fromtimestamp(later, UTC).isoformat())
    trade.do("escrow extend", address, *extended, *trade.by("client"))
    grown = trade.look("escrow show", address)
    assert grown["remaining_micro_usdc"] == 52_500_000
    assert grown["deadline_unix_s"] == later
    assert "can only move later" in trade.refused(
        1, "escrow extend", address, *extended, *trade.by("client")
    )


@pytest.mark.processes
def test_a_top_up_whose_reply_is_lost_adds_once(trade: Trade) -> None:
    trade.furnish()
    address = trade.open("lease")
    command = trade.arguments("escrow top-up", address, "--amount", "1", *trade.by("client"))
    trade.kill_within(command, answered=0)
    assert trade.look("escrow show", address)["max_micro_usdc"] == 51 * USDC
    trade.do("escrow top-up", address, "--amount", "1", *trade.by("client"))
    assert trade.look("escrow show", address)["max_micro_usdc"] == 51 * USDC
    trade.do("escrow top-up", address, "--amount", "1", *trade.by("client"))
    assert trade.look("escrow show", address)["max_micro_usdc"] == 52 * USDC


@pytest.mark.processes
def test_what_was_interrupted_long_ago_is_another_command(trade: Trade) -> None:
    trade.furnish()
    address = trade.open("lease")
    again = ("escrow top-up", address, "--amount", "1", *trade.by("client"))
    trade.kill_within(trade.arguments(*again), answered=0)
    trade.wait(60, slots=LATELY_SLOTS + 1)
    trade.do(*again)
    assert trade.look("escrow show", address)["max_micro_usdc"] == 52 * USDC


@pytest.mark.processes
def test_a_pause_is_never_taken_for_done(trade: Trade) -> None:
    trade.kill_within(trade.arguments("market pause", *trade.by("admin")), answered=0)
    trade.do("market resume", *trade.by("admin"))
    trade.do("market pause", *trade.by("admin"))
    assert trade.look("market show")["paused"] is True


def test_an_offer_is_accepted_declined_or_cancelled(trade: Trade) -> None:
    trade.furnish()
    accepted, declined, cancelled = (
        trade.open(lease, needs_acceptance=True) for lease in ("a", "b", "c")
    )
    assert trade.look("escrow show", accepted)["state"] == "offered"
    assert trade.provider.address in trade.refused(3, "escrow accept", accepted)
    trade.do("escrow accept", accepted, *trade.by("provider"))
    assert trade.look("escrow show", accepted)["state"] == "open"
    assert "is open" in trade.refused(1, "escrow cancel", accepted, *trade.by("client"))
    trade.do("escrow relinquish", declined, *trade.by("provider"))
    trade.do("escrow cancel", cancelled, *trade.by("client"))
    assert trade.look("client show", trade.client.address)["locked_micro_usdc"] == 50 * USDC


def test_a_dispute_is_slashed_within_its_cap_and_decided(trade: Trade) -> None:
    trade.furnish()
    address = trade.open("lease")
    evidence = trade.folder / "evidence.json"
    evidence.write_text("two outputs that differ")
    slash = ("--fault", "wrong-result", "--evidence", str(evidence))
    decide = ("--to-provider", "10", "--opener-was-right")
    assert "the escrow is open" in trade.refused(
        1, "dispute resolve", address, *decide, *trade.by("arbiter")
    )
    trade.do("dispute open", address, *trade.by("client"))
    assert trade.look("escrow show", address)["state"] == "disputed"
    assert trade.arbiter.address in trade.refused(3, "dispute resolve", address, *decide)
    assert "at most 50.00 USDC" in trade.refused(
        2, "dispute slash", address, "--amount", "50.01", *slash, *trade.by("arbiter")
    )
    taken = trade.do("dispute slash", address, "--amount", "20", *slash, *trade.by("arbiter"))
    assert taken["evidence_sha256"] == hashlib.sha256(evidence.read_bytes()).hexdigest()
    assert "slashed already" in trade.refused(
        1, "dispute slash", address, "--amount", "1", *slash, *trade.by("arbiter")
    )
    trade.do("dispute resolve", address, *decide, *trade.by("arbiter"))
    assert trade.look("provider show", trade.provider.address)["staked_micro_usdc"] == 80 * USDC
    client = trade.look("client show", trade.client.address)
    assert client["available_micro_usdc"] == (500 + 20 - 10) * USDC
    assert "no open escrow" in trade.refused(4, "dispute open", address, *trade.by("client"))


def test_an_infrastructure_fault_cannot_even_be_typed(trade: Trade) -> None:
    words = ("--fault", "timeout", "--evidence", "00" * 32, "--amount", "1")
    said = trade.refused(2, "dispute slash", str(trade.deployment.config), *words)
    assert "'timeout' is not one of" in said
    words = ("--fault", "node-lost", "--evidence", "00" * 32, "--amount", "1")
    said = trade.refused(2, "dispute slash", str(trade.deployment.config), *words)
    assert "FAULT_NOT_PROVEN: node-lost happens to the honest too" in said


def test_a_multisig_arbiter_decides_with_enough_of_its_members(
    ledger: LedgerProcess, tmp_path: Path
) -> None:
    trade = Trade(ledger, tmp_path)
    trade.key("payer")
    creator, group = trade.key("creator"), KeyPair.generate()
    members = [trade.key(f"member{number}", 0) for number in range(3)]
    token_program = instructions.TOKEN_PROGRAM_ID
    trade.send(
        [
            create_account(
                CreateAccountParams(
                    from_pubkey=owner(creator),
                    to_pubkey=owner(group),
                    lamports=trade.rent(MULTISIG_BYTES),
                    space=MULTISIG_BYTES,
                    owner=token_program,
                )
            ),
            Instruction(
                token_program,
                struct.pack("<BB", 19, 2),  # InitializeMultisig2: two of them
                [AccountMeta(owner(group), is_signer=False, is_writable=True)]
                + [AccountMeta(owner(key), is_signer=False, is_writable=False) for key in members],
            ),
        ],
        creator,
        group,
    )
    trade.begin(owner(group))
    trade.furnish()
    address = trade.open("lease")
    trade.do("dispute open", address, *trade.by("provider"))
    decide = ("--to-provider", "50", "--opener-was-right")
    one, two = (("--signer", str(trade.path(f"member{number}"))) for number in (0, 1))
    assert "MISSING_SIGNER" in trade.refused(1, "dispute resolve", address, *decide, *one)
    trade.do("dispute resolve", address, *decide, *one, *two)
    earned = trade.look("provider show", trade.provider.address)["earned_micro_usdc"]
    assert earned == 50 * USDC * 975 // 1_000


def test_stake_is_bonded_again_and_empty_accounts_are_closed(trade: Trade) -> None:
    trade.furnish()
    d, provider, client = trade.deployment, owner(trade.provider), owner(trade.client)
    everything = 100 * USDC
    trade.send(
        [instructions.request_unstake(d, owner=provider, amount_micro_usdc=everything)],
        trade.provider,
    )
    trade.do("provider rebond", "--amount", "40", *trade.by("provider"))
    shown = trade.look("provider show", trade.provider.address)
    assert (shown["staked_micro_usdc"], shown["unbonding_micro_usdc"]) == (40 * USDC, 60 * USDC)
    assert "only 60.00 USDC" in trade.refused(
        1, "provider rebond", "--amount", "60.000001", *trade.by("provider")
    )
    assert "holds 100.00 USDC" in trade.refused(1, "provider close", *trade.by("provider"))
    assert "has 500.00 USDC" in trade.refused(1, "client close", *trade.by("client"))

    trade.send(
        [instructions.request_unstake(d, owner=provider, amount_micro_usdc=40 * USDC)],
        trade.provider,
    )
    trade.wait(11 * DAY_S)
    home = d.token_account(provider)
    trade.send([instructions.withdraw_stake(d, owner=provider, destination=home)], trade.provider)
    trade.do("provider close", *trade.by("provider"))
    back = instructions.withdraw(
        d, owner=client, destination=d.token_account(client), amount_micro_usdc=500 * USDC
    )
    trade.send([back], trade.client)
    trade.do("client close", *trade.by("client"))
    for command, key in (("provider show", trade.provider), ("client show", trade.client)):
        gone = trade.run(*command.split(), key.address, "--market", str(trade.market))
        assert gone.exit_code == 4, gone.output


def test_a_file_that_names_no_market_is_refused(trade: Trade) -> None:
    nothing = trade.folder / "nothing.json"
    nothing.write_text("[]")
    for path in (nothing, trade.folder / "missing.json"):
        result = trade.run("market", "show", "--market", str(path))
        assert (result.exit_code, "does not name a market" in result.stderr) == (2, True)
    other = json.loads(trade.market.read_text()) | {"genesis_hash": "1" * 32}
    nothing.write_text(json.dumps(other))
    assert trade.run("market", "show", "--market", str(nothing)).exit_code == 8
