"""Solana's JSON-RPC for both daemons: typed answers, typed errors, bounded retries.

Built on solana-py's ``AsyncClient``, of which only ``send_rpc_request`` is used: one path for
every method, including those that a local ledger adds. Its ``confirm_transaction`` is not used:
it needs asyncio, takes a failed transaction for a confirmed one, and declares expiry without a
last look. ``outbox_watcher.py`` does that instead.
"""

import base64
import logging
import random
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import anyio.to_thread
import httpx2
from pydantic import ValidationError
from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.jsonrpc import JsonRpcRequest, JsonRpcResponseEnvelope, SolanaJsonRpcError
from solders.pubkey import Pubkey

from neurogrid_marketplace import base58
from neurogrid_wallet.chain import ChainPosition, Commitment, SignatureStatuses, parse_failure
from neurogrid_wallet.errors import RpcRejected, RpcUnavailable
from neurogrid_wallet.rpc_answers import (
    MALFORMED,
    Account,
    Blockhash,
    ProgramAccounts,
    SignatureRecord,
    Simulation,
    TransactionRecord,
    parse_account,
    parse_accounts,
    parse_balance,
    parse_blockhash,
    parse_count,
    parse_fees,
    parse_position,
    parse_program_accounts,
    parse_records,
    parse_simulation,
    parse_statuses,
    parse_text,
    parse_transaction,
)

__all__ = [
    "Account",
    "Blockhash",
    "ProgramAccounts",
    "Rpc",
    "SignatureRecord",
    "Simulation",
    "TransactionRecord",
]

T = TypeVar("T")

# What the RPC takes in one call (agave, rpc-client-types/src/request.rs).
_ACCOUNTS_PER_CALL_MAX = 100
SIGNATURE_STATUSES_PER_CALL_MAX = 256
_SIGNATURES_FOR_ADDRESS_MAX = 1000
_FEE_ACCOUNTS_MAX = 128

# A read is tried this often in all, with a random wait of up to 0.1, 0.2, 0.4 s in between: enough
# for a dropped connection or a restarting node, little enough for a caller that waits.
_READ_ATTEMPTS_MAX = 4
_BACKOFF_FIRST_S = 0.1

# A daemon makes a few calls at a time; more sockets than this only trip rate limits.
_CONNECTIONS_MAX = 16

# Answers that say "not now" or "not from me" rather than "no" (agave, rpc-client-api/src/
# custom_error.rs): block not available, node unhealthy, block status not yet known, behind the
# asked slot, archive unreachable, internal error; and two codes that providers use for a quota.
_UNAVAILABLE_CODES = frozenset({-32004, -32005, -32014, -32016, -32019, -32603, 429, -32429})
_UNAVAILABLE_HTTP_STATUSES = frozenset({408, 425, 429})

# It logs every request with its address, which may hold an access key.
logging.getLogger("httpx2").setLevel(logging.WARNING)


