"""Which of a model's replicas serves a request. Pure.

Of those that are well, that the request allows and that have a place free: the one that served its session last, else by
the order that the request names, else the least loaded. One that failed lately is rested, longer each time.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from .unit_price import ModelUnit

# A replica rests so long after it failed, and twice as long after each further time.
_REST_MS: Final = 1_000
_REST_MAX_MS: Final = 60_000
# One that has said nothing at all rests for as long as it was waited for, at least, and so much at most.
_HUNG_REST_MAX_MS: Final = 600_000
# A replica's answers count less the older they are: each new one for this part.
_NEWEST_PERMILLE: Final = 200

Sort = Literal["", "price", "throughput", "latency"]


@dataclass(frozen=True, slots=True)
class Preferences:
    """By whom a request may be served; nodes are named by their peer ids or their owners' wallets.

    Attributes:
        order: these first, in this order.
        only: nobody else; empty: anybody.
        ignore: not these.
        sort: what decides among those that `order` does not name: the lower price, the more bytes in a second,
            the earlier first byte; "": the lesser load.
        max_prices: unit -> the most micro-USDC for a million of them; a unit that a replica has no price for costs nothing.
        regions: only there; empty: anywhere.
    """

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    sort: Sort = ""
    max_prices: Mapping[ModelUnit, int] = field(default_factory=dict)
    regions: tuple[str, ...] = ()


ANYBODY: Final = Preferences()


@dataclass(frozen=True, slots=True)
class Health:
    """How a replica has done.

    Attributes:
        failures: in a row.
        rests_until_ms: it gets no requests before.
        first_byte_ms: how soon its answers begin, the newer the more; 0: not known.
        bytes_per_s: how fast they come then; 0: not known.
    """

    failures: int = 0
    rests_until_ms: int = 0
    first_byte_ms: int = 0
    bytes_per_s: int = 0

    def answered(self, first_byte_ms: int, bytes_per_s: int = 0) -> "Health":
        """It answered to the end."""
        return Health(
            first_byte_ms=_mixed(self.first_byte_ms, first_byte_ms),
            bytes_per_s=_mixed(self.bytes_per_s, bytes_per_s) if bytes_per_s else self.bytes_per_s,
        )

    def failed(self, now_ms: int) -> "Health":
        """It did not answer, or broke off."""
        rest_ms = min(_REST_MAX_MS, _REST_MS * 2 ** min(self.failures, 16))
        return replace(self, failures=self.failures + 1, rests_until_ms=now_ms + int(rest_ms))

    def hung(self, now_ms: int, waited_ms: int) -> "Health":
        """It said nothing for so long."""
        rest_ms = max(_REST_MS, waited_ms) * 2 ** min(self.failures, 16)
        until_ms = now_ms + min(_HUNG_REST_MAX_MS, rest_ms)
        return replace(self, failures=self.failures + 1, rests_until_ms=until_ms)

    def busy(self, now_ms: int, for_ms: int) -> "Health":
        """It says that it can take none for so long: that is no failure."""
        until_ms = now_ms + max(_REST_MS, min(for_ms, _REST_MAX_MS))
        return replace(self, rests_until_ms=max(self.rests_until_ms, until_ms))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A replica that takes requests.

    Attributes:
        prices: unit -> micro-USDC for a million of them.
        at_work, concurrency: how many requests it works at, and may.
    """

    replica_id: str
    node_id: str
    wallet: str
    region: str
    at_work: int
    concurrency: int
    health: Health = Health()
    prices: Mapping[ModelUnit, int] = field(default_factory=dict)

    @property
    def has_place(self) -> bool:
        """Whether it may get one more."""
        return self.at_work < self.concurrency


def objection(candidate: Candidate, preferences: Preferences) -> str:
    """Why a request must not be served by this one, as one of a few words; "": it may."""
    names = {candidate.node_id, candidate.wallet}
    if preferences.only and names.isdisjoint(preferences.only):
        return "only"
    if not names.isdisjoint(preferences.ignore):
        return "ignore"
    if preferences.regions and candidate.region not in preferences.regions:
        return "region"
    if any(candidate.prices.get(unit, 0) > most for unit, most in preferences.max_prices.items()):
        return "max_price"
    return ""


def objections(candidates: Sequence[Candidate], preferences: Preferences) -> Counter[str]:
    """How many are left out for which reason."""
    found = Counter(objection(each, preferences) for each in candidates)
    del found[""]
    return found


def route(
    candidates: Sequence[Candidate],
    preferences: Preferences,
    now_ms: int,
    *,
    last: str = "",
    tried: frozenset[str] = frozenset(),
) -> Candidate | None:
    """Who serves this request now; None: nobody.

    Args:
        last: the replica that served its session last; "" where there is none.
        tried: replicas that have failed it already, which are not asked while there are others.
    """
    fit = [
        each
        for each in candidates
        if each.has_place
        and each.health.rests_until_ms <= now_ms
        and not objection(each, preferences)
    ]
    if not fit:
        return None
    return min(
        fit,
        key=lambda each: (
            each.replica_id in tried,
            each.replica_id != last,
            _rank(each, preferences),
        ),
    )


def _rank(candidate: Candidate, preferences: Preferences) -> tuple[int | str, ...]:
    places = [
        number
        for number, name in enumerate(preferences.order)
        if name in (candidate.node_id, candidate.wallet)
    ]
    load_permille = 1000 * candidate.at_work // candidate.concurrency
    sorted_by: int
    match preferences.sort:
        case "price":
            sorted_by = sum(candidate.prices.values())
        case "throughput":
            sorted_by = -candidate.health.bytes_per_s
        case "latency":
            sorted_by = candidate.health.first_byte_ms
        case _:
            sorted_by = 0
    place = places[0] if places else len(preferences.order)
    return (place, sorted_by, load_permille, candidate.health.first_byte_ms, candidate.replica_id)


def _mixed(before: int, new: int) -> int:
    if not before:
        return new
    return (before * (1000 - _NEWEST_PERMILLE) + new * _NEWEST_PERMILLE) // 1000
