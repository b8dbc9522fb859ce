"""The on-chain escrow and staking program: its Python client, and a local ledger that runs it."""
