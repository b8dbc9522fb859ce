from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.demand import VerifyMode
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.fields import Id, decode
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.messages import Result
from neurogrid_marketplace.verification import (
    Agreed,
    Run,
    RunAgain,
    Undecided,
    Verification,
    Wait,
    commitment,
    draw_permille,
    judge,
    replica_id,
    same_files,
)

QUORUM_2 = Verification(VerifyMode.QUORUM, 2)
QUORUM_3 = Verification(VerifyMode.QUORUM, 3)
CHECK = Verification(VerifyMode.SPOT_CHECK)


def result(content: str, outcome: Outcome = Outcome.COMPLETED, exit_code: int = 0) -> Result:
    digest = f"{ord(content[0]):064x}"
    return Result(outcome, exit_code, "", 1000, outputs=(OutputFile("out", digest, 1),))


def group(contents: str) -> list[Run]:
    """One run a letter: "." is open, "-" ended without an answer, any other is its result."""
    return [
        Run(f"run-{n}", letter == ".", None if letter in ".-" else result(letter))
        for n, letter in enumerate(contents)
    ]


def judged(contents: str, wanted: Verification = QUORUM_2) -> object:
    return judge(wanted, group(contents), same_files)


@pytest.mark.parametrize(
    ("contents", "wanted"), [(".", CHECK), ("a.", QUORUM_2), ("ab.", QUORUM_2), ("aa.", QUORUM_3)]
)
def test_nothing_is_decided_while_a_run_is_open(contents: str, wanted: Verification) -> None:
    assert judged(contents, wanted) == Wait()


def test_two_that_agree_are_enough_for_a_quorum_of_two() -> None:
    assert judged("aa") == Agreed(("run-0", "run-1"), ())


def test_a_difference_alone_refutes_nobody_and_a_third_run_decides_a_quorum() -> None:
    assert judged("ab") == RunAgain()
    assert judged("aba") == Agreed(("run-0", "run-2"), ("run-1",))
    assert judged("abb") == Agreed(("run-1", "run-2"), ("run-0",))


def test_a_check_refutes_nobody_by_fewer_than_three_or_by_a_narrow_majority() -> None:
    assert judged("ab", CHECK) == judged("abb", CHECK) == RunAgain()
    assert judged("abbb", CHECK) == Agreed(("run-1", "run-2", "run-3"), ("run-0",))
    # Two in league against two, and three against two: more are asked.
    assert judged("abab", CHECK) == judged("ababb", CHECK) == RunAgain()
    assert judged("ababbb", CHECK) == Agreed(
        ("run-1", "run-3", "run-4", "run-5"), ("run-0", "run-2")
    )
    assert isinstance(judged("ababbab", CHECK), Undecided)
    # Six of them are too many different ones for any seventh to help.
    assert isinstance(judged("abcdef", CHECK), Undecided)


def test_a_check_that_only_one_answered_says_nothing_and_two_of_two_agree() -> None:
    assert isinstance(judged("a-", CHECK), Undecided)
    assert judged("aa", CHECK) == Agreed(("run-0", "run-1"), ())
    assert judged("ab-b", CHECK) == RunAgain()
    assert judged("ab-bb", CHECK) == Agreed(("run-1", "run-3", "run-4"), ("run-0",))


def test_the_quorum_grows_until_a_majority_or_the_limit() -> None:
    assert judged("abc") == RunAgain()
    # Two of five at best could still become three.
    assert judged("abca") == RunAgain()
    assert judged("abcaa") == Agreed(("run-0", "run-3", "run-4"), ("run-1", "run-2"))
    # Four different ones: no majority of five is left.
    assert isinstance(judged("abcd"), Undecided)
    assert isinstance(judged("abcab"), Undecided)


def test_runs_without_an_answer_do_not_vote_and_do_not_agree() -> None:
    assert judged("a-a", QUORUM_3) == Agreed(("run-0", "run-2"), ())
    assert isinstance(judged("a-", QUORUM_2), Undecided)
    assert isinstance(judged("--", QUORUM_2), Undecided)
    assert isinstance(judged("a-b", QUORUM_3), Undecided)


def test_how_a_program_ended_is_a_part_of_its_result() -> None:
    runs = [
        Run("one", False, result("a")),
        Run("two", False, result("a", Outcome.EXIT_NONZERO, 1)),
        Run("three", False, result("a", Outcome.EXIT_NONZERO, 2)),
    ]
    assert judge(QUORUM_2, runs, same_files) == RunAgain()
    runs.append(Run("four", False, result("a", Outcome.EXIT_NONZERO, 1)))
    assert judge(QUORUM_2, runs, same_files) == RunAgain()
    runs.append(Run("five", False, result("a", Outcome.EXIT_NONZERO, 1)))
    assert judge(QUORUM_2, runs, same_files) == Agreed(("two", "four", "five"), ("one", "three"))


def test_the_files_themselves_count_and_not_their_order() -> None:
    one, two = OutputFile("a", "0" * 64, 1), OutputFile("b", "1" * 64, 1)
    assert same_files(
        Result(Outcome.COMPLETED, 0, "", 1000, outputs=(one, two)),
        Result(Outcome.COMPLETED, 0, "", 1000, outputs=(two, one)),
    )
    renamed = OutputFile("c", "1" * 64, 1)
    assert not same_files(
        Result(Outcome.COMPLETED, 0, "", 1000, outputs=(one, two)),
        Result(Outcome.COMPLETED, 0, "", 1000, outputs=(one, renamed)),
    )


WANTED = st.sampled_from([CHECK, *(Verification(VerifyMode.QUORUM, runs) for runs in (2, 3, 4, 5))])


