import pytest
from hypothesis import given, settings

from neurogrid_marketplace.attributes import NODE, TASK, NodeFacts
from neurogrid_marketplace.condition_text import read_conditions, write_clause
from neurogrid_marketplace.conditions import Clause
from neurogrid_marketplace.contradictions import Contradiction, refuse_contradictions
from neurogrid_marketplace.judgement import met_by_node

from .market import capacity, demand, gpu, offer
from .terms import clauses, where


def blamed(text: str) -> list[str]:
    """The clauses that are said to contradict one another; none if all is well."""
    try:
        refuse_contradictions(where(text), NODE)
    except Contradiction as error:
        return [write_clause(clause, NODE) for clause in error.clauses]
    return []


@pytest.mark.parametrize(
    "text",
    [
        "ram > 3GB and ram < 3GB",
        "ram > 3B and ram < 4B",
        "ram >= 3GB and ram != 3GB and ram <= 3GB",
        "score > 1",
        "region = a and region = b",
        "region = a and region != a",
        "region in (a, b) and region in (c, d)",
        "region = abc and region ~ x",
        "gpu.model ~ 4090 and gpu.model !~ 40",
        "runtime has runsc and runtime lacks runsc",
        "gpu.driver > 550.1 and gpu.driver <= 550.1.0",
        "gpu.driver < 0",
        "region = a and (region = b or region = c)",
    ],
)
def test_what_can_never_hold_is_refused_by_name(text: str) -> None:
    assert " and ".join(
        f"({clause})" if " or " in clause else clause for clause in blamed(text)
    ) == text  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "ram > 3B and ram < 5B",
        "gpu.driver > 550.1 and gpu.driver < 550.2",
        "gpu.model ~ RTX and gpu.model ~ 4090 and gpu.model !~ Laptop",
        "region != a and region != b",
        "runtime has runsc and runtime has runc",
        "region = a and (region = b or ram > 1GB)",
        "score <= 1 and score >= 1",
    ],
)
def test_what_can_hold_is_not(text: str) -> None:
    assert blamed(text) == []


def test_nothing_is_both_yes_and_no() -> None:
    both = read_conditions("task.sealed_bids = yes and task.sealed_bids = no", TASK)
    with pytest.raises(Contradiction):
        refuse_contradictions(both, TASK)
    refuse_contradictions(both[:1], TASK)


def test_only_the_clauses_at_fault_are_named() -> None:
    text = "region = eu and ram > 3GB and disk > 1TB and (ram < 2GB or ram = 1GB)"
    assert blamed(text) == ["ram > 3GB", "ram < 2GB or ram = 1GB"]


MACHINE = offer("node", total=capacity(gpus=(gpu(1),)), gpu_driver="550.54", runtimes=("runc",))


@given(clauses(3))
@settings(max_examples=40)
def test_what_a_node_meets_is_never_a_contradiction(wanted: tuple[Clause, ...]) -> None:
    facts = NodeFacts(MACHINE, demand(where=wanted))
    if all(met_by_node(clause, facts) for clause in wanted):
        refuse_contradictions(wanted, NODE)
