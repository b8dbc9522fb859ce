"""``sendTransaction`` and ``simulateTransaction``."""

import base64
import binascii
from typing import Any

from solders.pubkey import Pubkey

from neurogrid_contracts.ledger import records, transactions
from neurogrid_contracts.ledger.backend import Backend, Method, with_context
from neurogrid_contracts.ledger.encoding import encode_account
from neurogrid_contracts.ledger.errors import RpcError, invalid_params
from neurogrid_contracts.ledger.params import Options, Params, pubkey
from neurogrid_contracts.ledger.svm import Simulation
from neurogrid_marketplace import base58


def _wire_bytes(params: Params, options: Options) -> bytes:
    text = params.text(0, "transaction")
    encoding = options.text("encoding", "base58")
    try:
        if encoding == "base64":
            return base64.b64decode(text, validate=True)
        if encoding == "base58":
            return base58.decode(text)
    except (ValueError, binascii.Error) as error:
        raise invalid_params(f"transaction: invalid {encoding} encoding: {error}") from error
    raise invalid_params(f"unsupported encoding: {encoding}. Supported encodings: base58, base64")


def send_transaction(backend: Backend, params: Params) -> Any:
    options = params.options(1)
    raw = _wire_bytes(params, options)
    skip_preflight = options.flag("skipPreflight")
    commitment = options.commitment("preflightCommitment")
    options.integer("maxRetries")
    if not skip_preflight:
        options.require_slot(backend.ledger.slot_at(commitment))
    signature = backend.ledger.send(
        raw, skip_preflight=skip_preflight, preflight_commitment=commitment
    )
    return str(signature)


def simulate_transaction(backend: Backend, params: Params) -> Any:
    options = params.options(1)
    decoded = transactions.decode(_wire_bytes(params, options))
    commitment = options.commitment()
    options.require_slot(backend.ledger.slot_at(commitment))
    replace_blockhash = options.flag("replaceRecentBlockhash")
    if options.flag("sigVerify"):
        if replace_blockhash:
            raise invalid_params("sigVerify may not be used with replaceRecentBlockhash")
        transactions.verify(decoded)
    addresses = _wanted_accounts(options)
    if not replace_blockhash and not backend.ledger.is_current(decoded, commitment):
        return with_context(backend, commitment, _result(error="BlockhashNotFound"))
    try:
        keys = transactions.resolve(decoded.message, backend.ledger.svm.account)
    except RpcError as error:
        return with_context(backend, commitment, _result(error=(error.data or {}).get("err")))
    simulation = backend.ledger.simulate(decoded)
    result = _result(
        error=simulation.error,
        logs=simulation.metadata.logs(),
        units=simulation.metadata.compute_units_consumed(),
    )
    result["loadedAddresses"] = {
        "writable": [str(key) for key in keys.loaded_writable],
        "readonly": [str(key) for key in keys.loaded_readonly],
    }
    returned = simulation.metadata.return_data()
    if returned.data:
        result["returnData"] = {
            "programId": str(returned.program_id),
            "data": [base64.b64encode(returned.data).decode(), "base64"],
        }
    if addresses is not None:
        result["accounts"] = _accounts_after(backend, simulation, addresses, options)
    if options.flag("innerInstructions"):
        result["innerInstructions"] = records.inner_instructions(simulation.metadata)
    if replace_blockhash:
        blockhash, last_valid = backend.ledger.blockhash_at(commitment)
        result["replacementBlockhash"] = {
            "blockhash": str(blockhash),
            "lastValidBlockHeight": last_valid,
        }
    return with_context(backend, commitment, result)


def _result(*, error: Any, logs: list[str] | None = None, units: int = 0) -> dict[str, Any]:
    return {
        "err": error,
        "logs": logs or [],
        "accounts": None,
        "unitsConsumed": units,
        "returnData": None,
        "innerInstructions": None,
        "replacementBlockhash": None,
    }


def _wanted_accounts(options: Options) -> list[Pubkey] | None:
    if not options.has("accounts"):
        return None
    wanted = options.raw("accounts")
    if not isinstance(wanted, dict) or not isinstance(wanted.get("addresses"), list):
        raise invalid_params("accounts: expected an object with addresses")
    # As on a real node: no more accounts than a transaction can lock.
    if len(wanted["addresses"]) > transactions.ACCOUNTS_MAX:
        raise invalid_params(f"accounts: too many; max {transactions.ACCOUNTS_MAX}")
    return [pubkey(address, "accounts.addresses") for address in wanted["addresses"]]


def _accounts_after(
    backend: Backend, simulation: Simulation, addresses: list[Pubkey], options: Options
) -> list[dict[str, Any] | None]:
    if simulation.error is not None:
        return [None for _ in addresses]
    encoding = Options(options.raw("accounts")).account_encoding("base64")
    shown = []
    for address in addresses:
        account = simulation.after.get(address) or backend.ledger.svm.account(address)
        exists = account is not None and account.lamports > 0
        shown.append(
            encode_account(account, encoding, backend.ledger.svm.account)
            if account is not None and exists
            else None
        )
    return shown


METHODS = {
    "sendTransaction": Method(send_transaction, 2),
    "simulateTransaction": Method(simulate_transaction, 2),
}
