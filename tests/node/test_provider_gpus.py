"""What a seller says and takes when its GPUs come and go."""

from neurogrid_marketplace.bid import Bid, DeclineCode
from neurogrid_marketplace.messages import Hello
from neurogrid_marketplace.usage import GpuUse
from neurogrid_node.machine.fitness import Withheld
from neurogrid_node.machine.gpu_state import GpuState
from neurogrid_node.machine.inventory import Inventory
from node.market import COORDINATOR, GIB, GPU, NEED, NOW_MS, award, changed, demand
from node.seller import Seller, code_of

L4 = GpuState(0, GPU.uuid, GPU.model, GPU.memory_bytes, 0, "8.9", 0, 40, 70_000, ())
WHOLE = Inventory(4, 8 * GIB, 100 * GIB, gpus=(L4,), driver="550.90.07")
WITHOUT = changed(WHOLE, withheld=(Withheld(GPU.uuid, "xid", "XID 79", NOW_MS, NOW_MS),))
WANTED = demand(requirements=changed(NEED, gpu_count=1))


async def test_every_coordinator_is_told_at_once_of_a_gpu_that_is_gone_or_back(
    seller: Seller,
) -> None:
    await seller.provider.found_gpus(WITHOUT)
    for link in (seller.link, seller.other):
        (hello,) = link.taken()
        assert isinstance(hello, Hello)
        assert (hello.offer.total.gpus, hello.offer.free.gpus) == ((), ())
        assert "withheld: xid" in hello.offer.summary
    await seller.provider.found_gpus(WITHOUT)
    assert seller.link.taken() == [], "nothing new"
    await seller.provider.found_gpus(WHOLE)
    (hello,) = seller.link.taken()
    assert isinstance(hello, Hello)
    assert (hello.offer.total.gpus, hello.offer.gpu_driver) == ((GPU,), "550.90.07")


async def test_a_gpu_that_is_gone_is_not_bid(seller: Seller) -> None:
    await seller.provider.found_gpus(WITHOUT)
    assert code_of(await seller.say(WANTED)) is DeclineCode.DOES_NOT_FIT
    await seller.provider.found_gpus(WHOLE)
    (reply,) = await seller.say(WANTED)
    assert isinstance(reply, Bid)


async def test_a_bid_for_a_gpu_that_goes_is_not_awarded(seller: Seller) -> None:
    bid_hash = await seller.bid_hash(WANTED)
    await seller.provider.found_gpus(WITHOUT)
    refused = await seller.say(award(bid_hash, WANTED))
    assert code_of(refused) is DeclineCode.RESERVATION_EXPIRED


async def test_a_lease_keeps_its_gpu_reserved_while_it_is_gone(seller: Seller) -> None:
    won = award(await seller.bid_hash(WANTED), WANTED)
    await seller.say(won)
    await seller.provider.found_gpus(WITHOUT)
    await seller.provider.found_gpus(WHOLE)
    assert seller.book.leased_gpus() == {GPU.uuid}
    assert seller.book.free(NOW_MS).gpus == ()
    seller.provider.cleared(won.lease_id)
    assert seller.book.free(NOW_MS).gpus == (GPU,)


async def test_heartbeats_tell_how_the_offered_gpus_are(seller: Seller) -> None:
    use = GpuUse(GPU.uuid, 90, GIB, 66, 70_500)
    seller.gpus = (use, GpuUse("GPU-not-offered", 1))
    assert seller.provider.heartbeat(COORDINATOR).gpus == (use,)
