from dataclasses import replace

import pytest

from neurogrid_marketplace.attributes import NODE, NodeFacts
from neurogrid_marketplace.bid import DeclineCode
from neurogrid_marketplace.condition_text import read_conditions
from neurogrid_marketplace.conditions import Clause, Condition, Operator
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.resources import Gpu
from neurogrid_node.market.terms import read_own, refusal
from node.market import GIB, OFFER, TOTAL, WALLET, demand

SMALL = Gpu("GPU-0", "NVIDIA T4", 16 * GIB, "7.5")
TWO_GPUS = replace(OFFER, total=replace(TOTAL, gpus=(*TOTAL.gpus, SMALL)))


def said(own: str = "", where: str = "", **changes: object) -> tuple[DeclineCode, str] | None:
    asked = demand(where=read_conditions(where, NODE), **changes)
    return refusal(NodeFacts(TWO_GPUS, asked), read_own(own))


@pytest.mark.parametrize(
    "own",
    [
        "",
        "task.timeout <= 1m",
        "task.price.hour >= 1USDC and task.price.total < 0.02USDC",
        "task.image ~ neurogrid/ and task.verify = none",
        "task.ram <= 1GiB and task.disk <= 1GiB and task.cpu.cores <= 1",
        "task.gpu.count = 0 and task.input = 0B and task.sealed_bids = no",
    ],
)
def test_a_task_that_meets_the_owners_conditions_is_taken(own: str) -> None:
    assert said(own) is None


def test_a_decline_names_the_owners_clause_and_what_the_task_is() -> None:
    clause = "task.timeout > 1h or task.price.hour > 2.00USDC"
    assert said(f"task.ram <= 64GB and ({clause})") == (
        DeclineCode.CONDITION_UNMET,
        f"{clause}: task.timeout is 1m; task.price.hour is 1.00USDC",
    )


def test_a_client_that_does_not_reveal_itself_meets_no_condition_on_clients() -> None:
    wanted = f"client.wallet = {WALLET}"
    assert said(wanted, client=WALLET) is None
    assert said(wanted) == (
        DeclineCode.CONDITION_UNMET,
        f"{wanted}: client.wallet is not known",
    )
    assert said(f"client.wallet != {WALLET}") is not None
    assert said("client.revealed = yes", client=WALLET) is None
    assert said("client.revealed = yes") == (
        DeclineCode.CONDITION_UNMET,
        "client.revealed = yes: client.revealed is no",
    )


def test_a_clients_conditions_are_judged_here_too() -> None:
    assert said(where="gpu.memory >= 20GB and region = eu and price.hour <= 1USDC") is None
    assert said(where="gpu.memory >= 40GB") == (
        DeclineCode.DOES_NOT_FIT,
        "gpu.memory >= 40GB: gpu.memory is 25.8GB, 17.2GB",
    )


def test_what_only_the_coordinator_knows_is_not_judged_here() -> None:
    assert said(where="score >= 0.9 and (stake >= 100USDC or region = us)") is None


def test_a_condition_that_this_node_does_not_know_is_declined_not_ignored() -> None:
    for later in (
        Condition("gpu.colour", Operator.EQUAL, ("green",)),
        Condition("region", Operator.AT_LEAST, ("eu",)),
        Condition("ram", Operator.AT_LEAST, ("eu",)),
        Condition("ram", Operator.AT_LEAST, (1, 2)),
    ):
        asked = demand(where=(Clause((later,)),))
        refused = refusal(NodeFacts(OFFER, asked), ())
        assert refused is not None
        assert refused[0] is DeclineCode.UNKNOWN_CONDITION


def test_conditions_that_no_task_can_meet_are_refused_when_they_are_read() -> None:
    with pytest.raises(InvalidValue, match=r"these can never hold together: task\.ram > 2GB and"):
        read_own("task.ram > 2GB and task.ram < 1GB")


def test_conditions_on_nodes_are_not_for_node_toml() -> None:
    with pytest.raises(
        InvalidValue, match=r"there is no attribute 'gpu\.count'; did you mean task"
    ):
        read_own("gpu.count = 1")
