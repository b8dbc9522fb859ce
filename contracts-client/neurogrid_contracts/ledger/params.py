"""Arguments of a call: what JSON says, checked. Every failure is ``-32602`` and names the argument.

A real node takes arguments by position only; so does this one.
"""

from collections.abc import Mapping
from typing import Any

from solders.hash import Hash, ParseHashError
from solders.pubkey import Pubkey
from solders.signature import Signature

from neurogrid_contracts.ledger.encoding import AccountEncoding
from neurogrid_contracts.ledger.errors import (
    MIN_CONTEXT_SLOT_NOT_REACHED,
    RpcError,
    invalid_params,
)
from neurogrid_contracts.ledger.ledger import Commitment

U64_MAX = 2**64 - 1


class Options:
    """The configuration object that most methods take last. Unknown keys are let through."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    @property
    def values(self) -> Mapping[str, Any]:
        return self._values

    def has(self, name: str) -> bool:
        return self._values.get(name) is not None

    def raw(self, name: str) -> Any:
        return self._values.get(name)

    def flag(self, name: str) -> bool:
        value = self._values.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise invalid_params(f"{name}: expected a boolean")
        return value

    def text(self, name: str, default: str) -> str:
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise invalid_params(f"{name}: expected a string")
        return value

    def integer(self, name: str, *, low: int = 0, high: int = U64_MAX) -> int | None:
        value = self._values.get(name)
        return None if value is None else integer(value, name, low=low, high=high)

    def commitment(self, name: str = "commitment") -> Commitment:
        """The wanted commitment; as on a real node, ``finalized`` when the caller names none."""
        value = self._values.get(name)
        if value is None:
            return Commitment.FINALIZED
        try:
            return Commitment(value)
        except ValueError:
            raise invalid_params(
                f"{name}: expected processed, confirmed or finalized, not {value!r}"
            ) from None

    def require_slot(self, slot: int) -> None:
        """Raises RpcError when ``minContextSlot`` is still to come."""
        wanted = self.integer("minContextSlot")
        if wanted is not None and wanted > slot:
            raise RpcError(
                MIN_CONTEXT_SLOT_NOT_REACHED,
                "Minimum context slot has not been reached",
                {"contextSlot": slot},
            )

    def account_encoding(self, default: str = "binary") -> AccountEncoding:
        """The encoding and slice of account data."""
        part = self._values.get("dataSlice")
        name = self.text("encoding", default)
        if part is None:
            return AccountEncoding(name)
        if not isinstance(part, Mapping):
            raise invalid_params("dataSlice: expected an object")
        slice_ = Options(part)
        offset, length = slice_.integer("offset"), slice_.integer("length")
        if offset is None or length is None:
            raise invalid_params("dataSlice: needs offset and length")
        return AccountEncoding(name, offset, length)


class Params:
    """The positional arguments of one call."""

    def __init__(self, values: object, *, count_max: int) -> None:
        if values is None:
            values = []
        if not isinstance(values, list):
            raise invalid_params("expected an array of positional arguments")
        if len(values) > count_max:
            raise invalid_params(f"expected at most {count_max} arguments, got {len(values)}")
        self._values: list[Any] = values

    def has(self, index: int) -> bool:
        return index < len(self._values) and self._values[index] is not None

    def raw(self, index: int, name: str) -> Any:
        """The argument, whatever it is.

        Raises:
            RpcError: it is missing.
        """
        if not self.has(index):
            raise invalid_params(f"missing {name} (argument {index + 1})")
        return self._values[index]

    def pubkey(self, index: int, name: str = "pubkey") -> Pubkey:
        return pubkey(self.raw(index, name), name)

    def signature(self, index: int, name: str = "signature") -> Signature:
        return signature(self.raw(index, name), name)

    def text(self, index: int, name: str) -> str:
        value = self.raw(index, name)
        if not isinstance(value, str):
            raise invalid_params(f"{name}: expected a string")
        return value

    def blockhash(self, index: int, name: str = "blockhash") -> Hash:
        try:
            return Hash.from_string(self.text(index, name))
        except ParseHashError as error:
            raise invalid_params(f"{name}: {error}") from error

    def integer(self, index: int, name: str, *, low: int = 0, high: int = U64_MAX) -> int:
        return integer(self.raw(index, name), name, low=low, high=high)

    def array(self, index: int, name: str, *, count_max: int) -> list[Any]:
        value = self.raw(index, name)
        if not isinstance(value, list):
            raise invalid_params(f"{name}: expected an array")
        if len(value) > count_max:
            raise invalid_params(f"{name}: too many inputs provided; max {count_max}")
        return value

    def mapping(self, index: int, name: str) -> Mapping[str, Any]:
        value = self.raw(index, name)
        if not isinstance(value, Mapping):
            raise invalid_params(f"{name}: expected an object")
        return value

    def options(self, index: int) -> Options:
        """The configuration object at ``index``; empty when the caller sent none."""
        if not self.has(index):
            return Options({})
        return Options(self.mapping(index, "configuration"))


def pubkey(value: object, name: str) -> Pubkey:
    if not isinstance(value, str):
        raise invalid_params(f"{name}: expected a base58 string")
    try:
        return Pubkey.from_string(value)
    except ValueError as error:
        raise invalid_params(f"{name}: {value[:64]!r} is not a public key: {error}") from error


def signature(value: object, name: str) -> Signature:
    if not isinstance(value, str):
        raise invalid_params(f"{name}: expected a base58 string")
    try:
        return Signature.from_string(value)
    except ValueError as error:
        raise invalid_params(f"{name}: {value[:96]!r} is not a signature: {error}") from error


def integer(value: object, name: str, *, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid_params(f"{name}: expected an integer")
    if not low <= value <= high:
        raise invalid_params(f"{name}: expected {low} to {high}, not {value}")
    return value
