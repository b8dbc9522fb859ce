"""Who has what of the machine: what does not agree is found, and mended when it is seen twice."""

from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.offer import LeasePhase
from neurogrid_node.market.ledger_check import Difference, Leak, Look, differences

A, B = (f"lease_{number:032x}" for number in (10, 11))
NOBODY: frozenset[str] = frozenset()
RUNNING = {A: LeasePhase.RUNNING}


def leaks(**said: object) -> set[tuple[str, str]]:
    """What does not agree on a machine that runs one lease, but for this."""
    agreed: dict[str, object] = {
        "reserved": {A: ("GPU-1",)},
        "leases": RUNNING,
        "journal": frozenset({A}),
        "containers": frozenset({A}),
        "files": frozenset({A}),
    }
    found = differences(Look(**{**agreed, **said}))  # type: ignore[arg-type]  # each test's own
    return {(each.leak.value, each.about) for each in found}


def test_what_agrees_is_silent() -> None:
    assert leaks() == set()
    assert differences(Look()) == frozenset()


def test_each_leak_is_named() -> None:
    assert leaks(reserved={A: (), B: ()}) == {("reservation_without_lease", B)}
    assert leaks(reserved={}) == {("lease_without_reservation", A)}
    assert leaks(containers=frozenset({A, B})) == {("container_without_lease", B)}
    assert leaks(containers=NOBODY) == {("lease_without_container", A)}
    assert leaks(files=frozenset({A, B})) == {("files_without_lease", B)}
    assert leaks(journal=frozenset({A, B})) == {("lease_without_runner", B)}
    twice = {A: ("GPU-1",), B: ("GPU-2", "GPU-1")}
    both = dict.fromkeys((A, B), LeasePhase.PREPARING)
    saved = frozenset({A, B})
    assert leaks(reserved=twice, leases=both, journal=saved) == {("promised_twice", "GPU-1")}


def test_a_lease_that_gave_its_room_back_needs_none() -> None:
    for phase in (LeasePhase.REPORTED, LeasePhase.CLAIMING, LeasePhase.CLOSED):
        assert leaks(leases={A: phase}, reserved={}, containers=NOBODY, files=NOBODY) == set()


def test_a_lease_that_does_not_run_yet_needs_no_container() -> None:
    for phase in (LeasePhase.ACCEPTED, LeasePhase.PREPARING, LeasePhase.STOPPING):
        assert leaks(leases={A: phase}, containers=NOBODY) == set()


def test_who_cannot_be_asked_says_nothing() -> None:
    assert leaks(containers=None, files=None) == set()
    # Without the journal, what has no runner may have one soon.
    assert leaks(journal=None, containers=frozenset({A, B}), files=frozenset({A, B})) == set()


def test_what_is_not_named_like_a_lease_is_not_touched() -> None:
    others = frozenset({A, "probe-123", "scrub-123", "../../etc", "lease_1"})
    assert leaks(containers=others, files=others) == set()


IDS = st.sampled_from([f"lease_{number:032x}" for number in range(6)])
SETS = st.frozensets(IDS)
LOOKS = st.builds(
    Look,
    reserved=st.dictionaries(IDS, st.lists(st.sampled_from("gh"), unique=True).map(tuple)),
    leases=st.dictionaries(IDS, st.sampled_from(LeasePhase)),
    journal=st.none() | SETS,
    containers=st.none() | SETS,
    files=st.none() | SETS,
)


@given(LOOKS)
def test_nothing_of_a_lease_that_anybody_knows_is_ever_taken_away(look: Look) -> None:
    known = look.leases.keys() | (look.journal or frozenset())
    for difference in differences(look):
        if difference.leak in (
            Leak.RESERVATION_WITHOUT_LEASE,
            Leak.CONTAINER_WITHOUT_LEASE,
            Leak.FILES_WITHOUT_LEASE,
        ):
            assert difference.about not in known


@given(LOOKS)
def test_what_is_found_names_each_thing_once(look: Look) -> None:
    found = sorted((each.leak, each.about) for each in differences(look))
    assert len(set(found)) == len(found)
    assert all(isinstance(each, Difference) for each in differences(look))
