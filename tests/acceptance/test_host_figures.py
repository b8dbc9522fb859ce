"""The figures by which hostile jobs are judged see what such a job would leave."""

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance import host_figures
from acceptance.host_figures import DiskFigures, HostFigures, ProgramFigures, until_as_before
from acceptance.own_disk import own_disk

_LEFT_BYTES = 512 << 20
# Other tests run beside, whose programs begin and end: what they come to is far less at one of some moments.
_NOISE_BYTES = 256 << 20
_MOMENTS = 10


def test_memory_that_no_program_holds_any_more_is_seen() -> None:
    def more() -> HostFigures:
        before = HostFigures.read()
        with tempfile.NamedTemporaryFile(dir="/dev/shm") as left:
            for _ in range(_LEFT_BYTES >> 20):
                left.write(bytes(1 << 20))
            return HostFigures.read().since(before)

    def is_seen(more: HostFigures) -> bool:
        least = _LEFT_BYTES - _NOISE_BYTES
        return more.shared_bytes > least and more.ownerless_bytes > least

    at_some_moment(more, is_seen)


def test_memory_of_a_program_is_its_own() -> None:
    program = f"x = b'x' * {_LEFT_BYTES}; print(flush=True); input()"

    def more() -> HostFigures:
        before = HostFigures.read()
        with subprocess.Popen(
            ["python3", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as held:
            assert held.stdout is not None
            held.stdout.readline()
            found = HostFigures.read().since(before)
            own = ProgramFigures.read({held.pid})
            held.kill()
        assert own.private_bytes > _LEFT_BYTES
        assert own.threads == 1
        assert own.open_files >= 3
        return found

    def is_its_own(more: HostFigures) -> bool:
        is_taken = more.taken_bytes > _LEFT_BYTES - _NOISE_BYTES
        return is_taken and more.ownerless_bytes < _NOISE_BYTES

    at_some_moment(more, is_its_own)


def at_some_moment(
    more: Callable[[], HostFigures], condition: Callable[[HostFigures], bool]
) -> None:
    """What is more of the host's has to be this, at one of some moments."""
    seen = []
    for _ in range(_MOMENTS):
        seen.append(more())
        if condition(seen[-1]):
            return
    pytest.fail(f"at no moment: {seen}")


@pytest.mark.engine
def test_a_file_is_seen_on_its_disk_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_figures, "PATIENCE_S", 0.2)
    place = tmp_path / "place"
    with own_disk(place, tmp_path / "disk", 64 << 20):

        def read() -> DiskFigures:
            return DiskFigures.read(place, but="*.db")

        before = read()
        (place / "left.db").write_bytes(bytes(2 << 20))
        until_as_before(read, before, DiskFigures(1 << 20, 1))
        (place / "left").write_bytes(bytes(2 << 20))
        with pytest.raises(AssertionError, match=r"'taken_bytes': 2\d{6}"):
            until_as_before(read, before, DiskFigures(1 << 20, 2))
        (place / "left").unlink()
        with pytest.raises(AssertionError, match=r"\{'inodes': 1\}"):
            until_as_before(read, before, DiskFigures(1 << 20, 0))