class Rpc:
    """One endpoint. Make one per daemon and share it: opening costs up to 0.6 s (in a thread).

    ``async with Rpc(url) as rpc: ...``; works on trio and on asyncio. Every method raises
    ``RpcUnavailable`` or ``RpcRejected``; reads are retried a few times before the former.
    """

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        """
        Args:
            url: the HTTP(S) address; it may hold an access key, so it never shows in an error.
            timeout_s: how long one attempt of one call may wait for the network.
        """
        self.url = url
        self._timeout_s = timeout_s
        self._client: AsyncClient | None = None

    async def __aenter__(self) -> Self:
        # In a thread: building the TLS context takes up to half a second.
        self._client = await anyio.to_thread.run_sync(self._make_client)
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            with anyio.CancelScope(shield=True):
                await client.close()

    def _make_client(self) -> AsyncClient:
        return AsyncClient(
            self.url,
            timeout=self._timeout_s,
            max_connections=_CONNECTIONS_MAX,
            http2=False,
            # Retries are ours: solana-py would also repeat an airdrop.
            max_transport_retries=0,
        )

    async def call(self, method: str, params: Sequence[Any] = (), *, retry: bool = False) -> Any:
        """Any method, its JSON result untouched.

        Args:
            retry: repeat it where the endpoint gave no answer; only for calls that may be repeated.
        """
        return await self._call(method, params, lambda result: result, retry=retry)

    async def get_account(
        self, address: Pubkey, commitment: Commitment = Commitment.CONFIRMED
    ) -> Account | None:
        """The account at ``address``, or None where there is none."""
        config = {"encoding": "base64", "commitment": commitment.value}
        return await self._call("getAccountInfo", [str(address), config], parse_account)

    async def get_accounts(
        self, addresses: Sequence[Pubkey], commitment: Commitment = Commitment.CONFIRMED
    ) -> list[Account | None]:
        """The accounts at ``addresses``, in order; up to 100 are one call and one instant."""
        config = {"encoding": "base64", "commitment": commitment.value}
        accounts: list[Account | None] = []
        for start in range(0, len(addresses), _ACCOUNTS_PER_CALL_MAX):
            chunk = [str(address) for address in addresses[start : start + _ACCOUNTS_PER_CALL_MAX]]
            accounts += await self._call(
                "getMultipleAccounts", [chunk, config], parse_accounts(len(chunk))
            )
        return accounts

    async def program_accounts(
        self,
        program: Pubkey,
        *,
        offset: int,
        data: bytes,
        commitment: Commitment = Commitment.CONFIRMED,
    ) -> ProgramAccounts:
        """A program's accounts that hold ``data`` at ``offset``, all in one slot.

        Dear: public endpoints may refuse it, and answer with everything at once.
        """
        config = {
            "encoding": "base64",
            "commitment": commitment.value,
            "withContext": True,
            "filters": [{"memcmp": {"offset": offset, "bytes": base58.encode(data)}}],
        }
        return await self._call(
            "getProgramAccounts", [str(program), config], parse_program_accounts
        )

    async def sol_balance(
        self, address: Pubkey, commitment: Commitment = Commitment.CONFIRMED
    ) -> int:
        """The SOL at ``address``, in lamports; 0 where there is no account."""
        config = {"commitment": commitment.value}
        return await self._call("getBalance", [str(address), config], parse_balance)

    async def latest_blockhash(self, commitment: Commitment = Commitment.CONFIRMED) -> Blockhash:
        """The newest blockhash to sign over."""
        return await self._call(
            "getLatestBlockhash", [{"commitment": commitment.value}], parse_blockhash
        )

    async def block_height(self, commitment: Commitment = Commitment.FINALIZED) -> int:
        """How many blocks the chain has."""
        return await self._call("getBlockHeight", [{"commitment": commitment.value}], parse_count)

    async def position(self, commitment: Commitment = Commitment.FINALIZED) -> ChainPosition:
        """Slot and block height of the same instant, which two separate calls cannot give."""
        return await self._call("getEpochInfo", [{"commitment": commitment.value}], parse_position)

    async def first_available_slot(self) -> int:
        """The oldest slot whose transactions this node still knows."""
        return await self._call("getFirstAvailableBlock", [], parse_count)

    async def signature_statuses(
        self, signatures: Sequence[str], *, search_history: bool
    ) -> SignatureStatuses:
        """What became of these transactions.

        Args:
            signatures: Base58, at most ``SIGNATURE_STATUSES_PER_CALL_MAX``.
            search_history: look beyond the last few minutes too; dearer, and necessary before an
                unknown transaction may be called dead.
        """
        config = {"searchTransactionHistory": search_history}
        return await self._call(
            "getSignatureStatuses", [list(signatures), config], parse_statuses(len(signatures))
        )

    async def send_raw(self, transaction: bytes) -> str:
        """Hand a signed transaction to the network once; sending the same bytes again is safe.

        Neither success nor an error says whether it lands: only its status does.

        Returns: its signature in Base58.
        """
        config = {
            "encoding": "base64",
            # A simulation would add a round trip, and its refusal proves nothing: the bytes may
            # have landed with an earlier send.
            "skipPreflight": True,
            # The sender repeats; a node that repeats on its own cannot be told to stop.
            "maxRetries": 0,
        }
        return await self._call(
            "sendTransaction", [_text(transaction), config], parse_text, retry=False
        )

    async def simulate(
        self, transaction: bytes, commitment: Commitment = Commitment.CONFIRMED
    ) -> Simulation:
        """What ``transaction`` would do now; signatures and blockhash are not checked."""
        config = {
            "encoding": "base64",
            "commitment": commitment.value,
            "sigVerify": False,
            "replaceRecentBlockhash": True,
        }
        return await self._call(
            "simulateTransaction", [_text(transaction), config], parse_simulation
        )

    async def prioritization_fees(self, accounts: Sequence[Pubkey]) -> list[int]:
        """What going first cost lately: one price a slot, in micro-lamports per compute unit.

        Args:
            accounts: those that will be written; beyond 128 the rest is left out.
        """
        keys = [str(account) for account in accounts[:_FEE_ACCOUNTS_MAX]]
        return await self._call("getRecentPrioritizationFees", [keys], parse_fees)

    async def token_balance(
        self, token_account: Pubkey, commitment: Commitment = Commitment.CONFIRMED
    ) -> int | None:
        """What a token account holds, in the token's smallest unit; None where it does not exist.

        Raises:
            RpcRejected: the account is no token account.
        """
        # Not getTokenAccountBalance: it answers a missing account with a generic error.
        account = await self.get_account(token_account, commitment)
        if account is None:
            return None
        if len(account.data) < 165:
            raise RpcRejected("getAccountInfo", -32602, f"{token_account} is no token account")
        return int.from_bytes(account.data[64:72], "little")

    async def signatures_for_address(
        self, address: Pubkey, *, limit: int, before: str | None = None
    ) -> list[SignatureRecord]:
        """The latest transactions that touched ``address``, newest first.

        Args:
            limit: at most 1000.
            before: start after this signature, to page on.
        """
        if not 0 < limit <= _SIGNATURES_FOR_ADDRESS_MAX:
            raise ValueError(f"limit must be between 1 and {_SIGNATURES_FOR_ADDRESS_MAX}")
        config: dict[str, Any] = {"limit": limit, "commitment": Commitment.CONFIRMED.value}
        if before is not None:
            config["before"] = before

        return await self._call("getSignaturesForAddress", [str(address), config], parse_records)

    async def transaction(
        self, signature: str, commitment: Commitment = Commitment.CONFIRMED
    ) -> TransactionRecord | None:
        """The transaction with this signature, or None where the node knows none."""
        config = {
            "encoding": "base64",
            "commitment": commitment.value,
            "maxSupportedTransactionVersion": 0,
        }
        return await self._call("getTransaction", [signature, config], parse_transaction)

    async def request_airdrop(self, address: Pubkey, lamports: int) -> str:
        """Ask the faucet of a test network for SOL; each call may give again.

        Returns: the signature of the faucet's transaction.
        """
        return await self._call("requestAirdrop", [str(address), lamports], parse_text, retry=False)

    async def _call(
        self,
        method: str,
        params: Sequence[Any],
        parse: Callable[[Any], T],
        *,
        retry: bool = True,
    ) -> T:
        attempts_max = _READ_ATTEMPTS_MAX if retry else 1
        for attempt in range(1, attempts_max + 1):
            try:
                result = await self._call_once(method, params)
                try:
                    return parse(result)
                except MALFORMED as error:
                    raise RpcUnavailable(method, f"malformed answer: {error!r}") from error
            except RpcUnavailable:
                if attempt == attempts_max:
                    raise
            # Random, so that daemons cut off together do not return together.
            await anyio.sleep(random.uniform(0, _BACKOFF_FIRST_S * 2 ** (attempt - 1)))
        raise AssertionError("the last attempt returns or raises")

    async def _call_once(self, method: str, params: Sequence[Any]) -> Any:
        assert self._client is not None, "Rpc is used outside its `async with`"
        request = JsonRpcRequest(method=method, params=list(params))
        try:
            return await self._client.send_rpc_request(request, Any)
        except SolanaJsonRpcError as error:
            raise _refusal(method, error.code, error.message, error.data) from error
        except ValidationError as error:
            raise RpcUnavailable(method, "the answer is not JSON-RPC") from error
        except SolanaRpcException as error:
            cause = error.__cause__
            # Without the cause, whose text holds the address and perhaps an access key.
            if isinstance(cause, httpx2.HTTPStatusError):
                raise _http_refusal(method, cause.response) from None
            raise RpcUnavailable(method, type(cause).__name__) from None


def _http_refusal(method: str, response: httpx2.Response) -> RpcUnavailable | RpcRejected:
    """Read an HTTP error; some providers put the JSON-RPC error into its body."""
    try:
        error = JsonRpcResponseEnvelope.model_validate_json(response.text).error
    except ValidationError:
        error = None
    if error is not None:
        return _refusal(method, error.code, error.message, error.data)
    status = response.status_code
    if status in _UNAVAILABLE_HTTP_STATUSES or status >= 500:
        return RpcUnavailable(method, f"HTTP {status}")
    return RpcRejected(method, status, f"HTTP {response.reason_phrase}")


def _refusal(method: str, code: int, message: str, data: Any) -> RpcUnavailable | RpcRejected:
    if code in _UNAVAILABLE_CODES:
        return RpcUnavailable(method, f"{message} ({code})")
    details = data if isinstance(data, dict) else {}
    logs = details.get("logs")
    failure = parse_failure(details.get("err"))
    return RpcRejected(
        method,
        code,
        message,
        logs=tuple(str(line) for line in logs) if isinstance(logs, list) else (),
        custom_program_error=failure.custom_program_error if failure else None,
    )


def _text(transaction: bytes) -> str:
    return base64.b64encode(transaction).decode("ascii")
