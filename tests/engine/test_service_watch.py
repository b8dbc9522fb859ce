"""A job's service, looked at from inside its own network."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from engine.bench import JOB_IMAGE
from engine.serving import SERVES, SERVICE_PORT
from neurogrid_marketplace.faults import CONSEQUENCES, Fault, Outcome
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.service import Service
from node.sandbox_rig import RealRig, real_rig

pytestmark = pytest.mark.engine


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[RealRig]:
    async with real_rig(tmp_path) as made:
        yield made


def serves(rig: RealRig, health: str, program: str = SERVES, start_s: int = 2) -> NodeLease:
    service = Service(SERVICE_PORT, health, start_s=start_s)
    return rig.lease(job=Job(JOB_IMAGE, ("python3", "-c", program), service=service))


async def test_a_service_is_ready_when_it_answers(rig: RealRig) -> None:
    for health in ("/well", ""):
        lease = serves(rig, health, start_s=60)
        await rig.prepare(lease)
        assert not rig.sandbox.is_ready(lease.lease_id)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.watch, lease)
            with trio.fail_after(60):
                while not rig.sandbox.is_ready(lease.lease_id):  # noqa: ASYNC110 - a heartbeat asks so, too
                    await trio.sleep(0.05)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("program", "health", "why"),
    [
        (SERVES, "/nonsense", "it answers no HTTP"),
        (SERVES, "/socket", "it answers 404"),
        ("import time; time.sleep(600)", "/well", f"nothing listens at port {SERVICE_PORT}"),
    ],
)
async def test_one_that_does_not_is_ended_as_its_own_fault(
    rig: RealRig, program: str, health: str, why: str
) -> None:
    lease = serves(rig, health, program)
    await rig.prepare(lease)
    ran = await rig.watch(lease)
    assert ran.outcome is Outcome.EXIT_NONZERO
    assert ran.message == f"its service did not become ready for 2 s: GET {health}: {why}"
    consequence = CONSEQUENCES[ran.outcome]
    assert (consequence.fault, consequence.charged, consequence.retried) == (
        Fault.USER,
        True,
        False,
    )
    assert not rig.sandbox.is_ready(lease.lease_id)
