import pytest

from neurogrid_node.gang.offer import advertised

NODE = "/p2p/12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq"
LOOPBACK = f"/ip4/127.0.0.1/tcp/4002{NODE}"
OUTWARD = f"/ip4/192.0.2.7/tcp/4002{NODE}"


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ((), ()),
        ((LOOPBACK,), (LOOPBACK,)),
        ((LOOPBACK, OUTWARD), (OUTWARD,)),
        ((OUTWARD,) * 9, (OUTWARD,) * 8),
    ],
)
def test_loopback_is_told_only_where_there_is_nothing_else(
    known: tuple[str, ...], told: tuple[str, ...]
) -> None:
    assert advertised(known) == told
