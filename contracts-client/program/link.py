"""Turn clang's BPF object file into an sBPF version 3 executable.

The upstream toolchain links with a patched LLVM. Stock clang produces the same instructions, and a
version 3 executable is simple enough to write directly: it has no section table, no dynamic
section and no relocations (SIMD-0189). What is left to do is

- put the read-only data at address 0 and the code at address 2**32,
- make every call to a local function relative to the program counter, and
- make every call to a system call carry the hash of its name (SIMD-0178).

Anything else in the object (writable data, unknown relocations) is refused, because the virtual
machine would load it and compute nonsense.
"""

import io
import struct
from dataclasses import dataclass, field
from typing import Final

from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import Relocation, RelocationSection
from elftools.elf.sections import Section, Symbol, SymbolTableSection

# Where the virtual machine maps the two segments.
RODATA_ADDRESS: Final = 0
CODE_ADDRESS: Final = 1 << 32
INSTRUCTION_BYTES: Final = 8

# The ELF constants used here (System V ABI; EM_BPF and the relocations: LLVM's BPF back end).
SHF_WRITE: Final = 0x1
SHF_ALLOC: Final = 0x2
SHF_EXECINSTR: Final = 0x4
PF_EXECUTE: Final = 0x1
PF_READ: Final = 0x4
EM_BPF: Final = 247
ET_DYN: Final = 3
PT_LOAD: Final = 1
SBPF_VERSION_3: Final = 3
R_BPF_64_64: Final = 1  # the two 32-bit halves of a wide load's 64-bit constant
R_BPF_64_ABS64: Final = 2  # a 64-bit word of data
R_BPF_64_32: Final = 10  # a call

# The source register of a call says what its constant means.
CALL_SYSCALL: Final = 0x00
CALL_RELATIVE: Final = 0x10

ELF_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
PROGRAM_HEADER: Final = struct.Struct("<IIQQQQQQ")


class LinkError(Exception):
    """The object file needs something that an sBPF program cannot have."""


@dataclass
class Image:
    """The two segments under construction, and where each section of the object went."""

    code: bytearray = field(default_factory=bytearray)
    rodata: bytearray = field(default_factory=bytearray)
    code_offsets: dict[int, int] = field(default_factory=dict)
    rodata_offsets: dict[int, int] = field(default_factory=dict)


def link(object_file: bytes, entry: str) -> bytes:
    """The executable for a relocatable BPF object, starting at the function ``entry``.

    Raises:
        LinkError: the object has writable data, an unsupported relocation, or no such function.
    """
    elf = ELFFile(io.BytesIO(object_file))
    sections: list[Section] = list(elf.iter_sections())
    symbols = elf.get_section_by_name(".symtab")
    if not isinstance(symbols, SymbolTableSection):
        raise LinkError("the object has no symbol table")
    image = _place(sections)
    for section in sections:
        if not isinstance(section, RelocationSection):
            continue
        target = section["sh_info"]
        for relocation in section.iter_relocations():
            symbol = symbols.get_symbol(relocation["r_info_sym"])
            if target in image.code_offsets:
                _relocate_code(image, image.code_offsets[target], relocation, symbol)
            elif target in image.rodata_offsets:
                _relocate_rodata(image, image.rodata_offsets[target], relocation, symbol)
    return _write(image, _entry_offset(image, symbols, entry))


def syscall_hash(name: str) -> int:
    """MurmurHash3 (x86, 32 bit, seed 0) of a system call's name; Austin Appleby, public domain."""
    data = name.encode()
    mask = 0xFFFFFFFF
    value = 0
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        value ^= _scramble(int.from_bytes(data[i : i + 4], "little"))
        value = _rotate_left(value, 13)
        value = (value * 5 + 0xE6546B64) & mask
    if len(data) > whole:
        value ^= _scramble(int.from_bytes(data[whole:], "little"))
    value ^= len(data)
    value ^= value >> 16
    value = value * 0x85EBCA6B & mask
    value ^= value >> 13
    value = value * 0xC2B2AE35 & mask
    return value ^ value >> 16


