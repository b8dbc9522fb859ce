"""The runner of challenges: what it writes is what the rules expect, on whatever device it runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from build_images import CHALLENGE_IMAGE
from challenge_tree import compile_runner
from marketplace.challenge_reference import small_challenge
from neurogrid_marketplace import challenge as rules
from neurogrid_marketplace.challenge import Challenge
from neurogrid_marketplace.challenge_answer import Mark, judge_answer
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.messages import Result

COMPLETED = Result(Outcome.COMPLETED, 0, "", 1000)
LOT = "0f" * 32


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runner as the image has it, compiled here."""
    out = tmp_path_factory.mktemp("runner") / "challenge"
    compile_runner(out)
    return out


def run(runner: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [runner, *arguments], capture_output=True, text=True, check=False, timeout=120
    )


def answer(runner: Path, challenge: Challenge, folder: Path) -> bytes:
    """What the runner answers, outside of any container."""
    file = folder / "answer.json"
    finished = run(runner, str(file), *challenge.job().command[1:])
    assert finished.returncode == 0, finished.stderr
    return file.read_bytes()


def mark(challenge: Challenge, data: bytes) -> Mark:
    return judge_answer(challenge, COMPLETED, data, elapsed_ms=0, lot=LOT).mark


@pytest.mark.parametrize("tiles", [1, 30, 700])
@pytest.mark.parametrize("rounds", [1, 4])
def test_a_cpu_answers_what_the_rules_expect(
    runner: Path, tmp_path: Path, tiles: int, rounds: int
) -> None:
    challenge = replace(small_challenge(tiles), rounds=rounds)
    data = answer(runner, challenge, tmp_path)
    assert mark(challenge, data) is Mark.PASSED
    other = replace(challenge, seed="11" * 32)
    assert mark(other, data) is Mark.WRONG


def test_how_many_threads_there_are_changes_nothing(runner: Path, tmp_path: Path) -> None:
    challenge = small_challenge()
    numbers = set()
    for threads in (1, 3, 64):
        (device,) = challenge.devices
        alike = replace(challenge, devices=(replace(device, threads=threads),))
        numbers.add(json.loads(answer(runner, alike, tmp_path))["devices"][0]["numbers"])
    assert len(numbers) == 1


def test_memory_that_is_not_there_is_said(runner: Path, tmp_path: Path) -> None:
    (device,) = small_challenge().devices
    # A tebibyte, in an address space of two GiB.
    huge = f"cpu,{2**28},1,{'0' * 32},1"
    limited = ["prlimit", f"--as={2 << 30}", str(runner), str(tmp_path / "answer"), "1", "1", huge]
    finished = subprocess.run(limited, capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == 4
    assert "cannot be had" in finished.stderr
    assert not (tmp_path / "answer").exists()
    assert device.uuid == rules.CPU


def test_a_gpu_that_is_not_there_is_said(runner: Path, tmp_path: Path) -> None:
    gpu = f"GPU-00000000-1111-2222-3333-444444444444,1,1,{'0' * 32},1"
    finished = run(runner, str(tmp_path / "answer"), "1", "1", gpu)
    assert finished.returncode == 3
    assert "no CUDA driver" in finished.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("1", "1"),
        ("0", "1", f"cpu,1,1,{'0' * 32},1"),
        ("1", "0", f"cpu,1,1,{'0' * 32},1"),
        ("1", "x", f"cpu,1,1,{'0' * 32},1"),
        ("1", "-1", f"cpu,1,1,{'0' * 32},1"),
        ("1", "1", f"cpu,0,1,{'0' * 32},1"),
        ("1", "1", f"cpu,1,1,{'0' * 31},1"),
        ("1", "1", f"cpu,1,1,{'g' * 32},1"),
        ("1", "1", f"cpu,1,1,{'0' * 32}"),
        ("1", "1", f"cpu,1,1,{'0' * 32},1,1"),
        ("1", "1", f"cpu,1,1,{'0' * 32},5000"),
        ("1", "1", f"cpu,99999999999999999999,1,{'0' * 32},1"),
        ("1", "1", f"{'c' * 300},1,1,{'0' * 32},1"),
        ("1", "1", *(f"cpu,1,1,{'0' * 32},1" for _ in range(65))),
    ],
)
def test_what_it_cannot_read_it_refuses(
    runner: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    assert run(runner, str(tmp_path / "answer"), *arguments).returncode == 2


def test_an_answer_that_cannot_be_written_is_said(runner: Path, tmp_path: Path) -> None:
    device = f"cpu,1,1,{'0' * 32},1"
    assert run(runner, str(tmp_path / "none" / "answer"), "1", "1", device).returncode == 6


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.mark.engine
def test_the_image_answers_in_a_container_that_may_do_nothing(
    engine: docker.DockerClient, tmp_path: Path
) -> None:
    challenge = small_challenge()
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    outputs.chmod(0o777)
    engine.containers.run(
        CHALLENGE_IMAGE,
        list(challenge.job().command),
        remove=True,
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        user="65534:65534",
        mem_limit="128m",
        volumes={str(outputs): {"bind": "/outputs", "mode": "rw"}},
    )
    assert mark(challenge, (outputs / "answer.json").read_bytes()) is Mark.PASSED


@pytest.mark.engine
def test_the_image_holds_a_program_and_the_c_library(engine: docker.DockerClient) -> None:
    assert engine.images.get(CHALLENGE_IMAGE).attrs["Size"] < 6_000_000
