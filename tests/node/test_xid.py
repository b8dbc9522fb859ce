"""The errors of NVIDIA's driver, and whose they are."""

import pytest

from neurogrid_node.machine.xid import XIDS, XidBlame, meaning_of


@pytest.mark.parametrize("number", [8, 13, 31, 32, 43, 45, 68, 69])
def test_what_nvidia_answers_with_restarting_the_program_is_the_programs(number: int) -> None:
    assert meaning_of(number).blame is XidBlame.JOB


@pytest.mark.parametrize("number", [46, 48, 62, 64, 74, 79, 92, 94, 95, 109, 119, 120, 140, 143])
def test_what_needs_a_reset_or_a_repair_is_the_gpus(number: int) -> None:
    assert meaning_of(number).blame is XidBlame.GPU


def test_unknown_ones_are_noted_and_blame_nobody() -> None:
    assert meaning_of(99_999).blame is XidBlame.NOTED
    assert all(each.meaning for each in XIDS.values())
