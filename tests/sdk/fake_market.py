"""A coordinator in memory, for programs of providers: its mailboxes, with real signatures, and nobody behind them."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from coordinator.market_nodes import NETWORK, award, demand
from neurogrid import Provider
from neurogrid.models.held_tasks import HeldTask
from neurogrid.models.resources import Resource
from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Session, parse_envelope, seal
from neurogrid_marketplace.errors import RemoteError
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.job import InputFile, Job
from neurogrid_marketplace.messages import (
    Acknowledge,
    Attach,
    Award,
    Claimed,
    Event,
    Heartbeat,
    Hello,
    Log,
    Message,
    Pulse,
    Start,
    Stop,
    VoucherMessage,
    Welcome,
    parse_body,
    to_body,
    type_name,
)
from neurogrid_marketplace.money import format_usdc
from neurogrid_wallet.keys import KeyPair

M = TypeVar("M")
PATIENCE_S = 60.0
WALLET = KeyPair(b"\7" * 32)
ADDRESS = WALLET.address
_LOG_LIMIT = 1_000_000


@dataclass
class _Stream:
    session: str
    hears: Session
    said: int = 0


@dataclass
class FakeMarket:
    """One coordinator.

    Attributes:
        skew_ms: how far its clock is ahead.
        heard: all messages that were heard, with their streams.
        files: what was put, by hash.
        opened: how many mailboxes there were.
    """

    skew_ms: int = 0
    heard: list[tuple[str, Message]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    opened: int = 0
    _keys: KeyPair = field(default_factory=lambda: KeyPair(b"\5" * 32))
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _node_id: str = ""
    _mailbox: str = ""
    _letters: list[dict[str, Any]] = field(default_factory=list)
    _streams: dict[str, _Stream] = field(default_factory=dict)
    _leases: dict[str, str] = field(default_factory=dict)
    _events: dict[str, int] = field(default_factory=dict)
    _log_bytes: dict[str, int] = field(default_factory=dict)
    _is_over: bool = False

    # --- what a test does ----------------------------------------------------------------------------

    def say(self, message: Message, stream: str = "control") -> dict[str, Any]:
        """Say something; the letter."""
        with self._changed:
            open_stream = self._streams[stream]
            envelope = seal(
                self._keys.sign,
                network=NETWORK,
                type=type_name(message),
                sender=peer_id_of(self._keys.public_key),
                recipient=self._node_id,
                session=open_stream.session,
                sequence=open_stream.said,
                sent_at_ms=self._now_ms(),
                body=to_body(message),
            )
            open_stream.said += 1
            return self.deliver(dict(envelope.to_dict()), stream)

    def deliver(self, envelope: dict[str, Any], stream: str = "control") -> dict[str, Any]:
        """Put a letter into the mailbox."""
        with self._changed:
            letter = {"number": len(self._letters) + 1, "stream": stream, "envelope": envelope}
            self._letters.append(letter)
            self._changed.notify_all()
            return letter

    def newest_letter(self) -> dict[str, Any]:
        """What was said last."""
        with self._changed:
            return self._letters[-1]

    def say_of(self, lease_id: str, message: Message) -> None:
        """Say something on a lease's stream, once that is attached."""
        self.until(lambda: lease_id in self._leases, "the lease is attached")
        self.say(message, self._leases[lease_id])

    def forget_mailbox(self) -> None:
        """As after kill -9: nobody knows of it."""
        with self._changed:
            self._mailbox, self._is_over = "", True
            self._streams.clear()
            self._leases.clear()
            self._changed.notify_all()

    def hear(self, kind: type[M], after: int = 0) -> M:
        """The first message of this kind, of those from this number on."""

        def look() -> M | None:
            return next((one for _, one in self.heard[after:] if isinstance(one, kind)), None)

        self.until(lambda: look() is not None, f"a {kind.__name__}")
        found = look()
        assert found is not None
        return found

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something holds."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), f"never: {what}"

    def auction(self, job: Job | None = None) -> tuple[Demand, Award]:
        """Ask for a bid and award it."""
        asked = demand(job_hash=(job or JOB).hash())
        before = len(self.heard)
        self.say(asked)
        self.hear(Bid, before)
        envelope = self.envelopes["bid"]
        given = award(asked, parse_envelope(envelope).hash())
        self.say(given)
        return asked, given

    def start(self, lease_id: str, job: Job | None = None, wrapped_key: str = "") -> None:
        """Send the job."""
        elsewhere = "http://elsewhere"
        start = Start(
            lease_id, job or JOB, ADDRESS, ADDRESS, ADDRESS, elsewhere, "token", wrapped_key
        )
        self.say_of(lease_id, start)

    def stop(self, lease_id: str, reason: Outcome = Outcome.CANCELLED) -> None:
        """End it."""
        self.say_of(lease_id, Stop(lease_id, reason))

    def pay(self, lease_id: str, micro_usdc: int = 5) -> None:
        """Send the last voucher, and say that all is settled."""
        self.say_of(lease_id, VoucherMessage(lease_id, micro_usdc, "0" * 128, final=True))

    # --- what programs ask ------------------------------------------------------------------------------

    envelopes: dict[str, Any] = field(default_factory=dict)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """An httpx transport's handler."""
        path = request.url.path.removeprefix("/api/v1")
        with self._changed:
            if path.startswith("/artifacts/"):
                assert request.headers["Authorization"] == "Bearer token", "the lease's own"
                return self._file(request, path.rpartition("/")[2])
            match request.method, path.split("/")[1:]:
                case "POST", ["provider", "mailboxes"]:
                    return self._open(json.loads(request.content)["node_id"])
                case "GET", ["provider", "resources", node_id]:
                    return self._resource(node_id)
                case "POST", ["provider", "earnings", _, "claim"]:
                    return _error(409, "CONFLICT", "paid already", {"settled": True})
                case _, ["provider", "mailboxes", mailbox, *rest]:
                    if mailbox != self._mailbox:
                        return _error(404, "NOT_FOUND", "there is no such mailbox")
                    return self._of_mailbox(request, rest)
        raise AssertionError(f"{request.method} {path}")

    def _open(self, node_id: str) -> httpx.Response:
        self.opened += 1
        self._node_id, self._mailbox = node_id, f"mailbox_{self.opened}"
        self._is_over = False
        self._letters.clear()
        self._streams.clear()
        self._leases.clear()
        self._new_stream("control")
        view = {"id": self._mailbox, "network": NETWORK, "stream": "control", "node_id": node_id}
        return _success(view, 201)

    def _new_stream(self, name: str) -> None:
        session = f"s{self.opened}-{name}"
        hears = Session(
            network=NETWORK,
            session=session,
            local=peer_id_of(self._keys.public_key),
            remote=self._node_id,
        )
        self._streams[name] = _Stream(session, hears)
        self.say(Welcome(session, "fake/1"), name)

    def _of_mailbox(self, request: httpx.Request, rest: list[str]) -> httpx.Response:
        if request.method == "DELETE":
            self.forget_mailbox()
            return httpx.Response(204)
        if request.method == "GET":
            after = int(request.url.params["after"])
            self._changed.wait_for(lambda: len(self._letters) > after or self._is_over, 1.0)
            return _success({"letters": self._letters[after:], "over": self._is_over})
        if rest == ["streams"]:
            name = f"stream_{len(self._streams)}_{self.opened}"
            self._new_stream(name)
            return _success({"stream": name}, 201)
        body = json.loads(request.content)
        stream = self._streams.get(body["stream"])
        if stream is None:
            return _error(404, "NOT_FOUND", "there is no such stream")
        for value in body["envelopes"]:
            envelope = parse_envelope(value)
            try:
                stream.hears.admit(envelope, self._now_ms())
            except RemoteError:
                self.forget_mailbox()
                return _error(404, "NOT_FOUND", "it is over")
            self.envelopes[envelope.type] = value
            self._heard(body["stream"], parse_body(envelope.type, envelope.body))
        return _success({"stream": body["stream"], "next_sequence": 0}, 202)

    def _heard(self, stream: str, message: Message) -> None:
        self.heard.append((stream, message))
        match message:
            case Hello() | Heartbeat():
                self.say(Pulse(self._now_ms()))
            case Attach(lease_id):
                self._leases[lease_id] = stream
                self._acknowledge(lease_id)
            case Event(lease_id, number):
                self._events[lease_id] = max(self._events.get(lease_id, 0), number + 1)
                self._acknowledge(lease_id)
            case Log(lease_id, offset, text):
                assert offset <= self._log_bytes.get(lease_id, 0), "without a gap"
                self._log_bytes[lease_id] = offset + len(text.encode())
                self._acknowledge(lease_id)
            case Claimed(lease_id):
                self._acknowledge(lease_id, closed=True)
        self._changed.notify_all()

    def _acknowledge(self, lease_id: str, *, closed: bool = False) -> None:
        events, log_bytes = self._events.get(lease_id, 0), self._log_bytes.get(lease_id, 0)
        stored = Acknowledge(lease_id, events, log_bytes, closed, _LOG_LIMIT)
        self.say(stored, self._leases[lease_id])

    def _file(self, request: httpx.Request, sha256: str) -> httpx.Response:
        if request.method == "PUT":
            self.files[sha256] = request.read()
            return _success({"sha256": sha256, "size": len(self.files[sha256])}, 201)
        return httpx.Response(200, content=self.files.get(sha256, INPUT))

    def _resource(self, node_id: str) -> httpx.Response:
        hellos = [one for _, one in self.heard if isinstance(one, Hello)]
        offer = hellos[-1].offer
        assert offer.node_id == node_id
        price = format_usdc(offer.prices.base_micro_usdc_per_hour)
        view = {
            "id": node_id,
            "resource_type": "gpu" if offer.total.gpus else "cpu",
            "status": "available" if offer.accepting else "paused",
            "specifications": {"cpu_cores": offer.total.cpu_millis / 1000},
            "pricing": {"per_hour": price, "base": price},
        }
        return _success(view)

    def _now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.skew_ms


