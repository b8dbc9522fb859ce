"""The demo's job: real pictures and text in, files out whose bytes anybody can recompute.

The input is the flags of the world, 262 pictures in Debian's ``iso-flags-png-320x240`` (public
domain), and Python's own language manual, the chapters that every CPython carries in
``pydoc_data.topics`` (PSF licence). ``job.py`` is what runs in the container.
"""

from __future__ import annotations

import hashlib
import io
import pydoc_data.topics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

JOB = Path(__file__).with_name("job.py")

_PACKAGE = "iso-flags-png-320x240"
_CHECKOUT = Path(__file__).parents[3]
# Where the pictures are once the package is installed, and where `make` unpacks it.
_PICTURE_FOLDERS = (
    Path("/usr/share", _PACKAGE),
    _CHECKOUT / "build/debian" / _PACKAGE / "usr/share" / _PACKAGE,
)

OUTPUT_NAMES = ("contact-sheet.png", "flags.csv", "look-alikes.csv", "report.json", "words.csv")
"""The files that the job leaves in /outputs."""


class PicturesMissing(Exception):
    """The demo's pictures are not here. Run ``make setup``, or install iso-flags-png-320x240."""


@dataclass(frozen=True, slots=True)
class DemoInput:
    """The files to submit with the job; they lie in /inputs under their own names."""

    job: Path
    data: Path

    def files(self) -> tuple[Path, Path]:
        return self.job, self.data


def prepare_input(folder: Path) -> DemoInput:
    """Write ``job.py`` and ``data.tar`` into ``folder``; one machine always writes the same bytes.

    Raises:
        PicturesMissing: see there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    job, data = folder / "job.py", folder / "data.tar"
    job.write_bytes(JOB.read_bytes())
    with tarfile.open(data, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in _members():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    return DemoInput(job, data)


def _members() -> Iterator[tuple[str, bytes]]:
    pictures = next((folder for folder in _PICTURE_FOLDERS if folder.is_dir()), None)
    if pictures is None:
        raise PicturesMissing(PicturesMissing.__doc__)
    for picture in sorted(pictures.glob("*.png")):
        yield f"flags/{picture.name}", picture.read_bytes()
    for topic, text in sorted(pydoc_data.topics.topics.items()):
        yield f"manual/{topic}.txt", text.encode()


def command(turns: int) -> list[str]:
    """What to run in the container. On one ordinary core 4 turns take some 3 s, 36 turns 20 s."""
    return ["python", "/inputs/job.py", *_arguments(Path("/inputs"), Path("/outputs"), turns)]


def expected_outputs(demo: DemoInput, turns: int) -> dict[str, str]:
    """Run the job here, outside any container: the SHA-256 (hex) of each output file, by name.

    A container must produce the same if its Python, numpy and Pillow are of the same releases as
    this process's. Those in ``neurogrid/job:1`` are: it is built from the same lock file.
    """
    with tempfile.TemporaryDirectory() as outputs:
        arguments = _arguments(demo.data.parent, Path(outputs), turns)
        subprocess.run([sys.executable, demo.job, *arguments], check=True, capture_output=True)
        return hash_files(Path(outputs))


def hash_files(folder: Path) -> dict[str, str]:
    """The SHA-256 (hex) of each file directly in ``folder``, by name."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.iterdir())
    }


def _arguments(inputs: Path, outputs: Path, turns: int) -> list[str]:
    return ["--inputs", str(inputs), "--outputs", str(outputs), "--turns", str(turns)]
