from dataclasses import replace

import pytest

from neurogrid_marketplace.attributes import NODE
from neurogrid_marketplace.bid import Bid, Decline, DeclineCode
from neurogrid_marketplace.condition_text import read_conditions
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.gang import GANG_RUNTIME, Gang
from neurogrid_marketplace.network import Network, NetworkTerms
from neurogrid_marketplace.resources import Capacity, Gpu, Requirements
from neurogrid_node.container.registry_rules import RegistryRules
from neurogrid_node.market.bidder import (
    BID_VALID_MS,
    BID_WINDOW_MAX_MS,
    LEASES_MAX,
    Machine,
    answer,
)
from neurogrid_node.market.start_history import DEFAULT_PULL_MS, StartHistory, Transfer
from neurogrid_node.market.terms import read_own
from node.market import DEMAND, GIB, NEED, NOW_MS, OFFER, POLICY, TOTAL, WALLET, demand

# Has started twenty jobs, one of them slowly, and fetched 10 MB a second.
STARTS = StartHistory(ready_ms=(*[300] * 19, 900), transfers=(Transfer(10_000_000, 1_000),))
IMAGE_BYTES = 5_000
IDLE = Machine(
    TOTAL,
    TOTAL,
    accepting=True,
    leases=0,
    image_bytes=IMAGE_BYTES,
    starts=STARTS,
    offer=OFFER,
)


def code_of(asked: Demand, machine: Machine = IDLE, **policy: object) -> DeclineCode:
    reply = answer(asked, machine, replace(POLICY, **policy), NOW_MS)  # type: ignore[arg-type]  # fields of a policy
    assert isinstance(reply, Decline), reply
    assert reply.demand_id == DEMAND
    return reply.code


def bid_on(asked: Demand, machine: Machine = IDLE) -> Bid:
    reply = answer(asked, machine, POLICY, NOW_MS)
    assert isinstance(reply, Bid), reply
    return reply


def test_a_bid_asks_the_price_list_and_names_the_demand() -> None:
    bid = bid_on(demand())
    assert bid.price_micro_usdc_per_hour == POLICY.prices.quote(NEED) == 25_000
    assert (bid.demand_id, bid.demand_hash) == (DEMAND, demand().hash())
    assert bid.wallet == WALLET
    assert (bid.start_ms, bid.start_p95_ms) == (300, 300)
    assert bid.cached_bytes == IMAGE_BYTES


def test_inputs_take_time_at_the_measured_rate() -> None:
    assert bid_on(demand(input_bytes=50_000_000)).start_ms == 300 + 5_000


def test_weights_that_are_here_take_no_time_and_count_as_here() -> None:
    asked = demand(input_bytes=50_000_000)
    bid = bid_on(asked, replace(IDLE, weights_bytes=40_000_000))
    assert bid.start_ms == 300 + 1_000
    assert bid.cached_bytes == IMAGE_BYTES + 40_000_000
    # A coordinator may name more as weights than there is input.
    bid = bid_on(asked, replace(IDLE, weights_bytes=60_000_000))
    assert (bid.start_ms, bid.cached_bytes) == (300, IMAGE_BYTES + 50_000_000)


def test_an_image_that_must_be_pulled_takes_longer() -> None:
    bid = bid_on(demand(image="me/tool:1"), replace(IDLE, image_bytes=0))
    assert bid.start_ms == 300 + DEFAULT_PULL_MS
    assert bid.start_p95_ms > bid.start_ms
    assert bid.cached_bytes == 0


def test_a_bid_stands_for_the_window_and_a_while() -> None:
    assert bid_on(demand()).valid_until_ms == NOW_MS + 2_000 + BID_VALID_MS


def test_no_window_holds_our_resources_for_ever() -> None:
    endless = demand(bid_window_ms=2**53 - 1)
    assert bid_on(endless).valid_until_ms == NOW_MS + BID_WINDOW_MAX_MS + BID_VALID_MS


@pytest.mark.parametrize(
    ("asked", "machine", "code"),
    [
        (demand(), replace(IDLE, accepting=False), DeclineCode.NOT_ACCEPTING),
        (demand(timeout_s=3601), IDLE, DeclineCode.TOO_LONG),
        (demand(requirements=replace(NEED, regions=("us",))), IDLE, DeclineCode.DOES_NOT_FIT),
        (demand(requirements=replace(NEED, cpu_millis=4001)), IDLE, DeclineCode.DOES_NOT_FIT),
        (demand(requirements=replace(NEED, gpu_count=2)), IDLE, DeclineCode.DOES_NOT_FIT),
        # Nothing at all would always fit, and be free.
        (demand(requirements=Requirements(0, 0, 0)), IDLE, DeclineCode.DOES_NOT_FIT),
        (demand(requirements=replace(NEED, memory_bytes=1)), IDLE, DeclineCode.DOES_NOT_FIT),
        (demand(input_bytes=2**53 - 1), IDLE, DeclineCode.DOES_NOT_FIT),
        (demand(input_bytes=99 * GIB + 1), IDLE, DeclineCode.DOES_NOT_FIT),
        (demand(), replace(IDLE, free=Capacity(999, 8 * GIB, 9 * GIB)), DeclineCode.BUSY),
        (demand(), replace(IDLE, leases=LEASES_MAX), DeclineCode.BUSY),
        (demand(max_price_micro_usdc_per_hour=24_999), IDLE, DeclineCode.PRICE_TOO_LOW),
        (demand(), replace(IDLE, image_bytes=None), DeclineCode.NOT_READY),
    ],
)
def test_every_reason_to_decline_has_its_code(
    asked: Demand, machine: Machine, code: DeclineCode
) -> None:
    assert code_of(asked, machine) is code


