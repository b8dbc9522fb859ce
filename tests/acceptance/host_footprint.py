"""What containers have of the host: control groups, processes, disks, folders of the engine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker

from neurogrid_node.container.spec import LABEL_NODE


class Made:
    """The containers that some nodes have made; grows while `watching` is in its block."""

    def __init__(self, engine_data: Path) -> None:
        """
        Args:
            engine_data: the engine's data folder.
        """
        self.container_ids: set[str] = set()
        self._engine_data = engine_data

    def processes(self) -> list[str]:
        """Of the host's processes, those that still belong to one of them."""
        found = []
        for groups in Path("/proc").glob("[0-9]*/cgroup"):
            try:
                text = groups.read_text()
            except OSError:  # it has just ended
                continue
            if any(container_id in text for container_id in self.container_ids):
                found.append(groups.parent.name)
        return found

    def control_groups(self) -> list[Path]:
        """Those that still exist; one that is gone holds neither memory nor processes."""
        # cgroup v1: <controller>/<parent>/<id>; v2: <parent>/<id>.
        roots = Path("/sys/fs/cgroup")
        groups = [*roots.glob("*/*/*/"), *roots.glob("*/*/")]
        return [
            group
            for group in groups
            if any(container_id in group.name for container_id in self.container_ids)
        ]

    def folders(self) -> list[Path]:
        """The engine's own of them: their logs, and what they wrote beside their disks."""
        places = (
            self._engine_data / "containers",
            self._engine_data / "image/overlay2/layerdb/mounts",
        )
        folders = [place / name for place in places for name in self.container_ids]
        return [folder for folder in folders if folder.exists()]


@contextmanager
def watching(node_ids: set[str], engine_url: str, engine_data: Path) -> Iterator[Made]:
    """Take note of every container that these nodes make, however short it lives."""
    made = Made(engine_data)
    client = docker.APIClient(base_url=engine_url)
    events = client.events(decode=True, filters={"type": "container", "event": "create"})

    def follow() -> None:
        for event in events:
            if event["Actor"]["Attributes"].get(LABEL_NODE) in node_ids:
                made.container_ids.add(event["Actor"]["ID"])

    reader = threading.Thread(target=follow)
    reader.start()
    try:
        yield made
    finally:
        events.close()
        reader.join()
        client.close()


def mounts_below(directory: Path) -> list[str]:
    """Where something is mounted there, in the directory itself."""
    mounted = [Path(line.split()[1]) for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [str(target) for target in mounted if directory in target.parents]


def loop_devices_below(directory: Path) -> list[str]:
    """The files there that are disks of the host."""
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            name = backing.read_text().strip()
        except OSError:  # detached just now
            continue
        if name.startswith(f"{directory}/"):
            found.append(name)
    return found
