"""The committed ELF goes through Solana's own loader, under the rules of today and of tomorrow."""

import struct
from collections.abc import Callable

import pytest
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import CreateAccountParams, create_account
from solders.sysvar import CLOCK, RENT
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import TransactionMetadata

from contracts.program_world import svm_of_today, svm_of_tomorrow
from neurogrid_contracts.program import elf_bytes

LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
# solana-loader-v3-interface: UpgradeableLoaderInstruction and the metadata before buffer contents.
INITIALIZE_BUFFER, WRITE, DEPLOY = 0, 1, 2
BUFFER_METADATA, PROGRAM_ACCOUNT = 37, 36
CHUNK = 960  # with one signature and its accounts, what fits a transaction's 1,232 bytes


def signer(key: Keypair, *, writable: bool = False) -> AccountMeta:
    return AccountMeta(key.pubkey(), is_signer=True, is_writable=writable)


def account(key: Pubkey, *, writable: bool = False) -> AccountMeta:
    return AccountMeta(key, is_signer=False, is_writable=writable)


def deploy(svm: LiteSVM, elf: bytes) -> Pubkey:
    """Write the ELF into a buffer piece by piece, and deploy the buffer: 30-odd transactions."""
    payer, buffer, program = (Keypair.from_seed(bytes([n]) * 32) for n in (90, 91, 92))
    svm.airdrop(payer.pubkey(), 10**11)

    def send(steps: list[Instruction], *signers: Keypair) -> None:
        svm.expire_blockhash()
        message = MessageV0.try_compile(payer.pubkey(), steps, [], svm.latest_blockhash())
        result = svm.send_transaction(VersionedTransaction(message, [payer, *signers]))
        assert isinstance(result, TransactionMetadata), result

    def allocate(key: Keypair, space: int) -> Instruction:
        return create_account(
            CreateAccountParams(
                from_pubkey=payer.pubkey(),
                to_pubkey=key.pubkey(),
                lamports=svm.minimum_balance_for_rent_exemption(space),
                space=space,
                owner=LOADER,
            )
        )

    initialize = Instruction(
        LOADER,
        struct.pack("<I", INITIALIZE_BUFFER),
        [account(buffer.pubkey(), writable=True), account(payer.pubkey())],
    )
    send([allocate(buffer, BUFFER_METADATA + len(elf)), initialize], buffer)
    for offset in range(0, len(elf), CHUNK):
        chunk = elf[offset : offset + CHUNK]
        data = struct.pack("<IIQ", WRITE, offset, len(chunk)) + chunk
        write = Instruction(LOADER, data, [account(buffer.pubkey(), writable=True), signer(payer)])
        send([write])
    program_data, _ = Pubkey.find_program_address([bytes(program.pubkey())], LOADER)
    activate = Instruction(
        LOADER,
        struct.pack("<IQ", DEPLOY, len(elf)),
        [
            signer(payer, writable=True),
            account(program_data, writable=True),
            account(program.pubkey(), writable=True),
            account(buffer.pubkey(), writable=True),
            account(RENT),
            account(CLOCK),
            account(SYSTEM_PROGRAM),
            signer(payer),
        ],
    )
    send([allocate(program, PROGRAM_ACCOUNT), activate], program)
    svm.warp_to_slot(svm.get_clock().slot + 5)  # a program runs from the slot after its deployment
    return program.pubkey()


@pytest.mark.parametrize("svm", [svm_of_today, svm_of_tomorrow])
def test_the_loader_takes_the_program(svm: Callable[[], LiteSVM]) -> None:
    chain = svm()
    deployed = chain.get_account(deploy(chain, elf_bytes()))
    assert isinstance(deployed, Account)
    assert deployed.executable
