"""What an explanation says of a client's own conditions is true, number by number."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from neurogrid_marketplace.attributes import NodeFacts
from neurogrid_marketplace.candidates import Candidates
from neurogrid_marketplace.conditions import Clause
from neurogrid_marketplace.constraints import constraints_of
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.explain import Explanation, explain
from neurogrid_marketplace.matching import eligible
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.resources import Gpu, Requirements
from neurogrid_marketplace.standing import Standing

from .market import capacity, demand, gpu, offer
from .terms import clauses, where

GPUS = (gpu(1, 12, "NVIDIA GeForce RTX 3060"), gpu(2, 24), gpu(3, 80, "NVIDIA H100"))

machines = st.builds(
    lambda number, region, cores, gpus, price, free: offer(
        f"node-{number}",
        base=price,
        region=region,
        total=capacity(cores, gpus=tuple(gpus)),
        free=capacity(cores, gpus=tuple(gpus)) if free else capacity(0),
        gpu_driver="550.54" if gpus else "",
        runtimes=("runc",),
    ),
    st.integers(0, 30),
    st.sampled_from(["eu", "us"]),
    st.integers(1, 16),
    st.lists(st.sampled_from(GPUS), unique=True),
    st.integers(1, 200_000),
    st.booleans(),
)
markets = st.lists(machines, max_size=10, unique_by=lambda item: item.node_id)
# Conditions that such machines may just meet or just miss.
near = st.lists(
    st.sampled_from(
        [
            "gpu.memory >= 20GB",
            "gpu.memory > 30GB",
            "gpu.model ~ RTX",
            "gpu.model = NVIDIA",
            "gpu.count >= 2",
            "cpu.cores >= 8",
            "cpu.cores = 4",
            "region = us",
            "region != us",
            "ram >= 40GB",
            "price.hour <= 0.05USDC",
            "price.total <= 0.01USDC",
            "score >= 0.8",
            "stake > 10USDC",
            "runtime has runsc",
            "gpu.memory >= 20GB or region = eu",
        ]
    ),
    max_size=4,
    unique=True,
).map(lambda texts: where(" and ".join(f"({text})" for text in texts)))
standings = st.builds(Standing, st.integers(0, 1000), st.integers(0, 20_000_000))


@given(markets, near | clauses(3), st.integers(0, 2), standings)
@settings(max_examples=40)
def test_survivors_only_get_fewer_and_end_with_the_eligible(
    nodes: list[Offer], wanted: tuple[Clause, ...], gpus: int, standing: Standing
) -> None:
    asked = demand(where=wanted, requirements=Requirements(gpu_count=gpus))
    known = {node.node_id: standing for node in nodes[::2]}
    found = explain(nodes, asked, standings=known)
    left = [found.nodes, *(step.left for step in found.survivors)]
    assert left == sorted(left, reverse=True)
    assert left[-1] == found.matching == len(eligible(nodes, asked, known))
    assert [step.constraint for step in found.survivors] == [
        constraint.name for constraint in constraints_of(asked)
    ]


@given(markets, near, st.integers(0, 2))
@settings(max_examples=40)
def test_a_relaxation_lets_in_exactly_as_many_as_it_says(
    nodes: list[Offer], wanted: tuple[Clause, ...], gpus: int
) -> None:
    asked = demand(where=wanted, requirements=Requirements(gpu_count=gpus))
    found = explain(nodes, asked).relaxation
    texts = {constraint.name: constraint.clause for constraint in constraints_of(asked)}
    if found is None or (clause := texts[found.constraint]) is None:
        return
    rest = tuple(each for each in wanted if each != clause)
    assert len(eligible(nodes, replace(asked, where=rest))) == found.nodes
    for step in found.steps:
        changed = replace(asked, where=(*rest, *where(step.constraint)))
        assert len(eligible(nodes, changed)) == step.nodes


@given(markets, near, st.integers(0, 1))
@settings(max_examples=40)
def test_the_clearing_price_clears(
    nodes: list[Offer], wanted: tuple[Clause, ...], gpus: int
) -> None:
    asked = demand(where=wanted, requirements=Requirements(gpu_count=gpus))
    price = explain(nodes, asked).clearing_price_micro_usdc_per_hour
    if price is None:
        return
    free_of_price = tuple(
        constraint.clause
        for constraint in constraints_of(asked)
        if constraint.clause is not None and not constraint.is_price
    )
    at_that_price = replace(asked, where=free_of_price, max_price_micro_usdc_per_hour=price)
    assert eligible(nodes, at_that_price)


@given(markets, near, st.integers(0, 2), standings)
@settings(max_examples=40)
def test_the_index_draws_by_conditions_and_standings_too(
    nodes: list[Offer], wanted: tuple[Clause, ...], gpus: int, standing: Standing
) -> None:
    asked = demand(where=wanted, requirements=Requirements(gpu_count=gpus))
    candidates = Candidates(nodes)
    for node in nodes[::2]:
        candidates.stand(node.node_id, standing)
    known = {node.node_id: standing for node in nodes[::2]}
    for _ in range(3):  # the first walks the ring, later ones may walk a list
        assert _ids(candidates.pool(asked)) == _ids(eligible(nodes, asked, known))
    for node in nodes:
        candidates.stand(node.node_id, standing)
    known = {node.node_id: standing for node in nodes}
    assert _ids(candidates.pool(asked)) == _ids(eligible(nodes, asked, known))


def _ids(offers: list[Offer]) -> set[str]:
    return {each.node_id for each in offers}


def _machine(name: str, *gpus: Gpu) -> Offer:
    total = capacity(gpus=gpus)
    return offer(name, total=total, free=total)


def _explained(nodes: list[Offer], text: str, **changes: object) -> tuple[Demand, Explanation]:
    asked = demand(where=where(text), **changes)
    return asked, explain(nodes, asked)


def test_a_near_miss_says_what_the_node_has() -> None:
    _, found = _explained(
        [_machine("a", GPUS[0], GPUS[1]), _machine("b")],
        "gpu.memory >= 40GB and runtime has runsc",
    )
    said = {reason for miss in found.nearest for reason in miss.reasons}
    assert said == {
        "gpu.memory >= 40GB: gpu.memory is 12.9GB, 25.8GB",
        "gpu.memory >= 40GB: gpu.memory is not known",
        "runtime has runsc: runtime is empty",
    }


def test_the_relaxation_says_how_far_to_go_and_what_each_step_brings() -> None:
    nodes = [_machine("a", GPUS[0]), _machine("b", GPUS[1]), _machine("c", GPUS[1])]
    _, found = _explained(nodes, "gpu.memory >= 40GB")
    relaxed = found.relaxation
    assert relaxed is not None
    assert (relaxed.constraint, relaxed.nodes) == ("gpu.memory >= 40GB", 3)
    assert [(step.constraint, step.nodes) for step in relaxed.steps] == [
        ("gpu.memory >= 25.7GB", 2),
        ("gpu.memory >= 12.8GB", 3),
    ]
    assert "without gpu.memory >= 40GB 3 would, with gpu.memory >= 25.7GB 2" in found.sentence()


def test_a_region_can_be_added() -> None:
    nodes = [offer("a", region="us"), offer("b", region="us"), offer("c", region="asia")]
    _, found = _explained(nodes, "region = eu")
    assert found.relaxation is not None
    assert [(step.constraint, step.nodes) for step in found.relaxation.steps] == [
        ("region in (eu, us)", 2),
        ("region in (asia, eu)", 1),
    ]


def test_a_built_in_constraint_says_its_steps_too() -> None:
    nodes = [offer("a", base=200_000), offer("b", base=300_000)]
    _, found = _explained(nodes, "")
    assert found.relaxation is not None
    assert [(step.constraint, step.nodes) for step in found.relaxation.steps] == [
        ("0.20 USDC per hour", 1),
        ("0.30 USDC per hour", 2),
    ]


def test_gpus_that_meet_one_condition_each_do_not_meet_both() -> None:
    node = _machine("a", gpu(1, 12, "NVIDIA ALPHA"), gpu(2, 24, "NVIDIA BETA"))
    asked, found = _explained([node], "gpu.model ~ alpha and gpu.memory >= 20GB")
    assert not eligible([node], asked)
    left = {step.constraint: step.left for step in found.survivors}
    assert left["gpu.memory >= 20GB"] == 1
    assert left["gpu_conditions_together"] == 0
    assert "has GPUs for each of them; 1 must meet all at once" in found.nearest[0].reasons[0]


def test_a_relaxation_counts_nodes_whose_gpus_meet_one_condition_each() -> None:
    nodes = [_machine("a"), _machine("b", GPUS[0]), _machine("c", GPUS[0], GPUS[2])]
    asked, found = _explained(nodes, "gpu.memory > 30GB and gpu.model ~ RTX")
    relaxed = found.relaxation
    assert relaxed is not None
    assert (relaxed.constraint, relaxed.nodes) == ("gpu.memory > 30GB", 2)
    assert [(step.constraint, step.nodes) for step in relaxed.steps] == [
        ("gpu.memory >= 12.8GB", 2)
    ]
    for text in ("gpu.model ~ RTX", "gpu.model ~ RTX and gpu.memory >= 12.8GB"):
        assert len(eligible(nodes, replace(asked, where=where(text)))) == 2


def test_conditions_that_no_gpu_meets_together_are_relaxed_by_one_of_them() -> None:
    nodes = [_machine("a", GPUS[0], GPUS[2]), _machine("b", GPUS[1], GPUS[2])]
    _, found = _explained(nodes, "gpu.memory > 30GB and gpu.model ~ RTX")
    assert found.relaxation is not None
    assert (found.relaxation.constraint, found.relaxation.nodes) == ("gpu.memory > 30GB", 2)
    apart = "gpu.model ~ 3060 and gpu.model ~ 4090 and gpu.model ~ H100"
    _, found = _explained([_machine("a", *GPUS)], apart)
    assert found.relaxation is None


def test_a_node_whose_suitable_gpu_is_in_use_is_not_free() -> None:
    small, large = gpu(1, 12), gpu(2, 24)
    node = offer("a", total=capacity(gpus=(small, large)), free=capacity(gpus=(small,)))
    need = Requirements(gpu_count=1)
    asked, found = _explained([node], "gpu.memory >= 20GB", requirements=need)
    assert found.nearest[0].reasons == ("free_now: has it, but it is in use now",)
    assert not eligible([node], asked)
    assert eligible([replace(node, free=node.total)], asked)


def test_facts_of_a_node_are_of_its_own_standing() -> None:
    node = offer("a")
    asked = demand(where=where("stake >= 5USDC"))
    rich = {node.node_id: Standing(stake_micro_usdc=5_000_000)}
    assert eligible([node], asked, rich)
    assert not eligible([node], asked)
    assert NodeFacts(node, asked).standing.stake_micro_usdc == 0
