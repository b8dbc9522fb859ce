"""Every error of the wallet, in one tree.

WalletError
├── KeyInvalid                 these bytes or this text are no key (caller's input)
│   └── PhraseInvalid          these words are no recovery phrase
├── WalletFolderError          the folder of named wallets
│   ├── WalletUnknown          no wallet has this name, or there is no default
│   ├── WalletExists           the name is taken
│   ├── WalletCorrupt          a file of it is damaged
│   ├── WalletBusy             another process is changing the folder
│   ├── WatchOnly              there is no key to sign with
│   └── BackupMissing          its phrase has not been proven to be written down
├── PayoutError                the cold payout address
│   ├── StatementInvalid       the statement is malformed, expired, or not the next one
│   └── PayoutRefused          the signature is wrong, or the money would go elsewhere
├── SecretFileError            a file that holds a secret
│   ├── SecretFileExists       it is there already, and overwriting was not asked for
│   └── SecretFilePermissions  others may read it: chmod 600
├── KeystoreError              the encrypted key file
│   ├── KeystoreCorrupt        not a keystore, damaged, or its parameters are out of bounds
│   └── WrongPassphrase        the passphrase is wrong or the file was altered
├── PassphraseMissing          no source gave one
├── KeyringUnavailable         the system has no keyring that encrypts, or it refuses
├── RpcError                   the Solana JSON-RPC endpoint
│   ├── RpcUnavailable         no usable answer: try later, perhaps elsewhere
│   └── RpcRejected            it answered no: the same call will be refused again
├── InsufficientFunds          the wallet or the client account does not hold as much
├── PreflightFailed            it would fail if it were sent now; nothing was
├── SecondEndpointMissing      the sum is large, and only one RPC endpoint is configured
├── TransactionTooLarge        more than one packet: split the instructions
├── SignerMissing              no key for an address that has to sign
├── PayoutTooLarge             one payment of a run fits no transaction
├── PayoutRunConflict          this run already has other payments
├── LookupTableFull            more addresses than a lookup table holds
└── PaymentError               the outbox
    ├── PaymentConflict        this id already names another payment
    ├── PaymentUnknown         no payment has this id
    ├── PaymentFailed          it landed and the chain refused it, or it can never land
    ├── PaymentTimeout         no decision yet: it may still land, so never pay again
    ├── OutboxFull             too many payments are undecided
    ├── OutboxInUse            another process owns the file
    └── OutboxCorrupt          the file is no outbox, or one of a newer version
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurogrid_wallet.chain import TransactionFailure
    from neurogrid_wallet.payment import Payment


class WalletError(Exception):
    """Something about keys, the chain or a payment went wrong."""


class KeyInvalid(WalletError, ValueError):
    """These bytes or this text are not a key, an address or a key file."""


class PhraseInvalid(KeyInvalid):
    """These words are not a recovery phrase. Says where, never which words."""


class WalletFolderError(WalletError):
    """The folder of named wallets."""


class WalletUnknown(WalletFolderError):
    """No wallet has this name, or no name was given and there is no default."""


class WalletExists(WalletFolderError):
    """A wallet of this name is there already."""


class WalletCorrupt(WalletFolderError):
    """A file of the wallet is not as it was written."""


class WalletBusy(WalletFolderError):
    """Another process is changing the folder, and has not come to an end."""


class WatchOnly(WalletFolderError):
    """The wallet holds an address and no key: it can be looked at, and cannot sign."""


class BackupMissing(WalletFolderError):
    """Nobody has shown yet that the phrase is written down: a lost disk would be lost money."""


class PayoutError(WalletError):
    """The cold payout address of a wallet."""


class StatementInvalid(PayoutError):
    """The statement is malformed, about another wallet, expired, or not the next one."""


class PayoutRefused(PayoutError):
    """The signature is not the cold key's, or the money would go elsewhere than agreed."""


class SecretFileError(WalletError):
    """A file that holds a secret cannot be used."""


class SecretFileExists(SecretFileError):
    """The file exists; it is only replaced when the caller asks for that."""


class SecretFilePermissions(SecretFileError):
    """Somebody other than the owner may read the file."""


class KeystoreError(WalletError):
    """The encrypted key file cannot be used."""


class KeystoreCorrupt(KeystoreError):
    """The file is not a keystore, is damaged, or asks for absurd key-derivation parameters."""


class WrongPassphrase(KeystoreError):
    """The passphrase does not open the keystore.

    Authenticated encryption cannot tell a wrong passphrase from a well-formed file that was
    altered: the message says both.
    """


class PassphraseMissing(WalletError):
    """None of the given sources holds a passphrase."""


class KeyringUnavailable(WalletError):
    """The operating system has no keyring that encrypts, or it refuses."""


