"""The program of operations: its results are the same everywhere, and it finds wrong ones."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import numpy as np
import pytest

from build_images import OPERATIONS_IMAGE
from neurogrid_marketplace.operations import (
    OPERATIONS,
    RESULT_BYTES_MAX,
    Operation,
    memory_bytes,
    whole_parameters,
)
from operations import operation

_HERE = [each for each in Operation if each is not Operation.MLX_OPERATION]
# What other machines have to find as well.
_CHECKSUMS = {
    "compute": "5c0681fe10c30ee65c61f232ac0fa5d14f6759c55f349828fdb853eaff683db6",
    "matrix_multiply": "4618e31b1d04ec2df66a206a879d8b31874673402f20718ca379b4ce42ab9703",
    "vector_operations": "6ff101ba84ebca404d6834b4d5e044ce2743309db602371203f8f0ca75cc88fe",
    "memory_bandwidth": "201d127a7fd979b1479a53a3635d88096cd36a5ea5738f95624f4f62d628fd4d",
}


def _small(name: Operation) -> dict[str, int | str]:
    return whole_parameters(name, {"size": 3, "iterations": 2, "seed": 7})


@pytest.mark.parametrize("name", _HERE)
def test_a_result_has_the_same_checksum_on_every_machine(name: Operation) -> None:
    result = operation.run(name, dict(_small(name)), reproducible=True)
    assert result["output"] == {"checksum": f"sha256:{_CHECKSUMS[name]}", "verified": True}
    assert "measured" not in result


@pytest.mark.parametrize("name", [Operation.MATRIX_MULTIPLY, Operation.VECTOR_OPERATIONS])
def test_how_many_digits_there_are_changes_nothing(name: Operation) -> None:
    asked = {"size": 300, "iterations": 1}
    found = {
        operation.run(name, whole_parameters(name, {**asked, "dtype": dtype}), reproducible=True)[
            "output"
        ]["checksum"]
        for dtype in ("float32", "float64")
    }
    assert len(found) == 1


def test_no_digit_is_lost_in_the_largest_product() -> None:
    largest = OPERATIONS[Operation.MATRIX_MULTIPLY].parameters[0].most
    assert np.float32(largest * 64 + 1) != np.float32(largest * 64)


def test_another_seed_is_another_result() -> None:
    found = {
        operation.run("compute", {**_small(Operation.COMPUTE), "seed": seed}, reproducible=True)[
            "output"
        ]["checksum"]
        for seed in range(4)
    }
    assert len(found) == 4


def test_a_wrong_product_is_found() -> None:
    a, b = (operation.small(0, stream, 400, "float32").reshape(20, 20) for stream in (0, 1))
    product = a @ b
    assert operation._is_product(a, b, product, 0)
    product[3, 4] += 1
    assert not operation._is_product(a, b, product, 0)


def test_what_was_measured_is_in_the_result_and_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = operation.run("compute", dict(_small(Operation.COMPUTE)), reproducible=False)
    measured = result["measured"]
    assert measured["execution_time_s"] > 0
    assert measured["throughput_unit"] == OPERATIONS[Operation.COMPUTE].unit
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said == {"device_used": "cpu", "measured": measured}
    assert len(json.dumps(result)) < RESULT_BYTES_MAX


def test_without_mlx_the_operation_fails_and_nothing_stands_in_for_it() -> None:
    with pytest.raises(SystemExit):
        operation.run("mlx_operation", dict(_small(Operation.MLX_OPERATION)), reproducible=False)


@pytest.mark.parametrize("name", _HERE)
def test_it_stays_below_the_memory_that_is_asked_for(name: Operation) -> None:
    size = {"matrix_multiply": 1500, "memory_bandwidth": 100}.get(name, 3_000_000)
    parameters = whole_parameters(name, {"size": size, "iterations": 2})
    program = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import operation; "
        "operation.run(sys.argv[2], json.loads(sys.argv[3]), reproducible=False)"
    )
    where = str(Path(operation.__file__).parent)
    # Who starts it may be larger than it.
    ours = bytearray(2 * memory_bytes(name, parameters))
    assert ours.count(0) == len(ours)
    done = subprocess.run(
        [sys.executable, "-c", program, where, name, json.dumps(parameters)],
        capture_output=True,
        check=True,
    )
    measured = json.loads(done.stdout.splitlines()[-1])["measured"]
    assert measured["memory_used_mb"] * 10**6 < memory_bytes(name, parameters)


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.mark.engine
def test_the_image_computes_one(engine: docker.DockerClient, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    parameters = whole_parameters(Operation.MATRIX_MULTIPLY, {"size": 100, "iterations": 1})
    engine.containers.run(
        OPERATIONS_IMAGE,
        ["python3", "/opt/neurogrid/operation.py", "matrix_multiply", json.dumps(parameters)],
        remove=True,
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        mem_limit=memory_bytes(Operation.MATRIX_MULTIPLY, parameters),
        volumes={str(tmp_path): {"bind": "/outputs"}},
    )
    assert json.loads((tmp_path / "result.json").read_text())["output"]["verified"] is True
