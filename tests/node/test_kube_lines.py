"""Logs and watches come in pieces that are cut anywhere, and never need more memory than one line may."""

from hypothesis import given
from hypothesis import strategies as st

from neurogrid_node.container.logs import parse_record
from neurogrid_node.kube.lines import Lines, log_records

TIME = b"2026-11-29T10:00:00.000000001Z"


def cut(data: bytes, size: int, line_bytes_max: int = 1000) -> list[bytes]:
    lines = Lines(line_bytes_max)
    found = [line for at in range(0, len(data), size) for line in lines.feed(data[at : at + size])]
    return found + list(lines.end())


@given(st.binary(max_size=3000), st.integers(1, 700), st.integers(1, 200))
def test_nothing_is_lost_wherever_it_is_cut(data: bytes, size: int, most: int) -> None:
    found = cut(data, size, most)
    assert b"".join(found) == data
    assert all(0 < len(line) <= most for line in found)
    assert found == cut(data, max(1, len(data)), most)


def test_lines_come_as_soon_as_they_are_whole() -> None:
    lines = Lines(10)
    assert list(lines.feed(b"one\ntw")) == [b"one\n"]
    assert list(lines.feed(b"o\n")) == [b"two\n"]
    assert list(lines.feed(b"x" * 25)) == [b"x" * 10, b"x" * 10]
    assert list(lines.end()) == [b"x" * 5]


def test_a_record_has_its_lines_time() -> None:
    records = list(log_records([TIME + b" one\n", TIME + b" \n", TIME + b" end"]))
    assert [parse_record(*record).text for record in records] == [b"one\n", b"\n", b"end"]
    assert len({parse_record(*record).time_ns for record in records}) == 1


def test_a_long_line_is_cut_between_characters_and_each_piece_has_its_time() -> None:
    text = "ä€😀".encode() * 16000
    line = TIME + b" " + text + b"\n"
    records = [parse_record(*record) for record in log_records(cut(line, 999, 64 * 1024))]
    assert b"".join(record.text for record in records) == text + b"\n"
    assert {record.time_ns for record in records} == {parse_record(1, TIME).time_ns}
    assert len(records) > 4
    for record in records:
        record.text.decode()
        assert len(record.text) <= 16 * 1024


def test_a_line_without_a_time_is_told_all_the_same() -> None:
    (record,) = log_records([b"x" * 50 + b" y\n"])
    assert parse_record(*record).time_ns == 0
    assert parse_record(*record).text.endswith(b"y\n")
