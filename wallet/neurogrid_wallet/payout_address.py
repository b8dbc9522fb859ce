"""Where a wallet pays out to, and the cold key without which that cannot change.

The wallet's own key names the cold key once. From then on every change of the payout address is a
statement signed by the cold key, which may be on a machine without a network: the statement is one
line of text that says what it does. Each statement has the next number and an end, so that none
can be used twice or kept for later.

This binds the tool, not the chain: whoever has the wallet's key and other software can sign what
they like. On the chain a provider's ``payout_owner`` is fixed at registration; a client's deposit
goes wherever its owner key sends it.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from neurogrid_marketplace import base58
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_wallet.errors import KeyInvalid, PayoutRefused, StatementInvalid, WalletCorrupt
from neurogrid_wallet.keys import SIGNATURE_BYTES, KeyPair, public_key_of, verify
from neurogrid_wallet.secret_file import read_secret_file, write_secret_file

# The first words separate these texts from everything else that a key signs: no envelope, voucher
# or receipt begins like them, and as a Solana message the "n" would ask for 110 signatures.
_BINDING = "neurogrid-cold-key-v1 wallet={} cold={} payout={}"
_STATEMENT = "neurogrid-payout-v1 wallet={} payout={} number={} expires={}"
_STATEMENT_FORM = re.compile(
    r"neurogrid-payout-v1 wallet=(\w+) payout=(\w+) number=([0-9]{1,10}) expires=([0-9]{1,12})",
    re.ASCII,
)

# Long enough to carry a statement to a machine in a safe, short enough to forget about it.
STATEMENT_LIFE_S = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Statement:
    """What the cold key signs: this wallet shall pay out there.

    Attributes:
        wallet, payout: addresses.
        number: one more than that of the statement before.
        expires_unix_s: not accepted from this second on.
    """

    wallet: str
    payout: str
    number: int
    expires_unix_s: int

    def __str__(self) -> str:
        return _STATEMENT.format(self.wallet, self.payout, self.number, self.expires_unix_s)

    def sign(self, cold: KeyPair) -> str:
        """The cold key's signature, Base58."""
        return base58.encode(cold.sign(str(self).encode()))


def parse_statement(text: str) -> Statement:
    """Read a statement's one line.

    Raises:
        StatementInvalid: it is something else.
    """
    match = _STATEMENT_FORM.fullmatch(text.strip())
    if match is None:
        raise StatementInvalid("this is no statement about a payout address")
    wallet, payout, number, expires = match.groups()
    statement = Statement(wallet, payout, int(number), int(expires))
    try:
        public_key_of(wallet)
        public_key_of(payout)
    except KeyInvalid as error:
        raise StatementInvalid(f"the statement names an address that is none: {error}") from error
    if str(statement) != text.strip():
        raise StatementInvalid("the statement is not written as it must be")
    return statement


