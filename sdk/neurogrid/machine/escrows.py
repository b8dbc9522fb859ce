"""The escrows that a machine works for, as the chain shows them: read by plain JSON-RPC, and only looked at.

With a chain's endpoint, a program believes what its coordinator says of money only where the chain says it, too: that the
escrow is there, of this lease, for this wallet, and large enough; and that each voucher would be paid.
"""

import base64
import struct
from dataclasses import dataclass
from typing import Any

import httpx

from neurogrid_marketplace import base58
from neurogrid_marketplace.errors import BadSignature, InvalidValue
from neurogrid_marketplace.execution import CLAIM_MARGIN_MS
from neurogrid_marketplace.identity import check_signature
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import Start, VoucherMessage
from neurogrid_marketplace.receipt_money import escrow_job_id
from neurogrid_marketplace.solana_message import derived_address
from neurogrid_marketplace.voucher import Voucher

from .reviewing import Program

# Source: contracts-client/program/state.h; a test holds these to the client's own layouts.
_ESCROW_TAG, _CONFIG_TAG, _VERSION = 4, 1, 2
_ESCROW_BYTES, _CONFIG_BYTES = 312, 408
_STATE_AT, _OPEN = 3, 1
_PROVIDER, _SIGNER = slice(72, 104), slice(168, 200)
_NUMBERS = struct.Struct("<QQQqqq")
_NUMBERS_AT = 200
_DOMAIN = slice(136, 144)
_TIMEOUT_S = 10.0


class EscrowWrong(Exception):
    """An escrow is not what was agreed; the message says in what."""


class ChainAway(Exception):
    """The endpoint does not answer, or not as a Solana endpoint does."""


@dataclass(frozen=True, slots=True)
class SeenEscrow:
    """What of an escrow its vouchers are checked by.

    Attributes:
        domain: the market's, which is in each voucher.
        signer: whose vouchers it pays, an address.
        claim_until_ms: when it stops paying.
    """

    address: str
    domain: int
    sequence: int
    signer: str
    max_micro_usdc: int
    claim_until_ms: int

    def pays(self, voucher: VoucherMessage) -> bool:
        """Whether the program would pay a voucher; one over nothing is good for nothing, and no harm."""
        if not voucher.cumulative_micro_usdc:
            return True
        if voucher.cumulative_micro_usdc > self.max_micro_usdc:
            return False
        address = base58.decode(self.address, 32)
        statement = Voucher(self.domain, address, self.sequence, voucher.cumulative_micro_usdc)
        try:
            signer, signature = base58.decode(self.signer, 32), bytes.fromhex(voucher.signature)
            check_signature(signer, statement.message(), signature)
        except BadSignature:
            return False
        return True


class Escrows:
    """A chain's endpoint, asked for escrows.

    Args:
        rpc_url: Solana's JSON-RPC.
        wallet: whom they have to pay.
        http: httpx transport, for tests.
    """

    def __init__(self, rpc_url: str, wallet: str, http: httpx.BaseTransport | None = None) -> None:
        self._wallet = wallet
        self._rpc_url = rpc_url
        self._client = httpx.Client(timeout=_TIMEOUT_S, transport=http)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def find(
        self, program: Program, lease: NodeLease, start: Start, now_ms: int
    ) -> SeenEscrow | None:
        """The escrow of a lease; None: it is not there (yet).

        Raises:
            EscrowWrong: it is not what was agreed.
            ChainAway: ask again.
        """
        try:
            client = _derived(program, b"client", base58.decode(start.client, 32))
            job_id = escrow_job_id(lease.lease_id)
            expected = derived_address(
                program.program, b"escrow", base58.decode(client, 32), job_id
            )
            provider = _derived(program, b"provider", base58.decode(self._wallet, 32))
        except InvalidValue as error:
            raise EscrowWrong(str(error)) from error
        if expected != start.escrow:
            raise EscrowWrong("the escrow's address is not the one of this lease")
        escrow, config = self._accounts(program, start.escrow, program.config)
        if config is None or not _is(config, _CONFIG_TAG, _CONFIG_BYTES):
            raise EscrowWrong(f"there is no market at {program.config}")
        if escrow is None:
            return None
        if not _is(escrow, _ESCROW_TAG, _ESCROW_BYTES):
            raise EscrowWrong(f"{start.escrow} is no escrow that this version reads")
        sequence, most, released, _, _, claim_until_s = _NUMBERS.unpack_from(escrow, _NUMBERS_AT)
        seen = SeenEscrow(
            start.escrow,
            int.from_bytes(config[_DOMAIN], "little"),
            sequence,
            base58.encode(escrow[_SIGNER]),
            most,
            claim_until_s * 1000,
        )
        needed_ms = lease.award.timeout_s * 1000 + CLAIM_MARGIN_MS
        for wrong, why in [
            (escrow[_STATE_AT] != _OPEN, "the escrow is disputed, or only an offer"),
            (base58.encode(escrow[_PROVIDER]) != provider, "the escrow pays somebody else"),
            (seen.signer != start.voucher_signer, "the escrow has another voucher signer"),
            (
                most - released < lease.award.max_cost_micro_usdc,
                "the escrow holds less than was agreed",
            ),
            (
                seen.claim_until_ms < now_ms + needed_ms,
                "the escrow ends before the job could be paid",
            ),
        ]:
            if wrong:
                raise EscrowWrong(why)
        return seen

    def _accounts(self, program: Program, *addresses: str) -> list[bytes | None]:
        """What the program's accounts at these addresses hold; None where there is none of it."""
        config = {"encoding": "base64", "commitment": "confirmed"}
        request = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "getMultipleAccounts",
            "params": [list(addresses), config],
        }
        try:
            answer: Any = self._client.post(self._rpc_url, json=request).json()
            found = answer["result"]["value"]
            return [
                base64.b64decode(each["data"][0])
                if each is not None and each["owner"] == program.program
                else None
                for each in found
            ]
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            raise ChainAway(f"{self._rpc_url} does not answer as a chain: {error}") from error


def _derived(program: Program, name: bytes, owner: bytes) -> str:
    return derived_address(program.program, name, base58.decode(program.config, 32), owner)


def _is(data: bytes, tag: int, size_bytes: int) -> bool:
    return len(data) == size_bytes and data[:2] == bytes([tag, _VERSION])
