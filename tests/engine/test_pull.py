"""Pulling images, from a registry that may stall, lack the image or serve too much of it."""

from functools import partial

import docker
import pytest
import trio

from engine.bench import PATIENCE_S, Bench
from engine.registry import REPOSITORY, serve
from neurogrid_node.container.errors import (
    ImageNotFound,
    NoDiskForImage,
    PullFailed,
    PullStalled,
)
from neurogrid_node.container.pull import PullProgress

pytestmark = pytest.mark.engine

UNREACHABLE = "127.0.0.1:9/no/registry:1"


def ignore(progress: PullProgress) -> None:
    """For pulls whose progress does not matter."""


def forget(reference: str) -> None:
    api = docker.APIClient()
    api.remove_image(reference, force=True)
    api.close()


async def test_a_pull_reports_bytes_and_leaves_the_image(bench: Bench) -> None:
    seen: list[PullProgress] = []
    with serve(3 << 20) as registry:
        assert await bench.engine.image(registry.reference) is None
        image = await bench.engine.pull(registry.reference, seen.append, stall_timeout_s=20)
        try:
            assert image == await bench.engine.image(registry.reference)
        finally:
            forget(registry.reference)
    assert image.digest == registry.digest
    assert image.environment == ("LD_PRELOAD",)
    assert image.volumes == ("/v",)
    assert seen[-1] == PullProgress(registry.layer_bytes, registry.layer_bytes)
    assert [p.done_bytes for p in seen] == sorted(p.done_bytes for p in seen)


async def test_by_digest_too(bench: Bench) -> None:
    with serve() as registry:
        reference = f"{registry.reference.removesuffix(':latest')}@{registry.digest}"
        image = await bench.engine.pull(reference, ignore, stall_timeout_s=20)
        assert image.digest == registry.digest
        forget(image.image_id)


async def test_a_stalled_pull_is_given_up(bench: Bench) -> None:
    seen: list[PullProgress] = []
    with serve() as registry:
        registry.stalls = True
        with trio.fail_after(PATIENCE_S), pytest.raises(PullStalled, match="no byte of"):
            await bench.engine.pull(registry.reference, seen.append, stall_timeout_s=1)
    assert 0 < seen[-1].done_bytes < seen[-1].total_bytes == registry.layer_bytes


async def test_a_slow_pull_goes_on_and_ends_when_it_is_cancelled(bench: Bench) -> None:
    seen: set[int] = set()
    stall_timeout_s = 3
    with serve() as registry:
        registry.crawls = True
        begin_s = trio.current_time()
        with trio.CancelScope() as scope:

            def look(progress: PullProgress) -> None:
                seen.add(progress.done_bytes)
                if len(seen) > 3 and trio.current_time() - begin_s > stall_timeout_s:
                    scope.cancel()

            await bench.engine.pull(registry.reference, look, stall_timeout_s=stall_timeout_s)
        assert scope.cancelled_caught
        dropped = partial(registry.dropped.wait, PATIENCE_S)
        assert await trio.to_thread.run_sync(dropped), "the engine stops too"


async def test_an_unknown_image_is_the_clients_fault_and_says_what_to_check(bench: Bench) -> None:
    with serve() as registry:
        host = registry.reference.partition("/")[0]
        for reference in (f"{host}/{REPOSITORY}:other", f"{host}/un/known:1"):
            with pytest.raises(ImageNotFound, match="check its name and tag"):
                await bench.engine.pull(reference, ignore, stall_timeout_s=20)


async def test_an_image_that_does_not_fit_is_refused_before_it_is_here(bench: Bench) -> None:
    with serve(4 << 20) as registry:
        with pytest.raises(NoDiskForImage, match="room for 1000000"):
            await bench.engine.pull(
                registry.reference, ignore, stall_timeout_s=20, max_bytes=1_000_000
            )
        assert await bench.engine.image(registry.reference) is None


async def test_a_registry_that_does_not_answer_is_nobodys_fault(bench: Bench) -> None:
    with pytest.raises(PullFailed, match="did not deliver"):
        await bench.engine.pull(UNREACHABLE, ignore, stall_timeout_s=20)
