"""What goes wrong with requests, on purpose: the network and the nodes that clients must survive.

Each HTTP request draws one number from a seeded generator, and at most one fault strikes it; so
the same seed and the same order of requests give the same faults. Websockets are spared, and so
are the methods that are this ledger's own.
"""

import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import Enum

# Below this a node answers from a state it still has; see ``Past``.
STALE_SLOTS_MAX = 32
# Clients give up well before; and a held request holds memory.
_DELAY_MS_MAX = 60_000
_METHODS_MAX = 64
_SEED_MAX = 2**63 - 1


class Fault(Enum):
    """What happens to one request. The value begins the names of its settings."""

    DROP = "drop"  # the connection is closed, nothing was executed
    LOSE_REPLY = "lose_reply"  # executed; the connection is closed instead of an answer
    DELAY = "delay"  # held back, then executed and answered
    RATE_LIMIT = "rate_limit"  # HTTP 429
    UNAVAILABLE = "unavailable"  # HTTP 503
    UNHEALTHY = "unhealthy"  # -32005, as of a node that is behind
    STALE = "stale"  # answered from the state of some slots ago
    FORGET_BLOCKHASH = "forget_blockhash"  # the node knows no blockhash: BlockhashNotFound
    SWALLOW = "swallow"  # sendTransaction answers its signature, and nobody ever executes it


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """How often each fault strikes, in percent of the requests; all together at most 100.

    Args:
        seed: of the generator.
        methods: only requests that call one of these; empty: all of Solana's methods.
        delay_ms: how long a delayed request is held.
        stale_slots: how far a stale answer lies back.
    """

    seed: int = 0
    methods: tuple[str, ...] = ()
    drop_percent: int = 0
    lose_reply_percent: int = 0
    delay_percent: int = 0
    delay_ms: int = 500
    rate_limit_percent: int = 0
    unavailable_percent: int = 0
    unhealthy_percent: int = 0
    stale_percent: int = 0
    stale_slots: int = 5
    forget_blockhash_percent: int = 0
    swallow_percent: int = 0

    def __post_init__(self) -> None:
        bounds = {"seed": _SEED_MAX, "delay_ms": _DELAY_MS_MAX, "stale_slots": STALE_SLOTS_MAX}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "methods":
                continue
            most = bounds.get(each.name, 100)
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
                raise ValueError(f"{each.name}: expected an integer from 0 to {most}")
        if (
            not isinstance(self.methods, tuple)
            or len(self.methods) > _METHODS_MAX
            or not all(isinstance(method, str) for method in self.methods)
        ):
            raise ValueError(f"methods: expected at most {_METHODS_MAX} names")
        if sum(self.percent(fault) for fault in Fault) > 100:
            raise ValueError("the percentages come to more than 100; one request has one fault")

    def percent(self, fault: Fault) -> int:
        percent = getattr(self, f"{fault.value}_percent")
        assert isinstance(percent, int)
        return percent


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What is wrong with the node that answers the present request.

    Args:
        lag_slots: it sees the chain as it was so long ago.
        forgets_blockhashes: it knows none.
        swallows: what it is sent never reaches a leader.
    """

    lag_slots: int = 0
    forgets_blockhashes: bool = False
    swallows: bool = False


CALM = Disturbance()


def disturbance(fault: Fault, plan: FaultPlan) -> Disturbance:
    """What a fault means to the ledger; nothing, when only the connection suffers."""
    return Disturbance(
        lag_slots=plan.stale_slots if fault is Fault.STALE else 0,
        forgets_blockhashes=fault is Fault.FORGET_BLOCKHASH,
        swallows=fault is Fault.SWALLOW,
    )


def is_our_own(method: str) -> bool:
    """Whether no cluster has this method; then no fault strikes it."""
    return method.startswith("neurogrid_")


def parse_setting(text: str) -> tuple[str, int | tuple[str, ...]]:
    """A setting of a plan from ``name=value``; methods are separated by commas.

    Raises:
        ValueError: there is no such setting, or its value is no number.
    """
    name, _, value = text.partition("=")
    known = [each.name for each in fields(FaultPlan)]
    if name not in known:
        raise ValueError(f"{name!r} is not a fault setting; known: {', '.join(known)}")
    if name == "methods":
        return name, tuple(value.split(","))
    if not value.isdecimal():
        raise ValueError(f"{name}: expected a whole number, not {value!r}")
    return name, int(value)


class Faults:
    """The plan in force. The owner thread sets it, the event loop draws from it."""

    def __init__(self, plan: FaultPlan) -> None:
        self._lock = threading.Lock()
        self.set(plan)

    def set(self, plan: FaultPlan) -> None:
        """Begin ``plan`` from its seed; the counts begin at zero."""
        with self._lock:
            self._plan = plan
            self._random = random.Random(plan.seed)
            self._counts = dict.fromkeys(Fault, 0)

    @property
    def plan(self) -> FaultPlan:
        return self._plan

    def counts(self) -> dict[str, int]:
        """How many requests each fault struck since the plan was set."""
        with self._lock:
            return {fault.value: count for fault, count in self._counts.items()}

    def strike(self, methods: Iterable[str]) -> Fault | None:
        """The fault of a request that calls ``methods``, or None."""
        with self._lock:
            if not any(self._concerns(method) for method in methods):
                return None
            drawn = self._random.randrange(100)
            for fault in Fault:
                drawn -= self._plan.percent(fault)
                if drawn < 0:
                    self._counts[fault] += 1
                    return fault
            return None

    def _concerns(self, method: str) -> bool:
        if is_our_own(method):
            return False
        return not self._plan.methods or method in self._plan.methods
