"""A job's network on a terminal."""

from ..models import NetworkInfo
from .output import printable


def network_fields(found: NetworkInfo | None) -> list[tuple[str, str | None]]:
    """Of a task: what it may reach and, once it has ended, what it did."""
    if found is None:
        return []
    use = found.use
    if use is None:
        return [("network", ", ".join(found.allow))]
    refused = [
        f"{printable(each.host) or '?'}:{each.port} {each.count} times: {each.meaning}"
        for each in use.refusals
    ]
    return [
        ("network", ", ".join(found.allow)),
        (
            "moved",
            f"{use.sent_bytes} bytes out, {use.received_bytes} in, {use.connections} connections",
        ),
        *((("refused" if number == 0 else ""), each) for number, each in enumerate(refused)),
    ]
