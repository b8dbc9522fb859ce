"""Coordinators, clocks, ports and who can dial us: facts in, findings out. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from neurogrid_marketplace.envelope import CLOCK_TOLERANCE_MS

from .findings import Finding

# A clock that is off by so much is on its way to be refused.
_DRIFT_MS: Final = CLOCK_TOLERANCE_MS // 4
_SET_CLOCK: Final = "let the machine set its clock: timedatectl set-ntp true"


@dataclass(frozen=True, slots=True)
class CoordinatorFacts:
    """One coordinator that node.toml lists.

    Attributes:
        problem: why it did not welcome us; "" if it did.
        ahead_ms: how far its clock is ahead of ours, to within the time its welcome took; None: unknown.
    """

    address: str
    problem: str
    ahead_ms: int | None = None


def judge_coordinators(all_of: Iterable[CoordinatorFacts]) -> tuple[Finding, ...]:
    """Whether they are there, and agree with us on the time."""
    coordinators = tuple(all_of)
    if not coordinators:
        return (
            Finding("COORDINATOR_NONE", "node.toml lists no coordinator: they are found, or come"),
        )
    away = [each for each in coordinators if each.problem]
    code = "COORDINATORS_AWAY" if len(away) == len(coordinators) else "COORDINATOR_AWAY"
    found = [
        Finding(
            code, f"{each.address}: {each.problem}", "check address and firewall (outgoing TCP)"
        )
        for each in away
    ]
    found += [
        Finding("COORDINATOR_OK", f"{each.address} answers")
        for each in coordinators
        if not each.problem
    ]
    skews = [each.ahead_ms for each in coordinators if each.ahead_ms is not None]
    return (*found, _clock(skews))


def _clock(skews: list[int]) -> Finding:
    """By the coordinator whose clock is nearest to ours: one that is wrong itself says nothing of ours."""
    if not skews:
        saw = "no coordinator has told the time"
        return Finding("CLOCK_UNKNOWN", saw, "compare the clock yourself: timedatectl")
    ahead_ms = min(skews, key=abs)
    side = "behind" if ahead_ms > 0 else "ahead of"
    saw = f"this clock is {abs(ahead_ms) / 1000:.1f} s {side} the coordinator's"
    if abs(ahead_ms) > CLOCK_TOLERANCE_MS:
        most = CLOCK_TOLERANCE_MS // 1000
        return Finding("CLOCK_WRONG", f"{saw}; beyond {most} s nothing is accepted", _SET_CLOCK)
    if abs(ahead_ms) > _DRIFT_MS:
        return Finding("CLOCK_DRIFTS", saw, _SET_CLOCK)
    return Finding("CLOCK_OK", saw)


@dataclass(frozen=True, slots=True)
class ReachFacts:
    """Who may dial us.

    Attributes:
        ports: addresses of [listen] -> why the port can't be used, "" if it can.
        public: where the whole internet may reach us; private: where our own network may.
        relays: addresses -> why not, "" if it answers.
        wants_callers: whether something that is switched on needs callers: direct clients.
    """

    ports: tuple[tuple[str, str], ...]
    public: tuple[str, ...]
    private: tuple[str, ...]
    relays: tuple[tuple[str, str], ...]
    wants_callers: bool


def judge_reach(facts: ReachFacts) -> tuple[Finding, ...]:
    """Who may dial us, as far as this machine can know: nobody dials it back."""
    found = []
    for address, problem in facts.ports:
        if problem:
            fix = "choose another port in node.toml's listen, or end what has this one"
            found.append(Finding("PORT_UNUSABLE", f"{address}: {problem}", fix))
        else:
            found.append(Finding("PORT_OK", address))
    for address, problem in facts.relays:
        if problem:
            fix = "ask its operator, or choose another in node.toml's relays"
            found.append(Finding("RELAY_AWAY", f"{address}: {problem}", fix))
    answering = [address for address, problem in facts.relays if not problem]
    if answering:
        found.append(Finding("REACH_RELAY", f"through {', '.join(answering)}"))
    if facts.public:
        saw = f"at {', '.join(facts.public)}, if no firewall is in between: nobody has dialled back"
        found.append(Finding("REACH_DIRECT", saw))
    elif answering:
        pass
    elif facts.private:
        saw = f"only from our own network, at {', '.join(facts.private)}"
        found.append(
            Finding("REACH_PRIVATE", saw, "forward a port, or name a relay in node.toml's relays")
        )
    elif facts.wants_callers:
        saw = "[direct] serve is true, and nobody can dial us"
        found.append(Finding("REACH_NOBODY", saw, "set listen or relays in node.toml"))
    else:
        saw = "we dial out and nobody dials us; serving coordinators needs no more"
        found.append(Finding("REACH_OUTBOUND", saw))
    return tuple(found)
