"""What `benchmark` says, and that it measures."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_node.__main__ import main
from neurogrid_node.benchmark import machine
from neurogrid_node.benchmark.figures import (
    ALL_CORES,
    COORDINATOR,
    DISK_SYNC,
    MEASURES,
    ONE_CORE,
    Figure,
    Run,
    figure,
    median,
    slower,
    table,
)
from neurogrid_node.benchmark.kept import FILE_NAME, keep, read_kept

BEFORE = Run(
    1,
    (
        Figure(ONE_CORE.name, 1000.0),
        Figure(DISK_SYNC.name, 1.0),
        Figure(COORDINATOR.name, None, "away"),
    ),
)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A blink instead of a second."""
    monkeypatch.setattr(machine, "_FOR_S", 0.01)
    monkeypatch.setattr(machine, "_COPY_BYTES", 1 << 20)
    monkeypatch.setattr(machine, "_FILE_BYTES", 4 << 20)


def test_each_figure_stands_beside_what_it_was_and_which_way_is_better() -> None:
    now = Run(
        2,
        (
            Figure(ONE_CORE.name, 800.0),
            Figure(ALL_CORES.name, 5000.0),
            Figure(DISK_SYNC.name, 0.5),
            Figure(COORDINATOR.name, None, "cannot reach it"),
        ),
    )
    assert [" ".join(line.split()) for line in table(now, BEFORE)] == [
        "SHA-256 on one core 800 MB/s worse (1,000 the last time)",
        "SHA-256 on all cores at once 5,000 MB/s",
        "one small write until it is safe on disk 0.5 ms better (1.0 the last time)",
        "a coordinator's welcome, the nearest's not measured: cannot reach it",
    ]
    assert slower(now, BEFORE) == (ONE_CORE.name,)
    assert slower(now, now) == ()


@given(st.floats(0.9, 1.1), st.floats(0.1, 10_000))
def test_what_two_runs_differ_by_anyway_is_not_told(ratio: float, value: float) -> None:
    for measure in MEASURES:
        before = Run(1, (Figure(measure.name, value),))
        assert slower(Run(2, (Figure(measure.name, value * ratio),)), before) == ()


def test_the_best_of_several_tries_counts() -> None:
    assert figure(ONE_CORE, [1.0, 3.0, 2.0]).value == 3.0
    assert figure(DISK_SYNC, [2.0, 1.0]).value == 1.0
    assert median([3.0, 1.0, 2.0]) == 2.0


def test_the_last_run_is_kept_and_a_damaged_file_is_none(tmp_path: Path) -> None:
    assert read_kept(tmp_path) is None
    keep(tmp_path, BEFORE)
    assert read_kept(tmp_path) == BEFORE
    (tmp_path / FILE_NAME).write_text("{")
    assert read_kept(tmp_path) is None


def test_a_machine_is_measured_and_nothing_is_left_on_its_disk(quick: None, tmp_path: Path) -> None:
    figures = [*machine.processor(2), machine.memory(1 << 30), *machine.disk(tmp_path)]
    assert [each.name for each in figures] == [each.name for each in MEASURES[:6]]
    assert all(each.value is not None and each.value > 0 for each in figures)
    assert list(tmp_path.iterdir()) == []


def test_memory_that_programs_need_is_not_taken() -> None:
    assert machine.memory(0).problem == "too little memory is free"


def test_jobs_are_not_slowed(tmp_path: Path) -> None:
    document = {"pid": 1, "updated_at_ms": 2**52, "leases": [{"lease_id": "lease_1"}]}
    (tmp_path / "status.json").write_text(json.dumps(document))
    said = CliRunner().invoke(main, ["benchmark", "--data", str(tmp_path)])
    assert (said.exit_code, "drain --wait" in said.output) == (2, True)


def test_a_configuration_that_is_not_there_is_said(tmp_path: Path) -> None:
    said = CliRunner().invoke(main, ["benchmark", "--data", str(tmp_path)])
    assert (said.exit_code, "node.toml" in said.output) == (2, True)
