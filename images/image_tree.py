"""The file tree of an image layer, and the tar archive it becomes."""

from __future__ import annotations

import io
import py_compile
import stat
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: bytes  # a tarfile type
    mode: int
    source: Path | bytes = b""
    link_target: str = ""


@dataclass(slots=True)
class Tree:
    """Files by their absolute path in the image. The same tree always becomes the same bytes."""

    entries: dict[str, _Entry] = field(default_factory=dict)

    def add_folder(self, path: str, mode: int = 0o755) -> None:
        self.entries[path] = _Entry(tarfile.DIRTYPE, mode)

    def add_link(self, path: str, link_target: str) -> None:
        self.entries[path] = _Entry(tarfile.SYMTYPE, 0o777, link_target=link_target)

    def add_text(self, path: str, text: str) -> None:
        self.entries[path] = _Entry(tarfile.REGTYPE, 0o644, text.encode())

    def add_file(self, path: str, source: Path) -> None:
        """Add what ``source`` is or points to, executable if its owner may execute it."""
        executable = source.stat().st_mode & stat.S_IXUSR
        self.entries[path] = _Entry(tarfile.REGTYPE, 0o755 if executable else 0o644, source)

    def add_python(self, path: str, source: Path, skip: Callable[[PurePosixPath], bool]) -> None:
        """Add the Python code in the folder ``source``, with bytecode.

        The bytecode is of the kind that is never checked against its source. A job's container has
        a read-only root, so that without bytecode every start would compile what it imports.

        Args:
            skip: says of a path relative to ``source`` whether it stays behind.
        """
        with tempfile.TemporaryDirectory() as scratch:
            for file in sorted(source.rglob("*")):
                relative = PurePosixPath(file.relative_to(source))
                if "__pycache__" in relative.parts or skip(relative) or not file.is_file():
                    continue
                self.add_file(f"{path}/{relative}", file)
                if file.suffix == ".py":
                    self._add_bytecode(f"{path}/{relative}", file, Path(scratch, "bytecode"))

    def _add_bytecode(self, path: str, source: Path, scratch: Path) -> None:
        try:
            compiled = py_compile.compile(
                str(source),
                cfile=str(scratch),
                dfile=path,  # the name in tracebacks
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except py_compile.PyCompileError:
            return  # some packages ship Python 2 on purpose; it is as useless with bytecode
        assert compiled is not None
        place = PurePosixPath(path)
        name = f"{place.parent}/__pycache__/{place.stem}.{sys.implementation.cache_tag}.pyc"
        self.entries[name] = _Entry(tarfile.REGTYPE, 0o644, Path(compiled).read_bytes())

    def write(self, archive: Path) -> None:
        """Write the tree as a tar archive: in order of path, owned by root, at the epoch."""
        with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as tar:
            for path, entry in sorted(self._with_parents().items()):
                info = tarfile.TarInfo(path.lstrip("/"))
                info.type, info.mode, info.linkname = entry.kind, entry.mode, entry.link_target
                content = entry.source
                if isinstance(content, Path):
                    content = content.read_bytes()
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))

    def _with_parents(self) -> dict[str, _Entry]:
        parents = {
            str(parent): _Entry(tarfile.DIRTYPE, 0o755)
            for path in self.entries
            for parent in PurePosixPath(path).parents
            if str(parent) != "/"
        }
        return parents | self.entries
