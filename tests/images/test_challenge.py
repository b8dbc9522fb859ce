"""The runner of challenges: what it writes is what the rules expect, on whatever device it runs.

The GPUs are simulated, as far as their driver goes (`cuda_sim`): the kernels' own PTX is carried out.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import docker
import pytest

from build_images import CHALLENGE_IMAGE
from challenge import ptx
from challenge_tree import compile_runner
from cuda_sim import machine as cuda
from marketplace.challenge_reference import honest_answer, small_challenge
from neurogrid_marketplace.challenge import Challenge
from neurogrid_marketplace.challenge_answer import Mark, judge_answer
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.messages import Result

COMPLETED = Result(Outcome.COMPLETED, 0, "", 1000)
LOT = "0f" * 32


@dataclass(frozen=True)
class Machine:
    """A machine with the runner on it, outside of any container."""

    runner: Path
    environment: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.runner, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=self.environment,
        )

    def answer(self, challenge: Challenge, folder: Path) -> bytes:
        """What the runner answers."""
        file = folder / "answer.json"
        finished = self.run(str(file), *challenge.job().command[1:])
        assert finished.returncode == 0, finished.stderr
        return file.read_bytes()


@pytest.fixture(scope="module")
def cpu(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The runner as the image has it, and no GPU."""
    out = tmp_path_factory.mktemp("runner") / "challenge"
    compile_runner(out)
    return Machine(out, dict(os.environ))


@pytest.fixture(scope="module")
def gpus(cpu: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Two simulated GPUs, of 64 MiB and of 2 MiB."""
    library = cuda.build(tmp_path_factory.mktemp("cuda"))
    return replace(cpu, environment=cuda.environment(library, (64 << 20, 2 << 20)))


def on_gpus(challenge: Challenge, *tiles: int) -> Challenge:
    """The same challenge for GPUs with so many tiles each."""
    (device,) = challenge.devices
    devices = tuple(
        replace(device, uuid=cuda.uuid_of(index), tiles=count, threads=1)
        for index, count in enumerate(tiles)
    )
    return replace(challenge, devices=devices)


def mark(challenge: Challenge, data: bytes) -> Mark:
    return judge_answer(challenge, COMPLETED, data, elapsed_ms=0, lot=LOT).mark


# --- what every device does ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
@pytest.mark.parametrize(("tiles", "rounds"), [(1, 1), (30, 4), (301, 1)])
def test_a_device_answers_what_the_rules_expect(
    cpu: Machine, gpus: Machine, tmp_path: Path, kind: str, tiles: int, rounds: int
) -> None:
    challenge = replace(small_challenge(tiles), rounds=rounds)
    if kind == "gpu":
        challenge = on_gpus(challenge, tiles)
    data = {"cpu": cpu, "gpu": gpus}[kind].answer(challenge, tmp_path)
    assert mark(challenge, data) is Mark.PASSED
    assert [device["numbers"] for device in json.loads(data)["devices"]] == [
        device["numbers"] for device in honest_answer(challenge)["devices"]
    ]
    assert mark(replace(challenge, seed="11" * 32), data) is Mark.WRONG


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_memory_that_is_not_there_is_said(
    cpu: Machine, gpus: Machine, tmp_path: Path, kind: str
) -> None:
    # A tebibyte.
    uuid = {"cpu": "cpu", "gpu": cuda.uuid_of(0)}[kind]
    asked = (str(tmp_path / "answer"), "1", "1", f"{uuid},{2**28},1,{'0' * 32},1")
    machine = {"cpu": cpu, "gpu": gpus}[kind]
    finished = subprocess.run(
        # An address space of two GiB, for the CPU's sake.
        ["prlimit", f"--as={2 << 30}", machine.runner, *asked],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=machine.environment,
    )
    assert finished.returncode == 4, finished.stderr
    assert uuid in finished.stderr
    assert not (tmp_path / "answer").exists()


# --- GPUs -----------------------------------------------------------------------------------------------


def test_all_gpus_answer_at_once_each_for_itself(gpus: Machine, tmp_path: Path) -> None:
    challenge = on_gpus(small_challenge(), 30, 20)
    data = gpus.answer(challenge, tmp_path)
    assert mark(challenge, data) is Mark.PASSED
    first, second = json.loads(data)["devices"]
    assert (first["name"], first["memory_bytes"]) == ("Simulated GPU 0", 64 << 20)
    assert (second["name"], second["memory_bytes"]) == ("Simulated GPU 1", 2 << 20)
    assert first["numbers"] != second["numbers"]


def test_one_gpu_with_less_memory_than_it_offers_fails_all(gpus: Machine, tmp_path: Path) -> None:
    # The second has two MiB: what it offers is twice as much.
    challenge = on_gpus(small_challenge(), 30, 1024)
    finished = gpus.run(str(tmp_path / "answer"), *challenge.job().command[1:])
    assert finished.returncode == 4
    assert f"{cuda.uuid_of(1)}: cuMemAlloc_v2" in finished.stderr
    assert "CUDA_ERROR_OUT_OF_MEMORY" in finished.stderr


def test_a_gpu_that_is_not_there_is_said(cpu: Machine, gpus: Machine, tmp_path: Path) -> None:
    gpu = f"{cuda.uuid_of(7)},1,1,{'0' * 32},1"
    for machine, words in ((cpu, "no CUDA driver"), (gpus, "none of 2 GPUs is GPU-00000007")):
        finished = machine.run(str(tmp_path / "answer"), "1", "1", gpu)
        assert finished.returncode == 3
        assert words in finished.stderr


def test_the_committed_kernels_are_those_of_the_source(tmp_path: Path) -> None:
    ptx.build(tmp_path / "kernels.ptx")
    assert (tmp_path / "kernels.ptx").read_text() == (ptx.FOLDER / "kernels.ptx").read_text()


# --- the rest -------------------------------------------------------------------------------------------


def test_how_many_threads_there_are_changes_nothing(cpu: Machine, tmp_path: Path) -> None:
    challenge = small_challenge()
    numbers = set()
    for threads in (1, 3, 64):
        (device,) = challenge.devices
        alike = replace(challenge, devices=(replace(device, threads=threads),))
        numbers.add(json.loads(cpu.answer(alike, tmp_path))["devices"][0]["numbers"])
    assert len(numbers) == 1


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
    cpu: Machine, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    assert cpu.run(str(tmp_path / "answer"), *arguments).returncode == 2


def test_an_answer_that_cannot_be_written_is_said(cpu: Machine, tmp_path: Path) -> None:
    device = f"cpu,1,1,{'0' * 32},1"
    assert cpu.run(str(tmp_path / "none" / "answer"), "1", "1", device).returncode == 6


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