@given(st.text("abc-", min_size=1, max_size=11), WANTED)
def test_every_group_comes_to_an_end(contents: str, wanted: Verification) -> None:
    judgement = judged(contents, wanted)
    assert not isinstance(judgement, Wait)
    if len(contents) >= wanted.runs_max:
        assert not isinstance(judgement, RunAgain)
    if isinstance(judgement, Agreed):
        votes = len(judgement.right)
        assert 2 * votes > len(contents.replace("-", ""))
        assert 2 * votes > wanted.runs
        # Nobody is refuted by fewer than two others, or three who check.
        assert not judgement.wrong or votes >= (3 if wanted == CHECK else 2)
        assert sorted(judgement.right + judgement.wrong) == sorted(
            f"run-{n}" for n, letter in enumerate(contents) if letter != "-"
        )


@given(st.text("abc-", min_size=1, max_size=6), st.text("abc-", min_size=6, max_size=6), WANTED)
def test_a_group_that_is_undecided_could_not_have_been_decided(
    contents: str, more: str, wanted: Verification
) -> None:
    """Where nobody can be ahead any more, nothing further is run; where somebody could, it is."""
    answers = contents.replace("-", "")
    if isinstance(judged(contents, wanted), Undecided) and len(answers) >= wanted.runs_wanted:
        for upto in range(len(contents), wanted.runs_max):
            assert not isinstance(judged((contents + more)[: upto + 1], wanted), Agreed)


@pytest.mark.parametrize(
    "parts",
    [
        {"mode": VerifyMode.QUORUM},
        {"mode": VerifyMode.SPOT_CHECK, "runs": 2},
        {"runs": 2},
    ],
)
def test_parts_that_do_not_go_together_are_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        Verification(**parts)


def test_money_is_held_for_every_run_that_is_certain() -> None:
    largest = Verification(VerifyMode.QUORUM, 5)
    held = [wanted.runs_held for wanted in (Verification(), CHECK, QUORUM_3, largest)]
    assert held == [1, 2, 3, 5]


def test_replicas_have_ids_of_the_markets_form_that_never_change() -> None:
    ids = {replica_id("task_" + "0" * 32, number) for number in range(11)}
    assert len(ids) == 11
    for name in ids:
        decode(Id, name)
    assert replica_id("task_" + "0" * 32, 1) in ids


def test_draws_are_spread_evenly_and_depend_on_secret_lease_and_bid() -> None:
    secret = b"s" * 32
    draws = [draw_permille(secret, f"lease_{n}", "b" * 64) for n in range(20_000)]
    assert min(draws) >= 0
    assert max(draws) <= 999
    below = sum(draw < 100 for draw in draws) / len(draws)
    assert 0.09 < below < 0.11
    assert draws[0] == draw_permille(secret, "lease_0", "b" * 64)
    others = [
        draw_permille(b"t" * 32, "lease_0", "b" * 64),
        draw_permille(secret, "lease_x", "b" * 64),
        draw_permille(secret, "lease_0", "c" * 64),
    ]
    assert draws[0] not in others


def test_a_commitment_tells_secrets_apart() -> None:
    assert commitment(b"a" * 32) != commitment(b"b" * 32)


# --- a comparator that does not pass on -----------------------------------------------------------


def close(one: Result, other: Result) -> bool:
    """Results are the numbers of their only file's hash, and the same when they are at most 1 apart."""
    here, there = (int(each.outputs[0].sha256, 16) for each in (one, other))
    return abs(here - there) <= 1


def by_number(values: list[int], wanted: Verification) -> object:
    runs = [Run(f"run-{n}", False, result(chr(value))) for n, value in enumerate(values)]
    return judge(wanted, runs, close)


def test_who_agrees_with_one_of_those_around_the_middle_is_not_refuted() -> None:
    # 2 is the middle of 1, 2 and 3; 4 agrees with 3; 9 with nobody.
    assert by_number([1, 2, 3, 4, 9], Verification(VerifyMode.QUORUM, 5)) == Agreed(
        ("run-0", "run-1", "run-2", "run-3"), ("run-4",)
    )
    assert by_number([1, 3], QUORUM_2) == RunAgain()
    assert by_number([1, 3, 2], QUORUM_2) == Agreed(("run-0", "run-1", "run-2"), ())


@given(st.lists(st.integers(1, 9), min_size=1, max_size=7), st.integers(2, 5), st.randoms())
def test_the_order_of_the_runs_does_not_matter(values: list[int], runs: int, random: Any) -> None:
    wanted = Verification(VerifyMode.QUORUM, runs)
    shuffled = random.sample(values, len(values))

    def refuted(order: list[int]) -> object:
        judgement = by_number(order, wanted)
        if isinstance(judgement, Agreed):
            return sorted(order[int(name.removeprefix("run-"))] for name in judgement.wrong)
        return judgement

    assert refuted(values) == refuted(shuffled)


@given(
    st.lists(st.integers(50, 51), min_size=2, max_size=6),
    st.lists(st.integers(40, 60), max_size=5),
    st.randoms(),
)
def test_a_minority_refutes_nobody_of_a_majority_that_agrees(
    honest: list[int], liars: list[int], random: Any
) -> None:
    liars = liars[: len(honest) - 1]
    everybody = [(value, True) for value in honest] + [(value, False) for value in liars]
    random.shuffle(everybody)
    judgement = by_number([value for value, _ in everybody], QUORUM_2)
    assert isinstance(judgement, Agreed)
    wrong = [everybody[int(name.removeprefix("run-"))] for name in judgement.wrong]
    assert not any(is_honest for _, is_honest in wrong)
    # Nor does anybody who is far from all of them get away.
    far = [value for value in liars if not 48 <= value <= 53]
    assert [value for value, _ in wrong if not 48 <= value <= 53] == [
        value for value, is_honest in everybody if not is_honest and value in far
    ]
