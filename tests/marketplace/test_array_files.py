"""NumPy's files, as NumPy writes them and as somebody else might."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from neurogrid_marketplace import array_files
from neurogrid_marketplace.array_files import Unreadable, read_npy, read_npz
from neurogrid_marketplace.closeness import Closeness
from neurogrid_marketplace.comparator import DEFAULT_FILES, Comparator, ComparatorKind, FileFormat

NUMERIC = Comparator(ComparatorKind.NUMERIC, "1e-3", files=DEFAULT_FILES)


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(save: Callable[..., None] = np.savez, /, **arrays: Any) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def packed(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", ">f4", ">f8", "c8", "c16", "i1", "i8", ">i4", "u2", "u8", "?"]
)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 4), (2, 3, 4)])
def test_every_array_of_plain_numbers_is_read(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype=dtype)
    assert Closeness(NUMERIC).is_same(npy(array), npy(array), FileFormat.NPY)
    if array.size and array.dtype.kind in "fc":
        close, far = (npy(np.asarray(array * by, dtype)) for by in (1.00095, 1.1))
        assert Closeness(NUMERIC).is_same(npy(array), close, FileFormat.NPY)
        assert not Closeness(NUMERIC).is_same(npy(array), far, FileFormat.NPY)


def test_arrays_of_another_type_shape_or_order_are_not_the_same() -> None:
    base = np.arange(12, dtype="f8").reshape(3, 4)
    others = [base.astype("f4"), base.reshape(4, 3), np.asfortranarray(base), base.astype(">f8")]
    for other in others:
        assert not Closeness(NUMERIC).is_same(npy(base), npy(other), FileFormat.NPY)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_are_compared_array_by_array(save: Callable[..., None]) -> None:
    compare = Closeness(NUMERIC)
    one = npz(save, a=np.ones(3), b=np.ones(2))
    assert compare.is_same(one, npz(save, a=np.ones(3), b=np.ones(2) * 1.0001), FileFormat.NPZ)
    assert not compare.is_same(one, npz(save, a=np.ones(3), b=np.ones(2) * 2), FileFormat.NPZ)
    assert not compare.is_same(one, npz(save, a=np.ones(3), c=np.ones(2)), FileFormat.NPZ)


def test_objects_are_never_unpickled() -> None:
    file = io.BytesIO()
    np.save(file, np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(Unreadable, match="plain numbers"):
        read_npy(file.getvalue())
    with pytest.raises(Unreadable, match="plain numbers"):
        read_npz(packed({"a.npy": file.getvalue()}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:-1], "as long"),
        (lambda data: data + b"\0", "as long"),
        (lambda data: data[:6] + b"\4" + data[7:], "no .npy"),
        (lambda data: data[:8] + b"\xff\xff" + data[10:], "too long"),
        (lambda data: data.replace(b"(3,)", b"(9,)"), "as long"),
        (lambda data: data.replace(b"<f8", b"<U8"), "plain numbers"),
        (lambda data: data.replace(b"'<f8'", b"[   ]"), "plain numbers"),
        (lambda data: b"", "no .npy"),
    ],
)
def test_a_damaged_array_is_not_read(change: Callable[[bytes], bytes], words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        read_npy(change(npy(np.ones(3))))


def test_an_archive_is_unpacked_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_files, "UNPACKED_BYTES_MAX", 100_000)
    bomb = packed({"a.npy": npy(np.zeros(10_000)), "b.npy": npy(np.zeros(10_000))})
    assert len(bomb) < 2000
    with pytest.raises(Unreadable, match="100000 bytes when unpacked"):
        read_npz(bomb)


def test_what_numpy_packs_in_no_such_way_is_not_read() -> None:
    one = npy(np.ones(1))
    with pytest.raises(Unreadable, match="256 members"):
        read_npz(packed({f"{n}.npy": one for n in range(257)}))
    with pytest.raises(Unreadable, match="directory"):
        read_npz(packed({f"{n:060000}.npy": one for n in range(2)}))
    with pytest.raises(Unreadable, match="packed as NumPy"):
        read_npz(packed({"a.npy": one}, zipfile.ZIP_BZIP2))
    with pytest.raises(Unreadable, match="as NumPy writes"):
        read_npz(packed({"a.npy": one}) + b"tail")
    with pytest.raises(Unreadable, match=r"no \.npy"):
        read_npz(packed({"a.txt": b"1"}))
    with pytest.raises(Unreadable, match="no archive"):
        read_npz(packed({"a.npy": one}).replace(b"a.npy", b"b.npy", 1))
    with pytest.raises(Unreadable):
        read_npz(b"")


def test_no_cut_or_changed_byte_of_an_archive_does_worse_than_not_to_be_read() -> None:
    whole = npz(np.savez_compressed, a=np.ones(3))
    for place in range(len(whole)):
        for damaged in (
            whole[:place],
            whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :],
        ):
            try:
                read_npz(damaged)
            except Unreadable:
                continue
