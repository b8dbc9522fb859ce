"""How many warm servers (replicas) a model should have, and which of those that there are begin, stay and go. Pure.

One rule decides: of those beyond the least, the k-th is wanted from the moment at which k were needed until for
`ReplicaLimits.idle_s` no more than k - 1 were. So a model that nobody asks goes down to its least, zero included, and
one whose requests come and go does not flap: whatever begins is wanted for at least that long.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from .errors import InvalidValue

# More than this nobody keeps of one model at one coordinator.
REPLICAS_MAX: Final = 100
# One that cannot be begun is tried again after so long, and twice as long each time.
_AGAIN_MS: Final = 1_000
_AGAIN_MAX_MS: Final = 600_000


@dataclass(frozen=True, slots=True)
class ReplicaLimits:
    """Between what a model is scaled.

    Attributes:
        least, most: how many replicas it has; with a ``least`` of 0 the first request begins one.
        concurrency: how many requests one replica works at at once.
        idle_s: how long one that is not needed stays.
        first_byte_goal_ms: answers that begin later are reason for one more; 0: none are.
        first_byte_limit_s: one whose answer has not begun after so long is given up, at the latest.

    Raises:
        InvalidValue: they contradict each other.
    """

    least: int = 0
    most: int = 1
    concurrency: int = 1
    idle_s: int = 300
    first_byte_goal_ms: int = 0
    first_byte_limit_s: int = 300

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most <= REPLICAS_MAX:
            raise InvalidValue(
                f"replicas: from {self.least} to {self.most}; 0 <= least <= most <= {REPLICAS_MAX} has to hold"
            )
        if self.concurrency < 1 or self.idle_s < 1 or self.first_byte_goal_ms < 0:
            raise InvalidValue("replicas: concurrency and idle_s are at least 1")


@dataclass(frozen=True, slots=True)
class Load:
    """What a model's replicas have to do at a moment.

    Attributes:
        waiting: requests that no replica works at yet.
        at_work: those that one works at.
        ready: replicas that take requests.
        first_byte_ms: how late answers have begun since that number last changed, the slowest tenth left out;
            0 where too few have to say.
    """

    waiting: int = 0
    at_work: int = 0
    ready: int = 0
    first_byte_ms: int = 0


def needed(limits: ReplicaLimits, load: Load) -> int:
    """How many replicas this load needs, whatever there are."""
    requests = load.waiting + load.at_work
    count = -(-requests // limits.concurrency)
    goal = limits.first_byte_goal_ms
    if goal and requests and load.ready and load.first_byte_ms > goal:
        count = max(count, load.ready + 1)
    return max(limits.least, min(limits.most, count))


@dataclass(frozen=True, slots=True)
class Need:
    """How many replicas were needed when. A new one has seen no load.

    Attributes:
        last_ms: [k - 1]: when at least k were needed last; never longer than ``most``, and never growing.
    """

    last_ms: tuple[int, ...] = ()

    def seen(self, limits: ReplicaLimits, load: Load, now_ms: int) -> "Need":
        """The same, and this load now."""
        count = needed(limits, load)
        kept = self.last_ms[: limits.most]
        return replace(self, last_ms=(now_ms,) * count + kept[count:])

    def wanted(self, limits: ReplicaLimits, now_ms: int) -> int:
        """How many there should be now."""
        recent = [at_ms for at_ms in self.last_ms if now_ms - at_ms < 1000 * limits.idle_s]
        return max(limits.least, min(limits.most, len(recent)))


@dataclass(frozen=True, slots=True)
class Standing:
    """A replica that there is.

    Attributes:
        ready: whether it takes requests.
        leaving: whether it gets no more of them, because it is let go.
        at_work: how many requests it works at.
        ends_at_ms: when its time is over.
    """

    replica_id: str
    ready: bool
    leaving: bool
    at_work: int
    ends_at_ms: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done now.

    Attributes:
        begin: so many more.
        leave: these get no more requests.
        stay: these do again, which were leaving.
        end: these work at nothing that anybody waits for.
    """

    begin: int = 0
    leave: tuple[str, ...] = ()
    stay: tuple[str, ...] = ()
    end: tuple[str, ...] = ()


def plan(replicas: Sequence[Standing], wanted: int, now_ms: int, lead_ms: int) -> Plan:
    """What to do so that there are as many as wanted; nothing where all is as it should be.

    One whose time is over within ``lead_ms`` still serves, but counts as if it were gone: its successor is
    begun, and it leaves once enough others take requests. Of those that are too many the ones go first that take no
    requests yet, then those that leave already, that work at the least, whose time is over first.

    Args:
        lead_ms: how long a successor is given to become ready.
    """
    lasting = sorted(
        (each for each in replicas if each.ends_at_ms - now_ms > lead_ms), key=_last_to_go_first
    )
    kept, gone = lasting[:wanted], lasting[wanted:]
    ageing = sorted(
        (each for each in replicas if each.ends_at_ms - now_ms <= lead_ms),
        key=lambda each: (
            not each.ready or each.ends_at_ms <= now_ms,
            each.leaving,
            -each.ends_at_ms,
            each.replica_id,
        ),
    )
    # As many of them go on as others do not serve yet.
    short = max(0, wanted - sum(each.ready for each in kept))
    leaving = [*gone, *ageing[short:]]
    stay = [*kept, *(each for each in ageing[:short] if each.ends_at_ms > now_ms)]
    return Plan(
        # Whatever times and leads say: never more than one successor for each.
        begin=max(0, min(wanted - len(kept), 2 * wanted - len(replicas))),
        leave=tuple(each.replica_id for each in leaving if not each.leaving),
        stay=tuple(each.replica_id for each in stay if each.leaving),
        end=tuple(each.replica_id for each in leaving if not each.at_work),
    )


def again_after_ms(failures: int) -> int:
    """How long nothing is begun for a model of which so many replicas in a row did not become ready."""
    if failures < 1:
        return 0
    return int(min(_AGAIN_MAX_MS, _AGAIN_MS * 2 ** min(failures - 1, 16)))


def _last_to_go_first(each: Standing) -> tuple[bool, bool, int, int, str]:
    return (not each.ready, each.leaving, -each.at_work, -each.ends_at_ms, each.replica_id)
