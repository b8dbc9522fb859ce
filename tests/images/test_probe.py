"""What says from inside which GPUs a container has, on a simulated CUDA driver."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from challenge_tree import compile_probe
from cuda_sim import machine as cuda
from neurogrid_node.container.probe import judge_gpus
from neurogrid_node.container.spec import ContainerSpec, ImageInfo

MIB = 1 << 20


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    # Where nobody may look, too: as root the program would write to the machine's own root.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        compile_probe(Path(folder, "probe"))
        cuda.build(Path(folder))
        yield Path(folder)


def facts(programs: Path, environment: dict[str, str]) -> dict[str, Any]:
    nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(
        [programs / "probe"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=environment,
        **nobody,  # type: ignore[call-overload]  # three options of Popen's, or none
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def spec(*uuids: str) -> ContainerSpec:
    image = ImageInfo("x", "sha256:1", None, 0)
    return ContainerSpec("l", "n", image, None, (), 1000, 128 * MIB, 32, 0, gpu_uuids=uuids)


def test_the_gpus_that_it_has_are_named_by_their_uuids(programs: Path) -> None:
    found = facts(programs, cuda.environment(programs, (64 * MIB, 10 * MIB)))
    assert (found["cuda"], len(found["gpus"])) == (0, 2)
    mine, other = cuda.uuid_of(0), cuda.uuid_of(1)
    assert judge_gpus(found, spec(mine, other)) == ()
    (problem,) = judge_gpus(found, spec(mine))
    assert "not given" in problem
    missing = judge_gpus(found, spec(mine, other, cuda.uuid_of(7)))
    assert missing == (f"{cuda.uuid_of(7)} was given, and is not there",)


def test_a_driver_that_is_missing_or_fails_is_said(programs: Path) -> None:
    without = facts(programs, dict(os.environ))
    assert (without["cuda"], without["gpus"]) == (-1, [])
    assert judge_gpus(without, spec()) == ()
    assert "no CUDA driver" in judge_gpus(without, spec(cuda.uuid_of(0)))[0]
    # A driver without a GPU.
    found = facts(programs, os.environ | {"LD_LIBRARY_PATH": str(programs)})
    assert found["cuda"] > 0
    assert "CUDA fails with" in judge_gpus(found, spec(cuda.uuid_of(0)))[0]
