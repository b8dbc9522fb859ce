"""The JSON forms of transactions, before and after execution. Pure."""

from typing import Any

from solders.instruction import CompiledInstruction
from solders.message import MessageV0
from solders.transaction_metadata import TransactionMetadata

from neurogrid_contracts.ledger.svm import Execution
from neurogrid_contracts.ledger.tokens import token_balances
from neurogrid_contracts.ledger.transactions import AccountKeys, AccountLookup, Decoded
from neurogrid_marketplace import base58


def meta(execution: Execution, accounts: AccountKeys, account: AccountLookup) -> dict[str, Any]:
    """The ``meta`` object of ``getTransaction``."""
    metadata = execution.metadata
    error = execution.error
    return {
        "err": error,
        "status": status(error),
        "fee": execution.fee_lamports,
        "preBalances": [0 if a is None else a.lamports for a in execution.before],
        "postBalances": [0 if a is None else a.lamports for a in execution.after],
        "innerInstructions": inner_instructions(metadata),
        "logMessages": metadata.logs(),
        "preTokenBalances": token_balances(execution.before, account),
        "postTokenBalances": token_balances(execution.after, account),
        "rewards": [],
        "loadedAddresses": {
            "writable": [str(key) for key in accounts.loaded_writable],
            "readonly": [str(key) for key in accounts.loaded_readonly],
        },
        "computeUnitsConsumed": metadata.compute_units_consumed(),
    }


def status(error: Any) -> dict[str, Any]:
    """The older form of ``err`` that some answers still carry."""
    return {"Ok": None} if error is None else {"Err": error}


def compiled_instruction(
    instruction: CompiledInstruction, stack_height: int | None
) -> dict[str, Any]:
    return {
        "programIdIndex": instruction.program_id_index,
        "accounts": list(instruction.accounts),
        "data": base58.encode(bytes(instruction.data)),
        "stackHeight": stack_height,
    }


def inner_instructions(metadata: TransactionMetadata) -> list[dict[str, Any]]:
    """What programs called, grouped by the outer instruction."""
    return [
        {
            "index": index,
            "instructions": [
                compiled_instruction(inner.instruction(), inner.stack_height()) for inner in inners
            ],
        }
        for index, inners in enumerate(metadata.inner_instructions())
        if inners
    ]


def transaction_json(decoded: Decoded) -> dict[str, Any]:
    """The ``transaction`` of the ``json`` encoding."""
    message = decoded.message
    header = message.header
    body: dict[str, Any] = {
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "accountKeys": [str(key) for key in message.account_keys],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [
            compiled_instruction(instruction, stack_height=1)
            for instruction in message.instructions
        ],
    }
    if isinstance(message, MessageV0):
        body["addressTableLookups"] = [
            {
                "accountKey": str(lookup.account_key),
                "writableIndexes": list(lookup.writable_indexes),
                "readonlyIndexes": list(lookup.readonly_indexes),
            }
            for lookup in message.address_table_lookups
        ]
    return {"signatures": [str(one) for one in decoded.transaction.signatures], "message": body}
