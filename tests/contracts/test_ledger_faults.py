"""Faults on purpose: off unless asked for, one at a time, the same from the same seed."""

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from contracts.ledger_process import LedgerProcess
from contracts.ledger_world import CONTROL_KEY, SOL, World, base64_text
from neurogrid_contracts.ledger.__main__ import main
from neurogrid_contracts.ledger.control import load_control_key
from neurogrid_contracts.ledger.errors import ControlKeyInvalid, RpcError
from neurogrid_contracts.ledger.faults import (
    Disturbance,
    Fault,
    FaultPlan,
    Faults,
    parse_setting,
)
from neurogrid_contracts.ledger.ledger import Commitment

PROCESSED = {"commitment": "processed"}
FINALIZED = {"commitment": "finalized"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "ledger")
    yield world
    world.ledger.close()


# The plan


def test_nothing_fails_unless_it_is_asked_for() -> None:
    faults = Faults(FaultPlan())
    assert {faults.strike(["getSlot"]) for _ in range(200)} == {None}


def test_the_same_seed_strikes_the_same_requests() -> None:
    plan = FaultPlan(seed=7, drop_percent=25, lose_reply_percent=25, stale_percent=10)
    runs = []
    for _ in range(2):
        faults = Faults(plan)
        runs.append([faults.strike(["sendTransaction"]) for _ in range(1000)])
    assert runs[0] == runs[1]
    struck = Counter(runs[0])
    assert set(struck) == {None, Fault.DROP, Fault.LOSE_REPLY, Fault.STALE}
    assert 200 < struck[Fault.DROP] < 300
    other = Faults(FaultPlan(seed=8, drop_percent=25))
    assert [other.strike(["sendTransaction"]) for _ in range(1000)] != runs[0]


def test_only_the_named_methods_are_struck_and_never_this_ledgers_own() -> None:
    faults = Faults(FaultPlan(methods=("sendTransaction",), drop_percent=100))
    assert faults.strike(["getSlot"]) is None
    assert faults.strike(["getSlot", "sendTransaction"]) is Fault.DROP
    everything = Faults(FaultPlan(drop_percent=100))
    assert everything.strike(["neurogrid_faults"]) is None
    assert everything.strike(["getSlot"]) is Fault.DROP
    assert everything.counts()["drop"] == 1


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"drop_percent": 101}, "drop_percent"),
        ({"drop_percent": -1}, "drop_percent"),
        ({"drop_percent": True}, "drop_percent"),
        ({"drop_percent": 0.5}, "drop_percent"),
        ({"drop_percent": 60, "stale_percent": 60}, "more than 100"),
        ({"stale_slots": 33}, "stale_slots"),
        ({"delay_ms": 60_001}, "delay_ms"),
        ({"methods": "getSlot"}, "methods"),
        ({"methods": [5]}, "methods"),
        ({"drop": 5}, "unknown setting 'drop'; known: delay_ms"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(
    world: World, settings: dict[str, Any], named: str
) -> None:
    error = world.refused("neurogrid_faults", {"key": CONTROL_KEY, **settings})
    assert error["code"] == -32602
    assert named in error["message"]
    assert world.faults.plan == FaultPlan()


def test_settings_are_read_from_the_command_line() -> None:
    assert parse_setting("drop_percent=25") == ("drop_percent", 25)
    assert parse_setting("methods=getSlot,getHealth") == ("methods", ("getSlot", "getHealth"))
    for wrong in ("drop=25", "drop_percent", "drop_percent=a", "drop_percent=-1"):
        with pytest.raises(ValueError, match="drop"):
            parse_setting(wrong)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--fault", "drop=25"], "'drop' is not a fault setting"),
        (["--fault", "drop_percent=101"], "drop_percent: expected an integer from 0 to 100"),
        (["--fault", "drop_percent=60", "--fault", "stale_percent=60"], "more than 100"),
        (["--confirmation-slots", "3"], "confirmation_slots: 0 to finality_slots"),
    ],
)
def test_the_command_refuses_what_cannot_be(tmp_path: Path, options: list[str], named: str) -> None:
    ended = CliRunner().invoke(main, ["start", "--data", str(tmp_path / "l"), *options])
    assert ended.exit_code == 2
    assert named in ended.output
    assert not (tmp_path / "l").exists()


def test_a_plan_is_set_shown_and_taken_back(world: World) -> None:
    told = world.control("neurogrid_faults", seed=3, stale_percent=100, methods=["getSlot"])
    assert told["plan"]["stale_percent"] == 100
    assert world.faults.strike(["getSlot"]) is Fault.STALE
    assert world.control("neurogrid_faults")["struck"]["stale"] == 1
    assert world.control("neurogrid_faults", seed=0)["plan"]["stale_percent"] == 0
    assert world.faults.plan == FaultPlan()


# The key


