"""What doctor looks at: one node's directory, its configuration, and whether the daemon runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import CONFIG_NAME, Config, ConfigError, load_config
from ..status import read_status


@dataclass(frozen=True, slots=True)
class Subject:
    """One node.

    Attributes:
        config: None where there is none that can be used; problem: why.
        status: what the running daemon says of itself; None if none runs.
    """

    directory: Path
    config: Config | None
    problem: str
    status: dict[str, Any] | None

    @property
    def has_file(self) -> bool:
        """Whether there is a node.toml at all."""
        return (self.directory / CONFIG_NAME).exists()

    @property
    def place(self) -> Path:
        """The node's directory, or where it would be made."""
        return next(path for path in (self.directory, *self.directory.parents) if path.is_dir())


def read_subject(directory: Path) -> Subject:
    """The node of this directory, which need not be there."""
    config, problem = None, ""
    try:
        config = load_config(directory / CONFIG_NAME)
    except ConfigError as error:
        problem = str(error)
    return Subject(directory, config, problem, read_status(directory))
