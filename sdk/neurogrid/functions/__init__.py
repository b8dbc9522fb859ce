"""Python functions on the network: `remote` is the decorator. See docs/remote.md."""

from .call import RemoteCall
from .function import RemoteFunction, remote

__all__ = ["RemoteCall", "RemoteFunction", "remote"]
