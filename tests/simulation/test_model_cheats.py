"""Who does not serve the model that it says is found out within so many checks, and honest nodes are not: with a real model.

The table of docs/model-checks.md, with more prompts and runs, is made by `model_cheats`.
"""

import pytest

from neurogrid_marketplace.suspicion import Charge

from .model_cheats import CHEATS, HONEST, HONEST_ONES, OTHER_MACHINE, Node, serve, texts

COUNT = 100
SEEDS = range(10)
WITHIN_CHECKS = 20
WITHIN_CHECKS_OF_HALF = 60


@pytest.mark.parametrize("words", CHEATS)
def test_a_cheat_is_found_out_and_charged_with_what_it_does(words: str) -> None:
    node, charge = CHEATS[words]
    within = WITHIN_CHECKS if node.share == 1 else WITHIN_CHECKS_OF_HALF
    for seed in SEEDS:
        found = serve(node, seed, count=COUNT)
        assert (found.charge, found.checks <= within) == (charge, True), (seed, found)


@pytest.mark.parametrize("words", HONEST_ONES)
@pytest.mark.parametrize("logprobs", [False, True])
def test_honest_nodes_are_not_charged_on_whatever_machine(words: str, logprobs: bool) -> None:
    for seed in SEEDS:
        found = serve(HONEST_ONES[words], seed, count=COUNT, logprobs=logprobs, percent=100)
        assert found.charge is None, (seed, found)


def test_another_machine_does_write_other_texts() -> None:
    exact, other = texts("exact", COUNT), texts("other machine", COUNT)
    assert [each.text for each in exact] != [each.text for each in other]


@pytest.mark.parametrize("kind", ["4 bits", "smaller"])
def test_log_probabilities_find_another_model_in_a_few_checks(kind: str) -> None:
    for seed in SEEDS:
        found = serve(Node(kind), seed, count=COUNT, logprobs=True)
        assert (found.charge, found.checks <= 12) == (Charge.SUBSTITUTES, True), (seed, found)


def test_where_the_others_do_not_agree_with_each_other_nobody_is_charged() -> None:
    others = (OTHER_MACHINE, Node("smaller"))
    found = serve(Node("4 bits"), 1, count=COUNT, others=others)
    assert (found.charge, found.checks) == (None, 0)


def test_an_honest_node_is_not_charged_for_one_of_the_others_that_cheats() -> None:
    others = (OTHER_MACHINE, Node("smaller"))
    for seed in SEEDS:
        assert serve(HONEST, seed, count=COUNT, others=others, percent=100).charge is None
