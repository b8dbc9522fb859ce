"""A market on a real Solana VM, for the tests of the on-chain program.

:class:`World` deploys the committed ELF on LiteSVM, with the real SPL Token program and the real
Ed25519 precompile, and gives everybody keys and USDC. :meth:`World.do` expects an instruction to
succeed and then audits the books from the chain's own accounts; :meth:`World.refuse` expects a
named error and nothing changed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from solders.account import Account
from solders.clock import Clock
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import FeatureSet, LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata
from spl.token.instructions import (
    create_idempotent_associated_token_account,
    initialize_mint2,
    mint_to_checked,
    transfer_checked,
)
from spl.token.models import InitializeMint2Params, MintToCheckedParams, TransferCheckedParams

from contracts.program_parties import (
    DEPOSIT,
    DOMAIN,
    FUNDS,
    JOB,
    NOW,
    STAKE,
    TERMS,
    Parties,
    noop_elf,
)
from neurogrid_contracts import instructions
from neurogrid_contracts.accounts import (
    TAG_CLIENT,
    TAG_ESCROW,
    TAG_PROVIDER,
    ClientAccount,
    ConfigAccount,
    DisputeOpener,
    EscrowAccount,
    EscrowState,
    ProviderAccount,
)
from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.errors import ProgramErrorCode, program_error_of
from neurogrid_contracts.instructions import (
    SYSTEM_PROGRAM_ID,
    TOKEN_PROGRAM_ID,
    MarketTerms,
    SignedVoucher,
)
from neurogrid_contracts.program import elf_path
from neurogrid_marketplace.voucher import Voucher

MINT_BYTES, MULTISIG_BYTES = 82, 355
INITIALIZE_MULTISIG2 = 19  # spl_token::instruction::TokenInstruction


@dataclass
class Subject:
    """What worlds deploy: the committed program, unless program_coverage.py measures.

    Attributes:
        elf: its file.
        observe: is given the log of every transaction.
    """

    elf: Path
    observe: Callable[[list[str]], None] | None = None


SUBJECT = Subject(elf_path())


def svm_of_today() -> LiteSVM:
    """With the features that were active on mainnet when solders was released."""
    return LiteSVM().with_mainnet_features().with_builtins().with_default_programs()


def svm_of_tomorrow() -> LiteSVM:
    """With every feature the runtime knows: only version 3 programs deploy, and accounts are
    mapped one by one and checked for ownership at each access (SIMD-0500, SIMD-0219)."""
    # The builtins and programs again, because they were loaded for the default features.
    return (
        LiteSVM().with_feature_set(FeatureSet.all_enabled()).with_builtins().with_default_programs()
    )


@dataclass
class Executed:
    """What a successful transaction cost, and what it logged."""

    compute_units: int
    fee_lamports: int
    size_bytes: int
    logs: list[str]


def bonds(escrows: list[EscrowAccount], opener: DisputeOpener) -> int:
    """What disputes opened by this side hold, in micro-USDC."""
    return sum(
        escrow.dispute_bond_micro_usdc
        for escrow in escrows
        if escrow.state is EscrowState.DISPUTED and escrow.dispute_opener is opener
    )


class World(Parties):
    """One market with one of each party, all of them rich in SOL; the first client, the provider
    and Mallory have USDC. ``ready=False`` stops before the market is created."""

    def __init__(
        self,
        *,
        terms: MarketTerms = TERMS,
        domain: int = DOMAIN,
        ready: bool = True,
        svm: LiteSVM | None = None,
    ) -> None:
        super().__init__(terms, domain)
        self.svm = (LiteSVM() if svm is None else svm).with_transaction_history(0)
        for key in self.wallets:
            self.svm.airdrop(key.pubkey(), 10**11)
        if SUBJECT.observe is not None:
            self.svm = self.svm.with_log_bytes_limit(None)
        self.svm.add_program_from_file(self.deployment.program_id, SUBJECT.elf)
        self.set_time(NOW)
        self.minted = 0
        self._create_mint(self.deployment.usdc_mint)
        for party in (self.admin, self.payout_owner):
            self.give_usdc(party, 0)
        for party in (self.client, self.provider, self.mallory):
            self.give_usdc(party, FUNDS)
        if ready:
            self.create_market()

    def create_market(self) -> None:
        self.do(self.init_config())
        self.do(self.register_provider(), self.stake(STAKE))
        self.do(self.open_client(), self.deposit(DEPOSIT), self.set_operator())

    # --- running ---

    def do(self, *steps: Instruction, payer: Keypair | None = None, donated: int = 0) -> Executed:
        """Execute a transaction that must succeed, then audit the books."""
        result, size = self._send(steps, payer)
        if isinstance(result, FailedTransactionMetadata):
            reason = program_error_of(result.err()) or result.err()
            pytest.fail(f"refused: {reason}\n" + "\n".join(result.meta().logs()))
        self.audit(donated=donated)
        return Executed(result.compute_units_consumed(), result.fee(), size, result.logs())

    def refuse(
        self, expected: ProgramErrorCode, *steps: Instruction, payer: Keypair | None = None
    ) -> None:
        """Execute a transaction that must fail with ``expected`` and change no account."""
        failure = self.fail(*steps, payer=payer)
        error = program_error_of(failure.err())
        assert error is not None, f"failed, but not in the program: {failure.err()}"
        assert error.code is expected, f"refused as {error.code.name}, not as {expected.name}"

    def fail(self, *steps: Instruction, payer: Keypair | None = None) -> FailedTransactionMetadata:
        """Execute a transaction that must fail, for whatever reason, and change no account."""
        before = self._snapshot()
        result, _ = self._send(steps, payer)
        assert isinstance(result, FailedTransactionMetadata), "the attack succeeded"
        assert self._snapshot() == before, "a refused transaction changed an account"
        return result

    def attempt(self, *steps: Instruction) -> bool:
        """Execute a transaction that may fail; the books must be right either way."""
        before = self._snapshot()
        result, _ = self._send(steps, None)
        failed = isinstance(result, FailedTransactionMetadata)
        assert not failed or self._snapshot() == before
        self.audit()
        return not failed

    def _send(
        self, steps: tuple[Instruction, ...], payer: Keypair | None
    ) -> tuple[TransactionMetadata | FailedTransactionMetadata, int]:
        # A fresh blockhash each time, so that the same attack twice is not "already processed".
        self.svm.expire_blockhash()
        payer = self.relay if payer is None else payer
        message = MessageV0.try_compile(
            payer.pubkey(), list(steps), [], self.svm.latest_blockhash()
        )
        count = message.header.num_required_signatures
        signers = [self.keys[key] for key in message.account_keys[:count]]
        transaction = VersionedTransaction(message, signers)
        result = self.svm.send_transaction(transaction)
        if SUBJECT.observe is not None:
            meta = result.meta() if isinstance(result, FailedTransactionMetadata) else result
            SUBJECT.observe(meta.logs())
        return result, len(bytes(transaction))

    def set_time(self, unix_s: int) -> None:
        """Go to this second, and to the next slot: no time passes within a slot."""
        self.now = unix_s
        old = self.svm.get_clock()
        slot = old.slot + 1
        self.svm.set_clock(
            Clock(slot, old.epoch_start_timestamp, old.epoch, old.leader_schedule_epoch, unix_s)
        )

    # --- reading ---

    def amount(self, token_account: Pubkey) -> int:
        """Micro-USDC in a token account; 0 if there is none."""
        account = self.svm.get_account(token_account)
        return 0 if account is None else int.from_bytes(account.data[64:72], "little")

    def lamports(self, address: Pubkey) -> int:
        account = self.svm.get_account(address)
        return 0 if account is None else account.lamports

    def config_account(self) -> ConfigAccount:
        return ConfigAccount.parse(self._data(self.deployment.config))

    def provider_account(self, owner: Keypair | None = None) -> ProviderAccount:
        key = (self.provider if owner is None else owner).pubkey()
        return ProviderAccount.parse(self._data(self.deployment.provider(key)))

    def client_account(self, owner: Keypair | None = None) -> ClientAccount:
        key = (self.client if owner is None else owner).pubkey()
        return ClientAccount.parse(self._data(self.deployment.client(key)))

    def escrow_account(self, job: bytes = JOB) -> EscrowAccount:
        return EscrowAccount.parse(self._data(self.escrow(job)))

    def escrow(self, job: bytes = JOB) -> Pubkey:
        return self.deployment.escrow(self.client.pubkey(), job)

    def is_closed(self, job: bytes = JOB) -> bool:
        return self.svm.get_account(self.escrow(job)) is None

    def _data(self, address: Pubkey) -> bytes:
        account = self.svm.get_account(address)
        assert account is not None, f"no account {address}"
        return bytes(account.data)

    def audit(self, *, donated: int = 0) -> None:
        """Every vault holds what the ledger says, and no USDC was made or lost.

        Args:
            donated: micro-USDC that strangers sent to vaults behind the program's back.
        """
        clients: dict[Pubkey, ClientAccount] = {}
        providers: dict[Pubkey, ProviderAccount] = {}
        escrows: list[EscrowAccount] = []
        surplus = 0
        for address, account in self.svm.get_program_accounts(self.deployment.program_id):
            data = bytes(account.data)
            if data[0] == TAG_CLIENT:
                clients[address] = ClientAccount.parse(data)
            elif data[0] == TAG_PROVIDER:
                providers[address] = ProviderAccount.parse(data)
            elif data[0] == TAG_ESCROW:
                escrows.append(EscrowAccount.parse(data))
        for address, provider in providers.items():
            held = self.amount(provider.vault)
            surplus += held - provider.staked_micro_usdc - provider.unbonding_micro_usdc
            theirs = [escrow for escrow in escrows if escrow.provider == address]
            assert provider.bonded_micro_usdc == bonds(theirs, DisputeOpener.PROVIDER)
            assert provider.open_escrows == len(theirs)
        for address, client in clients.items():
            surplus += self.amount(client.vault) - client.balance_micro_usdc
            mine = [escrow for escrow in escrows if escrow.client == address]
            promised = sum(escrow.remaining_micro_usdc for escrow in mine)
            assert client.locked_micro_usdc == promised + bonds(mine, DisputeOpener.CLIENT)
            assert client.open_escrows == len(mine)
            assert client.available_micro_usdc >= 0
        assert surplus == donated, "a vault and its ledger differ"
        assert self._usdc_in_existence() == self.minted, "USDC was made or lost"

    def _usdc_in_existence(self) -> int:
        mint = bytes(self.deployment.usdc_mint)
        return sum(
            int.from_bytes(account.data[64:72], "little")
            for _, account in self.svm.get_program_accounts(TOKEN_PROGRAM_ID)
            if len(account.data) == 165 and account.data[:32] == mint
        )

    def _snapshot(self) -> dict[Pubkey, tuple[bytes, int]]:
        return {
            address: (bytes(account.data), account.lamports)
            for owner in (self.deployment.program_id, TOKEN_PROGRAM_ID)
            for address, account in self.svm.get_program_accounts(owner)
        }

    # --- vouchers ---

    def voucher(self, cumulative: int, *, job: bytes = JOB) -> Voucher:
        return self.escrow_account(job).voucher(self.escrow(job), self.config_account(), cumulative)

    def sign(self, voucher: Voucher, *, by: Keypair | None = None) -> SignedVoucher:
        key = self.session if by is None else by
        signature = key.sign_message(voucher.message())
        return SignedVoucher(voucher, key.pubkey(), bytes(signature))

    def proof(self, cumulative: int, *, job: bytes = JOB, by: Keypair | None = None) -> Instruction:
        """The Ed25519 instruction for one voucher."""
        return instructions.ed25519_instruction(
            [self.sign(self.voucher(cumulative, job=job), by=by)]
        )

    # --- setting up ---

    def give_usdc(self, owner: Keypair, amount: int, *, mint: Pubkey | None = None) -> Pubkey:
        """Create the owner's token account if need be, and mint into it."""
        mint = self.deployment.usdc_mint if mint is None else mint
        create = create_idempotent_associated_token_account(
            self.relay.pubkey(), owner.pubkey(), mint
        )
        address = create.accounts[1].pubkey
        mint_to = mint_to_checked(
            MintToCheckedParams(
                program_id=TOKEN_PROGRAM_ID,
                mint=mint,
                dest=address,
                mint_authority=self.admin.pubkey(),
                amount=amount,
                decimals=6,
            )
        )
        if mint == self.deployment.usdc_mint:
            self.minted += amount
        self.do(create, mint_to)
        return address

    def create_other_currency(self) -> Pubkey:
        """A second mint, and an account of it that Mallory owns; returns that account."""
        self._create_mint(self.other_mint)
        return self.give_usdc(self.mallory, FUNDS, mint=self.other_mint)

    def another_client(self) -> Keypair:
        """A second client, with a deposit of its own."""
        owner = self.new_key(40)
        self.svm.airdrop(owner.pubkey(), 10**10)
        self.give_usdc(owner, FUNDS)
        self.do(
            instructions.open_client(self.deployment, owner=owner.pubkey()),
            instructions.deposit(
                self.deployment,
                funder=owner.pubkey(),
                client_owner=owner.pubkey(),
                source=self.usdc(owner),
                amount_micro_usdc=DEPOSIT,
            ),
        )
        return owner

    def another_provider(self) -> Keypair:
        """A second provider, with a stake of its own."""
        owner = self.new_key(41)
        self.svm.airdrop(owner.pubkey(), 10**10)
        self.give_usdc(owner, FUNDS)
        self.do(
            instructions.register_provider(
                self.deployment, owner=owner.pubkey(), payout_owner=self.payout_owner.pubkey()
            ),
            instructions.stake(
                self.deployment,
                funder=owner.pubkey(),
                provider_owner=owner.pubkey(),
                source=self.usdc(owner),
                amount_micro_usdc=STAKE,
            ),
        )
        return owner

    def second_market(self) -> Deployment:
        """A market on the same program whose admin and arbiter is Mallory."""
        hers = Deployment(
            self.deployment.program_id, self.deployment.usdc_mint, self.mallory.pubkey()
        )
        self.do(
            instructions.init_config(
                hers,
                treasury=self.usdc(self.mallory),
                arbiter=self.mallory.pubkey(),
                domain=self.domain,
                terms=self.terms,
            )
        )
        return hers

    def create_multisig(self, members: Sequence[Keypair], required: int) -> Pubkey:
        """A multisig account of the token program."""
        address = self.allocate_multisig()
        self.do(
            Instruction(
                TOKEN_PROGRAM_ID,
                bytes([INITIALIZE_MULTISIG2, required]),
                [
                    AccountMeta(address, is_signer=False, is_writable=True),
                    *(AccountMeta(member.pubkey(), False, False) for member in members),
                ],
            )
        )
        return address

    def allocate_multisig(self, owner: Pubkey = TOKEN_PROGRAM_ID) -> Pubkey:
        """An account of a multisig's size that is none yet; anybody can make one."""
        key = self.new_key(50)
        self.do(
            create_account(
                CreateAccountParams(
                    from_pubkey=self.relay.pubkey(),
                    to_pubkey=key.pubkey(),
                    lamports=self.svm.minimum_balance_for_rent_exemption(MULTISIG_BYTES),
                    space=MULTISIG_BYTES,
                    owner=owner,
                )
            )
        )
        return key.pubkey()

    def add_noop_program(self) -> Pubkey:
        """Mallory's own program, which accepts whatever it is sent."""
        address = Pubkey([210] * 32)
        self.svm.add_program(address, noop_elf())
        return address

    def forge(self, data: bytes, owner: Pubkey = SYSTEM_PROGRAM_ID) -> Pubkey:
        """An account with any data, which a real chain would let its owner program create."""
        address = Keypair.from_seed(bytes([200]) * 32).pubkey()
        self.svm.set_account(address, Account(10**9, data, owner, False, 0))
        return address

    def replace_data(self, address: Pubkey, data: bytes) -> None:
        """Overwrite an account, as its owner program could."""
        old = self.svm.get_account(address)
        assert old is not None
        self.svm.set_account(address, Account(old.lamports, data, old.owner, False, 0))

    def donate(self, token_account: Pubkey, amount: int) -> None:
        """Mallory sends USDC to an account behind the program's back."""
        transfer = transfer_checked(
            TransferCheckedParams(
                program_id=TOKEN_PROGRAM_ID,
                source=self.usdc(self.mallory),
                mint=self.deployment.usdc_mint,
                dest=token_account,
                owner=self.mallory.pubkey(),
                amount=amount,
                decimals=6,
            )
        )
        self.do(transfer, donated=amount)

    def _create_mint(self, mint: Pubkey) -> None:
        self.do(
            create_account(
                CreateAccountParams(
                    from_pubkey=self.relay.pubkey(),
                    to_pubkey=mint,
                    lamports=self.svm.minimum_balance_for_rent_exemption(MINT_BYTES),
                    space=MINT_BYTES,
                    owner=TOKEN_PROGRAM_ID,
                )
            ),
            initialize_mint2(
                InitializeMint2Params(
                    decimals=6,
                    program_id=TOKEN_PROGRAM_ID,
                    mint=mint,
                    mint_authority=self.admin.pubkey(),
                    freeze_authority=self.admin.pubkey(),
                )
            ),
        )
