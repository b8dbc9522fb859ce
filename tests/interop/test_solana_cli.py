"""The requests of the Solana CLI's usual commands, replayed against a real ledger process.

The CLI itself is no package of a registry that our builds reach, so it is not run here. What stands
below is what it sends: the methods of each command and the JSON of the Rust client under it
(anza-xyz/agave, rpc-client/src/nonblocking/rpc_client.rs and cli/src), with every optional field
present and null as Rust's serialiser writes it.
"""

import base64
import sys
from typing import Any

import pytest
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import (
    CreateAccountParams,
    InitializeNonceAccountParams,
    TransferParams,
    create_account,
    initialize_nonce_account,
    transfer,
)
from solders.transaction import VersionedTransaction

from contracts.ledger_process import LedgerProcess
from contracts.ledger_world import SOL, base64_text
from interop.ledger import send

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.processes

CONFIRMED = {"commitment": "confirmed"}
NONCE_BYTES = 80
CLOCK = "SysvarC1ock11111111111111111111111111111111"
RENT = "SysvarRent111111111111111111111111111111111"
STAKE = "Stake11111111111111111111111111111111111111"
GET_MINIMUM_DELEGATION = (13).to_bytes(4, "little")
UPGRADEABLE_LOADER = "BPFLoaderUpgradeab1e11111111111111111111111"
# What `program deploy` and `feature status` look at; on no cluster all of them exist.
FEATURES = [str(Pubkey.from_bytes(bytes([number]) * 32)) for number in range(1, 101)]


def account_config(**changes: Any) -> dict[str, Any]:
    return {
        "encoding": "base64+zstd",
        "dataSlice": None,
        "commitment": "confirmed",
        "minContextSlot": None,
        **changes,
    }


def unpacked(account: dict[str, Any]) -> bytes:
    """The data of an account in the CLI's encoding."""
    text, encoding = account["data"]
    assert encoding == "base64+zstd"
    return zstd.decompress(base64.b64decode(text))


def airdrop(ledger: LedgerProcess, lamports: int = 10 * SOL) -> Keypair:
    """``solana airdrop``: a blockhash, the request, then polls."""
    wallet = Keypair()
    latest = ledger.call("getLatestBlockhash", CONFIRMED)["value"]["blockhash"]
    signature = ledger.call(
        "requestAirdrop",
        str(wallet.pubkey()),
        lamports,
        {"recentBlockhash": latest, "commitment": "confirmed"},
    )
    (status,) = ledger.call("getSignatureStatuses", [signature])["value"]
    assert status["confirmationStatus"] in ("confirmed", "finalized")
    assert status["status"] == {"Ok": None}
    return wallet


def test_airdrop_and_balance(ledger: LedgerProcess) -> None:
    wallet = airdrop(ledger)
    assert ledger.call("getBalance", str(wallet.pubkey()), CONFIRMED)["value"] == 10 * SOL


def test_transfer_and_confirm(ledger: LedgerProcess) -> None:
    payer, to = airdrop(ledger), Keypair().pubkey()
    latest = ledger.call("getLatestBlockhash", CONFIRMED)["value"]
    order = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=SOL))
    blockhash = Hash.from_string(latest["blockhash"])
    message = MessageV0.try_compile(payer.pubkey(), [order], [], blockhash)
    raw = base64_text(bytes(VersionedTransaction(message, [payer])))
    simulated = ledger.call(
        "simulateTransaction",
        raw,
        {
            "sigVerify": False,
            "replaceRecentBlockhash": True,
            "commitment": "confirmed",
            "encoding": "base64",
            "accounts": None,
            "minContextSlot": None,
            "innerInstructions": False,
        },
    )
    assert simulated["value"]["err"] is None
    fee = ledger.call("getFeeForMessage", base64_text(to_bytes_versioned(message)), CONFIRMED)
    assert fee["value"] == 5000
    signature = ledger.call(
        "sendTransaction",
        raw,
        {
            "skipPreflight": False,
            "preflightCommitment": "confirmed",
            "encoding": "base64",
            "maxRetries": None,
            "minContextSlot": None,
        },
    )
    assert ledger.call("isBlockhashValid", latest["blockhash"], CONFIRMED)["value"] is True
    history = {"searchTransactionHistory": True}
    (status,) = ledger.call("getSignatureStatuses", [signature], history)["value"]
    assert status["err"] is None
    config = {"encoding": "base64", "commitment": "confirmed", "maxSupportedTransactionVersion": 0}
    shown = ledger.call("getTransaction", signature, config)
    assert shown["transaction"] == [raw, "base64"]
    # transaction-history --show-transactions, and block
    page = {"before": None, "until": None, "limit": 1000, "commitment": "confirmed"}
    (row,) = ledger.call("getSignaturesForAddress", str(to), page)
    assert row["signature"] == signature
    details = {**config, "transactionDetails": None, "rewards": True}
    block = ledger.call("getBlock", row["slot"], details)
    assert [raw, "base64"] in [one["transaction"] for one in block["transactions"]]


def test_account_of_every_kind(ledger: LedgerProcess) -> None:
    wallet = airdrop(ledger)
    plain = ledger.call("getAccountInfo", str(wallet.pubkey()), account_config())["value"]
    assert unpacked(plain) == b""
    mint = ledger.call("getAccountInfo", ledger.info["usdc_mint"], account_config())["value"]
    assert len(unpacked(mint)) == 82
    none = ledger.call("getAccountInfo", str(Keypair().pubkey()), account_config())["value"]
    assert none is None


