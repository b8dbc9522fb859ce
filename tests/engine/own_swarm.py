"""A Docker swarm of a test's own: engines of this machine, each of which takes itself for one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from engine.bench import PYTHON_IMAGE
from engine.own_dockerd import OwnDockerd, own_dockerd
from neurogrid_node.container.probe import PROBE_IMAGE
from neurogrid_node.container.seccomp import seccomp_json

_numbers = count(1)
# Images of the tests that any machine of the swarm may be asked to run.
IMAGES = (PYTHON_IMAGE, "neurogrid/true:1", PROBE_IMAGE)


class OwnSwarm:
    """See the module; made by `own_swarm`."""

    def __init__(self, manager: OwnDockerd) -> None:
        self.manager = manager
        self.url = manager.url

    def machine(self, of: OwnDockerd) -> str:
        """The id of an engine's machine in the swarm."""
        return of.docker("info", "--format", "{{.Swarm.NodeID}}").strip()


def engine_flags(folder: Path) -> list[str]:
    """What docs/fleet.md has owners write into daemon.json; ``bridge`` is `own_dockerd`'s own."""
    profile = folder / "seccomp.json"
    profile.write_text(seccomp_json())
    return [
        "--no-new-privileges=true",
        "--default-cgroupns-mode=private",
        f"--seccomp-profile={profile}",
    ]


@contextmanager
def own_swarm(folder: Path) -> Iterator[OwnSwarm]:
    """A swarm of one machine for the length of the block."""
    folder.mkdir(parents=True)
    with own_dockerd(folder / "m", *engine_flags(folder)) as manager:
        manager.docker("swarm", "init", "--dispatcher-heartbeat", "1s", *_addresses())
        manager.take_images(*IMAGES)
        yield OwnSwarm(manager)
        # A manager takes seconds to say goodbye to nobody.
        manager.kill()


@contextmanager
def one_more_machine(swarm: OwnSwarm, folder: Path, *flags: str) -> Iterator[OwnDockerd]:
    """Another machine of it, with these flags of dockerd."""
    with own_dockerd(folder, *flags) as worker:
        token = swarm.manager.docker("swarm", "join-token", "--quiet", "worker").strip()
        manager = swarm.manager.docker(
            "info", "--format", "{{(index .Swarm.RemoteManagers 0).Addr}}"
        )
        worker.docker("swarm", "join", "--token", token, *_addresses(), manager.strip())
        worker.take_images(PYTHON_IMAGE)
        yield worker


def _addresses() -> list[str]:
    """Of this machine's own network, one for each engine: their gossip has one port. By our process, because
    other runs of these tests may be under way."""
    process = os.getpid() & 0xFFFF
    host = f"127.{80 + next(_numbers)}.{process >> 8}.{process & 0xFF}"
    return ["--advertise-addr", host, "--listen-addr", f"{host}:2377"]
