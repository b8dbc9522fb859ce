"""The coordinator: the public REST facade and the auctions behind it."""