@pytest.mark.parametrize("method", ["neurogrid_faults", "neurogrid_fork", "neurogrid_warp"])
def test_nobody_bends_the_rules_without_the_key(world: World, method: str) -> None:
    slot = world.ledger.slot
    wrong = ("wrong", 5, CONTROL_KEY + "\u00fc\ud800", None)
    for given in ([], *([{"key": each}] for each in wrong)):
        error = world.refused(method, *given)
        assert error["code"] == -32090
        assert "control key" in error["message"]
    assert world.ledger.slot == slot


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "control.key"
    load_control_key(path, create=True)
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text().strip()
    load_control_key(path, create=True).check(text)
    with pytest.raises(RpcError):
        load_control_key(path, create=True).check(text[:-1])


def test_a_key_file_that_holds_no_secret_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(ControlKeyInvalid, match="No such file"):
        load_control_key(path, create=False)
    for content in (b"", b"secret\n", b"\xff" * 64):
        path.write_bytes(content)
        with pytest.raises(ControlKeyInvalid):
            load_control_key(path, create=False)


def test_a_warp_moves_slot_and_clock(world: World) -> None:
    slot = world.ledger.slot
    moved = world.control("neurogrid_warp", seconds=3600, slots=10)
    assert moved == {"slot": slot + 10, "unix_time": int(world.now_s) + 3600}
    assert world.control("neurogrid_warp")["slot"] == slot + 11
    wrong = world.refused("neurogrid_warp", {"key": CONTROL_KEY, "seconds": -1})
    assert (wrong["code"], "seconds" in wrong["message"]) == (-32602, True)


# What a disturbed node answers


def test_a_stale_node_answers_from_the_past(world: World) -> None:
    payer, to = world.rich(), Keypair().pubkey()
    world.slots(10)
    old = world.call("getLatestBlockhash", PROCESSED)
    world.send(world.payment(payer, to, SOL), skip_preflight=True)
    signature = world.call("getSignaturesForAddress", str(to), {"commitment": "confirmed"})[0]
    world.slots(5)
    fresh = world.call("getLatestBlockhash", PROCESSED)["value"]["blockhash"]
    assert world.call("getBalance", str(to))["value"] == SOL  # final already
    with world.ledger.disturbed(Disturbance(lag_slots=6)):
        assert world.call("getSlot", PROCESSED) == old["context"]["slot"] - 1
        for options in (PROCESSED, FINALIZED):
            assert world.call("getBalance", str(to), options)["value"] == 0
        assert world.call("getSignatureStatuses", [signature["signature"]])["value"] == [None]
        assert world.call("getSignaturesForAddress", str(to)) == []
        assert world.call("isBlockhashValid", fresh, PROCESSED)["value"] is False
        behind = world.refused("getHealth")
        assert (behind["code"], behind["data"]) == (-32005, {"numSlotsBehind": 6})
        waits = world.refused("getSlot", {**PROCESSED, "minContextSlot": world.ledger.slot})
        assert waits["code"] == -32016
    with world.ledger.disturbed(Disturbance(lag_slots=5)):
        assert world.call("getLatestBlockhash", PROCESSED) == old
        assert world.call("getSignatureStatuses", [signature["signature"]])["value"] != [None]
    assert world.call("getHealth") == "ok"


def test_a_stale_node_still_passes_transactions_on(world: World) -> None:
    payer, to = world.rich(), Keypair().pubkey()
    raw = world.payment(payer, to, SOL)
    world.slots(6)
    with world.ledger.disturbed(Disturbance(lag_slots=5)):
        world.ledger.send(raw, preflight_commitment=Commitment.PROCESSED)
    assert world.lamports(to) == SOL


def test_a_node_that_knows_no_blockhash_refuses_or_loses(world: World) -> None:
    payer, to = world.rich(), Keypair().pubkey()
    raw = world.payment(payer, to, SOL)
    options = {"encoding": "base64", **PROCESSED}
    with world.ledger.disturbed(Disturbance(forgets_blockhashes=True)):
        refused = world.refused("sendTransaction", base64_text(raw), options)
        assert refused["data"]["err"] == "BlockhashNotFound"
        simulated = world.call("simulateTransaction", base64_text(raw), options)
        assert simulated["value"]["err"] == "BlockhashNotFound"
        world.call("sendTransaction", base64_text(raw), {**options, "skipPreflight": True})
    assert world.lamports(to) == 0
    world.send(raw)
    assert world.lamports(to) == SOL


def test_a_swallowed_transaction_has_a_signature_and_no_effect(world: World) -> None:
    payer, to = world.rich(), Keypair().pubkey()
    raw = world.payment(payer, to, SOL)
    options = {"encoding": "base64", "preflightCommitment": "processed"}
    with world.ledger.disturbed(Disturbance(swallows=True)):
        signature = world.call("sendTransaction", base64_text(raw), options)
    assert world.call("getSignatureStatuses", [signature])["value"] == [None]
    assert world.call("sendTransaction", base64_text(raw), options) == signature
    assert world.lamports(to) == SOL


