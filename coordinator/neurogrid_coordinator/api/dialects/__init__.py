"""Other documents' APIs: each module translates one into native calls and back, and decides nothing."""
