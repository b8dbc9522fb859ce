"""The parties of a test market, and every instruction with them filled in.

No chain here: ``program_world`` executes what this builds.
"""

import struct
from collections.abc import Sequence

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from neurogrid_contracts import instructions
from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions import MarketTerms
from neurogrid_contracts.slashing import Fault

NOW = 1_800_000_000
DAY_S = 86_400
USDC = 1_000_000
FUNDS = 10_000 * USDC
DEPOSIT = 5_000 * USDC
STAKE = 1_000 * USDC
OPERATOR_LIMIT = 1_000 * USDC

TERMS = MarketTerms(
    fee_bps=250,
    slash_bps=5_000,
    min_stake_micro_usdc=100 * USDC,
    unbonding_window_s=7 * DAY_S,
    grace_window_s=3_600,
    arbitration_window_s=3 * DAY_S,
    dispute_bond_micro_usdc=10 * USDC,
)
BOND = TERMS.dispute_bond_micro_usdc
DOMAIN = 7
EVIDENCE = bytes(range(32))


def job_id(name: str) -> bytes:
    """A readable 32-byte job id."""
    return name.encode().ljust(32, b"\0")


JOB = job_id("job")


def noop_elf() -> bytes:
    """A program that accepts every instruction: ``mov r0, 0; exit``, as an sBPF version 3 ELF."""
    code = bytes.fromhex("b700000000000000 9500000000000000")
    address = 1 << 32
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        *(3, 247, 1, address, 64, 0, 3, 64, 56, 1, 0, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 1, 1, 120, address, address, len(code), len(code), 8)
    return header + segment + code