def _success(data: Mapping[str, Any], status: int = 200) -> httpx.Response:
    return httpx.Response(status, json={"success": True, "data": data})


def _error(
    status: int, code: str, message: str, details: Mapping[str, Any] | None = None
) -> httpx.Response:
    error = {"code": code, "message": message, "details": details or {}}
    return httpx.Response(status, json={"success": False, "error": error})


INPUT = b"what goes in\n"
JOB = Job(
    "neurogrid/job:1",
    ("echo", "hello"),
    {"A": "1"},
    (InputFile("in.txt", hashlib.sha256(INPUT).hexdigest(), len(INPUT)),),
)


def program(market: FakeMarket, folder: Path, **changes: Any) -> Provider:
    """A provider's program, with its state in a folder."""
    wallet = folder / "wallet.json"
    if not wallet.exists():
        wallet.write_text(json.dumps(list(WALLET.seed + WALLET.public_key)))
    return Provider(
        "ng_key",
        wallet,
        "http://market",
        state_directory=folder / "state",
        retries_max=0,
        transport=httpx.MockTransport(market.answer),
        **changes,
    )


def machine(provider: Provider, **changes: Any) -> Resource:
    """A resource that fits every demand."""
    specifications = {"cpu_cores": 4, "ram_gb": 8, "storage_gb": 100}
    return provider.resources.create("cpu", specifications, {"per_hour": "0.50"}, **changes)


def next_offer(provider: Provider) -> HeldTask:
    """The next task that is offered."""
    return next(provider.tasks.offers(timeout_seconds=PATIENCE_S))
