"""A tenant's own image, on a node that has other tenants: fetched with their credentials and run for them alone."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from engine.real_registry import AUTH, BUSYBOX, RealRegistry
from neurogrid import PinError, pin_image
from neurogrid_marketplace.execution import accept
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.input_seal import SealTarget, wrap_key
from neurogrid_marketplace.job import InputFile, Job
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.registry_auth import REGISTRY_AUTH_PATH, RegistryAuth
from neurogrid_marketplace.sealed_file import FileSealer
from neurogrid_node.container.registry_rules import RegistryRules
from neurogrid_node.lease.preparation import PrepareError
from node.chain_world import now_ms
from node.market import COORDINATOR, POLICY, award, start
from node.sandbox_rig import HELD, RealRig, real_rig

pytestmark = pytest.mark.engine

ON_LOOPBACK = replace(POLICY, registries=RegistryRules(("127.0.0.1:*",)))


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[RealRig]:
    async with real_rig(tmp_path) as made:
        made.restart(ON_LOOPBACK)
        yield made


def lease_with(rig: RealRig, image: str, auth: RegistryAuth | None, script: str) -> NodeLease:
    """A lease whose client has sealed these credentials to it, as the SDK does."""
    lease_id, content_key = f"lease_{os.urandom(16).hex()}", os.urandom(32)
    private_key = X25519PrivateKey.generate()
    sealing_key = private_key.public_key().public_bytes_raw().hex()
    inputs: tuple[InputFile, ...] = ()
    if auth is not None:
        sealer = FileSealer(content_key, os.urandom(32))
        sealed = sealer.header + sealer.seal(auth.to_bytes(), is_last=True)
        inputs = (InputFile(REGISTRY_AUTH_PATH, rig.server.add(sealed), len(sealed), sealed=True),)
    job = Job(image, ("/busybox", "sh", "-c", script), inputs=inputs)
    made = accept(
        award("0" * 64, lease_id=lease_id, job_hash=job.hash()),
        COORDINATOR,
        60_000,
        now_ms(),
        sealing_key,
    )
    target = SealTarget(lease_id, rig.bench.engine.node_id, job.hash(), sealing_key)
    begun = start(
        lease_id=lease_id,
        job=job,
        artifacts_url=rig.server.url,
        wrapped_key=wrap_key(content_key, target) if inputs else "",
    )
    made = replace(made, start=begun)
    rig.journal.add(made, HELD, private_key.private_bytes_raw())
    return made


def files_with(text: str, directory: Path) -> list[Path]:
    """What the node has written, and holds this."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return [path for path in files if text.encode() in path.read_bytes()]


async def test_a_tenants_image_is_run_for_who_may_pull_it_and_nobody_else(
    rig: RealRig, registry: RealRegistry, tmp_path: Path
) -> None:
    made = registry.push("tenants/own", program=BUSYBOX.read_bytes())
    try:
        first = lease_with(rig, made.reference, AUTH, "/busybox ls -a /inputs; /busybox env")
        ran = await rig.run(first)
        assert ran.outcome is Outcome.COMPLETED, ran
        seen = await rig.log(first)
        assert "HOME=" in seen or "PATH=" in seen
        assert ".neurogrid" not in seen, "the job has no business with them"
        fetched = registry.asked("tenants/own/blobs")
        assert len(fetched) == len(made.blobs)
        # It is here now. Another tenant has its name.
        for auth in (None, RegistryAuth(AUTH.username, "guessed")):
            with pytest.raises(PrepareError) as refused:
                await rig.prepare(lease_with(rig, made.reference, auth, "true"))
            assert refused.value.outcome is Outcome.IMAGE_NOT_FOUND
        again = lease_with(rig, made.reference, AUTH, "exit 3")
        ran = await rig.run(again)
        assert (ran.outcome, ran.exit_code) == (Outcome.EXIT_NONZERO, 3)
        assert registry.asked("tenants/own/blobs") == fetched, "its layers did not travel again"
    finally:
        api = docker.APIClient()
        api.remove_image(made.reference, force=True)
        api.close()
    assert files_with(AUTH.password, tmp_path) == []
    assert files_with(first.lease_id, tmp_path) != [], "one would be found"


async def test_credentials_that_are_none_are_the_clients_fault(
    rig: RealRig, registry: RealRegistry
) -> None:
    lease = lease_with(rig, f"{registry.host}/tenants/none:1", AUTH, "true")
    (sha256,) = rig.server.files
    rig.server.files[sha256] = rig.server.files[sha256][:-1] + b"x"
    with pytest.raises(PrepareError) as changed:
        await rig.prepare(lease)
    assert changed.value.outcome is Outcome.INPUT_UNAVAILABLE
    with pytest.raises(PrepareError) as absent:
        await rig.prepare(lease_with(rig, f"{registry.host}/tenants/none:1", AUTH, "true"))
    assert absent.value.outcome is Outcome.IMAGE_NOT_FOUND


def test_a_client_pins_a_tag_to_the_bytes_that_it_stands_for_now(registry: RealRegistry) -> None:
    first = registry.push("tenants/moves", tag="stable")
    credentials = (AUTH.username, AUTH.password)
    pinned = pin_image(first.reference, credentials)
    assert pinned == f"{first.reference.removesuffix(':stable')}@{first.digest}"
    second = registry.push("tenants/moves", tag="stable")
    assert pin_image(first.reference, credentials).endswith(second.digest)
    assert pin_image(pinned) == pinned, "there is nothing to ask"
    for auth in (None, (AUTH.username, "guessed")):
        with pytest.raises(PinError, match="HTTP 401"):
            pin_image(first.reference, auth)
    for image, words in (("127.0.0.1:9/no:1", "could not be asked"), ("A B", "no image's name")):
        with pytest.raises(PinError, match=words):
            pin_image(image)
