"""What a machine does to jobs: its engine is killed, its container, its disk is full. Blame and pay are right."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import docker
import pytest

from acceptance.network import JOB_IMAGE, Devnet, running_devnet, until
from acceptance.own_disk import own_disk
from engine.own_dockerd import OwnDockerd, own_dockerd
from neurogrid.models import Task
from neurogrid_devnet.demo.money import Money
from neurogrid_node.container.probe import PROBE_IMAGE
from neurogrid_node.container.spec import LABEL_LEASE

pytestmark = [pytest.mark.processes, pytest.mark.engine]

# A node keeps 2 GiB of its disk for the system. The file has holes, so it takes what is used.
_DISK_BYTES = 6 << 30
_GANG_LINK_IMAGE = "neurogrid/gang-link:1"
_SCRIPT = "for i in 1 2 3 4 5 6; do echo $i; sleep 1; done; echo done > /outputs/done"
_LOG = "1\n2\n3\n4\n5\n6\n"


@pytest.fixture(scope="module")
def engine() -> Iterator[OwnDockerd]:
    # The path of a socket is at most 107 bytes, and pytest's folders are deep.
    with (
        tempfile.TemporaryDirectory(prefix="ng", dir="/tmp") as folder,
        own_dockerd(Path(folder) / "e") as started,
    ):
        started.take_images(JOB_IMAGE, _GANG_LINK_IMAGE, PROBE_IMAGE)
        yield started


@pytest.fixture(scope="module")
def market(engine: OwnDockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """Two nodes with that engine; the first one's disk is small."""
    folder = tmp_path_factory.mktemp("faults")
    before = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = engine.url
    with ExitStack() as stack:
        stack.enter_context(
            own_disk(folder / "D" / "nodes" / "1", folder / "disk.img", _DISK_BYTES)
        )
        try:
            yield stack.enter_context(running_devnet(folder / "D", nodes=2))
        finally:
            if before is None:
                del os.environ["DOCKER_HOST"]
            else:
                os.environ["DOCKER_HOST"] = before


def begun(market: Devnet, **arguments: Any) -> tuple[Task, Money]:
    """A job that has begun to print, and everybody's money before it."""
    market.until_idle()
    before = market.ledger.money()
    task = market.submit("sh", "-c", _SCRIPT, **arguments)
    market.until_phase(task.id, "running")
    until(lambda: "1" in market.client.tasks.get_logs(task.id), "it prints")
    return market.client.tasks.get(task.id), before


def completed(
    market: Devnet, begun: Task, before: Money, more_leases: int, at_most: int | None = None
) -> Task:
    """The task, which has completed after so many more leases; the last one alone was paid."""
    task = market.until_settled(begun.id)
    assert task.status == "completed", task.error
    assert "".join(market.client.tasks.all_logs(task.id)) == _LOG
    more = len(task.leases) - len(begun.leases)
    assert more_leases <= more <= (more_leases if at_most is None else at_most)
    *lost, last = (lease.paid or 0 for lease in task.leases)
    assert not any(lost)
    after = market.ledger.money()
    assert before.available - after.available == int(last * 1_000_000) > 0
    assert after.locked == 0
    assert after.total == before.total
    return task


def container_of(engine: OwnDockerd, task: Task) -> Any:
    client = docker.DockerClient(base_url=engine.url)
    label = f"{LABEL_LEASE}={task.leases[-1].id}"
    (container,) = client.containers.list(filters={"label": label})
    client.close()
    return container


def test_a_killed_engine_ends_its_jobs_which_run_elsewhere_and_are_not_charged(
    market: Devnet, engine: OwnDockerd
) -> None:
    task, before = begun(market)
    engine.kill()
    engine.start()
    # Whoever takes it next may not have noticed yet that the engine is gone.
    again = completed(market, task, before, more_leases=1, at_most=3)
    assert again.leases[len(task.leases)].node_id != task.node_id


def test_with_live_restore_no_job_notices_that_its_engine_was_killed(
    market: Devnet, engine: OwnDockerd
) -> None:
    engine.kill()
    engine.start("--live-restore")
    task, before = begun(market)
    engine.kill()
    engine.start("--live-restore")
    completed(market, task, before, more_leases=0)


def test_who_kills_a_container_beside_the_node_is_not_its_client(
    market: Devnet, engine: OwnDockerd
) -> None:
    task, before = begun(market)
    container_of(engine, task).kill()
    completed(market, task, before, more_leases=1)


def test_a_removed_container_is_lost_and_its_job_runs_elsewhere(
    market: Devnet, engine: OwnDockerd
) -> None:
    task, before = begun(market)
    container_of(engine, task).remove(force=True)
    completed(market, task, before, more_leases=1)


def test_a_node_whose_disk_is_full_goes_on_when_there_is_room(market: Devnet) -> None:
    small, other = market.network.nodes
    task, before = begun(market, avoid={"nodes": [other.peer_id]})
    assert task.node_id == small.peer_id
    place = market.data / "nodes" / "1"
    filler = place / "filler"
    fill(filler)
    # The job ends meanwhile, and what it left cannot be written down.
    job = market.client.tasks.get(task.id)
    until(lambda: not running(market, job), "its container has ended")
    filler.unlink()
    completed(market, task, before, more_leases=0)


def fill(filler: Path) -> None:
    """Take every block of its filesystem."""
    with filler.open("wb") as file:
        size_bytes = 1 << 30
        while size_bytes >= 4096:
            try:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size_bytes)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size_bytes //= 2


def running(market: Devnet, task: Task) -> bool:
    client = docker.from_env()
    label = f"{LABEL_LEASE}={task.leases[-1].id}"
    found = client.containers.list(filters={"label": label})
    client.close()
    return bool(found)