class RpcError(WalletError):
    """A call to the Solana JSON-RPC endpoint did not succeed.

    Attributes:
        method: the JSON-RPC method.
    """

    def __init__(self, method: str, message: str) -> None:
        super().__init__(f"{method}: {message}")
        self.method = method


class RpcUnavailable(RpcError):
    """The endpoint gave no usable answer: unreachable, overloaded, behind, or not JSON-RPC.

    For anything that changes the chain this says nothing about whether it happened.
    """


class RpcRejected(RpcError):
    """The endpoint understood the call and refused it.

    Attributes:
        code: the JSON-RPC error code, or the HTTP status where no JSON-RPC error came.
        message: the endpoint's words.
        logs: the program's log lines, where a simulation ran.
        custom_program_error: the program's own error number, where a program refused.
    """

    def __init__(
        self,
        method: str,
        code: int,
        message: str,
        *,
        logs: tuple[str, ...] = (),
        custom_program_error: int | None = None,
    ) -> None:
        super().__init__(method, f"{message} ({code})")
        self.code = code
        self.message = message
        self.logs = logs
        self.custom_program_error = custom_program_error


class InsufficientFunds(WalletError):
    """The wallet, or its client account, does not hold as much as is asked for."""


class PreflightFailed(WalletError):
    """The transaction would fail if it were sent now, so nothing was begun.

    Attributes:
        failure: why.
        custom_program_error: the program's own number, where a program would refuse.
    """

    def __init__(self, failure: "TransactionFailure") -> None:
        super().__init__(f"the chain would refuse it: {failure}")
        self.failure = failure
        self.custom_program_error = failure.custom_program_error


class SecondEndpointMissing(WalletError):
    """The sum is above what one endpoint's word is good for, and no second one is configured."""


class TransactionInvalid(WalletError):
    """The instructions cannot be expressed as one transaction."""


class TransactionTooLarge(TransactionInvalid):
    """The transaction exceeds what one packet carries.

    Attributes:
        size_bytes: what it would take.
        size_bytes_max: what a packet carries.
    """

    def __init__(self, size_bytes: int, size_bytes_max: int) -> None:
        super().__init__(
            f"the transaction has {size_bytes} bytes and a packet carries {size_bytes_max}: "
            "split the instructions or use a lookup table"
        )
        self.size_bytes = size_bytes
        self.size_bytes_max = size_bytes_max


class SignerMissing(WalletError):
    """No key was given for an address that has to sign."""


class PaymentError(WalletError):
    """A payment of the outbox.

    Attributes:
        payment_id: the caller's id of it.
    """

    def __init__(self, payment_id: str, message: str) -> None:
        super().__init__(f"payment {payment_id}: {message}")
        self.payment_id = payment_id


class PaymentConflict(PaymentError):
    """The id already names a payment with other instructions or another payer."""


class PaymentUnknown(PaymentError):
    """The outbox knows no payment with this id."""


class PaymentFailed(PaymentError):
    """The payment moved nothing: the chain refused it, or it can never land.

    Attributes:
        payment: what is known of it; ``payment.failure`` says why.
    """

    def __init__(self, payment: "Payment") -> None:
        super().__init__(payment.payment_id, str(payment.failure))
        self.payment = payment


class PaymentTimeout(PaymentError):
    """The payment was not decided in time. It may still land: wait again, never pay again.

    Attributes:
        payment: what was known of it when the wait ended.
    """

    def __init__(self, payment: "Payment", timeout_s: float, last_problem: str | None) -> None:
        because = f"; last problem: {last_problem}" if last_problem else ""
        super().__init__(
            payment.payment_id, f"still {payment.state.value} after {timeout_s:g} s{because}"
        )
        self.payment = payment


class OutboxFull(PaymentError):
    """The outbox already holds as many undecided payments as it may."""


class PayoutTooLarge(WalletError):
    """A payment fits no transaction, not even alone.

    Attributes:
        payout_id: the caller's id of it.
    """

    def __init__(self, payout_id: str) -> None:
        super().__init__(f"payment {payout_id} fits no transaction: divide it")
        self.payout_id = payout_id


class PayoutRunConflict(WalletError):
    """The name of this run already stands for other payments: pay these under another name."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"the run {run_id} has other payments already: give these another name")


class LookupTableFull(WalletError):
    """More addresses than one lookup table holds: use another one."""

    def __init__(self, name: str, addresses: int, addresses_max: int) -> None:
        super().__init__(
            f"the lookup table {name} would hold {addresses} addresses of at most {addresses_max}:"
            " close it, or use another"
        )


class OutboxInUse(WalletError):
    """Another process, or another outbox in this one, owns the file."""


class OutboxCorrupt(WalletError):
    """The file is not an outbox, is damaged, or was written by a newer version."""
