"""What an end means."""

import pytest

from neurogrid_marketplace.faults import Outcome
from neurogrid_node.container.outcome import Exit, classify, describe_code


def exit_with(code: int, *, oom_killed: bool = False, is_interrupted: bool = False) -> Exit:
    return Exit("c", code, oom_killed, 1, 2, is_interrupted)


@pytest.mark.parametrize(
    ("ended", "outcome"),
    [
        (exit_with(0), Outcome.COMPLETED),
        (exit_with(0, oom_killed=True), Outcome.COMPLETED),
        (exit_with(0, is_interrupted=True), Outcome.COMPLETED),
        (exit_with(1), Outcome.EXIT_NONZERO),
        (exit_with(137), Outcome.EXIT_NONZERO),
        (exit_with(137, oom_killed=True), Outcome.MEMORY_EXCEEDED),
        (exit_with(1, oom_killed=True), Outcome.MEMORY_EXCEEDED),
        (exit_with(126), Outcome.COMMAND_NOT_FOUND),
        (exit_with(127), Outcome.COMMAND_NOT_FOUND),
        (exit_with(153), Outcome.DISK_EXCEEDED),
        (exit_with(143, is_interrupted=True), Outcome.ENGINE_LOST),
    ],
)
def test_the_table(ended: Exit, outcome: Outcome) -> None:
    assert classify(ended).outcome is outcome


def test_a_job_cannot_claim_an_interruption_by_its_exit_code() -> None:
    """Else exit(143) would be a way to run for nothing."""
    assert classify(exit_with(143)).outcome is Outcome.EXIT_NONZERO
    assert classify(exit_with(255)).outcome is Outcome.EXIT_NONZERO


def test_evidence_explains_a_failure_and_never_makes_one() -> None:
    assert classify(exit_with(1), disk_full=True).outcome is Outcome.DISK_EXCEEDED
    assert classify(exit_with(1), pids_exhausted=True).outcome is Outcome.PIDS_EXCEEDED
    both = classify(exit_with(0), disk_full=True, pids_exhausted=True)
    assert both.outcome is Outcome.COMPLETED


def test_what_the_node_stopped_is_what_the_node_says() -> None:
    verdict = classify(exit_with(0), stopped_for=Outcome.TIME_EXCEEDED)
    assert verdict.outcome is Outcome.TIME_EXCEEDED


def test_codes_in_words() -> None:
    assert describe_code(3) == "exit code 3"
    assert describe_code(137) == "ended by SIGKILL (exit code 137)"
    assert describe_code(255) == "exit code 255"


def test_time_never_runs_backwards() -> None:
    assert Exit("c", 0, False, started_at_ns=20, finished_at_ns=10).ran_ns == 0
    assert Exit("c", 0, False, started_at_ns=0, finished_at_ns=10).ran_ns == 0
    assert Exit("c", 0, False, started_at_ns=10, finished_at_ns=25).ran_ns == 15
