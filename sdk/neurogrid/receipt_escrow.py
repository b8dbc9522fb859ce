"""What a Solana endpoint shows of a receipt's escrow, asked over plain JSON-RPC; the coordinator is not asked."""

from typing import Any

import httpx
import msgspec

from neurogrid_marketplace import base58
from neurogrid_marketplace.envelope import network_id
from neurogrid_marketplace.errors import InvalidValue, ReceiptInvalid
from neurogrid_marketplace.escrow_program import Instruction, concerns, paid_after
from neurogrid_marketplace.receipt import Verification
from neurogrid_marketplace.receipt_chain import EscrowSeen

from .errors import ConnectionFailed

# An escrow lives through a handful of transactions: open, perhaps a few claims, the end.
_TRANSACTIONS_MAX = 100
_TIMEOUT_S = 20.0
_ANSWER_BYTES_MAX = 8 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024


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
