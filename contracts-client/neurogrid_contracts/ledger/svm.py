"""LiteSVM behind the rules of a cluster: a clock, recent blockhashes, views of the recent past.

LiteSVM executes; it does not keep time, expires all blockhashes at once, and recognises a repeated
transaction only among its last 32. So its own blockhash and history checks are off, and the ledger
does both. One thread may touch an instance: LiteSVM refuses concurrent use.
"""

import hashlib
import json
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.clock import Clock
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

from neurogrid_contracts.ledger.errors import ProgramInvalid
from neurogrid_contracts.ledger.past import Past

UPGRADEABLE_LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
# Mainnet's epoch length.
SLOTS_PER_EPOCH = 432_000
# Account data of loader-v3: the program names its programdata; 45 bytes stand before the ELF.
_PROGRAM_STATE = struct.Struct("<I32s")
_PROGRAMDATA_STATE = struct.Struct("<IQB32s")
# A system nonce account: version u32, state u32, authority 32, nonce 32, fee u64.
NONCE_ACCOUNT_BYTES = 80
_NONCE = slice(40, 72)

# What LiteSVM is given for an account that is gone.
_NO_ACCOUNT = Account(0, b"", SYSTEM_PROGRAM)

AccountImages = tuple[Account | None, ...]


@dataclass(frozen=True, slots=True)
class Execution:
    """What one run of a transaction did.

    Args:
        error: the transaction error as the RPC shows it, or None.
        metadata: LiteSVM's record: logs, inner instructions, units, return data.
        fee_lamports: what the payer was charged; 0 for a transaction that a cluster would drop.
        before, after: images of the accounts in the order of the message's keys.
    """

    error: Any
    metadata: TransactionMetadata
    fee_lamports: int
    before: AccountImages
    after: AccountImages

    @property
    def landed(self) -> bool:
        """Whether a cluster would have recorded it: it succeeded, or failed and paid its fee."""
        return self.error is None or self.fee_lamports > 0


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a transaction would do. ``after`` holds the accounts it would write."""

    error: Any
    metadata: TransactionMetadata
    after: dict[Pubkey, Account]


class Svm:
    """The state of the chain in memory."""

    def __init__(self, *, past_slots: int = 1) -> None:
        """Start at slot 0.

        Args:
            past_slots: how many slots back accounts can be read.
        """
        # Signatures are verified once, by the ledger, and not again in preflight and execution.
        self._svm = (
            LiteSVM()
            .with_mainnet_features()
            .with_blockhash_check(False)
            .with_transaction_history(0)
            .with_sigverify(False)
        )
        self.slot = 0
        self.unix_time = 0
        self.blockhash = Hash.default()
        self.past = Past(images_slots=past_slots)

    # Time.

    def advance(self, slot: int, unix_time: int) -> None:
        """Begin ``slot`` with a new blockhash; ``unix_time`` in seconds never runs backwards."""
        assert slot > self.slot
        self.slot = slot
        self.unix_time = max(unix_time, self.unix_time)
        self.blockhash = Hash(os.urandom(32))
        self.past.begin(slot, self.blockhash)
        # LiteSVM caches by its own blockhash; a new one per slot keeps the two in step.
        self._svm.expire_blockhash()
        epoch = slot // SLOTS_PER_EPOCH
        self._svm.set_clock(Clock(slot, 0, epoch, epoch + 1, self.unix_time))
        # Programs look up recent slots here, for example to create an address lookup table.
        self._svm.set_slot_hashes(self.past.hashes_before(slot))

    def rewind(self, slot: int) -> None:
        """Return to the state at the end of the live slot ``slot``; ``advance`` comes next."""
        images = self.past.changed_since(slot)
        self.past.drop_after(slot)
        # Programs last: LiteSVM compiles one when it is set, from the programdata that is there.
        for address, account in sorted(images.items(), key=lambda item: _executable(item[1])):
            self.put_account(address, account or _NO_ACCOUNT)
        for address, account in self.program_accounts(UPGRADEABLE_LOADER):
            if account.executable and _programdata(account) in images:
                self.put_account(address, account)

    # Accounts.

    def account(self, address: Pubkey, *, slot: int | None = None) -> Account | None:
        """The account now, or at the end of ``slot``; None when it does not exist."""
        if slot is not None and slot < self.slot:
            image = self.past.image(address, slot)
            if image is not None:
                return image[0]
        return _existing(self._svm.get_account(address))

    def program_accounts(
        self, program: Pubkey, *, slot: int | None = None
    ) -> list[tuple[Pubkey, Account]]:
        """Every account that ``program`` owns, in the order of the addresses."""
        now = {
            address: account
            for address, account in self._svm.get_program_accounts(program)
            if account.lamports
        }
        if slot is not None and slot < self.slot:
            for address, account in self.past.changed_since(slot).items():
                now.pop(address, None)
                if account is not None and account.owner == program:
                    now[address] = account
        return sorted(now.items(), key=lambda item: bytes(item[0]))

    def put_account(self, address: Pubkey, account: Account) -> None:
        """Set an account outside of any transaction: genesis and restore."""
        self._svm.set_account(address, account)

    def rent_exempt_lamports(self, data_bytes: int) -> int:
        return self._svm.minimum_balance_for_rent_exemption(data_bytes)

    def program_images(
        self, program: Pubkey, elf: bytes, authority: Pubkey
    ) -> list[tuple[Pubkey, Account]]:
        """The two accounts of an upgradeable program, programdata first.

        Raises:
            ProgramInvalid: the SVM does not accept ``elf``.
        """
        data_address, _ = Pubkey.find_program_address([bytes(program)], UPGRADEABLE_LOADER)
        data = _PROGRAMDATA_STATE.pack(3, self.slot, 1, bytes(authority)) + elf
        state = _PROGRAM_STATE.pack(2, bytes(data_address))
        images = [
            (
                data_address,
                Account(self.rent_exempt_lamports(len(data)), data, UPGRADEABLE_LOADER),
            ),
            (
                program,
                Account(self.rent_exempt_lamports(len(state)), state, UPGRADEABLE_LOADER, True),
            ),
        ]
        probe = Svm()
        try:
            for address, account in images:
                probe.put_account(address, account)
        except Exception as error:  # solders does not export its LiteSVMError
            raise ProgramInvalid(f"program {program}: {error}") from error
        return images

    def program_elf(self, program: Pubkey) -> bytes | None:
        """The code of an installed program, or None."""
        data_address, _ = Pubkey.find_program_address([bytes(program)], UPGRADEABLE_LOADER)
        account = self.account(data_address)
        return None if account is None else account.data[_PROGRAMDATA_STATE.size :]

    # Transactions.

    def execute(
        self,
        transaction: VersionedTransaction,
        keys: Sequence[Pubkey],
        nonce_account: Pubkey | None = None,
    ) -> Execution:
        """Run a transaction for good.

        Args:
            keys: its accounts, the payer first.
            nonce_account: the durable nonce it uses instead of a recent blockhash.
        """
        before = tuple(_existing(self._svm.get_account(key)) for key in keys)
        result = self._svm.send_transaction(transaction)
        error, metadata = _outcome(result)
        if error is None:
            fee_lamports = metadata.fee()
        else:
            # LiteSVM names a fee for transactions it never charged; the balance is the truth.
            fee_lamports = _lamports(before[0]) - _lamports(self.account(keys[0]))
        if nonce_account is not None and (error is None or fee_lamports):
            self._advance_nonce(nonce_account, transaction.message.recent_blockhash)
        after = tuple(_existing(self._svm.get_account(key)) for key in keys)
        return Execution(error, metadata, fee_lamports, before, after)

    def simulate(self, transaction: VersionedTransaction) -> Simulation:
        result = self._svm.simulate_transaction(transaction)
        error, metadata = _outcome(result)
        after = (
            {} if isinstance(result, FailedTransactionMetadata) else dict(result.post_accounts())
        )
        return Simulation(error, metadata, after)

    # Durable nonces.

    def next_nonce(self) -> bytes:
        """The value that a nonce advanced now takes (Agave's ``DurableNonce::from_blockhash``)."""
        return hashlib.sha256(b"DURABLE_NONCE" + bytes(self.blockhash)).digest()

    def nonce_usable(self, address: Pubkey, nonce: Hash, signers: Sequence[Pubkey]) -> bool:
        """Whether ``nonce`` is what the account holds, and one of ``signers`` may use it.

        A nonce that already took this slot's value has to wait for the next slot.
        """
        account = self.account(address)
        if account is None or account.owner != SYSTEM_PROGRAM:
            return False
        data = account.data
        return (
            len(data) == NONCE_ACCOUNT_BYTES
            and data[_NONCE] == bytes(nonce)
            and data[_NONCE] != self.next_nonce()
            and any(data[8:40] == bytes(signer) for signer in signers)
        )

    def _advance_nonce(self, address: Pubkey, used: Hash) -> None:
        """Give a used nonce its next value, as a cluster does even when the transaction failed.

        LiteSVM leaves it on failure, and otherwise derives the next value from the used one.
        """
        account = self.account(address)
        if account is None or len(account.data) != NONCE_ACCOUNT_BYTES:
            return  # the transaction itself closed it
        derived = hashlib.sha256(b"DURABLE_NONCE" + bytes(used)).digest()
        if account.data[_NONCE] not in (bytes(used), derived):
            return
        data = bytearray(account.data)
        data[_NONCE] = self.next_nonce()
        self._svm.set_account(
            address,
            Account(
                account.lamports,
                bytes(data),
                account.owner,
                account.executable,
                account.rent_epoch,
            ),
        )


def _outcome(result: Any) -> tuple[Any, TransactionMetadata]:
    if isinstance(result, FailedTransactionMetadata):
        # Its JSON has the error in the RPC's own form.
        return json.loads(result.to_json())["err"], result.meta()
    return None, result if isinstance(result, TransactionMetadata) else result.meta()


def _executable(account: Account | None) -> bool:
    return account is not None and account.executable


def _programdata(program: Account) -> Pubkey | None:
    """Where the code of an upgradeable program is."""
    if len(program.data) != _PROGRAM_STATE.size:
        return None
    return Pubkey(program.data[4:])


def _existing(account: Account | None) -> Account | None:
    return account if account is not None and account.lamports else None


def _lamports(account: Account | None) -> int:
    return 0 if account is None else account.lamports