def test_cluster_date_and_rent_read_sysvars(ledger: LedgerProcess) -> None:
    clock = ledger.call("getAccountInfo", CLOCK, account_config())["value"]
    assert len(unpacked(clock)) == 40
    rent = ledger.call("getAccountInfo", RENT, account_config())["value"]
    assert len(unpacked(rent)) == 17
    assert ledger.call("getMinimumBalanceForRentExemption", 165, CONFIRMED) == 2_039_280


def test_program_show_and_deploy(ledger: LedgerProcess) -> None:
    program = ledger.call("getAccountInfo", ledger.info["program_id"], account_config())["value"]
    assert program["owner"] == UPGRADEABLE_LOADER
    data = str(Pubkey(unpacked(program)[4:36]))
    code = unpacked(ledger.call("getAccountInfo", data, account_config())["value"])
    assert code[45:49] == b"\x7fELF"
    # program show --programs: whose authority we are, headers only
    authority = {"offset": 13, "bytes": ledger.info["faucet"], "encoding": "base58"}
    config = account_config(
        encoding="base64",
        dataSlice={"offset": 0, "length": 45},
        filters=[{"memcmp": authority}],
        withContext=None,
        sortResults=None,
    )
    found = ledger.call("getProgramAccounts", UPGRADEABLE_LOADER, config)
    assert data in [one["pubkey"] for one in found]
    # deploy: the features that decide what may be deployed, a hundred at a time
    features = ledger.call("getMultipleAccounts", FEATURES, account_config())["value"]
    assert len(features) == 100
    assert ledger.call("getClusterNodes")
    assert ledger.call("getSlotLeaders", ledger.call("getSlot", CONFIRMED), 10)


def test_nonce_commands(ledger: LedgerProcess) -> None:
    payer, account = airdrop(ledger), Keypair()
    rent = ledger.call("getMinimumBalanceForRentExemption", NONCE_BYTES, CONFIRMED)
    orders = [
        create_account(
            CreateAccountParams(
                from_pubkey=payer.pubkey(),
                to_pubkey=account.pubkey(),
                lamports=rent,
                space=NONCE_BYTES,
                owner=Pubkey.default(),
            )
        ),
        initialize_nonce_account(
            InitializeNonceAccountParams(nonce_pubkey=account.pubkey(), authority=payer.pubkey())
        ),
    ]
    send(ledger, orders, payer, account)
    shown = ledger.call("getAccountInfo", str(account.pubkey()), account_config())["value"]
    assert unpacked(shown)[8:40] == bytes(payer.pubkey())


@pytest.mark.parametrize(
    ("method", "params"),
    [
        pytest.param(method, params, id=command)
        for command, method, params in [
            ("slot", "getSlot", [CONFIRMED]),
            ("block-height", "getBlockHeight", [CONFIRMED]),
            ("epoch-info", "getEpochInfo", [CONFIRMED]),
            ("epoch-info-samples", "getRecentPerformanceSamples", [60]),
            ("cluster-version", "getVersion", None),
            ("genesis-hash", "getGenesisHash", None),
            ("transaction-count", "getTransactionCount", [CONFIRMED]),
            ("first-available-block", "getFirstAvailableBlock", None),
            ("gossip", "getClusterNodes", None),
            ("leader-schedule", "getLeaderSchedule", [None, CONFIRMED]),
            ("block-production", "getBlockProduction", [{"commitment": "finalized"}]),
            ("block-production-epoch", "getEpochSchedule", None),
            ("inflation", "getInflationGovernor", [CONFIRMED]),
            ("inflation-rate", "getInflationRate", None),
            ("stake-minimum-delegation", "getStakeMinimumDelegation", [CONFIRMED]),
            ("prioritization-fees", "getRecentPrioritizationFees", [[]]),
            ("catchup", "getIdentity", None),
            ("ping", "getHealth", None),
            ("supply", "getSupply", [{**CONFIRMED, "excludeNonCirculatingAccountsList": True}]),
            (
                "largest-accounts",
                "getLargestAccounts",
                [{**CONFIRMED, "filter": None, "sortResults": None}],
            ),
            (
                "validators",
                "getVoteAccounts",
                [
                    {
                        "votePubkey": None,
                        "commitment": "confirmed",
                        "keepUnstakedDelinquents": True,
                        "delinquentSlotDistance": None,
                    }
                ],
            ),
            (
                "stakes",
                "getProgramAccounts",
                [
                    STAKE,
                    account_config(encoding="base64", filters=None, withContext=None),
                ],
            ),
        ]
    ],
)
def test_a_query_is_answered(ledger: LedgerProcess, method: str, params: list[Any] | None) -> None:
    assert ledger.call(method, *(params or [])) is not None


def test_the_stake_minimum_is_what_the_stake_program_says(ledger: LedgerProcess) -> None:
    payer = airdrop(ledger)
    minimum = ledger.call("getStakeMinimumDelegation", CONFIRMED)["value"]
    ask = Instruction(Pubkey.from_string(STAKE), GET_MINIMUM_DELEGATION, [])
    message = MessageV0.try_compile(payer.pubkey(), [ask], [], Hash.default())
    config = {"encoding": "base64", "replaceRecentBlockhash": True}
    transaction = base64_text(bytes(VersionedTransaction(message, [payer])))
    value = ledger.call("simulateTransaction", transaction, config)["value"]
    text, encoding = value["returnData"]["data"]
    assert encoding == "base64"
    assert int.from_bytes(base64.b64decode(text), "little") == minimum
