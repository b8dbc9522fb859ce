"""Which idle replicas make room for a model that is waited for; and that two models do not take turns at one place."""

import random
from dataclasses import dataclass, replace

import pytest

from neurogrid_marketplace.replica_room import Occupant, room_for
from neurogrid_marketplace.resources import Capacity, Gpu, Requirements

GIB = 1024**3
NOTHING = Capacity(0, 0, 0)
SMALL, LARGE = Requirements(1000, GIB, GIB), Requirements(2000, 4 * GIB, GIB)
HOUR_MS = 3_600_000


def idle(name: str, idle_ms: int = HOUR_MS, has: Requirements = SMALL, **more: int) -> Occupant:
    return Occupant(name, "one", has, ready_ms=HOUR_MS, idle_ms=idle_ms, **more)


def test_the_one_that_is_idle_longest_goes() -> None:
    there = [idle("a", 10_000), idle("b", 30_000), idle("c", 20_000)]
    assert room_for(SMALL, {"one": NOTHING}, there) == ("b",)
    assert room_for(SMALL, {"two": NOTHING}, there) == ()
    assert room_for(SMALL, {"one": NOTHING}, []) == ()


def test_as_few_go_as_can_be_and_nobody_in_vain() -> None:
    small = [idle("a", 30_000), idle("b", 20_000), replace(idle("c", 40_000), node_id="two")]
    large = replace(idle("d", 10_000, LARGE), node_id="two")
    free = {"one": Capacity(0, 2 * GIB, 0), "two": NOTHING}
    assert room_for(LARGE, free, small) == ("a", "b")
    # One of another node, rather than two; and not the small one beside it, which was idle for longer.
    assert room_for(LARGE, free, [*small, large]) == ("d",)
    assert room_for(Requirements(9000, GIB, GIB), free, [*small, large]) == ()


def test_where_there_is_room_already_nobody_goes_for_it() -> None:
    assert room_for(SMALL, {"one": Capacity(4000, 8 * GIB, 8 * GIB)}, [idle("a")]) == ()


def test_gpus_count_that_are_known_to_be_large_enough() -> None:
    need = Requirements(0, 0, 0, 1, 8 * GIB, compute_capability="8.0")
    fits = replace(need, gpu_memory_bytes=16 * GIB)
    assert room_for(need, {"one": NOTHING}, [idle("a", has=fits)]) == ("a",)
    for other in (replace(fits, gpu_memory_bytes=GIB), replace(fits, compute_capability="7.0")):
        assert room_for(need, {"one": NOTHING}, [idle("a", has=other)]) == ()
    has_one = Capacity(0, 0, 0, (Gpu("GPU-1", "L4", 24 * GIB, "8.9"),))
    two = replace(need, gpu_count=2)
    assert room_for(two, {"one": has_one}, [idle("a", has=fits)]) == ("a",)


@pytest.mark.parametrize(
    ("ready_ms", "idle_ms", "start_ms", "goes"),
    [
        (29_999, 20_000, 0, False),
        (30_000, 4_999, 0, False),
        (30_000, 5_000, 0, True),
        (89_999, 60_000, 9_000, False),
        (90_000, 60_000, 9_000, True),
    ],
)
def test_each_stays_for_ten_of_its_starts(
    ready_ms: int, idle_ms: int, start_ms: int, goes: bool
) -> None:
    there = Occupant("a", "one", SMALL, ready_ms, idle_ms, start_ms)
    assert (room_for(SMALL, {"one": NOTHING}, [there]) == ("a",)) == goes


@dataclass
class Place:
    """A node that has room for one replica, and models that are asked at random.

    Attributes:
        starts: how many replicas were begun; starting_ms: how long that took in all.
        served, refused: requests, by what became of them.
    """

    seed: int
    models: int
    pause_ms: int
    start_ms: int
    starts: int = 0
    starting_ms: int = 0
    served: int = 0
    refused: int = 0

    def run(self, span_ms: int) -> None:
        """Requests come, of one model or another; the place is whose room was made last."""
        draw = random.Random(self.seed)
        now_ms = begun_ms = worked_ms = 0
        model = ""
        while now_ms < span_ms:
            now_ms += round(draw.expovariate(1 / self.pause_ms)) + 1
            asked = f"m{draw.randrange(self.models)}"
            if asked != model:
                ready_ms = now_ms - begun_ms - self.start_ms
                there = Occupant(
                    *(model, "one", SMALL), ready_ms, now_ms - worked_ms, self.start_ms
                )
                if model and room_for(SMALL, {"one": NOTHING}, [there]) != (model,):
                    self.refused += 1
                    continue
                model, begun_ms = asked, now_ms
                self.starts += 1
                self.starting_ms += self.start_ms
            self.served += 1
            worked_ms = max(now_ms, begun_ms + self.start_ms)


@pytest.mark.parametrize("start_ms", [500, 3_000, 60_000])
@pytest.mark.parametrize("pause_ms", [100, 2_000, 20_000, 120_000])
def test_models_that_are_asked_in_turn_spend_their_place_on_answers_and_not_on_starts(
    pause_ms: int, start_ms: int
) -> None:
    span_ms = 24 * HOUR_MS // 4
    for seed in range(5):
        place = Place(seed, 3, pause_ms, start_ms)
        place.run(span_ms)
        # A place is never more than one part in eleven of its time in starts, nor given up more often than twice a minute.
        assert place.starting_ms <= span_ms / 11 + start_ms, seed
        assert place.starts <= span_ms / 30_000 + 1, seed
        if pause_ms >= 20_000 and start_ms <= 3_000:
            # Where there is time between requests, nobody is kept out for long.
            assert place.starts > 20, seed
            assert place.served > 10 * place.starts / 11, seed
