import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogrid_marketplace.challenge import (
    CHALLENGE_IMAGE,
    CPU,
    ChallengeTerms,
    Rate,
    draw,
    plan_challenge,
)
from neurogrid_marketplace.challenge_answer import (
    FINDINGS,
    Mark,
    answer_bytes_max,
    answer_file_of,
    judge_answer,
)
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.fields import decode, plain
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.messages import Result
from neurogrid_marketplace.resources import Gpu

from .challenge_reference import (
    CHALLENGE_ID,
    RATES,
    SEED,
    TERMS,
    as_bytes,
    honest_answer,
    small_challenge,
)
from .market import GIB, capacity, offer

COMPLETED = Result(Outcome.COMPLETED, 0, "", 1000)
CHALLENGE = small_challenge()
HONEST = honest_answer(CHALLENGE)
LOT = "10" * 32


def card(number: int, memory_gib: int = 24, model: str = "NVIDIA GeForce RTX 4090") -> Gpu:
    return Gpu(f"GPU-{number:08x}-1111-2222-3333-444444444444", model, memory_gib * GIB, "8.9")


def mark(
    answer: object, *, elapsed_ms: int = 0, result: Result = COMPLETED, lot: str = LOT
) -> Mark:
    data = answer if isinstance(answer, bytes) else as_bytes(answer)
    return judge_answer(CHALLENGE, result, data, elapsed_ms=elapsed_ms, lot=lot).mark


def test_a_machine_without_a_gpu_shows_its_memory_and_its_cores() -> None:
    challenge = plan_challenge(offer("one", total=capacity(8, 32)), CHALLENGE_ID, SEED, TERMS)
    (device,) = challenge.devices
    assert (device.uuid, device.threads) == (CPU, 8)
    assert 0.89 < device.fill_bytes / (32 * GIB) < 0.9
    need = challenge.requirements()
    assert (need.cpu_millis, need.gpu_count) == (8000, 0)
    assert device.fill_bytes < need.memory_bytes <= 32 * GIB


@given(memory_mib=st.integers(64, 2**20), permille=st.integers(1, 1000), cores=st.integers(0, 256))
def test_a_machine_is_never_asked_for_more_than_it_offers(
    memory_mib: int, permille: int, cores: int
) -> None:
    total = replace(capacity(cores), memory_bytes=memory_mib << 20)
    terms = replace(TERMS, fill_permille=permille)
    need = plan_challenge(offer("one", total=total), CHALLENGE_ID, SEED, terms).requirements()
    assert need.memory_bytes <= total.memory_bytes
    assert need.cpu_millis <= max(1000, total.cpu_millis)


def test_all_cards_are_asked_at_once_in_the_order_of_their_names() -> None:
    cards = (card(2, 80, "NVIDIA H100 80GB HBM3"), card(1))
    challenge = plan_challenge(offer("one", total=capacity(gpus=cards)), CHALLENGE_ID, SEED, TERMS)
    assert [device.uuid for device in challenge.devices] == [card(1).uuid, card(2).uuid]
    assert challenge.requirements().gpu_count == 2
    assert challenge.key(0) != challenge.key(1)
    for device, gib in zip(challenge.devices, (24, 80), strict=True):
        assert 0.899 < device.fill_bytes / (gib * GIB) <= 0.9
        visited = device.walks * challenge.steps
        assert 8 * device.tiles <= visited < 8.1 * device.tiles


def test_a_card_that_is_listed_twice_has_twice_the_work() -> None:
    challenge = plan_challenge(
        offer("one", total=capacity(gpus=(card(1), card(1)))), CHALLENGE_ID, SEED, TERMS
    )
    assert challenge.key(0) != challenge.key(1)


@pytest.mark.parametrize("count", [1, 8, 64])
def test_ends_of_walks_fit_an_answer_however_many_cards_there_are(count: int) -> None:
    cards = tuple(card(number, 192) for number in range(count))
    challenge = plan_challenge(offer("one", total=capacity(gpus=cards)), CHALLENGE_ID, SEED, TERMS)
    assert answer_bytes_max(challenge) < 5 * 1024 * 1024


def test_the_deadline_is_that_of_the_slowest_device_at_the_rate_of_its_model() -> None:
    def deadline_ms(*cards: Gpu) -> int:
        total = capacity(gpus=cards)
        return plan_challenge(offer("one", total=total), CHALLENGE_ID, SEED, TERMS).deadline_ms

    known, unknown = card(1), card(2, model="GH999")
    # Ten times as fast, by the first line that fits.
    ratio = (deadline_ms(unknown) - 20_001) / (deadline_ms(known) - 20_001)
    assert 9.9 < ratio < 10.1
    assert deadline_ms(known, unknown) == deadline_ms(unknown)


