"""The first state of a new ledger: a faucet, a USDC mint, the NeuroGrid program."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from solders.account import Account
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM

from neurogrid_contracts.ledger.errors import DataDirectoryInvalid
from neurogrid_contracts.ledger.store import Store
from neurogrid_contracts.ledger.svm import Svm
from neurogrid_contracts.ledger.tokens import TOKEN_PROGRAM

LAMPORTS_PER_SOL = 10**9
# About the supply of mainnet, so that the faucet never runs dry: 500 million SOL.
_FAUCET_LAMPORTS = 500_000_000 * LAMPORTS_PER_SOL
# As the USDC of Circle on mainnet and devnet.
USDC_DECIMALS = 6
WRAPPED_SOL = Pubkey.from_string("So11111111111111111111111111111111111111112")
SOL_DECIMALS = 9


@dataclass(frozen=True, slots=True)
class Genesis:
    """What was decided when the ledger was created, and stays.

    Args:
        hash: names this ledger among all clusters.
        faucet: holds the SOL, and is the mint's authority and the program's upgrade authority.
        usdc_mint: the local stand-in for USDC, 6 decimals.
        program_id: where the NeuroGrid program is, or will be when it is installed later.
    """

    hash: Hash
    faucet: Keypair
    usdc_mint: Pubkey
    program_id: Pubkey


def load_or_create(store: Store, svm: Svm, data: Path) -> Genesis:
    """The genesis of the ledger in ``data``; written in one commit when there is none.

    Raises:
        DataDirectoryInvalid: the faucet's key is not the one this ledger was created with.
    """
    faucet_path = data / "faucet.json"
    stored_hash = store.fact("genesis_hash")
    if stored_hash is None:
        faucet = _read_keypair(faucet_path) or _create_keypair(faucet_path)
        genesis = Genesis(
            Hash(os.urandom(32)), faucet, Keypair().pubkey(), program_id=Keypair().pubkey()
        )
        store.put(
            facts=[
                ("genesis_hash", bytes(genesis.hash)),
                ("faucet", bytes(faucet.pubkey())),
                ("usdc_mint", bytes(genesis.usdc_mint)),
                ("program_id", bytes(genesis.program_id)),
            ],
            accounts=_first_accounts(genesis, svm),
        )
        return genesis
    restored = _read_keypair(faucet_path)
    if restored is None or bytes(restored.pubkey()) != store.fact("faucet"):
        raise DataDirectoryInvalid(
            f"{faucet_path} is not the key this ledger was created with; restore it, "
            "or start a new ledger in an empty directory"
        )
    return Genesis(
        Hash(_bytes(stored_hash)),
        restored,
        usdc_mint=Pubkey(_bytes(store.fact("usdc_mint"))),
        program_id=Pubkey(_bytes(store.fact("program_id"))),
    )


def _first_accounts(genesis: Genesis, svm: Svm) -> list[tuple[Pubkey, Account]]:
    authority = bytes(genesis.faucet.pubkey())
    # SPL Mint: authority (COption), supply u64, decimals u8, initialized u8, freeze authority.
    # As Circle's, it has a freeze authority.
    mint = b"\1\0\0\0" + authority + bytes(8) + bytes([USDC_DECIMALS, 1]) + b"\1\0\0\0" + authority
    # The mint of wrapped SOL, as every cluster has it: without authorities.
    wrapped_sol = bytes(44) + bytes([SOL_DECIMALS, 1]) + bytes(36)
    return [
        (genesis.faucet.pubkey(), Account(_FAUCET_LAMPORTS, b"", SYSTEM_PROGRAM)),
        (
            genesis.usdc_mint,
            Account(svm.rent_exempt_lamports(len(mint)), mint, TOKEN_PROGRAM),
        ),
        (
            WRAPPED_SOL,
            Account(svm.rent_exempt_lamports(len(wrapped_sol)), wrapped_sol, TOKEN_PROGRAM),
        ),
    ]


def _bytes(value: int | bytes | None) -> bytes:
    if not isinstance(value, bytes):
        raise DataDirectoryInvalid("the store lacks a fact of its genesis")
    return value


def _read_keypair(path: Path) -> Keypair | None:
    """A key in solana-keygen's form: a JSON array of 64 numbers."""
    try:
        return Keypair.from_bytes(bytes(json.loads(path.read_text())))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise DataDirectoryInvalid(f"{path} is not a keypair: {error}") from error


def _create_keypair(path: Path) -> Keypair:
    keypair = Keypair()
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(list(bytes(keypair))))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return keypair
