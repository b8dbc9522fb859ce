"""`neurogrid wallet` on a market of its own: a real ledger, real wallet files, real commands."""

import json
import os
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountWithSeedParams, create_account_with_seed

from contracts.escrow_market import TERMS, do, pubkey
from contracts.ledger_process import LedgerProcess
from neurogrid.cli.group import neurogrid
from neurogrid_contracts.deployment import Deployment, Market
from neurogrid_contracts.instructions import init_config
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.keystore import KdfParameters
from neurogrid_wallet.usdc import TOKEN_PROGRAM, create_token_account, token_address
from neurogrid_wallet.wallets import Wallet, WalletFolder

# As weak as is allowed: a guess takes 5 ms.
WEAK = KdfParameters(memory_kib=7 * 1024, iterations=1, lanes=1)
PASSPHRASE = "correct horse"
_MINT_BYTES = 82
_DECIMALS = 6


@dataclass
class Shell:
    """A user's terminal: one wallet folder, and the environment that says which chain.

    Attributes:
        url: of the RPC endpoint; None: no chain is named.
    """

    home: Path
    chain_file: Path | None = None
    url: str | None = None
    more: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> WalletFolder:
        return WalletFolder(self.home / "wallets")

    def environment(self) -> dict[str, str]:
        named = {
            "NEUROGRID_WALLETS": str(self.folder.path),
            "NEUROGRID_PASSPHRASE": PASSPHRASE,
            **self.more,
        }
        if self.chain_file is not None:
            named["NEUROGRID_CHAIN"] = str(self.chain_file)
        if self.url is not None:
            named["NEUROGRID_RPC_URL"] = self.url
        return named

    def process(self, *words: str) -> tuple[list[str], dict[str, str]]:
        """Command line and environment of a real process."""
        command = [sys.executable, "-m", "neurogrid", "wallet", *words]
        return command, {**os.environ, **self.environment()}

    def invoke(self, *words: str, given: str | None = None) -> Result:
        """Run a command in this process."""
        return CliRunner().invoke(
            neurogrid, ["wallet", *words], input=given, env=self.environment()
        )

    def run(self, *words: str, given: str | None = None) -> Any:
        """The JSON result of a command that must succeed."""
        result = self.invoke(*words, "--json", "--yes", given=given)
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.stdout)

    def refused(self, *words: str, given: str | None = None) -> tuple[int, str]:
        """Exit code and error code of a command that must fail with a named error."""
        result = self.invoke(*words, "--json", "--yes", given=given)
        assert result.exit_code != 0, result.output
        assert isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, json.loads(result.stdout)["error"]["code"]

    def add(self, name: str, key: KeyPair) -> Wallet:
        """A wallet with this key, cheap to open."""
        return self.folder.create(name, key, PASSPHRASE, backed_up=True, kdf=WEAK)


@dataclass
class MarketWorld:
    """A ledger process with a market on it, in which wallets get money."""

    ledger: LedgerProcess
    deployment: Deployment

    @classmethod
    def create(cls, ledger: LedgerProcess) -> "MarketWorld":
        admin = KeyPair(b"a" * 32)
        info = ledger.info
        deployment = Deployment(
            Pubkey.from_string(info["program_id"]),
            Pubkey.from_string(info["usdc_mint"]),
            pubkey(admin),
        )
        ledger.call("requestAirdrop", admin.address, 10**10)
        ledger.call("neurogrid_requestUsdc", admin.address, 1)
        treasury = deployment.token_account(pubkey(admin))
        do(
            ledger,
            admin,
            init_config(
                deployment, treasury=treasury, arbiter=pubkey(admin), domain=7, terms=TERMS
            ),
        )
        return cls(ledger, deployment)

    def shell(self, home: Path) -> Shell:
        """A terminal that knows this market."""
        file = home / "market.json"
        Market(self.ledger.url, self.deployment).save(file)
        return Shell(home, file)

    def fund(self, key: KeyPair, micro_usdc: int) -> None:
        """Give SOL and USDC, and wait until that is final: only this is a wallet's balance."""
        self.ledger.call("requestAirdrop", key.address, 10**9)
        if micro_usdc:
            self.ledger.call("neurogrid_requestUsdc", key.address, micro_usdc)
        self._finalize()

    def usdc_of(self, address: str) -> int:
        """What an address holds in its token account, confirmed."""
        account = self.deployment.token_account(Pubkey.from_string(address))
        config = {"encoding": "base64", "commitment": "confirmed"}
        value = self.ledger.call("getAccountInfo", str(account), config)["value"]
        if value is None:
            return 0
        found = self.ledger.call("getTokenAccountBalance", str(account), config)
        return int(found["value"]["amount"])

    def second_mint(self, key: KeyPair, micro: int) -> Pubkey:
        """Another six-decimal token, of which ``key`` holds so much; it pays for everything."""
        owner = pubkey(key)
        # Derived, so that nobody but the owner has to sign.
        mint = Pubkey.create_with_seed(owner, "second", TOKEN_PROGRAM)
        rent = self.ledger.call("getMinimumBalanceForRentExemption", _MINT_BYTES)
        account = token_address(owner, mint)
        do(
            self.ledger,
            key,
            create_account_with_seed(
                CreateAccountWithSeedParams(
                    from_pubkey=owner,
                    to_pubkey=mint,
                    base=owner,
                    seed="second",
                    lamports=rent,
                    space=_MINT_BYTES,
                    owner=TOKEN_PROGRAM,
                )
            ),
            # InitializeMint2: tag 20, decimals, authority, no freeze authority.
            Instruction(
                TOKEN_PROGRAM,
                bytes([20, _DECIMALS]) + bytes(owner) + b"\0",
                [AccountMeta(mint, is_signer=False, is_writable=True)],
            ),
            create_token_account(owner, owner, mint),
            # MintTo: tag 7, amount.
            Instruction(
                TOKEN_PROGRAM,
                struct.pack("<BQ", 7, micro),
                [
                    AccountMeta(mint, is_signer=False, is_writable=True),
                    AccountMeta(account, is_signer=False, is_writable=True),
                    AccountMeta(owner, is_signer=True, is_writable=False),
                ],
            ),
        )
        self._finalize()
        return mint

    def _finalize(self) -> None:
        """Wait until what happened so far is final."""
        now = self.ledger.call("getSlot", {"commitment": "processed"})
        while self.ledger.call("getSlot", {"commitment": "finalized"}) < now:
            pass
