"""Commands beside a running job, as the SDK hands them out."""

from typing import Literal

from msgspec import Struct


class CommandOutput(Struct, frozen=True):
    """A piece of what a command says; with a terminal, all of it is "stdout"."""

    stream: Literal["stdout", "stderr"]
    data: bytes


class ExecResult(Struct, frozen=True):
    """How a command ended.

    Attributes:
        exit_code: 128 and the signal's number where one ended it; -1 where it is not known.
        reason: "exited"; "idle" where its node's owner lets none be silent for so long; "lost" where
            the node does not know.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    reason: str = "exited"
