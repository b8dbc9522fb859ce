"""Who is told what, and when."""

import json
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.token.instructions import get_associated_token_address

from contracts.ledger_world import SOL, World
from neurogrid_contracts.ledger.errors import RpcError
from neurogrid_contracts.ledger.events import Event
from neurogrid_contracts.ledger.params import Params
from neurogrid_contracts.ledger.pubsub import Hub, parse_subscription
from neurogrid_contracts.ledger.tokens import TOKEN_PROGRAM

CONFIRMED = {"commitment": "confirmed"}


class Listener:
    """A world whose events reach a hub, and the messages of its subscriptions."""

    def __init__(self, data: Path, *, confirmation_slots: int = 0, finality_slots: int = 2) -> None:
        self.hub = Hub()
        self.world = World(
            data,
            confirmation_slots=confirmation_slots,
            finality_slots=finality_slots,
            events=_Forward(self.hub),
        )
        self.heard: list[Any] = []

    def subscribe(self, kind: str, *params: Any) -> int:
        interest, commitment = parse_subscription(kind, Params(list(params), count_max=2))
        return self.hub.add(kind, interest, commitment, self._hear).number

    def _hear(self, text: str) -> None:
        self.heard.append(json.loads(text))

    def results(self) -> list[Any]:
        """What was heard since the last time."""
        heard, self.heard = self.heard, []
        return [message["params"]["result"] for message in heard]


class _Forward(list[Event]):
    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self._hub = hub

    def append(self, event: Event) -> None:
        self._hub.publish(event)


@pytest.fixture
def listener(tmp_path: Path) -> Listener:
    return Listener(tmp_path / "ledger")


def pay(listener: Listener, to: Pubkey, lamports: int = SOL) -> str:
    return str(listener.world.faucet.send_sol(to, lamports))


def test_an_account_is_told_at_its_commitment(listener: Listener) -> None:
    to = Keypair().pubkey()
    listener.subscribe("account", str(to), {**CONFIRMED, "encoding": "base64"})
    number = listener.subscribe("account", str(to), {"encoding": "base64"})
    pay(listener, to)
    slot = listener.world.ledger.slot
    (told,) = listener.results()
    assert told["context"] == {"slot": slot}
    assert told["value"]["lamports"] == SOL
    listener.world.slots(1)
    assert listener.results() == []
    listener.world.slots(1)
    (message,) = listener.heard
    assert message["method"] == "accountNotification"
    assert message["params"]["subscription"] == number
    assert message["params"]["result"] == told


def test_with_finality_at_once_everyone_is_told_once(tmp_path: Path) -> None:
    listener = Listener(tmp_path / "ledger", finality_slots=0)
    to = Keypair().pubkey()
    listener.subscribe("account", str(to))
    listener.subscribe("account", str(to), CONFIRMED)
    pay(listener, to)
    listener.world.slots(2)
    assert len(listener.results()) == 2


def test_a_closed_account_is_told_as_empty(listener: Listener) -> None:
    world = listener.world
    payer = world.rich(2 * SOL)
    listener.subscribe("account", str(payer.pubkey()), {**CONFIRMED, "encoding": "base64"})
    world.send(world.payment(payer, Keypair().pubkey(), 2 * SOL - 5000))
    (told,) = listener.results()
    assert told["value"]["lamports"] == 0
    assert told["value"]["data"] == ["", "base64"]


def test_a_signature_is_told_once(listener: Listener) -> None:
    world = listener.world
    payer = world.rich()
    raw = world.payment(payer, Keypair().pubkey(), 1000 * SOL)
    signature = str(VersionedTransaction.from_bytes(raw).signatures[0])
    now = listener.subscribe("signature", signature, CONFIRMED)
    later = listener.subscribe("signature", signature)
    world.send(raw, skip_preflight=True)
    (told,) = listener.results()
    assert told["value"] == {"err": {"InstructionError": [0, {"Custom": 1}]}}
    assert now not in listener.hub
    assert later in listener.hub
    world.slots(2)
    assert listener.results() == [told]
    assert later not in listener.hub


def test_logs_of_all_or_of_one_account(listener: Listener) -> None:
    one, other = Keypair().pubkey(), Keypair().pubkey()
    listener.subscribe("logs", {"mentions": [str(one)]}, CONFIRMED)
    signature = pay(listener, one)
    pay(listener, other)
    (told,) = listener.results()
    assert told["value"]["signature"] == signature
    assert told["value"]["err"] is None
    assert any("success" in line for line in told["value"]["logs"])
    listener.subscribe("logs", "all", CONFIRMED)
    pay(listener, other)
    assert len(listener.results()) == 1


def test_a_programs_accounts_by_filter(listener: Listener) -> None:
    owner = Keypair().pubkey()
    filters = [{"dataSize": 165}, {"memcmp": {"offset": 32, "bytes": str(owner)}}]
    options = {**CONFIRMED, "encoding": "jsonParsed", "filters": filters}
    listener.subscribe("program", str(TOKEN_PROGRAM), options)
    listener.world.faucet.send_usdc(Keypair().pubkey(), 5)
    listener.world.faucet.send_usdc(owner, 2_500_000)
    (told,) = listener.results()
    mint = listener.world.ledger.genesis.usdc_mint
    assert told["value"]["pubkey"] == str(get_associated_token_address(owner, mint))
    amount = told["value"]["account"]["data"]["parsed"]["info"]["tokenAmount"]
    assert amount["uiAmountString"] == "2.5"


