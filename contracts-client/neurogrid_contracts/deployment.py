"""Where a market lives on a chain: the program, the currency and the administrator.

These three addresses determine every other one. Nodes, coordinators and devnets keep them, with an
RPC address, in a small JSON file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from solders.pubkey import Pubkey
from solders.token.associated import get_associated_token_address

JOB_ID_BYTES = 32


@dataclass(frozen=True, slots=True)
class Deployment:
    """One market: a config account of one deployed program.

    Attributes:
        program_id: the escrow and staking program.
        usdc_mint: the currency. SPL Token with 6 decimals; not Token-2022.
        admin: who created the market; its address is part of the config's.
    """

    program_id: Pubkey
    usdc_mint: Pubkey
    admin: Pubkey

    @property
    def config(self) -> Pubkey:
        """The market's terms."""
        return self._derive(b"config", self.admin, self.usdc_mint)

    def provider(self, owner: Pubkey) -> Pubkey:
        """The provider account of a wallet."""
        return self._derive(b"provider", self.config, owner)

    def client(self, owner: Pubkey) -> Pubkey:
        """The client account of a wallet."""
        return self._derive(b"client", self.config, owner)

    def vault(self, of: Pubkey) -> Pubkey:
        """The token account that holds the USDC of a client or provider *account*."""
        return self._derive(b"vault", of)

    def escrow(self, client_owner: Pubkey, job_id: bytes) -> Pubkey:
        """The escrow of one job of a client's wallet.

        Raises:
            ValueError: the job id is not 32 bytes.
        """
        if len(job_id) != JOB_ID_BYTES:
            raise ValueError(f"a job id has {JOB_ID_BYTES} bytes, not {len(job_id)}")
        return self._derive(b"escrow", self.client(client_owner), job_id)

    def token_account(self, owner: Pubkey) -> Pubkey:
        """The usual (associated) USDC account of a wallet."""
        return get_associated_token_address(owner, self.usdc_mint)

    def _derive(self, *seeds: bytes | Pubkey) -> Pubkey:
        return Pubkey.find_program_address([bytes(seed) for seed in seeds], self.program_id)[0]

    def to_json(self) -> dict[str, str]:
        """A JSON object of base58 addresses."""
        return {
            "program_id": str(self.program_id),
            "usdc_mint": str(self.usdc_mint),
            "admin": str(self.admin),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Self:
        """Read what :meth:`to_json` wrote; other keys are left to their owner.

        Raises:
            ValueError: a field is missing or not an address.
        """
        return cls(
            program_id=_address(value, "program_id"),
            usdc_mint=_address(value, "usdc_mint"),
            admin=_address(value, "admin"),
        )


def _address(value: Mapping[str, object], key: str) -> Pubkey:
    text = value.get(key)
    if not isinstance(text, str):
        message = f"deployment: {key} is missing or not a string"
        raise ValueError(message)  # noqa: TRY004 - of a file, whose types are values to us
    try:
        return Pubkey.from_string(text)
    except ValueError as error:
        raise ValueError(f"deployment: {key} is not a base58 address: {text!r}") from error


@dataclass(frozen=True, slots=True)
class Market:
    """A deployment and an RPC endpoint of the chain it is on: what a daemon needs to take part.

    Attributes:
        rpc_url: Solana JSON-RPC, http or https.
        deployment: the market's addresses.
    """

    rpc_url: str
    deployment: Deployment

    def to_json(self) -> dict[str, str]:
        return {"rpc_url": self.rpc_url, **self.deployment.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: a field is missing or malformed.
        """
        rpc_url = value.get("rpc_url")
        if not isinstance(rpc_url, str) or not rpc_url.startswith(("http://", "https://")):
            raise ValueError("deployment: rpc_url is missing or not an http(s) address")
        return cls(rpc_url, Deployment.from_json(value))

    def save(self, path: Path) -> None:
        """Write the JSON file, whole or not at all."""
        partial = path.with_name(path.name + ".partial")
        partial.write_text(json.dumps(self.to_json(), indent=2) + "\n")
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the JSON file.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not JSON, or a field is missing or malformed.
        """
        value = json.loads(path.read_text())
        if not isinstance(value, dict):
            raise ValueError(f"{path}: not a JSON object")  # noqa: TRY004 - of a file, as below
        return cls.from_json(value)
