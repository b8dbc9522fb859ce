"""Keys, the encrypted keystore, USDC and payments that are sent exactly once."""
