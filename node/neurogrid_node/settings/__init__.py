"""The sections of node.toml, a frozen dataclass for each. configs/node.toml says the same to people."""
