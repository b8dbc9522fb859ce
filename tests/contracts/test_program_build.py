"""The committed ELF is what the C source builds to, and source, IDL and Python agree."""

import importlib.util
import json
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from solders.pubkey import Pubkey

from neurogrid_contracts.program import elf_bytes, elf_path, elf_sha256

PROGRAM = Path(__file__).parents[2] / "contracts-client" / "program"
IDL: dict[str, Any] = json.loads((PROGRAM / "idl.json").read_text())
C_TYPES = {
    "u8": 1,
    "u16": 2,
    "u32": 4,
    "u64": 8,
    "i64": 8,
    "pubkey": 32,
    "bytes32": 32,
}


@pytest.fixture(scope="module")
def clang() -> str:
    found = shutil.which("clang-16")
    if found is None:
        pytest.fail("clang-16 is not installed; it is needed to check the program's build")
    return found


@pytest.fixture(scope="module")
def linker() -> ModuleType:
    """link.py is a script of the build, and not in any package."""
    spec = importlib.util.spec_from_file_location("program_linker", PROGRAM / "link.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def compile_c(clang: str, source: str, folder: Path) -> bytes:
    (folder / "unit.c").write_text(source)
    result = subprocess.run(
        [clang, "-target", "bpf", "-O2", f"-I{PROGRAM}", "-c", "unit.c", "-o", "unit.o"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return (folder / "unit.o").read_bytes()


def test_the_committed_program_is_built_from_this_source(clang: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, str(PROGRAM / "build.py"), "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "neurogrid.so").read_bytes() == elf_bytes(), (
        "neurogrid_contracts/elf/neurogrid.so is stale: run contracts-client/program/build.py"
    )
    checksum = elf_path().with_name("neurogrid.so.sha256").read_text()
    assert (tmp_path / "neurogrid.so.sha256").read_text() == checksum
    assert checksum == f"{elf_sha256()}  neurogrid.so\n"


def test_the_build_says_what_to_do_without_a_compiler(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, str(PROGRAM / "build.py"), "--out", str(tmp_path)],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "clang-16 is not installed" in result.stderr


def test_the_elf_is_a_version_3_executable() -> None:
    elf = elf_bytes()
    machine, flags = struct.unpack_from("<H", elf, 18)[0], struct.unpack_from("<I", elf, 48)[0]
    section_count = struct.unpack_from("<H", elf, 60)[0]
    assert (machine, flags, section_count) == (247, 3, 0)


def test_the_source_has_the_idls_layouts_errors_and_tags(clang: str, tmp_path: Path) -> None:
    """clang evaluates one static assertion per fact of the IDL."""
    facts = ['#include "program.c"', '#include "voucher.h"']
    for account in IDL["accounts"]:
        c_type = f"{account['name']}_account"
        facts.append(f"_Static_assert(sizeof({c_type}) == {account['size']}, {c_type!r});")
        facts.append(
            f"_Static_assert(TAG_{account['name'].upper()} == {account['tag']}, {c_type!r});"
        )
        facts.append(f"_Static_assert(ACCOUNT_VERSION == {account['version']}, {c_type!r});")
        facts += [fact for field in account["fields"] for fact in field_facts(c_type, field)]
    facts.append(f"_Static_assert(sizeof(voucher) == {IDL['voucher']['size']}, 'voucher');")
    facts += [fact for field in IDL["voucher"]["fields"] for fact in field_facts("voucher", field)]
    magic = int.from_bytes(IDL["voucher"]["magic"].encode(), "little")
    facts.append(f"_Static_assert(VOUCHER_MAGIC == {magic}UL, 'magic');")
    words = IDL["enumerations"]["escrow"]
    for prefix, field in (("ESCROW", "state"), ("PARTY", "dispute_opener")):
        for name, value in words[field].items():
            facts.append(f"_Static_assert({prefix}_{name} == {value}, '{field} {name}');")
    for name, value in {**IDL["faults"]["proven"], **IDL["faults"]["unproven"]}.items():
        facts.append(f"_Static_assert(FAULT_{name} == {value}, 'fault {name}');")
    record = IDL["slash_record"]
    facts.append(f"_Static_assert(sizeof(slash_record) == {record['size']}, 'slash record');")
    magic = int.from_bytes(record["magic"].encode(), "little")
    facts.append(f"_Static_assert(SLASH_MAGIC == {magic}UL, 'magic');")
    facts += [
        f"_Static_assert(__builtin_offsetof(slash_record, {field['name']}) == {field['offset']}, 'x');"
        for field in record["fields"]
    ]
    for instruction in IDL["instructions"]:
        name = instruction["name"].upper()
        facts.append(f"_Static_assert(IX_{name} == {instruction['tag']}, '{name}');")
    for error in IDL["errors"]:
        facts.append(f"_Static_assert(ERR_{error['name']} == {error['code']}, '{error['name']}');")
    compile_c(clang, "\n".join(facts).replace("'", '"'), tmp_path)


def field_facts(c_type: str, field: dict[str, Any]) -> list[str]:
    # What is inside a structure of the C source says so; everywhere else it is a plain name.
    name, size = field.get("member", field["name"]), C_TYPES[field["type"]]
    return [
        f"_Static_assert(__builtin_offsetof({c_type}, {name}) == {field['offset']}, '{name}');",
        f"_Static_assert(sizeof((({c_type} *)0)->{name}) == {size}, '{name}');",
    ]


def test_the_idl_lists_everything_the_source_has() -> None:
    errors = set(re.findall(r"^    ERR_(\w+)", (PROGRAM / "errors.h").read_text(), re.MULTILINE))
    assert errors == {error["name"] for error in IDL["errors"]}
    tags = set(re.findall(r"^    IX_(\w+)", (PROGRAM / "entrypoint.c").read_text(), re.MULTILINE))
    assert tags == {instruction["name"].upper() for instruction in IDL["instructions"]}
    faults = set(re.findall(r"FAULT_(\w+) = \d", (PROGRAM / "faults.h").read_text()))
    assert faults == {*IDL["faults"]["proven"], *IDL["faults"]["unproven"]}


def test_every_instruction_states_its_accounts_as_the_idl_does() -> None:
    """The comment block above each C function, against the IDL."""
    comments: dict[str, str] = {}
    for source in PROGRAM.glob("*.c"):
        for block in re.findall(r"/\*\n \* (\w+: .*?)\*/", source.read_text(), re.DOTALL):
            name = block.split(":", 1)[0]
            comments[name] = block
    for instruction in IDL["instructions"]:
        block = comments[instruction["name"]]
        rows = re.findall(r"^ \*   (\d+|\+) (.*)$", block, re.MULTILINE)
        fixed = [row for number, row in rows if number != "+"]
        listed = len(instruction["accounts"])
        assert len(fixed) >= listed, instruction["name"]
        for account, row in zip(instruction["accounts"], fixed, strict=False):
            name = account["name"].replace("_", " ")
            assert row.startswith(name), (instruction["name"], name, row)
            rights = row[len(name) :]
            assert ("signer" in rights) == account["signer"], (instruction["name"], row)
            assert ("writable" in rights) == account["writable"], (instruction["name"], row)
        extra = len(rows) - listed
        assert extra == len(instruction.get("optional_accounts", [])), instruction["name"]
        assert all(word in block for word in ("Before:", "After:")), instruction["name"]


def test_well_known_addresses_are_what_their_comments_say() -> None:
    source = (PROGRAM / "solana.h").read_text()
    found = re.findall(
        r"/\* (\w{32,44}) \*/\nstatic const pubkey \w+ =\s*\{\s*\{([^}]*)\}\}", source
    )
    assert len(found) == 4
    for text, words in found:
        value = struct.pack("<4Q", *(int(word, 16) for word in words.split(",")))
        assert Pubkey(value) == Pubkey.from_string(text)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param(
            "static unsigned long count; unsigned long entrypoint(void) { return ++count; }",
            "no writable or zero-filled data",
            id="zero-filled variable",
        ),
        pytest.param(
            "unsigned long count = 7; unsigned long entrypoint(void) { return ++count; }",
            "no writable or zero-filled data",
            id="writable variable",
        ),
        pytest.param(
            "extern const unsigned long elsewhere;"
            "unsigned long entrypoint(void) { return elsewhere; }",
            "unsupported relocation",
            id="undefined variable",
        ),
        pytest.param(
            "unsigned long other(void) { return 0; }", "defines no function", id="no entry point"
        ),
    ],
)
def test_the_linker_refuses(
    clang: str, linker: ModuleType, tmp_path: Path, source: str, reason: str
) -> None:
    """The virtual machine would load these, and compute nonsense."""
    with pytest.raises(linker.LinkError, match=reason):
        linker.link(compile_c(clang, source, tmp_path), "entrypoint")


def test_system_calls_are_known_by_the_hash_of_their_name(linker: ModuleType) -> None:
    """Two values from solana-sbpf's own tables."""
    assert linker.syscall_hash("abort") == 0xB6FC1A11
    assert linker.syscall_hash("sol_log_") == 0x207559BD
