"""What a receipt is compared with beside itself: output files on this disk, another run's, and the chain.

Neither asks the coordinator anything. A Solana endpoint is asked over plain JSON-RPC.
"""

import hashlib
from pathlib import Path
from typing import Any

import httpx
import msgspec

from neurogrid_marketplace import base58
from neurogrid_marketplace.closeness import FilePair, are_same, undecided_pairs
from neurogrid_marketplace.comparator import ComparatorKind
from neurogrid_marketplace.envelope import network_id
from neurogrid_marketplace.errors import InvalidValue, ReceiptInvalid
from neurogrid_marketplace.escrow_program import Instruction, concerns, paid_after
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.receipt import Verification
from neurogrid_marketplace.receipt_chain import EscrowSeen
from neurogrid_marketplace.receipt_items import COORDINATOR, Item, absent, proven

from .errors import ConnectionFailed, IntegrityError

# An escrow lives through a handful of transactions: open, perhaps a few claims, the end.
_TRANSACTIONS_MAX = 100
_TIMEOUT_S = 20.0
_ANSWER_BYTES_MAX = 8 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024


def compare_outputs(found: Verification, directory: Path) -> Item:
    """Compare files below ``directory`` with the hashes that the node signed.

    Raises:
        IntegrityError: one is missing, or another; names it.
        OSError: one can't be read.
    """
    outputs = found.result.outputs
    for output in outputs:
        path = directory / output.path
        if not path.is_file():
            raise IntegrityError(f"{path} is missing: the receipt names it")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != output.sha256:
            raise IntegrityError(
                f"{path} is not the file that the receipt names: its SHA-256 is {digest}"
            )
    if not outputs:
        return absent("files", "the receipt names no output files to compare")
    return proven(
        "files", "node", f"{len(outputs)} files in {directory} are those that the node named"
    )


def compare_runs(found: Verification, directory: Path, other: Path) -> Item:
    """Compare the receipt's output files with another run's, by the comparator of the signed demand.

    Args:
        directory: the receipt's own files, see `compare_outputs`.

    Raises:
        IntegrityError: they are not the same.
        OSError: a file can't be read.
    """
    comparator = found.comparator
    if comparator.kind is ComparatorKind.IMAGE:
        return absent("comparison", f"only {comparator.words()} can tell")
    others = [_output(path, other) for path in sorted(other.rglob("*")) if path.is_file()]
    pairs = undecided_pairs(comparator, found.result.outputs, others)

    def read(pair: FilePair) -> tuple[bytes, bytes]:
        return (directory / pair.path).read_bytes(), (other / pair.path).read_bytes()

    if pairs is None or not are_same(comparator, pairs, read):
        raise IntegrityError(
            f"the files in {other} are not those of the receipt, by {comparator.words()}"
        )
    return proven(
        "comparison",
        COORDINATOR,
        f"the files in {other} are the same by what the demand asks for: {comparator.words()}",
    )


def _output(path: Path, directory: Path) -> OutputFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return OutputFile(path.relative_to(directory).as_posix(), digest, path.stat().st_size)


def look_at_chain(found: Verification, url: str) -> EscrowSeen:
    """What a Solana endpoint shows of the receipt's escrow, of what is final.

    Raises:
        ConnectionFailed: the endpoint does not answer, or not with what was asked.
        ReceiptInvalid: it serves another chain than the one the receipt is of.
    """
    settlement = found.settlement
    with httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False) as http:
        endpoint = _Endpoint(http, url)
        genesis = endpoint.ask("getGenesisHash", str)
        if network_id(genesis, settlement.program_id) != found.network:
            raise ReceiptInvalid(
                f"{url} serves the chain with genesis hash {genesis}: with the receipt's program, "
                f"that is not its network {found.network}"
            )
        account = endpoint.ask(
            "getAccountInfo",
            dict[str, Any],
            settlement.escrow,
            {"commitment": "finalized", "encoding": "base64"},
        )
        records: list[_Record] = endpoint.ask(
            "getSignaturesForAddress",
            list[_Record],
            settlement.escrow,
            {"commitment": "finalized", "limit": _TRANSACTIONS_MAX},
        )
        paid: int | None = 0
        transactions: list[str] = []
        for record in reversed(records):
            if record.err is not None:
                continue
            instructions = endpoint.instructions(record.signature, settlement.program_id)
            # Anybody may mention the address; only what the program did with the escrow counts.
            if any(concerns(instruction, settlement.escrow) for instruction in instructions):
                transactions.insert(0, record.signature)
                paid = paid_after(instructions, settlement.escrow, paid)
    return EscrowSeen(
        is_open=account["value"] is not None,
        is_complete=len(records) < _TRANSACTIONS_MAX,
        transactions=tuple(transactions),
        paid_micro_usdc=paid,
    )