def _scramble(block: int) -> int:
    return _rotate_left(block * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF


def _rotate_left(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & 0xFFFFFFFF


def _place(sections: list[Section]) -> Image:
    """Append every loadable section to its segment."""
    image = Image()
    for index, section in enumerate(sections):
        flags = section["sh_flags"]
        if not flags & SHF_ALLOC or section["sh_size"] == 0:
            continue
        if flags & SHF_WRITE or section["sh_type"] != "SHT_PROGBITS":
            raise LinkError(f"{section.name}: a program has no writable or zero-filled data")
        if flags & SHF_EXECINSTR:
            image.code_offsets[index] = len(image.code)
            image.code += section.data()
        else:
            _pad(image.rodata, max(section["sh_addralign"], 8))
            image.rodata_offsets[index] = len(image.rodata)
            image.rodata += section.data()
    _pad(image.rodata, 8)
    return image


def _pad(segment: bytearray, alignment: int) -> None:
    segment += bytes(-len(segment) % alignment)


def _relocate_code(image: Image, base: int, relocation: Relocation, symbol: Symbol) -> None:
    """Patch one call, or one load of an address, in the code segment."""
    at = base + relocation["r_offset"]
    kind = relocation["r_info_type"]
    section = symbol["st_shndx"]
    if kind == R_BPF_64_32 and section == "SHN_UNDEF":
        _patch_call(image.code, at, CALL_SYSCALL, "<I", syscall_hash(symbol.name))
    elif kind == R_BPF_64_32 and section in image.code_offsets:
        if symbol["st_info"]["type"] == "STT_SECTION":
            # For a static function clang leaves its instruction number less one in the constant.
            (constant,) = struct.unpack_from("<i", image.code, at + 4)
            offset = (constant + 1) * INSTRUCTION_BYTES
        else:
            offset = symbol["st_value"]
        callee = (image.code_offsets[section] + offset) // INSTRUCTION_BYTES
        _patch_call(image.code, at, CALL_RELATIVE, "<i", callee - (at // INSTRUCTION_BYTES + 1))
    elif kind == R_BPF_64_64 and section in image.rodata_offsets:
        (addend,) = struct.unpack_from("<i", image.code, at + 4)
        address = RODATA_ADDRESS + image.rodata_offsets[section] + symbol["st_value"] + addend
        struct.pack_into("<I", image.code, at + 4, address & 0xFFFFFFFF)
        struct.pack_into("<I", image.code, at + INSTRUCTION_BYTES + 4, address >> 32)
    else:
        raise LinkError(f"unsupported relocation {kind} against {symbol.name or section!r}")


def _patch_call(code: bytearray, at: int, source: int, layout: str, constant: int) -> None:
    destination_register = code[at + 1] & 0x0F
    code[at + 1] = source | destination_register
    struct.pack_into(layout, code, at + 4, constant)


def _relocate_rodata(image: Image, base: int, relocation: Relocation, symbol: Symbol) -> None:
    """Patch one pointer in a table of pointers to read-only data."""
    kind = relocation["r_info_type"]
    section = symbol["st_shndx"]
    if kind != R_BPF_64_ABS64 or section not in image.rodata_offsets:
        raise LinkError(f"unsupported data relocation {kind} against {symbol.name or section!r}")
    at = base + relocation["r_offset"]
    (addend,) = struct.unpack_from("<Q", image.rodata, at)
    address = RODATA_ADDRESS + image.rodata_offsets[section] + symbol["st_value"] + addend
    struct.pack_into("<Q", image.rodata, at, address)


def _entry_offset(image: Image, symbols: SymbolTableSection, entry: str) -> int:
    for symbol in symbols.get_symbol_by_name(entry) or ():
        if symbol["st_shndx"] in image.code_offsets:
            offset: int = image.code_offsets[symbol["st_shndx"]] + symbol["st_value"]
            return offset
    raise LinkError(f"the object defines no function {entry}")


def _write(image: Image, entry_offset: int) -> bytes:
    """File header, one program header per segment, then the segments."""
    segments = [(PF_EXECUTE, CODE_ADDRESS, bytes(image.code))]
    if image.rodata:
        segments.insert(0, (PF_READ, RODATA_ADDRESS, bytes(image.rodata)))
    header = ELF_HEADER.pack(
        b"\x7fELF\x02\x01\x01" + bytes(9),  # 64 bit, little-endian, ELF version 1
        ET_DYN,
        EM_BPF,
        1,  # version
        CODE_ADDRESS + entry_offset,
        ELF_HEADER.size,  # program headers follow at once
        0,  # no section table
        SBPF_VERSION_3,
        ELF_HEADER.size,
        PROGRAM_HEADER.size,
        len(segments),
        0,
        0,
        0,
    )
    offset = ELF_HEADER.size + PROGRAM_HEADER.size * len(segments)
    program_headers = b""
    for flags, address, content in segments:
        size = len(content)
        program_headers += PROGRAM_HEADER.pack(
            PT_LOAD, flags, offset, address, address, size, size, 8
        )
        offset += size
    return header + program_headers + b"".join(content for _, _, content in segments)
