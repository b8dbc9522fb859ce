"""What a payment is to do, in a form that survives a restart: payer, instructions, budget."""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from neurogrid_wallet.errors import OutboxCorrupt
from neurogrid_wallet.transactions import ComputeBudget

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Intent:
    """A transaction before it is signed.

    Attributes:
        payer: pays the fee and signs first.
        instructions: what happens, all or nothing; without compute budget instructions.
        lookup_tables: on-chain address tables the transaction may refer to.
        compute: the budget, put around the instructions.
    """

    payer: Pubkey
    instructions: tuple[Instruction, ...]
    lookup_tables: tuple[AddressLookupTableAccount, ...]
    compute: ComputeBudget

    def identity(self) -> bytes:
        """A hash of what is paid. The budget is no part of it: it may be tuned between restarts,
        and a caller that repeats itself then still means the same payment."""
        return hashlib.sha256(_json(self._body())).digest()

    def encode(self) -> str:
        """As JSON, so that an operator can read what is outstanding."""
        budget = [self.compute.unit_limit, self.compute.unit_price_micro_lamports]
        return _json({"version": _VERSION, "compute": budget, **self._body()}).decode()

    def _body(self) -> dict[str, Any]:
        return {
            "payer": str(self.payer),
            "instructions": [_encode_instruction(entry) for entry in self.instructions],
            "lookup_tables": [
                {"key": str(table.key), "addresses": [str(entry) for entry in table.addresses]}
                for table in self.lookup_tables
            ],
        }


def decode_intent(text: str) -> Intent:
    """Read back what ``Intent.encode`` wrote.

    Raises:
        OutboxCorrupt: it is something else.
    """
    try:
        body = json.loads(text)
        if body["version"] != _VERSION:
            raise OutboxCorrupt(f"a stored payment has version {body['version']!r}")
        return Intent(
            Pubkey.from_string(body["payer"]),
            tuple(_decode_instruction(entry) for entry in body["instructions"]),
            tuple(
                AddressLookupTableAccount(
                    Pubkey.from_string(table["key"]),
                    [Pubkey.from_string(entry) for entry in table["addresses"]],
                )
                for table in body["lookup_tables"]
            ),
            ComputeBudget(*body["compute"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise OutboxCorrupt(f"a stored payment is damaged: {error!r}") from error


def _encode_instruction(instruction: Instruction) -> dict[str, Any]:
    return {
        "program": str(instruction.program_id),
        "accounts": [
            [str(account.pubkey), account.is_signer, account.is_writable]
            for account in instruction.accounts
        ],
        "data": base64.b64encode(instruction.data).decode("ascii"),
    }


def _decode_instruction(entry: dict[str, Any]) -> Instruction:
    return Instruction(
        Pubkey.from_string(entry["program"]),
        base64.b64decode(entry["data"], validate=True),
        [
            AccountMeta(Pubkey.from_string(address), is_signer, is_writable)
            for address, is_signer, is_writable in entry["accounts"]
        ],
    )


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