class Parties:
    """One of each party. A method names the instruction it builds; its defaults are the honest
    use, and ``by`` puts somebody else in the signer's place."""

    def __init__(self, terms: MarketTerms, domain: int = DOMAIN) -> None:
        self.terms = terms
        self.domain = domain
        self.keys: dict[Pubkey, Keypair] = {}
        self.relay = self.new_key(1)  # pays fees, and has no part in anything
        self.admin = self.new_key(2)
        self.arbiter = self.new_key(3)
        self.client = self.new_key(4)
        self.operator = self.new_key(5)
        self.provider = self.new_key(6)
        self.payout_owner = self.new_key(7)
        self.session = self.new_key(8)  # signs vouchers
        self.mallory = self.new_key(9)
        self.wallets = list(self.keys.values())
        mint, program = self.new_key(10), self.new_key(11)
        self.other_mint = self.new_key(12).pubkey()
        self.deployment = Deployment(program.pubkey(), mint.pubkey(), self.admin.pubkey())
        # The usual USDC accounts of the admin and of the provider's payout wallet.
        self.treasury = self.usdc(self.admin)
        self.payout = self.usdc(self.payout_owner)

    def new_key(self, number: int) -> Keypair:
        """Keys are fixed, so that addresses, bumps and compute units are too."""
        key = Keypair.from_seed(bytes([number]) * 32)
        self.keys[key.pubkey()] = key
        return key

    def usdc(self, owner: Keypair) -> Pubkey:
        """The usual USDC account of a party."""
        return self.deployment.token_account(owner.pubkey())

    def init_config(self) -> Instruction:
        return instructions.init_config(
            self.deployment,
            treasury=self.treasury,
            arbiter=self.arbiter.pubkey(),
            domain=self.domain,
            terms=self.terms,
        )

    def set_paused(self, paused: bool = True, *, by: Keypair | None = None) -> Instruction:
        return instructions.set_paused(
            self.deployment, admin=(self.admin if by is None else by).pubkey(), paused=paused
        )

    def propose_terms(
        self,
        terms: MarketTerms | None = None,
        *,
        by: Keypair | None = None,
        arbiter: Pubkey | None = None,
        treasury: Pubkey | None = None,
    ) -> Instruction:
        return instructions.propose_terms(
            self.deployment,
            admin=(self.admin if by is None else by).pubkey(),
            treasury=self.treasury if treasury is None else treasury,
            arbiter=self.arbiter.pubkey() if arbiter is None else arbiter,
            terms=self.terms if terms is None else terms,
        )

    def cancel_terms(self, *, by: Keypair | None = None) -> Instruction:
        return instructions.cancel_terms(
            self.deployment, admin=(self.admin if by is None else by).pubkey()
        )

    def apply_terms(self) -> Instruction:
        return instructions.apply_terms(self.deployment)

    def propose_admin(self, new: Keypair | None, *, by: Keypair | None = None) -> Instruction:
        return instructions.propose_admin(
            self.deployment,
            admin=(self.admin if by is None else by).pubkey(),
            new_admin=None if new is None else new.pubkey(),
        )

    def accept_admin(self, new: Keypair) -> Instruction:
        return instructions.accept_admin(self.deployment, new_admin=new.pubkey())

    def register_provider(self, *, payout_owner: Keypair | None = None) -> Instruction:
        return instructions.register_provider(
            self.deployment,
            owner=self.provider.pubkey(),
            payout_owner=(self.payout_owner if payout_owner is None else payout_owner).pubkey(),
        )

    def close_provider(self, *, to: Keypair | None = None) -> Instruction:
        return instructions.close_provider(
            self.deployment,
            owner=self.provider.pubkey(),
            destination=self.usdc(self.provider if to is None else to),
        )

    def open_client(self) -> Instruction:
        return instructions.open_client(self.deployment, owner=self.client.pubkey())

    def close_client(self, *, to: Keypair | None = None) -> Instruction:
        return instructions.close_client(
            self.deployment,
            owner=self.client.pubkey(),
            destination=self.usdc(self.client if to is None else to),
        )

    def stake(self, amount: int) -> Instruction:
        return instructions.stake(
            self.deployment,
            funder=self.provider.pubkey(),
            provider_owner=self.provider.pubkey(),
            source=self.usdc(self.provider),
            amount_micro_usdc=amount,
        )

    def request_unstake(self, amount: int) -> Instruction:
        return instructions.request_unstake(
            self.deployment, owner=self.provider.pubkey(), amount_micro_usdc=amount
        )

    def rebond(self, amount: int) -> Instruction:
        return instructions.rebond(
            self.deployment, owner=self.provider.pubkey(), amount_micro_usdc=amount
        )

    def withdraw_stake(self) -> Instruction:
        return instructions.withdraw_stake(
            self.deployment,
            owner=self.provider.pubkey(),
            destination=self.usdc(self.provider),
        )

    def slash(
        self,
        amount: int,
        *,
        job: bytes = JOB,
        by: Keypair | None = None,
        arbiter: Pubkey | None = None,
        members: Sequence[Keypair] = (),
        fault: Fault = Fault.WRONG_RESULT,
        evidence: bytes = EVIDENCE,
    ) -> Instruction:
        return instructions.slash(
            self.deployment,
            arbiter=(self.arbiter if by is None else by).pubkey() if arbiter is None else arbiter,
            provider_owner=self.provider.pubkey(),
            client_owner=self.client.pubkey(),
            job_id=job,
            amount_micro_usdc=amount,
            fault=fault,
            evidence=evidence,
            members=[member.pubkey() for member in members],
        )

    def deposit(self, amount: int) -> Instruction:
        return instructions.deposit(
            self.deployment,
            funder=self.client.pubkey(),
            client_owner=self.client.pubkey(),
            source=self.usdc(self.client),
            amount_micro_usdc=amount,
        )

    def withdraw(self, amount: int, *, to: Keypair | None = None) -> Instruction:
        return instructions.withdraw(
            self.deployment,
            owner=self.client.pubkey(),
            destination=self.usdc(self.client if to is None else to),
            amount_micro_usdc=amount,
        )

    def set_operator(
        self, limit: int = OPERATOR_LIMIT, expiry: int = NOW + 30 * DAY_S
    ) -> Instruction:
        return instructions.set_operator(
            self.deployment,
            owner=self.client.pubkey(),
            operator=self.operator.pubkey(),
            limit_micro_usdc=limit,
            expiry_unix_s=expiry,
        )

    def open(
        self,
        maximum: int = 100 * USDC,
        *,
        job: bytes = JOB,
        by: Keypair | None = None,
        deadline: int = NOW + 3_600,
        voucher_signer: Keypair | None = None,
        offered: bool = False,
    ) -> Instruction:
        return instructions.open_escrow(
            self.deployment,
            authority=(self.client if by is None else by).pubkey(),
            client_owner=self.client.pubkey(),
            provider_owner=self.provider.pubkey(),
            job_id=job,
            max_micro_usdc=maximum,
            deadline_unix_s=deadline,
            voucher_signer=(self.session if voucher_signer is None else voucher_signer).pubkey(),
            needs_acceptance=offered,
        )

    def accept(self, *, job: bytes = JOB) -> Instruction:
        return instructions.accept_escrow(
            self.deployment,
            client_owner=self.client.pubkey(),
            provider_owner=self.provider.pubkey(),
            job_id=job,
        )

    def cancel(
        self, *, job: bytes = JOB, by: Keypair | None = None, rent_payer: Keypair | None = None
    ) -> Instruction:
        return instructions.cancel_escrow(
            self.deployment,
            authority=(self.client if by is None else by).pubkey(),
            client_owner=self.client.pubkey(),
            provider_owner=self.provider.pubkey(),
            job_id=job,
            rent_payer=(self.client if rent_payer is None else rent_payer).pubkey(),
        )

    def top_up(self, amount: int, *, job: bytes = JOB, by: Keypair | None = None) -> Instruction:
        return instructions.top_up(
            self.deployment,
            authority=(self.client if by is None else by).pubkey(),
            client_owner=self.client.pubkey(),
            provider_owner=self.provider.pubkey(),
            job_id=job,
            amount_micro_usdc=amount,
        )

    def extend(self, deadline: int, *, job: bytes = JOB, by: Keypair | None = None) -> Instruction:
        return instructions.extend(
            self.deployment,
            authority=(self.client if by is None else by).pubkey(),
            client_owner=self.client.pubkey(),
            provider_owner=self.provider.pubkey(),
            job_id=job,
            deadline_unix_s=deadline,
        )

    def release(
        self,
        amount: int,
        *,
        job: bytes = JOB,
        by: Keypair | None = None,
        released: int = 0,
        final: bool = False,
        close_to: Keypair | None = None,
        payout: Pubkey | None = None,
        treasury: Pubkey | None = None,
    ) -> Instruction:
        return instructions.release(
            self.deployment,
            authority=(self.client if by is None else by).pubkey(),
            client_owner=self.client.pubkey(),
            provider_owner=self.provider.pubkey(),
            job_id=job,
            payout=self.payout if payout is None else payout,
            treasury=self.treasury if treasury is None else treasury,
            amount_micro_usdc=amount,
            expected_released_micro_usdc=released,
            final=final,
            close_to=None if close_to is None else close_to.pubkey(),
        )

    def claim(
        self,
        cumulative: int,
        *,
        job: bytes = JOB,
        proof_index: int = 0,
        signature_index: int = 0,
        close_to: Keypair | None = None,
        client_cosigns: bool = False,
        payout: Pubkey | None = None,
    ) -> Instruction:
        return instructions.claim_voucher(
            self.deployment,
            client_owner=self.client.pubkey(),
            provider_owner=self.provider.pubkey(),
            job_id=job,
            payout=self.payout if payout is None else payout,
            treasury=self.treasury,
            cumulative_micro_usdc=cumulative,
            ed25519_instruction_index=proof_index,
            signature_index=signature_index,
            close_to=None if close_to is None else close_to.pubkey(),
            client_cosigns=client_cosigns,
        )

    def refund(self, *, job: bytes = JOB, rent_payer: Keypair | None = None) -> Instruction:
        return instructions.refund(
            self.deployment,
            client_owner=self.client.pubkey(),
            provider_owner=self.provider.pubkey(),
            job_id=job,
            rent_payer=(self.client if rent_payer is None else rent_payer).pubkey(),
        )

    def relinquish(
        self,
        *,
        job: bytes = JOB,
        rent_payer: Keypair | None = None,
        client_cosigns: bool = False,
    ) -> Instruction:
        return instructions.relinquish(
            self.deployment,
            client_owner=self.client.pubkey(),
            provider_owner=self.provider.pubkey(),
            job_id=job,
            rent_payer=(self.client if rent_payer is None else rent_payer).pubkey(),
            client_cosigns=client_cosigns,
        )

    def dispute(self, *, job: bytes = JOB, by: Keypair | None = None) -> Instruction:
        return instructions.dispute(
            self.deployment,
            party=(self.client if by is None else by).pubkey(),
            client_owner=self.client.pubkey(),
            provider_owner=self.provider.pubkey(),
            job_id=job,
        )

    def resolve(
        self,
        to_provider: int,
        *,
        job: bytes = JOB,
        by: Keypair | None = None,
        arbiter: Pubkey | None = None,
        members: Sequence[Keypair] = (),
        rent_payer: Keypair | None = None,
        opener_was_right: bool = True,
    ) -> Instruction:
        return instructions.resolve(
            self.deployment,
            arbiter=(self.arbiter if by is None else by).pubkey() if arbiter is None else arbiter,
            client_owner=self.client.pubkey(),
            provider_owner=self.provider.pubkey(),
            job_id=job,
            payout=self.payout,
            treasury=self.treasury,
            rent_payer=(self.client if rent_payer is None else rent_payer).pubkey(),
            to_provider_micro_usdc=to_provider,
            opener_was_right=opener_was_right,
            members=[member.pubkey() for member in members],
        )


def with_account(
    instruction: Instruction,
    index: int,
    key: Pubkey | None = None,
    *,
    signer: bool | None = None,
    writable: bool | None = None,
) -> Instruction:
    """The instruction with one account exchanged, or with other rights."""
    accounts = list(instruction.accounts)
    old = accounts[index]
    accounts[index] = AccountMeta(
        old.pubkey if key is None else key,
        is_signer=old.is_signer if signer is None else signer,
        is_writable=old.is_writable if writable is None else writable,
    )
    return Instruction(instruction.program_id, bytes(instruction.data), accounts)


def with_data(instruction: Instruction, data: bytes) -> Instruction:
    """The instruction with other data."""
    return Instruction(instruction.program_id, data, list(instruction.accounts))
