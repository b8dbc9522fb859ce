"""What can go wrong.

LedgerError                 the ledger cannot start or go on; its text is for the operator
├── DataDirectoryBusy       another process serves this directory
├── DataDirectoryInvalid    its files do not belong together, or another version wrote them
├── ProgramInvalid          a program file that the SVM does not load
├── ControlKeyInvalid       the file of the control key is unreadable, or too short
├── PortsTaken              no free pair of ports
└── Diverged                memory is ahead of the disk: the process must end at once
RpcError                    the caller's fault, or a refusal; becomes a JSON-RPC error object
"""

from typing import Any


class LedgerError(Exception):
    """The ledger cannot start or go on."""


class DataDirectoryBusy(LedgerError):
    """Another process serves this directory."""


class DataDirectoryInvalid(LedgerError):
    """The directory's files do not belong together, or another version wrote them."""


class ProgramInvalid(LedgerError):
    """A program file that the SVM does not load."""


class ControlKeyInvalid(LedgerError):
    """The file of the control key is unreadable, or too short to be a secret."""


class PortsTaken(LedgerError):
    """No pair of neighbouring free ports."""


class Diverged(LedgerError):
    """A transaction ran in memory but its commit is not known to be on disk.

    Nobody may see that state: a restart shows what the disk holds, whichever way the commit went.
    """


# Codes of the JSON-RPC 2.0 specification.
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
# Codes of Agave's `rpc-client-api/src/custom_error.rs`; clients switch on them.
PREFLIGHT_FAILURE = -32002
SIGNATURE_VERIFICATION_FAILURE = -32003
BLOCK_NOT_AVAILABLE = -32004
NODE_UNHEALTHY = -32005
SLOT_SKIPPED = -32007
NO_SNAPSHOT = -32008
UNSUPPORTED_TRANSACTION_VERSION = -32015
MIN_CONTEXT_SLOT_NOT_REACHED = -32016
# This ledger's own, from the range that JSON-RPC leaves to servers and Agave does not use.
CONTROL_REFUSED = -32090


class RpcError(Exception):
    """A JSON-RPC error object.

    Args:
        code: one of the constants of this module.
        message: for people.
        data: for programs; left out of the answer when None.
    """

    def __init__(self, code: int, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            body["data"] = self.data
        return body


def invalid_params(message: str) -> RpcError:
    """The error for a missing, malformed or out-of-range argument."""
    return RpcError(INVALID_PARAMS, f"Invalid params: {message}")
