"""The images that make builds hold what a job needs, and nothing of the host they were built on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import docker
import pytest

import build_images
from build_images import JOB_IMAGE, LABEL, PYTHON_IMAGE, TRUE_IMAGE, locked

pytestmark = pytest.mark.engine

# Each of these stands on a C library of its own, which the image has to carry.
_EXTENSIONS = "bz2 ctypes curses decimal hashlib lzma sqlite3 ssl uuid zlib"


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


def _run(engine: docker.DockerClient, image: str, *command: str) -> str:
    """Run a command as harshly confined as a node would, and return what it printed."""
    output = engine.containers.run(
        image,
        list(command),
        remove=True,
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        pids_limit=64,
        mem_limit="256m",
    )
    assert isinstance(output, bytes)
    return output.decode()


def test_the_job_image_has_the_locked_packages(engine: docker.DockerClient) -> None:
    program = "import numpy, PIL; print(numpy.__version__, PIL.__version__)"
    printed = _run(engine, JOB_IMAGE, "python", "-c", program)
    assert printed.split() == [version("numpy"), version("pillow")]


def test_the_python_image_has_this_python_with_all_its_extensions(
    engine: docker.DockerClient,
) -> None:
    imports = "; ".join(f"import {name}" for name in _EXTENSIONS.split())
    printed = _run(
        engine, PYTHON_IMAGE, "python3", "-c", f"{imports}; import sys; print(sys.version)"
    )
    assert printed.strip() == sys.version


def test_python_needs_no_environment_and_starts_from_bytecode(engine: docker.DockerClient) -> None:
    program = "import json, os; print(os.path.exists(json.__cached__))"
    command = ("env", "-i", "/usr/local/bin/python3", "-c", program)
    assert _run(engine, PYTHON_IMAGE, *command).strip() == "True"


def test_numeric_code_runs(engine: docker.DockerClient) -> None:
    program = "import numpy; print(numpy.linalg.matrix_rank(numpy.eye(9)))"
    assert _run(engine, JOB_IMAGE, "python", "-c", program).strip() == "9"


def test_scripts_find_a_shell_and_env(engine: docker.DockerClient) -> None:
    assert _run(engine, JOB_IMAGE, "sh", "-c", "seq 3 | wc -l").strip() == "3"
    assert _run(engine, JOB_IMAGE, "/usr/bin/env", "echo", "found").strip() == "found"


def test_a_job_is_nobody_and_may_not_write_to_the_image(engine: docker.DockerClient) -> None:
    assert _run(engine, JOB_IMAGE, "id", "-u").strip() == "10001"
    answer = _run(engine, JOB_IMAGE, "sh", "-c", "touch /outputs/x 2>/dev/null || echo refused")
    assert answer.strip() == "refused"


def test_nothing_of_the_host_is_in_it(engine: docker.DockerClient) -> None:
    # hostname, hosts, mtab and resolv.conf are the engine's, one set for each container.
    kept = set(_run(engine, JOB_IMAGE, "ls", "/etc").split())
    assert kept == {"group", "passwd", "hostname", "hosts", "mtab", "resolv.conf"}
    # The host's own packages and home folders stay behind.
    installed = _run(
        engine, JOB_IMAGE, "sh", "-c", "ls -d /usr/local/lib/python3*/site-packages/*/"
    )
    names = {Path(line).name for line in installed.split()}
    assert {name.split("-")[0].split(".")[0] for name in names} == {"numpy", "PIL", "pillow"}


def test_nothing_was_run_to_build_it(engine: docker.DockerClient) -> None:
    for image in (PYTHON_IMAGE, JOB_IMAGE, TRUE_IMAGE):
        steps = [layer["CreatedBy"] for layer in engine.images.get(image).history()]
        assert not [step for step in steps if "/bin/sh -c" in step and "#(nop)" not in step]


def test_the_empty_job_is_empty(engine: docker.DockerClient) -> None:
    assert engine.containers.run(TRUE_IMAGE, remove=True, network_mode="none") == b""
    assert engine.images.get(TRUE_IMAGE).attrs["Size"] < 4_000_000


def test_a_second_build_builds_nothing(engine: docker.DockerClient) -> None:
    before = [engine.images.get(tag).id for tag in (PYTHON_IMAGE, JOB_IMAGE, TRUE_IMAGE)]
    build = [sys.executable, build_images.__file__]
    finished = subprocess.run(build, check=True, capture_output=True, text=True)
    assert finished.stdout == ""
    after = [engine.images.get(tag).id for tag in (PYTHON_IMAGE, JOB_IMAGE, TRUE_IMAGE)]
    assert after == before


def test_the_label_tells_what_went_in(engine: docker.DockerClient) -> None:
    for recipe in build_images.recipes():
        assert engine.images.get(recipe.tag).labels[LABEL] == recipe.fingerprint()


def test_only_the_named_packages_are_taken_from_the_lock() -> None:
    numpy = "numpy==1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    numpydoc = "numpydoc==2 \\\n    --hash=sha256:cc\n"
    pillow = "pillow==3 ; python_version > '3' \\\n    --hash=sha256:dd\n"
    assert locked(("numpy", "pillow"), numpy + numpydoc + pillow) == numpy + pillow
