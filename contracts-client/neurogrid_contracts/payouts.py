"""Releases and claims as payments of a run (``neurogrid_wallet.payout_run``): many in a transaction.

A release names the total it starts from and a voucher the total it ends at, so the program refuses by
itself to pay one twice: what the outbox promises holds here even against a chain that lies to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions import (
    INSTRUCTIONS_SYSVAR_ID,
    TOKEN_PROGRAM_ID,
    SignedVoucher,
    claim_voucher,
    ed25519_instruction,
    release,
)
from neurogrid_wallet.batches import Assembled, Payout
from neurogrid_wallet.transactions import FIRST_INSTRUCTION_INDEX

# At most 4,000 units of ours, and two token transfers: 6,200 each where p-token does not run yet.
_PAYMENT_UNITS = 18_000
# The instruction itself, the transfer to the provider, and that of the fee.
_PAYMENT_CALLS = 3
VOUCHERS_PER_BATCH_MAX = 8
"""What one Ed25519 instruction of ours verifies; bytes run out earlier."""


@dataclass(frozen=True, slots=True)
class EscrowParties:
    """Whose escrow it is: what the account itself only has as addresses of accounts.

    Attributes:
        client_owner, provider_owner: wallets.
        payout: USDC token account of the provider's payout_owner.
    """

    client_owner: Pubkey
    provider_owner: Pubkey
    payout: Pubkey
    job_id: bytes


def release_payout(
    payout_id: str,
    deployment: Deployment,
    parties: EscrowParties,
    *,
    treasury: Pubkey,
    authority: Pubkey,
    amount_micro_usdc: int,
    expected_released_micro_usdc: int,
) -> Payout:
    """A release that leaves the escrow open. Signer: ``authority``."""
    instruction = release(
        deployment,
        authority=authority,
        client_owner=parties.client_owner,
        provider_owner=parties.provider_owner,
        job_id=parties.job_id,
        payout=parties.payout,
        treasury=treasury,
        amount_micro_usdc=amount_micro_usdc,
        expected_released_micro_usdc=expected_released_micro_usdc,
    )
    return Payout(payout_id, (instruction,), _PAYMENT_UNITS, _PAYMENT_CALLS, amount_micro_usdc)


@dataclass(frozen=True, slots=True)
class ClaimPayout:
    """A voucher to redeem.

    Attributes:
        close_to: the escrow's rent payer, to close it too and give up the rest: the provider's owner
            signs. None leaves it open.
    """

    payout_id: str
    parties: EscrowParties
    voucher: SignedVoucher
    close_to: Pubkey | None = None

    @property
    def unit_limit(self) -> int:
        return _PAYMENT_UNITS

    @property
    def calls(self) -> int:
        return _PAYMENT_CALLS

    @property
    def worth_micro_usdc(self) -> int:
        """The voucher's total, of which a part may have been paid before."""
        return self.voucher.voucher.cumulative_micro_usdc


class ClaimAssembly:
    """Assembles claims: Ed25519 instructions with all vouchers, then a claim for each."""

    def __init__(self, deployment: Deployment, *, treasury: Pubkey) -> None:
        self._deployment = deployment
        self._treasury = treasury

    def __call__(self, claims: Sequence[ClaimPayout]) -> Assembled:
        proofs = [
            ed25519_instruction(
                [claim.voucher for claim in claims[start : start + VOUCHERS_PER_BATCH_MAX]]
            )
            for start in range(0, len(claims), VOUCHERS_PER_BATCH_MAX)
        ]
        return Assembled(
            tuple(proofs),
            tuple((self._claim(claim, number),) for number, claim in enumerate(claims)),
        )

    def _claim(self, claim: ClaimPayout, number: int) -> Instruction:
        proof, place = divmod(number, VOUCHERS_PER_BATCH_MAX)
        return claim_voucher(
            self._deployment,
            client_owner=claim.parties.client_owner,
            provider_owner=claim.parties.provider_owner,
            job_id=claim.parties.job_id,
            payout=claim.parties.payout,
            treasury=self._treasury,
            cumulative_micro_usdc=claim.voucher.voucher.cumulative_micro_usdc,
            ed25519_instruction_index=FIRST_INSTRUCTION_INDEX + proof,
            signature_index=place,
            close_to=claim.close_to,
        )


def table_addresses(
    deployment: Deployment, treasury: Pubkey, escrows: Sequence[EscrowParties]
) -> list[Pubkey]:
    """What a lookup table should hold for releases and claims of these escrows."""
    addresses = [deployment.config, treasury]
    for parties in escrows:
        client = deployment.client(parties.client_owner)
        addresses += [
            client,
            deployment.vault(client),
            deployment.provider(parties.provider_owner),
            deployment.escrow(parties.client_owner, parties.job_id),
            parties.payout,
        ]
    return list(dict.fromkeys([*addresses, TOKEN_PROGRAM_ID, INSTRUCTIONS_SYSVAR_ID]))
