"""The C structures of the program, compiled for this machine and used from Python.

The program's headers go into a shared library as they stand, with a reader and a writer per structure
that name its members; so offsets and sizes are the compiler's, and the check that every instruction
makes of its accounts is the program's own. Both targets are little-endian with 64-bit longs.
"""

import ctypes
import subprocess
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).parents[2] / "contracts-client" / "program"
# A field has at most 32 bytes; each gets as much room in the buffer between C and Python.
SLOT_BYTES = 32

_PRELUDE = """
#define _GNU_SOURCE
#include <sys/mman.h>
#include "checks.h"
#include "voucher.h"

/* SCRATCH is where the virtual machine has its heap. */
int prepare(void) {
    void *heap = (void *)0x300000000UL;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    return mmap(heap, 0x8000, PROT_READ | PROT_WRITE, flags, -1, 0) == heap;
}

/* What check_state says of an account with this data that the program owns. */
u64 check(const u8 *data, u64 data_len, u64 tag, u64 size) {
    static pubkey program;
    SCRATCH->program_id = &program;
    SCRATCH->accounts[0].owner = &program;
    SCRATCH->accounts[0].data = (u8 *)data;
    SCRATCH->accounts[0].data_len = data_len;
    return check_state(0, tag, size, READ_ONLY);
}

static void copy(void *to, const void *from, u64 size) {
    for (u64 i = 0; i < size; i++) ((u8 *)to)[i] = ((const u8 *)from)[i];
}
"""


class NativeStructures:
    """Readers and writers of the accounts and the voucher, by the names of the IDL."""

    def __init__(self, idl: dict[str, Any], folder: Path) -> None:
        """
        Args:
            idl: names the structures and their fields; its offsets and sizes are not used.
            folder: for the library.
        """
        self._fields = {entry["name"]: entry["fields"] for entry in idl["accounts"]}
        self._fields["voucher"] = idl["voucher"]["fields"]
        source = [_PRELUDE]
        for name, fields in self._fields.items():
            c_type = "voucher" if name == "voucher" else f"{name}_account"
            source += [f"u64 size_{name}(void) {{ return sizeof({c_type}); }}"]
            source += _accessors(name, c_type, fields)
        for entry in idl["accounts"]:
            tag = f"TAG_{entry['name'].upper()}"
            source.append(
                f"u64 check_{entry['name']}_account(const u8 *data, u64 len)"
                f" {{ return check(data, len, {tag}, sizeof({entry['name']}_account)); }}"
            )
        (folder / "structures.c").write_text("\n".join(source))
        library = folder / "structures.so"
        result = subprocess.run(
            [
                *("gcc", "-shared", "-fPIC", "-O1", "-fno-builtin", "-fno-strict-aliasing", "-w"),
                *(f"-I{PROGRAM}", "structures.c", "-o", library.name),
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        self._library = ctypes.CDLL(str(library))
        assert self._library.prepare(), "the address of the virtual machine's heap is taken"

    def size(self, name: str) -> int:
        return int(getattr(self._library, f"size_{name}")())

    def accepts(self, name: str, data: bytes) -> bool:
        """Whether the program takes these bytes for such an account."""
        check = getattr(self._library, f"check_{name}_account")
        return bool(check(data, ctypes.c_uint64(len(data))) == 0)

    def read(self, name: str, data: bytes) -> dict[str, bytes]:
        """Each field's bytes."""
        assert len(data) == self.size(name)
        slots = ctypes.create_string_buffer(SLOT_BYTES * len(self._fields[name]))
        getattr(self._library, f"read_{name}")(data, slots)
        return {
            field["name"]: slots.raw[at * SLOT_BYTES : (at + 1) * SLOT_BYTES]
            for at, field in enumerate(self._fields[name])
        }

    def write(self, name: str, values: dict[str, bytes]) -> bytes:
        """The structure with these fields, and zeros where it has none."""
        slots = b"".join(
            values[field["name"]].ljust(SLOT_BYTES, b"\0") for field in self._fields[name]
        )
        data = ctypes.create_string_buffer(self.size(name))
        getattr(self._library, f"write_{name}")(data, slots)
        return data.raw


def _accessors(name: str, c_type: str, fields: list[dict[str, Any]]) -> list[str]:
    reads, writes = [], []
    for at, field in enumerate(fields):
        member = f"(({c_type} *)data)->{field.get('member', field['name'])}"
        slot = f"slots + {at * SLOT_BYTES}"
        reads.append(f"    copy({slot}, &{member}, sizeof({member}));")
        writes.append(f"    copy(&{member}, {slot}, sizeof({member}));")
    return [
        f"void read_{name}(const u8 *data, u8 *slots) {{",
        *reads,
        "}",
        f"void write_{name}(u8 *data, const u8 *slots) {{",
        *writes,
        "}",
    ]
