"""What is counted of a job's network stays bounded and true."""

from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.fields import decode, plain
from neurogrid_marketplace.network import NetworkUse, Refused
from neurogrid_node.egress.record import Record


def test_sums_hosts_and_refusals_are_counted() -> None:
    record = Record()
    record.connected("example.org", 443)
    record.sent("example.org", 443, 100)
    record.received("example.org", 443, 2000)
    assert record.refused("evil.example", 443, Refused.NOT_LISTED)
    assert not record.refused("evil.example", 443, Refused.NOT_LISTED)
    use = record.use()
    assert (use.connections, use.sent_bytes, use.received_bytes, use.refused) == (1, 100, 2000, 2)
    assert [(each.host, each.port, each.received_bytes) for each in use.hosts] == [
        ("example.org", 443, 2000)
    ]
    assert [(each.host, each.reason, each.count) for each in use.refusals] == [
        ("evil.example", Refused.NOT_LISTED, 2)
    ]


def test_a_restart_goes_on_counting() -> None:
    record = Record()
    record.connected("example.org", 443)
    record.sent("example.org", 443, 100)
    record.refused("", 0, Refused.BAD_REQUEST)
    again = Record(decode(NetworkUse, plain(record.use())))
    again.sent("example.org", 443, 1)
    again.refused("", 0, Refused.BAD_REQUEST)
    assert again.moved_bytes == 101
    assert again.use().hosts[0].sent_bytes == 101
    assert again.use().refusals[0].count == 2


@given(
    st.lists(
        st.tuples(st.text(max_size=300), st.integers(0, 65_535), st.sampled_from(Refused)),
        max_size=100,
    )
)
def test_whatever_a_job_asks_for_its_report_travels(
    asked: list[tuple[str, int, Refused]],
) -> None:
    record = Record()
    for host, port, reason in asked:
        record.refused(host, port, reason)
    for number in range(len(asked)):
        record.connected(f"h{number}.example", 443)
    use = record.use()
    assert decode(NetworkUse, plain(use)) == use
    assert use.refused == use.connections == len(asked)
