"""`[log]` of node.toml and of coordinator.toml."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["text", "json"]
# A path; "" is the standard error.
File = Annotated[str, Meta(max_length=4096, pattern=r"^[^\x00-\x1f]*\Z")]
FileMib = Annotated[int, Meta(ge=1, le=1024)]
Files = Annotated[int, Meta(ge=2, le=100)]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, how and where.

    Attributes:
        level: of our own lines; those of libraries count from warnings on.
        format: a line for people, or a JSON object.
        file: instead of the standard error; relative paths are below the daemon's directory.
        file_mib: a file that would grow beyond it is put aside as ``file.1``, and those before it move up.
        files: how many there are in all; the oldest is deleted.
    """

    level: Level = "info"
    format: Format = "text"
    file: File = ""
    file_mib: FileMib = 10
    files: Files = 5

    def below(self, directory: Path) -> "LogSettings":
        """With an absolute path."""
        return replace(self, file=str(directory / self.file)) if self.file else self

    def beside(self, name: str) -> "LogSettings":
        """For another process, whose lines go to a file of their own: two cannot rotate one."""
        if not self.file:
            return self
        path = Path(self.file)
        return replace(self, file=str(path.with_name(f"{path.stem}-{name}{path.suffix}")))