@dataclass(frozen=True, slots=True)
class PayoutRule:
    """A wallet's payout address and the proof that the cold key agreed to it.

    Attributes:
        wallet, cold: addresses; the wallet's key bound the cold key to it.
        first_payout: the payout address that the binding named.
        binding_signature: the wallet's, Base58.
        statement: the latest change; None before the first.
        statement_signature: the cold key's, Base58.
    """

    wallet: str
    cold: str
    first_payout: str
    binding_signature: str
    statement: Statement | None = None
    statement_signature: str = ""

    @property
    def payout(self) -> str:
        """Where the wallet pays out to now."""
        return self.first_payout if self.statement is None else self.statement.payout

    @property
    def number(self) -> int:
        """How many changes there were."""
        return 0 if self.statement is None else self.statement.number

    def next_statement(self, payout: str, now_unix_s: int) -> Statement:
        """What the cold key has to sign for another address.

        Raises:
            KeyInvalid: not an address.
        """
        public_key_of(payout)
        return Statement(self.wallet, payout, self.number + 1, now_unix_s + STATEMENT_LIFE_S)

    def changed(self, statement: Statement, signature: str, now_unix_s: int) -> "PayoutRule":
        """The rule after a change.

        Raises:
            StatementInvalid: it is about another wallet, expired, or not the next one.
            PayoutRefused: the cold key did not sign it.
        """
        if statement.wallet != self.wallet:
            raise StatementInvalid(f"the statement is about the wallet {statement.wallet}")
        if statement.number != self.number + 1:
            raise StatementInvalid(
                f"the statement has number {statement.number}, and the next one is "
                f"{self.number + 1}: ask for a new statement"
            )
        if now_unix_s >= statement.expires_unix_s:
            raise StatementInvalid("the statement has expired: ask for a new one")
        if not _signed(self.cold, str(statement), signature):
            raise PayoutRefused(f"this is not the signature of the cold key {self.cold}")
        return PayoutRule(
            self.wallet,
            self.cold,
            self.first_payout,
            self.binding_signature,
            statement,
            signature,
        )

    def require(self, recipient: str) -> None:
        """Refuse to pay anybody but the payout address.

        Raises:
            PayoutRefused: ``recipient`` is another address.
        """
        if recipient != self.payout:
            raise PayoutRefused(
                f"this wallet pays out to {self.payout} alone, and {recipient} is another "
                "address; only the cold key can change that"
            )

    def is_proven(self) -> bool:
        """Whether both signatures are what they must be."""
        binding = _BINDING.format(self.wallet, self.cold, self.first_payout)
        if not _signed(self.wallet, binding, self.binding_signature):
            return False
        if self.statement is None:
            return not self.statement_signature
        return self.statement.wallet == self.wallet and _signed(
            self.cold, str(self.statement), self.statement_signature
        )


def bind_cold_key(key: KeyPair, cold: str, payout: str) -> PayoutRule:
    """The first rule of a wallet: its own key names the cold key and the payout address.

    Raises:
        KeyInvalid: not an address.
        PayoutRefused: the cold key is the wallet's own.
    """
    public_key_of(cold)
    public_key_of(payout)
    if cold == key.address:
        raise PayoutRefused("the wallet's own key cannot be its cold key")
    binding = _BINDING.format(key.address, cold, payout)
    return PayoutRule(key.address, cold, payout, base58.encode(key.sign(binding.encode())))


def read_payout_rule(path: Path, wallet: str) -> PayoutRule | None:
    """The rule of a wallet, or None where it has none.

    Raises:
        WalletCorrupt: the file is damaged, or a signature in it is wrong.
        SecretFileError: it cannot be read, or others may.
    """
    if not path.exists():
        return None
    content = read_secret_file(path)
    try:
        fields = json.loads(content)
        text = fields["statement"]
        rule = PayoutRule(
            fields["wallet"],
            fields["cold"],
            fields["first_payout"],
            fields["binding_signature"],
            None if text is None else parse_statement(text),
            fields["statement_signature"],
        )
        sound = rule.wallet == wallet and rule.is_proven() and _content(rule) == content
    except (AttributeError, KeyError, TypeError, ValueError, StatementInvalid) as error:
        raise WalletCorrupt(f"{path} is damaged: {error!r}") from error
    if not sound:
        raise WalletCorrupt(f"{path} is damaged, or somebody changed it without the keys")
    return rule


def write_payout_rule(path: Path, rule: PayoutRule, *, overwrite: bool) -> None:
    """Store a rule, whole or not at all.

    Raises:
        SecretFileExists: there is one, and ``overwrite`` is false.
    """
    write_secret_file(path, _content(rule), overwrite=overwrite)


def _content(rule: PayoutRule) -> bytes:
    fields = {
        "wallet": rule.wallet,
        "cold": rule.cold,
        "first_payout": rule.first_payout,
        "binding_signature": rule.binding_signature,
        "statement": None if rule.statement is None else str(rule.statement),
        "statement_signature": rule.statement_signature,
    }
    return json.dumps(fields, sort_keys=True, indent=2).encode() + b"\n"


def _signed(address: str, text: str, signature: str) -> bool:
    try:
        return verify(
            public_key_of(address), text.encode(), base58.decode(signature, SIGNATURE_BYTES)
        )
    except (KeyInvalid, InvalidValue):
        return False
