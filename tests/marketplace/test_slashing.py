"""Stake is lost for what documents prove, and for no ending of a job."""

import re
from pathlib import Path

import pytest

from neurogrid_marketplace.faults import CONSEQUENCES, Fault, Outcome
from neurogrid_marketplace.slashing import ProvenFault, chain_code, is_slashable

FAULTS_H = Path(__file__).parents[2] / "contracts-client" / "program" / "faults.h"
ON_CHAIN = {
    name: int(number)
    for name, number in re.findall(r"^ *FAULT_(\w+) = (\d+),", FAULTS_H.read_text(), re.MULTILINE)
}
ENDINGS = [outcome for outcome in Outcome if outcome is not Outcome.COMPLETED]


@pytest.mark.parametrize("outcome", ENDINGS)
def test_no_ending_of_a_job_is_slashable(outcome: Outcome) -> None:
    assert not is_slashable(outcome)
    assert chain_code(outcome) == ON_CHAIN[outcome.name]
    assert chain_code(outcome) not in set(ProvenFault)


def test_what_looks_like_the_infrastructure_is_among_them() -> None:
    infrastructure = {
        outcome for outcome, what in CONSEQUENCES.items() if what.fault is Fault.INFRASTRUCTURE
    }
    assert infrastructure
    assert not any(map(is_slashable, infrastructure))
    # Nor is a node that is lost, or whose engine is: whose doing that was, nobody can show.
    of_nodes = {outcome for outcome, what in CONSEQUENCES.items() if what.fault is Fault.NODE}
    assert not any(map(is_slashable, of_nodes))


@pytest.mark.parametrize("fault", ProvenFault)
def test_a_proven_fault_has_the_programs_number(fault: ProvenFault) -> None:
    assert is_slashable(fault)
    assert chain_code(fault) == ON_CHAIN[fault.name]


def test_the_program_knows_no_other_faults() -> None:
    names = {fault.name for fault in ProvenFault} | {outcome.name for outcome in ENDINGS}
    assert set(ON_CHAIN) == names


def test_a_completed_job_has_no_number() -> None:
    assert not is_slashable(Outcome.COMPLETED)
    with pytest.raises(ValueError, match="no reason"):
        chain_code(Outcome.COMPLETED)