def test_the_owners_list_of_images_is_kept() -> None:
    assert code_of(demand(), allowed_image_prefixes=("images.example.com/me/",)) is (
        DeclineCode.IMAGE_NOT_ALLOWED
    )
    kept = replace(POLICY, allowed_image_prefixes=("images.example.com/me/", "neurogrid/"))
    assert isinstance(answer(demand(), IDLE, kept, NOW_MS), Bid)


def test_a_node_that_does_not_pull_only_takes_images_it_has() -> None:
    absent = replace(IDLE, image_bytes=0)
    assert code_of(demand(), absent, may_pull=False) is DeclineCode.IMAGE_NOT_ALLOWED
    assert isinstance(answer(demand(), IDLE, replace(POLICY, may_pull=False), NOW_MS), Bid)


def test_a_node_fetches_from_the_registries_on_its_list_alone() -> None:
    absent = replace(IDLE, image_bytes=0)
    listed = RegistryRules.read(["images.example.com"])
    assert (
        code_of(demand(image="me/tool:1"), absent, registries=listed)
        is DeclineCode.IMAGE_NOT_ALLOWED
    )
    there = demand(image="images.example.com/me/tool:1")
    assert isinstance(answer(there, absent, replace(POLICY, registries=listed), NOW_MS), Bid)
    # What is here already came from wherever the owner wanted.
    assert isinstance(answer(demand(), IDLE, replace(POLICY, registries=listed), NOW_MS), Bid)
    inside = demand(image="192.168.1.1:5000/me/tool:1")
    assert code_of(inside, absent) is DeclineCode.IMAGE_NOT_ALLOWED
    # Nobody at Docker Hub puts a program into the place of one that nodes trust.
    assert code_of(demand(image="neurogrid/scrub:1"), absent) is DeclineCode.IMAGE_NOT_ALLOWED
    assert code_of(demand(image="0" * 64), absent) is DeclineCode.IMAGE_NOT_ALLOWED


def test_conditions_of_both_sides_are_kept() -> None:
    own = read_own("task.timeout <= 1m")
    assert code_of(demand(timeout_s=61), conditions=own) is DeclineCode.CONDITION_UNMET
    wanted = read_conditions("gpu.memory >= 80GB", NODE)
    assert code_of(demand(where=wanted)) is DeclineCode.DOES_NOT_FIT


def test_a_gpu_that_the_conditions_rule_out_is_neither_counted_nor_free() -> None:
    small = Gpu("GPU-0", "NVIDIA T4", 16 * GIB, "7.5")
    total = replace(TOTAL, gpus=(small, *TOTAL.gpus))
    machine = replace(IDLE, total=total, free=total, offer=replace(OFFER, total=total))
    need = replace(NEED, gpu_count=1)
    asked = demand(requirements=need, where=read_conditions("gpu.memory >= 20GB", NODE))
    bid_on(asked, machine)
    assert code_of(asked, replace(machine, free=replace(total, gpus=(small,)))) is DeclineCode.BUSY
    two = replace(asked, requirements=replace(need, gpu_count=2))
    assert code_of(two, machine) is DeclineCode.DOES_NOT_FIT


def test_regions_that_include_ours_are_fine() -> None:
    bid_on(demand(requirements=replace(NEED, regions=("us", "eu"))))


def test_a_price_that_is_just_met_is_taken() -> None:
    bid_on(demand(max_price_micro_usdc_per_hour=25_000))


def test_inputs_take_disk_beside_the_outputs() -> None:
    tight = replace(IDLE, free=replace(TOTAL, disk_bytes=2 * GIB))
    bid_on(demand(input_bytes=GIB), tight)
    assert code_of(demand(input_bytes=GIB + 1), tight) is DeclineCode.BUSY


def test_a_node_that_could_not_end_in_time_does_not_bid() -> None:
    ends_ms = NOW_MS + bid_on(demand()).start_ms + demand().timeout_s * 1000
    assert isinstance(bid_on(demand(finish_by_ms=ends_ms)), Bid)
    assert code_of(demand(finish_by_ms=ends_ms - 1)) is DeclineCode.DEADLINE_TOO_CLOSE
    # What has to be fetched first makes it later.
    absent = replace(IDLE, image_bytes=0)
    late = demand(finish_by_ms=ends_ms, image="me/tool:1")
    assert code_of(late, absent) is DeclineCode.DEADLINE_TOO_CLOSE


def test_a_gangs_member_is_taken_only_where_its_network_can_be_made() -> None:
    asked = demand(gang=Gang(4))
    assert code_of(asked) is DeclineCode.NO_GANGS
    able = replace(IDLE, offer=replace(OFFER, runtimes=("runc", GANG_RUNTIME)))
    assert bid_on(asked, able).demand_hash == asked.hash()


def test_a_job_is_taken_only_where_it_reaches_all_that_it_lists() -> None:
    asked = demand(network=Network(("example.org", "example.com:8443")))
    assert code_of(asked) is DeclineCode.NO_NETWORK
    some = replace(IDLE, offer=replace(OFFER, network=NetworkTerms((), (), 1, 1)))
    reply = answer(asked, some, POLICY, NOW_MS)
    assert isinstance(reply, Decline)
    assert (reply.code, reply.detail) == (
        DeclineCode.NO_NETWORK,
        "does not let jobs reach example.com:8443",
    )
    able = replace(IDLE, offer=replace(OFFER, network=NetworkTerms(("*:*",), (), 1, 1)))
    assert bid_on(asked, able).demand_hash == asked.hash()
