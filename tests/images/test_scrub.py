"""What overwrites a GPU's memory between two tenants, on simulated GPUs whose memory outlives a program."""

import os
import subprocess
from pathlib import Path

import pytest

from challenge_tree import compile_runner, compile_scrub
from cuda_sim import machine as cuda

MIB = 1 << 20
GPUS = (64 * MIB, 10 * MIB)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("programs")
    compile_scrub(folder / "scrub")
    compile_runner(folder / "challenge")
    cuda.build(folder)
    return folder


def run(
    programs: Path, memory: Path, *command: str, **changes: str
) -> subprocess.CompletedProcess[str]:
    environment = cuda.environment(programs, GPUS) | {"CUDA_SIM_MEMORY": str(memory)} | changes
    return subprocess.run(
        [programs / command[0], *command[1:]],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )


def test_nothing_that_a_tenant_left_is_there_for_the_next(programs: Path, tmp_path: Path) -> None:
    # A program that fills most of both GPUs, and leaves it all there.
    filled = run(
        *(programs, tmp_path, "challenge", str(tmp_path / "answer"), "1", "1"),
        f"{cuda.uuid_of(0)},200,1,{'ab' * 16},1",
        f"{cuda.uuid_of(1)},100,1,{'cd' * 16},1",
    )
    assert filled.returncode == 0, filled.stderr
    left = [(tmp_path / str(index)).read_bytes() for index in (0, 1)]
    assert all(any(memory) for memory in left)
    done = run(programs, tmp_path, "scrub", "2")
    assert done.returncode == 0, done.stderr
    assert [line.split(": ")[1] for line in done.stdout.splitlines()] == [
        f"{amount} of {amount} free bytes overwritten" for amount in GPUS
    ]
    for index, amount in enumerate(GPUS):
        memory = (tmp_path / str(index)).read_bytes()
        assert (len(memory), any(memory)) == (amount, False)


def test_a_gpu_that_is_missing_or_one_too_many_is_said(programs: Path, tmp_path: Path) -> None:
    for count in ("1", "3"):
        done = run(programs, tmp_path, "scrub", count)
        assert done.returncode == 3
        assert f"2 GPUs are visible, not {count}" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("0",), ("65",), ("many",), ("1", "2")])
def test_it_is_told_how_many_gpus_there_are(
    programs: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    assert run(programs, tmp_path, "scrub", *arguments).returncode == 2


def test_a_driver_that_fails_is_no_success(programs: Path, tmp_path: Path) -> None:
    done = run(programs, tmp_path, "scrub", "2", CUDA_SIM_FAILS="cuMemsetD32_v2")
    assert done.returncode == 5
    assert "cuMemsetD32_v2" in done.stderr


def test_without_a_driver_it_says_so(programs: Path) -> None:
    done = subprocess.run(
        [programs / "scrub", "1"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LD_LIBRARY_PATH": ""},
    )
    assert done.returncode == 3
    assert "there is no CUDA driver" in done.stderr