def test_slots_and_roots(listener: Listener) -> None:
    listener.subscribe("slot")
    listener.subscribe("root")
    slot = listener.world.ledger.slot
    listener.world.slots(1)
    assert listener.results() == [
        {"slot": slot + 1, "parent": slot, "root": slot - 1},
        slot - 1,
    ]


def test_an_ended_subscription_hears_nothing(listener: Listener) -> None:
    number = listener.subscribe("slot")
    assert listener.hub.remove(number)
    assert not listener.hub.remove(number)
    listener.world.slots(1)
    assert listener.heard == []


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("account", []),
        ("account", ["x"]),
        ("account", [str(Keypair().pubkey()), {"encoding": "base64+brotli"}]),
        ("signature", ["x"]),
        ("logs", ["some"]),
        ("logs", [{"mentions": []}]),
        ("program", [str(Keypair().pubkey()), {"filters": 5}]),
    ],
)
def test_malformed_subscriptions(kind: str, params: list[Any]) -> None:
    with pytest.raises(RpcError) as caught:
        parse_subscription(kind, Params(params, count_max=2))
    assert caught.value.code == -32602


# Confirmation, and forks


def test_each_commitment_is_told_in_its_turn(tmp_path: Path) -> None:
    listener = Listener(tmp_path / "ledger", confirmation_slots=1, finality_slots=3)
    to = Keypair().pubkey()
    levels = ("processed", "confirmed", "finalized")
    numbers = {
        listener.subscribe("account", str(to), {"commitment": level, "encoding": "base64"}): level
        for level in levels
    }
    pay(listener, to)
    told = []
    for _ in range(4):
        told.append([numbers[each["params"]["subscription"]] for each in listener.heard])
        listener.heard.clear()
        listener.world.slots(1)
    assert told == [["processed"], ["confirmed"], [], ["finalized"]]


def test_a_fork_tells_account_subscribers_what_is_true_again(tmp_path: Path) -> None:
    listener = Listener(tmp_path / "ledger", confirmation_slots=1, finality_slots=4)
    to = Keypair().pubkey()
    pay(listener, to)
    listener.world.slots(4)
    for level in ("processed", "confirmed", "finalized"):
        listener.subscribe("account", str(to), {"commitment": level, "encoding": "base64"})
        listener.subscribe("logs", "all", {"commitment": level})
    pay(listener, to)
    listener.results()
    listener.world.control("neurogrid_fork")
    # Only the one that had heard of it; and nobody hears of its logs.
    (told,) = listener.results()
    assert told["value"]["lamports"] == SOL
    assert told["context"]["slot"] == listener.world.ledger.slot
    listener.world.slots(5)
    assert listener.results() == []


def test_a_confirmed_payment_that_is_dropped_is_taken_back_from_both(tmp_path: Path) -> None:
    listener = Listener(tmp_path / "ledger", confirmation_slots=1, finality_slots=4)
    to = Keypair().pubkey()
    for level in ("processed", "confirmed", "finalized"):
        listener.subscribe("account", str(to), {"commitment": level, "encoding": "base64"})
    pay(listener, to)
    listener.world.slots(1)
    assert len(listener.results()) == 2
    listener.world.control("neurogrid_fork", slots=2)
    assert [told["value"]["lamports"] for told in listener.results()] == [0, 0]


def test_a_signature_that_comes_back_is_told_once_more_settled(tmp_path: Path) -> None:
    listener = Listener(tmp_path / "ledger", confirmation_slots=1, finality_slots=4)
    world = listener.world
    payer, to = world.rich(), Keypair().pubkey()
    world.slots(5)
    raw = world.payment(payer, to, SOL)
    signature = str(VersionedTransaction.from_bytes(raw).signatures[0])
    listener.subscribe("signature", signature, CONFIRMED)
    world.send(raw, skip_preflight=True)
    world.control("neurogrid_fork", returnAfterSlots=1)
    world.slots(1)
    assert listener.results() == []
    world.slots(1)
    (told,) = listener.results()
    assert told["context"]["slot"] == world.ledger.slot - 1
    assert told["value"] == {"err": None}


def test_a_fork_shows_in_the_parents_of_slots(tmp_path: Path) -> None:
    listener = Listener(tmp_path / "ledger", finality_slots=2)
    listener.world.slots(3)
    listener.subscribe("slot")
    listener.subscribe("root")
    slot = listener.world.ledger.slot
    listener.world.control("neurogrid_fork", slots=2)
    listener.world.slots(3)
    heard = listener.results()
    slots = [(one["slot"], one["parent"]) for one in heard if isinstance(one, dict)]
    assert slots == [
        (slot + 1, slot - 2),
        (slot + 2, slot + 1),
        (slot + 3, slot + 2),
        (slot + 4, slot + 3),
    ]
    # A dropped slot is never a root.
    assert [one for one in heard if isinstance(one, int)] == [slot + 1, slot + 2]
