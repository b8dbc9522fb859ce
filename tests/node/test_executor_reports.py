"""What a lease tells its coordinator, over any number of connections."""

from dataclasses import replace

import trio
from trio.testing import MockClock

from neurogrid_marketplace.messages import Acknowledge, Attach, Claimed, Event, Log
from neurogrid_marketplace.offer import LeasePhase
from node.fakes import GRANT_BYTES
from node.lease_world import LeaseWorld
from node.market import LEASE


async def test_events_are_sent_until_they_are_acknowledged(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    await trio.sleep(20)
    numbers = [event.number for event in world.all_sent(Event)]
    assert numbers.count(0) > 5
    world.acknowledge()
    await trio.sleep(1)
    world.link.taken()
    await trio.sleep(30)
    assert all(event.number == 2 for event in world.all_sent(Event))


async def test_nothing_is_sent_into_a_void_and_all_of_it_after_the_return(
    autojump_clock: MockClock,
    world: LeaseWorld,
) -> None:
    world.link.connected = False
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.sandbox.write_log(LEASE, "while you were away\n")
    await world.until_phase(LeasePhase.REPORTED)
    assert world.link.sent == []
    world.link.open()
    await trio.sleep(1)
    assert [event.number for event in world.all_sent(Event)] == [0, 1, 2]
    assert world.log_sent() == "while you were away\n"


async def test_a_claim_is_told_until_the_lease_is_closed(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.start()
    await world.until_phase(LeasePhase.REPORTED)
    world.acknowledge()
    world.voucher(7, final=True)
    await world.until(lambda: bool(world.lease.claim_transaction))
    await trio.sleep(30)
    assert len(world.all_sent(Claimed)) > 5
    assert world.earnings.redeemed == [7]


async def test_the_log_arrives_whole_over_any_number_of_connections(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    text = "".join(f"line {number} ü\n" for number in range(30_000))
    world.sandbox.runs_for_s = 60
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.acknowledge_always)
        for start in range(0, len(text), 50_000):
            world.sandbox.write_log(LEASE, text[start : start + 50_000])
            await trio.sleep(0.01)
            world.link.connected = start % 100_000 != 0
            await trio.sleep(0.2)
            if not world.link.connected:
                world.link.open()
        await world.until_phase(LeasePhase.REPORTED)
        assert world.log_sent() == text
        assert world.result().logs_bytes == len(text.encode())
        nursery.cancel_scope.cancel()


async def test_log_pieces_that_are_lost_are_sent_again(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    text = "x" * 1000
    world.sandbox.runs_for_s = 60
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.sandbox.write_log(LEASE, text)
    await trio.sleep(0.5)
    assert world.log_sent() == text
    # The coordinator was too busy to store it, and says so.
    world.link.taken()
    world.stored(2, 0)
    await trio.sleep(10)
    assert world.log_sent() == text


async def test_nothing_is_sent_beyond_the_grant(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.runs_for_s = 600
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.sandbox.write_log(LEASE, "ü" * 5 * GRANT_BYTES)
    await trio.sleep(2)
    assert len(world.log_sent().encode()) == GRANT_BYTES
    # Within a character: what does not fit whole waits.
    world.runner.received(Acknowledge(LEASE, 2, 10, log_limit_bytes=GRANT_BYTES + 1))
    await trio.sleep(2)
    assert len(world.log_sent().encode()) == GRANT_BYTES
    # A grant is not taken back.
    world.runner.received(Acknowledge(LEASE, 2, 10, log_limit_bytes=2 * GRANT_BYTES))
    world.runner.received(Acknowledge(LEASE, 2, 10, log_limit_bytes=11))
    await trio.sleep(2)
    assert len(world.log_sent().encode()) == 2 * GRANT_BYTES


async def test_a_grant_ends_with_its_stream(autojump_clock: MockClock, world: LeaseWorld) -> None:
    world.sandbox.runs_for_s = 600
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.link.connected = False
    world.runner.attach()
    world.link.connected = True
    world.sandbox.write_log(LEASE, "hello\n")
    await trio.sleep(5)
    assert world.log_sent() == ""
    world.stored(2, 0)
    await trio.sleep(1)
    assert world.log_sent() == "hello\n"


async def test_lines_that_follow_one_another_are_gathered_and_a_line_after_a_pause_goes_at_once(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.runs_for_s = 600
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.acknowledge_always)
        await trio.sleep(1)
        world.sandbox.write_log(LEASE, "first\n")
        await trio.sleep(0.001)
        assert world.log_sent() == "first\n"
        for number in range(1_000):
            world.sandbox.write_log(LEASE, f"line {number}\n")
            await trio.sleep(0.001)
        await trio.sleep(1)
        assert world.log_sent().endswith("line 999\n")
        assert 5 <= len(world.all_sent(Log)) <= 1 + 1_000 / 25
        nursery.cancel_scope.cancel()


async def test_small_pieces_wait_for_the_one_before_them(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.runs_for_s = 600
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    for number in range(1_000):
        world.sandbox.write_log(LEASE, f"line {number}\n")
        await trio.sleep(0.001)
    assert len(world.all_sent(Log)) == 1
    world.acknowledge()
    await trio.sleep(0.1)
    assert len(world.all_sent(Log)) == 2


async def test_each_stream_begins_with_what_the_lease_has(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.runs_for_s = 600
    await trio.sleep(1)
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.voucher(7)
    await trio.sleep(1)
    world.link.open()
    assert world.link.attached == [
        Attach(LEASE, has_start=False, events=0),
        Attach(LEASE, has_start=True, events=2, voucher_micro_usdc=7),
    ]
    await world.restart()
    await trio.sleep(1)
    assert world.link.attached[2:] == world.link.attached[1:2]


async def test_log_acknowledgements_are_not_journaled_one_by_one(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.runs_for_s = 600
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.acknowledge()
    await trio.sleep(1)
    saved = world.saved()
    for stored in range(100):
        world.stored(2, stored)
    await trio.sleep(1)
    assert world.lease.log_bytes_stored == 99
    assert world.saved() == saved
    assert replace(world.lease, log_bytes_stored=saved.log_bytes_stored) == saved


async def test_a_flood_of_messages_does_not_drop_what_a_step_found(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    await trio.sleep(4.9)
    with trio.move_on_after(1):
        while world.phase is not LeasePhase.REPORTED:
            for _ in range(300):
                world.stored(0, 0)
            await trio.sleep(0.005)
    assert world.phase is LeasePhase.REPORTED


async def test_nonsense_acknowledgements_hurt_nobody(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.runs_for_s = 10
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.stored(10**9, 2**53 - 1)
    world.sandbox.write_log(LEASE, "hello\n")
    await world.until_phase(LeasePhase.REPORTED)
    assert world.result().logs_bytes == 6
    assert world.lease.events_stored <= 3


async def test_progress_asks_for_a_heartbeat_once_a_second_at_most(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.runs_for_s = 60
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    before = world.link.beats
    for number in range(100):
        world.sandbox.write_log(LEASE, f"NEUROGRID_PROGRESS 0.{number:02} {number}\n")
        await trio.sleep(0.1)
    assert 8 <= world.link.beats - before <= 11
    status = world.runner.status()
    assert (status.progress_permille, status.note) == (990, "99")
    assert status.phase is LeasePhase.RUNNING