def test_a_model_without_a_rate_cannot_be_asked() -> None:
    terms = replace(TERMS, rates=(Rate("cpu", 1),))
    with pytest.raises(InvalidValue, match="list one for gpu"):
        plan_challenge(offer("one", total=capacity(gpus=(card(1),))), CHALLENGE_ID, SEED, terms)


def test_other_gpus_than_nvidias_cannot_be_asked() -> None:
    # "cpu" as the name of a GPU would have the machine's memory shown for it.
    for uuid in ("cpu", "0000:03:00.0"):
        gpu = replace(card(1), uuid=uuid)
        with pytest.raises(InvalidValue, match="no UUID of an NVIDIA GPU"):
            plan_challenge(offer("one", total=capacity(gpus=(gpu,))), CHALLENGE_ID, SEED, TERMS)


def test_the_job_is_the_challenge_and_nothing_else() -> None:
    job = CHALLENGE.job()
    assert job.image == CHALLENGE_IMAGE
    assert job.command[:3] == ("/outputs/answer.json", "1", str(CHALLENGE.steps))
    assert not job.environment
    assert not job.inputs
    other = replace(CHALLENGE, seed="5f" * 32)
    assert other.job().hash() != job.hash()


def test_a_challenge_travels() -> None:
    assert decode(type(CHALLENGE), plain(CHALLENGE)) == CHALLENGE


def test_who_is_right_and_in_time_passes() -> None:
    judged = judge_answer(
        CHALLENGE, COMPLETED, as_bytes(HONEST), elapsed_ms=CHALLENGE.deadline_ms, lot=LOT
    )
    assert (judged.mark, judged.walks_checked) == (Mark.PASSED, 4)


def test_who_is_right_and_late_fails() -> None:
    assert mark(HONEST, elapsed_ms=CHALLENGE.deadline_ms + 1) is Mark.LATE


@pytest.mark.parametrize("place", range(4))
def test_any_walk_that_is_checked_is_found_out(place: int) -> None:
    walks = CHALLENGE.devices[0].walks
    broken = draw(LOT, "0", 8, walks)[:4][place]
    numbers = HONEST["devices"][0]["numbers"]
    digit = "0" if numbers[8 * broken] != "0" else "1"
    assert mark(changed(numbers=numbers[: 8 * broken] + digit + numbers[8 * broken + 1 :])) is (
        Mark.WRONG
    )


def test_which_walks_are_checked_depends_on_the_lot() -> None:
    drawn = {tuple(draw(f"{lot:064x}", "0", 4, 10_000)) for lot in range(50)}
    assert len(drawn) == 50
    assert sorted(draw(LOT, "0", 9, 4)) == [0, 1, 2, 3]


def test_who_guesses_all_ends_is_found_out_by_any_lot() -> None:
    guessed = changed(numbers="00" * (4 * CHALLENGE.devices[0].walks))
    assert {mark(guessed, lot=f"{lot:064x}") for lot in range(10)} == {Mark.WRONG}


def test_who_fills_the_tiles_of_another_seed_is_found_out() -> None:
    assert mark(honest_answer(replace(CHALLENGE, seed="00" * 32))) is Mark.WRONG


