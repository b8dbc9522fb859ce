"""The demo's job does what it says, and gives the same bytes inside a container as outside."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from neurogrid_devnet import demo_job
from neurogrid_devnet.demo_job import DemoInput

JOB_IMAGE = "neurogrid/job:1"
# Four is the least that tells flags on their side and upside down.
TURNS = 4
JOB_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of the job left behind."""

    stdout: str
    outputs: Path

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.outputs / name).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoInput:
    return demo_job.prepare_input(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def run_here(demo: DemoInput, tmp_path_factory: pytest.TempPathFactory) -> Run:
    outputs = tmp_path_factory.mktemp("outputs")
    folders = ["--inputs", demo.data.parent, "--outputs", outputs]
    finished = subprocess.run(
        [sys.executable, demo.job, *map(str, folders), "--turns", str(TURNS)],
        check=True,
        capture_output=True,
        text=True,
    )
    return Run(finished.stdout, outputs)


@pytest.fixture(scope="module")
def run_in_container(demo: DemoInput, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    outputs = tmp_path_factory.mktemp("container-outputs")
    # The job's user is a stranger here, and pytest's folders are closed to strangers.
    demo.data.parent.chmod(0o755)
    outputs.chmod(0o777)
    engine = docker.from_env()
    container = engine.containers.create(
        JOB_IMAGE,
        demo_job.command(TURNS),
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        pids_limit=64,
        mem_limit="512m",
        memswap_limit="512m",
        init=True,
        tmpfs={"/tmp": "size=16m"},
        volumes={
            str(demo.data.parent): {"bind": "/inputs", "mode": "ro"},
            str(outputs): {"bind": "/outputs", "mode": "rw"},
        },
    )
    try:
        container.start()
        status = container.wait(timeout=JOB_TIMEOUT_S)
        stdout = container.logs(stdout=True, stderr=False).decode()
        assert status["StatusCode"] == 0, container.logs().decode()
        yield Run(stdout, outputs)
    finally:
        container.remove(force=True)
        engine.close()


def test_the_input_is_the_same_bytes_each_time(demo: DemoInput, tmp_path: Path) -> None:
    again = demo_job.prepare_input(tmp_path)
    assert demo_job.hash_files(tmp_path) == demo_job.hash_files(demo.data.parent)
    assert [file.name for file in again.files()] == ["job.py", "data.tar"]


def test_the_input_is_a_few_hundred_pictures_and_a_text(demo: DemoInput) -> None:
    with tarfile.open(demo.data) as tar:
        names = tar.getnames()
    assert sum(name.endswith(".png") for name in names) > 200
    assert sum(name.endswith(".txt") for name in names) > 50


def test_progress_only_grows_and_ends_at_one(run_here: Run) -> None:
    pattern = r"^NEUROGRID_PROGRESS (\d\.\d\d) \S.*$"
    shares = [float(share) for share in re.findall(pattern, run_here.stdout, re.MULTILINE)]
    assert len(shares) > 20
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_it_finds_the_flags_that_are_known_to_be_alike(run_here: Run) -> None:
    pairs = {
        (row["flag"], row["other"]): int(row["degrees"]) for row in run_here.rows("look-alikes.csv")
    }
    assert pairs["id", "mc"] == 0  # Indonesia and Monaco
    assert pairs["ro", "td"] == 0  # Romania and Chad
    assert pairs["id", "pl"] == 180  # Poland is Indonesia upside down
    assert pairs["ci", "ie"] == 180  # Ireland is Ivory Coast backwards
    assert pairs["hu", "ie"] == 90  # Ireland on its side is Hungary
    assert ("ch", "jp") not in pairs


def test_it_knows_that_french_territories_fly_the_tricolour(run_here: Run) -> None:
    report = json.loads((run_here.outputs / "report.json").read_text())
    (tricolours,) = [group for group in report["same_design"] if "fr" in group]
    assert {"gf", "gp", "re", "yt"} <= set(tricolours)


def test_every_flag_has_a_row(demo: DemoInput, run_here: Run) -> None:
    with tarfile.open(demo.data) as tar:
        pictures = [Path(name).stem for name in tar.getnames() if name.endswith(".png")]
    assert [row["flag"] for row in run_here.rows("flags.csv")] == sorted(pictures)


def test_the_words_are_counted(demo: DemoInput, run_here: Run) -> None:
    with tarfile.open(demo.data) as tar:
        pages = [tar.extractfile(name) for name in tar.getnames() if name.endswith(".txt")]
        text = "\n".join(page.read().decode() for page in pages if page is not None)
    counts = {row["word"]: int(row["count"]) for row in run_here.rows("words.csv")}
    assert counts["exception"] == len(
        re.findall(r"(?<![^\W\d_])exception(?![^\W\d_])", text.lower())
    )
    assert list(counts.values()) == sorted(counts.values(), reverse=True)


def test_the_outputs_are_those_it_names_and_their_hashes_can_be_recomputed(
    demo: DemoInput, run_here: Run
) -> None:
    hashes = demo_job.hash_files(run_here.outputs)
    assert tuple(hashes) == demo_job.OUTPUT_NAMES
    assert demo_job.expected_outputs(demo, TURNS) == hashes


@pytest.mark.engine
def test_a_hardened_container_gives_the_same_bytes(run_here: Run, run_in_container: Run) -> None:
    expected = demo_job.hash_files(run_here.outputs)
    assert demo_job.hash_files(run_in_container.outputs) == expected
    assert run_in_container.stdout == run_here.stdout
