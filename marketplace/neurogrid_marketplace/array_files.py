"""Arrays of numbers as NumPy writes them (.npy, .npz), and plain ones. Pure; the bytes are a stranger's.

Only plain numbers are read: whatever would take an unpickler or a parser of Python is refused. An
archive's directory is bounded before it is read, and its members while they are unpacked.
"""

import math
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO

from .comparator import FileFormat

# Of an .npz: as many arrays, and so many bytes of them in all when unpacked.
MEMBERS_MAX = 256
UNPACKED_BYTES_MAX = 64 * 1024 * 1024
# A directory entry has 46 bytes and a name; these are enough for the names of all members.
_DIRECTORY_BYTES_MAX = 64 * 1024
_DIRECTORY_END = struct.Struct("<4s4H2LH")
_DIRECTORY_END_MAGIC = b"PK\x05\x06"
_ZIP64_LOCATOR_MAGIC, _ZIP64_LOCATOR_BYTES = b"PK\x06\x07", 20

_NPY_MAGIC = b"\x93NUMPY"
_HEADER_BYTES_MAX = 4096
# What NumPy itself writes for an array of plain numbers, to the blank.
_HEADER = re.compile(
    rb"\{'descr': '(?P<order>[<>|])(?P<type>[a-z][0-9]{1,2})', 'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>[0-9, ]{0,512})\), \} *\n"
)
_DIMENSION = re.compile(rb"[0-9]{1,15}")
# NumPy's name of a type -> the `struct` code of one number, and how many make an element.
_TYPES = {
    b"f2": ("e", 1),
    b"f4": ("f", 1),
    b"f8": ("d", 1),
    b"c8": ("f", 2),
    b"c16": ("d", 2),
    b"i1": ("b", 1),
    b"i2": ("h", 1),
    b"i4": ("i", 1),
    b"i8": ("q", 1),
    b"u1": ("B", 1),
    b"u2": ("H", 1),
    b"u4": ("I", 1),
    b"u8": ("Q", 1),
    b"b1": ("?", 1),
}
_RAW_CODES = {FileFormat.F32: "f", FileFormat.F64: "d"}


class Unreadable(Exception):
    """Not a file of numbers that is read here; it is compared by its hash alone."""


@dataclass(frozen=True, slots=True)
class Array:
    """Numbers in a row.

    Attributes:
        number: `struct` format of one of them, with its byte order.
        shape: what else has to be the same: dimensions and order; b"" where there is none.
        data: the numbers; their size is a multiple of one's.
    """

    number: str
    shape: bytes
    data: memoryview


def read_raw(data: bytes, file_format: FileFormat) -> Array:
    """Nothing but little-endian numbers.

    Raises:
        Unreadable: the last number is not whole.
    """
    return _array(f"<{_RAW_CODES[file_format]}", b"", memoryview(data))


def read_npy(data: bytes) -> Array:
    """An .npy file.

    Raises:
        Unreadable: not one of plain numbers, or not as long as it says.
    """
    if len(data) < 12 or data[:6] != _NPY_MAGIC or data[6:8] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise Unreadable("no .npy file")
    start, length = 10, int.from_bytes(data[8:10], "little")
    if data[6] > 1:
        start, length = 12, int.from_bytes(data[8:12], "little")
    if length > _HEADER_BYTES_MAX:
        raise Unreadable("its header is too long")
    header = _HEADER.fullmatch(data[start : start + length])
    if header is None or header["type"] not in _TYPES:
        raise Unreadable("not an array of plain numbers")
    code, numbers = _TYPES[header["type"]]
    shape = [int(each) for each in _DIMENSION.findall(header["shape"])]
    number = f"{'>' if header['order'] == b'>' else '<'}{code}"
    values = memoryview(data)[start + length :]
    if len(values) != math.prod(shape) * numbers * struct.calcsize(number):
        raise Unreadable("it is not as long as its header says")
    return _array(number, b"%d %s %s" % (numbers, header["fortran"], header["shape"]), values)


def read_npz(data: bytes) -> dict[str, Array]:
    """The arrays of an .npz file by their names.

    Raises:
        Unreadable: not an archive of .npy files within the bounds.
    """
    _bound_directory(data)
    left = UNPACKED_BYTES_MAX
    arrays = {}
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > MEMBERS_MAX:
                raise Unreadable(f"it has more than {MEMBERS_MAX} members")
            for member in members:
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise Unreadable("a member is packed as NumPy packs none")
                with archive.open(member) as file:
                    unpacked = file.read(left + 1)
                left -= len(unpacked)
                if left < 0:
                    raise Unreadable(f"more than {UNPACKED_BYTES_MAX} bytes when unpacked")
                arrays[member.filename] = read_npy(unpacked)
            if len(arrays) != len(members):
                raise Unreadable("two members have the same name")
    except (
        # What `zipfile` says of damaged, encrypted and future archives.
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        struct.error,
    ) as error:
        raise Unreadable(f"no archive: {error}") from error
    return arrays


def _bound_directory(data: bytes) -> None:
    """Refuse a directory that would take much memory to read, and records that say it twice."""
    end = len(data) - _DIRECTORY_END.size
    if end < 0 or data[end : end + 4] != _DIRECTORY_END_MAGIC:
        raise Unreadable("no archive as NumPy writes it")
    locator = end - _ZIP64_LOCATOR_BYTES
    if locator >= 0 and data[locator : locator + 4] == _ZIP64_LOCATOR_MAGIC:
        raise Unreadable("too large an archive")
    *_, directory_bytes, _, comment_bytes = _DIRECTORY_END.unpack_from(data, end)
    if directory_bytes > _DIRECTORY_BYTES_MAX or comment_bytes:
        raise Unreadable(f"its directory has more than {_DIRECTORY_BYTES_MAX} bytes")


def _array(number: str, shape: bytes, data: memoryview) -> Array:
    if len(data) % struct.calcsize(number):
        raise Unreadable("its last number is not whole")
    return Array(number, shape, data)