def test_who_has_half_of_the_tiles_is_found_out() -> None:
    (device,) = CHALLENGE.devices
    less = replace(CHALLENGE, devices=(replace(device, tiles=device.tiles // 2),))
    assert mark(honest_answer(less)) is Mark.WRONG


def test_who_walks_fewer_steps_or_squares_less_is_found_out() -> None:
    assert mark(honest_answer(replace(CHALLENGE, steps=CHALLENGE.steps - 1))) is Mark.WRONG
    assert mark(honest_answer(replace(CHALLENGE, rounds=2))) is Mark.WRONG


def changed(**fields: object) -> dict[str, Any]:
    return {"devices": [HONEST["devices"][0] | fields]}


WRONG: dict[str, Callable[[], object]] = {
    "nothing": lambda: b"",
    "not JSON": lambda: b"{",
    "not UTF-8": lambda: b"\xff",
    "no devices": lambda: {"devices": []},
    "another device": lambda: changed(uuid="GPU-0"),
    "a device twice": lambda: {"devices": HONEST["devices"] * 2},
    "too few ends": lambda: changed(numbers=HONEST["devices"][0]["numbers"][8:]),
    "too many ends": lambda: changed(numbers=HONEST["devices"][0]["numbers"] + "00000000"),
    "half an end": lambda: changed(numbers=HONEST["devices"][0]["numbers"][:-1]),
    "upper case": lambda: changed(numbers=HONEST["devices"][0]["numbers"].upper()),
    "no digits": lambda: changed(numbers="\u0660" * len(HONEST["devices"][0]["numbers"])),
    "ends as numbers": lambda: changed(numbers=[1, 2, 3]),
    "a time before the start": lambda: changed(fill_ms=-1),
    "a list": list,
    "a number": lambda: 7,
    "too large": lambda: as_bytes(HONEST) + b" " * answer_bytes_max(CHALLENGE),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_answer_is_wrong(name: str) -> None:
    assert mark(WRONG[name]()) is Mark.WRONG


def test_no_answer_at_all_is_wrong() -> None:
    assert judge_answer(CHALLENGE, COMPLETED, None, elapsed_ms=0, lot=LOT).mark is Mark.WRONG


@given(st.binary(max_size=300))
def test_no_bytes_break_the_judge(data: bytes) -> None:
    assert mark(data) is Mark.WRONG


@given(place=st.integers(0, 10**9), bit=st.integers(0, 31))
@settings(max_examples=20, deadline=None)
def test_one_wrong_bit_is_found_where_it_is_looked_at(place: int, bit: int) -> None:
    numbers = HONEST["devices"][0]["numbers"]
    walk = place % CHALLENGE.devices[0].walks
    end = int(numbers[8 * walk : 8 * walk + 8], 16) ^ (1 << bit)
    answer = changed(numbers=numbers[: 8 * walk] + f"{end:08x}" + numbers[8 * walk + 8 :])
    looked_at = walk in draw(LOT, "0", 8, CHALLENGE.devices[0].walks)
    assert mark(answer) is (Mark.WRONG if looked_at else Mark.PASSED)


@pytest.mark.parametrize("outcome", Outcome)
def test_how_a_run_ended_says_what_is_the_nodes_doing(outcome: Outcome) -> None:
    found = mark(HONEST, result=replace(COMPLETED, outcome=outcome, exit_code=4))
    expected = {
        Outcome.COMPLETED: Mark.PASSED,
        Outcome.TIME_EXCEEDED: Mark.LATE,
        Outcome.EXIT_NONZERO: Mark.UNANSWERED,
        Outcome.MEMORY_EXCEEDED: Mark.UNANSWERED,
        Outcome.PIDS_EXCEEDED: Mark.UNANSWERED,
        Outcome.DISK_EXCEEDED: Mark.UNANSWERED,
        Outcome.COMMAND_NOT_FOUND: Mark.UNANSWERED,
        Outcome.OUTPUT_REFUSED: Mark.UNANSWERED,
        Outcome.START_FAILED: Mark.UNANSWERED,
        Outcome.RESULT_INVALID: Mark.UNANSWERED,
    }
    assert found is expected.get(outcome, Mark.INCONCLUSIVE)


def test_the_runners_exit_codes_are_told_apart() -> None:
    def reason(exit_code: int, outcome: Outcome = Outcome.EXIT_NONZERO) -> str:
        result = replace(COMPLETED, outcome=outcome, exit_code=exit_code)
        return judge_answer(CHALLENGE, result, None, elapsed_ms=0, lot=LOT).reason

    assert "does not have a GPU" in reason(3)
    assert "does not have the memory" in reason(4)
    assert "does not have the memory" in reason(137, Outcome.MEMORY_EXCEEDED)
    assert "a GPU failed" in reason(5)
    assert "exit_nonzero" in reason(1)


def test_every_mark_but_one_is_a_finding() -> None:
    assert set(Mark) - set(FINDINGS) == {Mark.INCONCLUSIVE}


def test_the_answer_is_the_file_of_that_name() -> None:
    one, other = OutputFile("a", "1" * 64, 1), OutputFile("answer.json", "2" * 64, 2)
    assert answer_file_of(replace(COMPLETED, outputs=(one, other))) == ("2" * 64, 2)
    assert answer_file_of(replace(COMPLETED, outputs=(one,))) is None


def test_terms_name_a_rate_for_everything() -> None:
    terms = ChallengeTerms(900, 8, 0, RATES)
    devices = plan_challenge(
        offer("one", total=capacity(gpus=(card(1, model="nvidia rtx 4090 d"), card(2, model="x")))),
        CHALLENGE_ID,
        SEED,
        terms,
    ).devices
    assert [terms.multiplications_per_ms(device) for device in devices] == [500_000_000, 50_000_000]
    (cpu,) = plan_challenge(offer("one"), CHALLENGE_ID, SEED, terms).devices
    assert terms.multiplications_per_ms(cpu) == 100_000 * 8


def test_reading_back_what_was_written_changes_nothing() -> None:
    assert json.loads(as_bytes(HONEST)) == HONEST