class _Record(msgspec.Struct):
    """One row of ``getSignaturesForAddress``."""

    signature: str
    err: Any = None


class _Compiled(msgspec.Struct, rename="camel"):
    """One instruction of a transaction in encoding ``json``; numbers are places among its keys."""

    program_id_index: int
    accounts: list[int]
    data: str


class _Message(msgspec.Struct, rename="camel"):
    account_keys: list[str]
    instructions: list[_Compiled]


class _Transaction(msgspec.Struct):
    message: _Message


class _Loaded(msgspec.Struct):
    """Keys from lookup tables, which follow the transaction's own."""

    writable: list[str] = []
    readonly: list[str] = []


class _Inner(msgspec.Struct):
    """What one instruction had other programs do."""

    instructions: list[_Compiled]


class _Meta(msgspec.Struct, rename="camel"):
    loaded_addresses: _Loaded | None = None
    inner_instructions: list[_Inner] | None = None


class _Landed(msgspec.Struct):
    """An answer to ``getTransaction``."""

    transaction: _Transaction
    meta: _Meta


class _Endpoint:
    """A Solana JSON-RPC endpoint, whose answers are not trusted to have any form."""

    def __init__(self, http: httpx.Client, url: str) -> None:
        self._http = http
        self._url = url

    def ask(self, method: str, kind: Any, *params: Any) -> Any:
        """One call; its result is read as ``kind``."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        content = bytearray()
        try:
            with self._http.stream("POST", self._url, json=request) as answer:
                answer.raise_for_status()
                for piece in answer.iter_bytes(_CHUNK_BYTES):
                    content += piece
                    if len(content) > _ANSWER_BYTES_MAX:
                        raise ConnectionFailed(f"{self._url}: {method}: the answer is too large")
            document = msgspec.json.decode(content, type=dict[str, Any])
            if "error" in document:
                raise ConnectionFailed(f"{self._url}: {method}: {document['error']}")
            return msgspec.convert(document.get("result"), kind)
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError) as error:
            words = str(error) or type(error).__name__
            raise ConnectionFailed(f"{self._url}: {method}: {words}") from error

    def instructions(self, signature: str, program_id: str) -> list[Instruction]:
        """The program's instructions in a transaction, those that others had it do included."""
        options = {
            "commitment": "finalized",
            "encoding": "json",
            "maxSupportedTransactionVersion": 0,
        }
        landed: _Landed = self.ask("getTransaction", _Landed, signature, options)
        loaded = landed.meta.loaded_addresses or _Loaded()
        message = landed.transaction.message
        keys = [*message.account_keys, *loaded.writable, *loaded.readonly]
        inner = [
            item for each in landed.meta.inner_instructions or () for item in each.instructions
        ]
        found = []
        for compiled in [*message.instructions, *inner]:
            places = (compiled.program_id_index, *compiled.accounts)
            program, *accounts = (
                keys[place] if 0 <= place < len(keys) else None for place in places
            )
            if program != program_id:
                continue
            try:
                data = base58.decode(compiled.data)
            except InvalidValue as error:
                raise ConnectionFailed(f"{self._url}: {signature}: {error}") from error
            found.append(Instruction(tuple(accounts), data))
        return found
