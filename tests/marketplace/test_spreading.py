from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace import orchestration, submission
from neurogrid_marketplace.auction import RankedBid
from neurogrid_marketplace.conditions import MAX_VALUES
from neurogrid_marketplace.explain import explain
from neurogrid_marketplace.spread import MAX_AVOIDED, NOWHERE, Avoid, Spread, SpreadBy
from neurogrid_marketplace.spreading import NOBODY, Barred, barred, is_choosing, narrowed
from neurogrid_marketplace.task import Lease, Phase, Task
from neurogrid_marketplace.task_events import AuctionClosed, Due

from .keys import person
from .market import bid, demand, offer

A, B, C = (person(name) for name in ("a", "b", "c"))


def holding(name: str, phase: Phase = Phase.RUNNING, region: str = "eu") -> Task:
    who = person(name)
    lease = Lease("lease", who.peer_id, who.address, 1, 1, "demand", "b" * 64, region=region)
    task = submission.submit(name, demand(), 0, 1, spread=Spread("g"))
    return replace(task, phase=phase, lease=lease)


def ranked(name: str, region: str = "eu") -> RankedBid:
    who = person(name)
    return RankedBid(
        who.peer_id, replace(bid(1), wallet=who.address), "b" * 64, 1, 1, region=region
    )


def matching(by: SpreadBy = SpreadBy.NODE) -> Task:
    task = submission.submit("mine", demand(), 0, 10**9, spread=Spread("g", by))
    return orchestration.decide(task, Due(0), 0).task


def test_only_tasks_between_award_and_end_hold_their_place() -> None:
    others = [
        holding("a", Phase.AWARDED),
        holding("b", Phase.STARTING, region="us"),
        holding("c", Phase.VERIFYING),
        holding("a", Phase.COMPLETED),
    ]
    nodes = barred(Spread("g", SpreadBy.NODE), others)
    assert nodes == Barred(nodes=tuple(sorted((A.peer_id, B.peer_id))), group="g")
    wallets = barred(Spread("g", SpreadBy.WALLET), others)
    assert wallets.wallets == tuple(sorted((A.address, B.address)))
    assert barred(Spread("g", SpreadBy.REGION), others).regions == ("eu", "us")
    assert barred(None, others) == NOBODY
    assert not NOBODY.has_offer(offer("a"))


def test_bids_from_taken_places_do_not_count() -> None:
    task = matching()
    assert is_choosing(task)
    closed = AuctionClosed("demand", (ranked("a"), ranked("b")), "2 of 2 nodes match.")
    same, left = narrowed(task, closed, Barred(nodes=(A.peer_id,), group="g"))
    assert same == task
    assert isinstance(left, AuctionClosed)
    assert [each.node_id for each in left.ranking] == [B.peer_id]
    assert left.explanation == closed.explanation
    _, none = narrowed(task, closed, Barred(regions=("eu",), group="g"))
    assert isinstance(none, AuctionClosed)
    assert none.ranking == ()
    assert none.explanation == "Everybody who bid is where another task of g runs."
    # Those that are left of an earlier auction too, when the one that was asked refuses.
    awarded = replace(task, phase=Phase.AWARDED, candidates=(ranked("a"), ranked("c", "us")))
    kept, _ = narrowed(awarded, Due(0), Barred(wallets=(A.address,), group="g"))
    assert [each.node_id for each in kept.candidates] == [C.peer_id]


def test_a_task_of_no_group_is_left_alone() -> None:
    task = submission.submit("mine", demand(), 0, 10**9)
    assert not is_choosing(orchestration.decide(task, Due(0), 0).task)


def test_explain_counts_who_is_left_and_says_why() -> None:
    offers = [offer("a"), offer("b", region="us")]
    found = explain(offers, demand(), places=Barred(nodes=(A.peer_id,), group="g"))
    assert (found.survivors[-1].constraint, found.survivors[-1].left) == ("spread(g)", 1)
    assert found.matching == 1
    (near,) = found.nearest
    assert near.reasons == ("spread(g): runs another task of g",)
    both = Barred(regions=("eu", "us"), group="g")
    nobody = explain(offers, demand(), places=both)
    assert nobody.matching == 0
    assert nobody.relaxation is not None
    assert (nobody.relaxation.constraint, nobody.relaxation.nodes) == ("spread(g)", 2)
    assert "is of region" in nobody.nearest[0].reasons[0]
    owner = explain(offers, demand(), places=Barred(wallets=(B.address,), group="g"))
    assert f"is of wallet {B.address}" in owner.nearest[0].reasons[0]


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_avoided_nodes_and_owners_are_conditions_of_the_demand(
    nodes: list[str], owners: list[str]
) -> None:
    avoid = Avoid(
        tuple(person(name).peer_id for name in nodes),
        tuple(person(name).address for name in owners),
    )
    found = explain([offer(name) for name in "abc"], demand(where=avoid.where()))
    assert found.matching == len(set("abc") - {*nodes, *owners})


def test_many_are_said_in_as_few_clauses_as_carry_them() -> None:
    assert NOWHERE.where() == ()
    names = tuple(f"node-{number}" for number in range(MAX_AVOIDED))
    clauses = Avoid(names).where()
    assert len(clauses) == MAX_AVOIDED // MAX_VALUES
    assert sum(len(clause.alternatives[0].values) for clause in clauses) == MAX_AVOIDED
