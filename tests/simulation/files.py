"""The coordinator's store of files, as far as checkpoints need it; it outlives the coordinator's process."""

from collections.abc import Callable

from neurogrid_marketplace.checkpoint import Checkpoint
from neurogrid_marketplace.checkpoint_manifest import Manifest


class SimFiles:
    """Files by hash, each with the lease that has uploaded it.

    Attributes:
        task_of: a lease's task; "" of one that the coordinator does not know.
    """

    def __init__(self, is_up: Callable[[], bool], task_of: Callable[[str], str]) -> None:
        self._is_up = is_up
        self.task_of = task_of
        self._files: dict[str, str] = {}
        self._manifests: dict[str, tuple[Manifest, str]] = {}

    def put(self, sha256: str, lease_id: str) -> bool:
        """Whether it is here now: not while the coordinator is away."""
        if self._is_up():
            self._files.setdefault(sha256, lease_id)
        return sha256 in self._files

    def put_manifest(self, checkpoint: Checkpoint, manifest: Manifest, lease_id: str) -> bool:
        """The same of a manifest."""
        if self._is_up():
            self._manifests[checkpoint.manifest_sha256] = (manifest, lease_id)
        return self._is_up()

    def is_whole(self, checkpoint: Checkpoint) -> bool:
        """Whether its manifest and every file of it are here."""
        found = self._manifests.get(checkpoint.manifest_sha256)
        return found is not None and all(file.sha256 in self._files for file in found[0].files)

    def check_whole(self, checkpoint: Checkpoint, lease_id: str) -> None:
        """What a job may begin from: whole, and of an earlier lease of the same task."""
        assert self.is_whole(checkpoint), f"{lease_id} begins from half a checkpoint"
        _, left_by = self._manifests[checkpoint.manifest_sha256]
        assert left_by != lease_id
        assert self.task_of(left_by) == self.task_of(lease_id), f"{lease_id} begins from another's"
