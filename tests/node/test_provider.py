"""Demands: a bid that holds what it promises, or a decline that says why."""

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from neurogrid_marketplace.attributes import NODE as NODE_ATTRIBUTES
from neurogrid_marketplace.bid import Bid, DeclineCode
from neurogrid_marketplace.condition_text import read_conditions
from neurogrid_marketplace.execution import agreement
from neurogrid_marketplace.messages import (
    Hello,
)
from neurogrid_marketplace.resources import Gpu, Requirements
from neurogrid_node.market.start_history import DEFAULT_READY_MS, StartTook
from node.market import (
    DEMAND,
    GIB,
    GPU,
    NEED,
    TOTAL,
    award,
    demand,
)
from node.seller import KEY, PUBLIC_KEY, Seller, code_of


async def test_an_image_that_came_is_told_to_every_coordinator_once(seller: Seller) -> None:
    await seller.provider.found_images(("python:3.12",))
    await seller.provider.found_images(("python:3.12",))
    for link in (seller.link, seller.other):
        (said,) = link.taken()
        assert isinstance(said, Hello)
        assert said.offer.images == ("python:3.12",)
    wanted = read_conditions("image.present has python:3.12", NODE_ATTRIBUTES)
    (bid,) = await seller.say(demand(where=wanted))
    assert isinstance(bid, Bid)


async def test_a_bid_holds_the_gpu_that_the_conditions_name(seller: Seller) -> None:
    small = Gpu("GPU-0", "NVIDIA T4", 16 * GIB, "7.5")
    seller.book.total = replace(TOTAL, gpus=(small, GPU))
    wanted = read_conditions("gpu.memory >= 20GB", NODE_ATTRIBUTES)
    need = replace(demand().requirements, gpu_count=1)
    (bid,) = await seller.say(demand(requirements=need, where=wanted))
    assert isinstance(bid, Bid)
    assert seller.book.free(seller.now_ms).gpus == (small,)


async def test_a_demand_gets_a_bid_that_holds_its_resources(seller: Seller) -> None:
    (bid,) = await seller.say(demand())
    assert isinstance(bid, Bid)
    assert (bid.demand_id, bid.start_ms) == (DEMAND, DEFAULT_READY_MS)
    assert seller.book.free(seller.now_ms).cpu_millis == 3000
    seller.now_ms = bid.valid_until_ms
    assert seller.book.free(seller.now_ms) == TOTAL


async def test_a_demand_that_does_not_fit_gets_a_decline_and_holds_nothing(seller: Seller) -> None:
    big = demand(requirements=replace(NEED, cpu_millis=99_000))
    assert code_of(await seller.say(big)) is DeclineCode.DOES_NOT_FIT
    seller.image_bytes = None
    assert code_of(await seller.say(demand())) is DeclineCode.NOT_READY
    seller.provider.accepting = False
    assert code_of(await seller.say(demand())) is DeclineCode.NOT_ACCEPTING
    assert seller.book.free(seller.now_ms) == TOTAL


async def test_the_same_demand_again_gets_the_same_bid_and_both_stand(seller: Seller) -> None:
    everything = demand(requirements=replace(NEED, cpu_millis=4000))
    first = await seller.bid_hash(everything)
    second = await seller.bid_hash(everything)
    assert first != second
    won = award(first, everything)
    assert await seller.say(won) == [agreement(won, PUBLIC_KEY)]


async def test_each_lease_has_a_sealing_key_of_its_own_which_its_accept_names_ever_after(
    seller: Seller,
) -> None:
    won = await seller.take()
    assert seller.journal.inline.sealing_key(won.lease_id) == KEY.private_bytes_raw()
    seller.sealing_key = X25519PrivateKey.generate()
    assert await seller.say(won) == [agreement(won, PUBLIC_KEY)]


async def test_another_demand_under_the_same_name_is_answered_anew(seller: Seller) -> None:
    old = await seller.bid_hash()
    bigger = demand(requirements=replace(NEED, cpu_millis=2000))
    new = await seller.bid_hash(bigger)
    assert seller.book.free(seller.now_ms).cpu_millis == 2000
    assert code_of(await seller.say(award(old, bigger))) is DeclineCode.TERMS_CHANGED
    won = award(new, bigger)
    assert await seller.say(won) == [agreement(won, PUBLIC_KEY)]


async def test_any_number_of_demands_takes_no_more_than_the_machine(seller: Seller) -> None:
    for number in range(3000):
        await seller.say(demand(demand_id=f"demand_{number:032x}"))
    assert seller.book.free(seller.now_ms).cpu_millis == 0
    nothing = demand(requirements=Requirements(0, 0, 0))
    assert code_of(await seller.say(nothing)) is DeclineCode.DOES_NOT_FIT
    seller.now_ms += 60_000
    assert seller.book.free(seller.now_ms) == TOTAL


async def test_inputs_are_held_too(seller: Seller) -> None:
    await seller.say(demand(input_bytes=5 * GIB))
    assert seller.book.free(seller.now_ms).disk_bytes == TOTAL.disk_bytes - 6 * GIB


async def test_bids_say_what_starts_have_taken(seller: Seller) -> None:
    for _ in range(50):
        await seller.provider.started(StartTook(1_000, "image:1"))
    await seller.provider.started(StartTook(3_600_000, "image:1"))  # it waited for something else
    (bid,) = await seller.say(demand())
    assert isinstance(bid, Bid)
    assert (bid.start_ms, bid.start_p95_ms, bid.cached_bytes) == (1_000, 1_000, 7)
    # A new life of the node knows it too.
    seller.provider = seller.make(seller.journal)
    seller.provider.accepting = True
    (again,) = await seller.say(demand())
    assert isinstance(again, Bid)
    assert again.start_ms == 1_000