# Over HTTP, from a real process


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerProcess]:
    options = ("--no-program", "--no-fsync", "--fault", "drop_percent=100", "--fault", "seed=1")
    with LedgerProcess(tmp_path_factory.mktemp("faulty"), *options) as process:
        assert process.control("neurogrid_faults")["plan"]["drop_percent"] == 100
        yield process


@pytest.fixture
def faulty(process: LedgerProcess) -> Iterator[LedgerProcess]:
    process.control("neurogrid_faults", seed=1)
    yield process
    process.control("neurogrid_faults", seed=1)


def send(ledger: LedgerProcess, payer: Keypair, lamports: int) -> tuple[bytes, str]:
    """The request that sends a payment of ``payer`` to itself, and its signature."""
    latest = ledger.call("getLatestBlockhash", PROCESSED)["value"]["blockhash"]
    pay = transfer(
        TransferParams(from_pubkey=payer.pubkey(), to_pubkey=payer.pubkey(), lamports=lamports)
    )
    message = MessageV0.try_compile(payer.pubkey(), [pay], [], Hash.from_string(latest))
    transaction = VersionedTransaction(message, [payer])
    options = {"encoding": "base64", "preflightCommitment": "processed"}
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "sendTransaction",
        "params": [base64_text(bytes(transaction)), options],
    }
    return json.dumps(body).encode(), str(transaction.signatures[0])


def rich(ledger: LedgerProcess) -> Keypair:
    keypair = Keypair()
    ledger.call("requestAirdrop", str(keypair.pubkey()), SOL)
    return keypair


@pytest.mark.processes
def test_a_dropped_request_is_not_executed_and_the_connection_ends(faulty: LedgerProcess) -> None:
    payer = rich(faulty)
    request, signature = send(faulty, payer, 1)
    faulty.control("neurogrid_faults", drop_percent=100)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        faulty.post(request)
    faulty.control("neurogrid_faults", seed=0)
    assert faulty.call("getSignatureStatuses", [signature])["value"] == [None]
    assert faulty.post(request)[0] == 200
    assert faulty.call("getSignatureStatuses", [signature])["value"] != [None]


@pytest.mark.processes
def test_a_lost_reply_hides_what_was_executed(faulty: LedgerProcess) -> None:
    payer = rich(faulty)
    request, signature = send(faulty, payer, 1)
    faulty.control("neurogrid_faults", lose_reply_percent=100)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        faulty.post(request)
    faulty.control("neurogrid_faults", seed=0)
    assert faulty.call("getSignatureStatuses", [signature])["value"] != [None]


@pytest.mark.processes
def test_overload_is_said_as_real_nodes_say_it(faulty: LedgerProcess) -> None:
    ask = b'{"jsonrpc":"2.0","id":5,"method":"getSlot"}'
    faulty.control("neurogrid_faults", rate_limit_percent=100)
    status, text = faulty.post(ask)
    assert (status, json.loads(text)["error"]["code"]) == (429, 429)
    faulty.control("neurogrid_faults", unavailable_percent=100)
    assert faulty.post(ask)[0] == 503
    faulty.control("neurogrid_faults", unhealthy_percent=100)
    status, text = faulty.post(ask)
    assert (status, json.loads(text)["error"]["code"]) == (200, -32005)
    _, text = faulty.post(b"[" + ask + b"," + ask + b"]")
    assert [one["error"]["code"] for one in json.loads(text)] == [-32005, -32005]


@pytest.mark.processes
def test_a_delayed_request_is_answered_in_the_end(faulty: LedgerProcess) -> None:
    faulty.control("neurogrid_faults", delay_percent=100, delay_ms=1)
    assert isinstance(faulty.call("getSlot"), int)
    assert faulty.control("neurogrid_faults")["struck"]["delay"] == 1


@pytest.mark.processes
def test_stale_forgetful_and_swallowing_nodes_over_http(faulty: LedgerProcess) -> None:
    faulty.control("neurogrid_warp", slots=40)
    faulty.control("neurogrid_faults", stale_percent=100, stale_slots=32)
    behind = faulty.control("neurogrid_warp")["slot"] - faulty.call("getSlot", PROCESSED)
    assert behind > 20
    faulty.control("neurogrid_faults", seed=0)
    payer = rich(faulty)
    request, signature = send(faulty, payer, 1)
    faulty.control("neurogrid_faults", forget_blockhash_percent=100)
    assert "BlockhashNotFound" in faulty.post(request)[1].decode()
    faulty.control("neurogrid_faults", swallow_percent=100)
    assert json.loads(faulty.post(request)[1])["result"] == signature
    faulty.control("neurogrid_faults", seed=0)
    assert faulty.call("getSignatureStatuses", [signature])["value"] == [None]
