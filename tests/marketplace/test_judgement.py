import dataclasses

import pytest
from hypothesis import given, settings

from neurogrid_marketplace.attributes import NODE, TASK, NodeFacts, Subject
from neurogrid_marketplace.condition_text import read_conditions
from neurogrid_marketplace.conditions import Clause
from neurogrid_marketplace.judgement import gpus_needed, met, met_by_node, suits
from neurogrid_marketplace.network import NetworkTerms
from neurogrid_marketplace.offer import Offer, PriceList
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.spot import SpotTerms
from neurogrid_marketplace.standing import Standing

from .keys import person
from .market import capacity, demand, gpu, offer
from .terms import clauses, where

OLD = gpu(1, 12, "NVIDIA GeForce RTX 3060")
NEW = gpu(2, 24, "NVIDIA GeForce RTX 4090")
MACHINE = offer(
    "node",
    total=capacity(16, 64, (OLD, NEW)),
    prices=PriceList(base_micro_usdc_per_hour=600_000),
    images=("python:3.12",),
    gpu_driver="550.54.14",
    runtimes=("runc", "runsc"),
    enforcement="hard",
    spot=SpotTerms(discount_permille=500, reclaim_window_s=120),
    network=NetworkTerms((), (), 10**10, 100),
)
STANDING = Standing(score_permille=800, stake_micro_usdc=100_000_000)


def holds(text: str, machine: Offer = MACHINE, standing: Standing = STANDING) -> bool:
    """Whether the machine meets all of it."""
    facts = NodeFacts(machine, demand(), standing)
    return all(met_by_node(clause, facts) for clause in where(text))


@pytest.mark.parametrize(
    "text",
    [
        'gpu.model ~ "rtx 4090" and gpu.memory >= 24GB',
        "gpu.driver >= 550.54 and gpu.driver < 550.100 and gpu.driver = 550.54.14.0",
        "gpu.count = 2 and cpu.cores >= 16 and ram >= 64GiB and disk > 100GB",
        "region = eu and region != us and region in (eu, us) and region not in (us, uk)",
        "image.present has python:3.12 and model.present lacks llama",
        "runtime has runsc and runtime lacks kata and enforcement = hard and privacy lacks sealed_inputs",
        "score >= 0.8 and stake >= 100USDC",
        "price.hour <= 0.60USDC and price.total <= 0.10USDC and price.total > 0.09USDC",
        f"node.id = {MACHINE.node_id} and node.wallet != {person('other').address}",
        "gpu.memory >= 80GB or region = eu",
        "reclaim.window >= 2m",
        "gpu.compute_capability > 8.10 or gpu.compute_capability >= 8.9",
    ],
)  # fmt: skip
def test_a_node_meets(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "gpu.memory >= 80GB",
        "gpu.compute_capability >= 8.10",
        "gpu.driver > 550.54.14",
        "score > 0.8",
        "stake > 100USDC",
        "price.hour < 0.60USDC",
        "region !~ E",
        "runtime has kata",
        "reclaim.window > 2m",
        "image.present lacks python:3.12",
    ],
)
def test_a_node_misses(text: str) -> None:
    assert not holds(text)


def test_what_is_not_known_meets_nothing() -> None:
    silent = dataclasses.replace(MACHINE, gpu_driver="")
    assert not holds("gpu.driver != 1", silent)
    assert not holds("gpu.driver = 1", silent)


def test_a_job_gets_only_gpus_that_meet_every_clause() -> None:
    wanted = demand(where=where("gpu.memory >= 20GB"), requirements=Requirements(gpu_count=1))
    suitable = suits(NodeFacts(MACHINE, wanted))
    assert [each for each in (OLD, NEW) if suitable(each)] == [NEW]


def test_a_clause_about_gpus_needs_as_many_as_the_job_gets() -> None:
    two = demand(requirements=Requirements(gpu_count=2))
    (clause,) = where("gpu.memory >= 20GB")
    assert not met_by_node(clause, NodeFacts(MACHINE, two))
    assert met_by_node(clause, NodeFacts(MACHINE, demand()))


def test_a_clause_about_gpus_asks_for_one_unless_something_else_meets_it() -> None:
    asks = demand(where=where("gpu.memory >= 20GB or region = us"))
    content = demand(where=where("gpu.memory >= 20GB or region = eu"))
    assert gpus_needed(NodeFacts(MACHINE, asks)) == 1
    assert gpus_needed(NodeFacts(MACHINE, content)) == 0


def test_a_node_judges_tasks_and_clients() -> None:
    (wallet, short, cheap) = read_conditions(
        f"client.wallet = {person('client').address} and task.timeout <= 10m "
        "and task.price.hour >= 0.10USDC",
        TASK,
    )
    known = demand(client=person("client").address)
    assert met(wallet, TASK, known)
    assert not met(wallet, TASK, demand())
    assert met(short, TASK, known)
    assert met(cheap, TASK, known)


@given(clauses())
@settings(max_examples=40)
def test_every_attribute_can_be_judged(wanted: tuple[Clause, ...]) -> None:
    facts = NodeFacts(MACHINE, demand(where=wanted), STANDING)
    for clause in wanted:
        met_by_node(clause, facts)
    for each in (OLD, NEW):
        suits(facts)(each)


def test_every_attribute_has_a_meaning_and_a_value_of_its_kind() -> None:
    facts = NodeFacts(MACHINE, demand(), STANDING, NEW)
    for attribute in NODE:
        value = attribute.read(facts)
        assert attribute.meaning
        assert isinstance(value, int) == attribute.kind.is_number
        assert attribute.subject not in (Subject.TASK, Subject.CLIENT)
    for about_task in TASK:
        value = about_task.read(demand(client=MACHINE.wallet))
        assert about_task.meaning
        assert isinstance(value, int) == about_task.kind.is_number
