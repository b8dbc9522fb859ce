"""Which lines of the C source are executed, as the virtual machine itself saw it.

The source is compiled without optimisation, so that every statement keeps instructions of its own,
and a mark is put into clang's assembly wherever a source line or a basic block begins. A mark sets
one byte of a map in the upper half of the heap, which the machine zeroes for each invocation and
which the program does not use. The map is written to the transaction's log at each exit and before
each call of another program (which may never return). Nothing else is changed: the program has the
same behaviour and the same addresses, and costs some ten times as much.

Run the tests against :func:`build_instrumented`'s ELF, give their logs to :class:`Coverage`.
"""

import base64
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from build import COMPILE_TIMEOUT_S, COMPILER, PROGRAM_FOLDER, BuildError
from link import link

FLAGS: Final = ("-target", "bpf", "-g", "-ffreestanding", "-fno-builtin", "-fno-strict-aliasing")

# The map: from the middle of the 32 KiB heap, above everything in SCRATCH. Its address is odd, so
# that a mark can store the lowest byte of the address itself, and needs no second register.
MAP_ADDRESS: Final = 0x300004001
MARKS_MAX: Final = 0x8000 - 0x4001
# Where a mark saves its register: within the 4 KiB frame that the machine gives each function, far
# below the 512 bytes that clang uses.
SAVED_REGISTER: Final = "*(u64 *)(r10 - 3000)"
# Goes first into the log, so that nothing else that is logged is taken for a map.
SIGNATURE: Final = b"NGCOVER1"

# Inlined functions would have their lines in each caller; a function that returns a structure has
# to stay so, because the back end knows no other way.
_INLINE: Final = "__attribute__((always_inline)) inline"
_NOT_INLINE: Final = "__attribute__((noinline))"

_RUNTIME: Final = f"""
#include "program.c"
_Static_assert(sizeof(scratch) < ({MAP_ADDRESS:#x}UL & 0xffff), "the map needs this room");
extern u64 sol_log_data(const seed *, u64);
static const u8 coverage_signature[8] = "{SIGNATURE.decode()}";
static __attribute__((noinline)) void coverage_emit(void) {{
    seed fields[2];
    fields[0].bytes = coverage_signature;
    fields[0].len = sizeof(coverage_signature);
    fields[1].bytes = (const void *){MAP_ADDRESS:#x}UL;
    fields[1].len = MARKS;
    sol_log_data(fields, 2);
}}
u64 coverage_invoke(const cpi_instruction *call, const account_info *accounts, u64 count,
                    const signer_seeds *seeds, u64 seed_count) {{
    coverage_emit();
    return sol_invoke_signed_c(call, accounts, count, seeds, seed_count);
}}
u64 coverage_entrypoint(u8 *input) {{
    u64 error = entrypoint(input);
    coverage_emit();
    return error;
}}
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the source that has instructions."""

    file: str
    number: int


@dataclass(frozen=True, slots=True)
class Instrumented:
    """The program with marks.

    Attributes:
        elf: the executable.
        lines: per line of the source, its mark.
        blocks: per basic block, its mark and the line that it begins with.
    """

    elf: bytes
    lines: dict[Line, int]
    blocks: dict[int, Line]


@dataclass
class Coverage:
    """What was executed.

    Attributes:
        program: the program that the logs come from.
        reached: marks.
        invocations: how many maps were read.
    """

    program: Instrumented
    reached: set[int] = field(default_factory=set)
    invocations: int = 0

    def read_logs(self, logs: Iterable[str]) -> None:
        """Add what a transaction's log says."""
        prefix = f"Program data: {base64.b64encode(SIGNATURE).decode()} "
        for entry in logs:
            if entry.startswith(prefix):
                marks = base64.b64decode(entry.removeprefix(prefix))
                self.reached.update(index for index, byte in enumerate(marks) if byte)
                self.invocations += 1

    def uncovered(self) -> list[Line]:
        """Lines that were never executed."""
        missed = [line for line, mark in self.program.lines.items() if mark not in self.reached]
        return sorted(missed, key=lambda line: (line.file, line.number))

    def half_covered(self) -> list[Line]:
        """Executed lines with a branch that was never taken."""
        missed = {line for mark, line in self.program.blocks.items() if mark not in self.reached}
        return sorted(missed - set(self.uncovered()), key=lambda line: (line.file, line.number))

    @property
    def line_share(self) -> float:
        """Lines executed, of all that have instructions."""
        return 1 - len(self.uncovered()) / len(self.program.lines)

    @property
    def block_share(self) -> float:
        """Basic blocks executed, of all: each way through each condition counts."""
        missed = [mark for mark in self.program.blocks if mark not in self.reached]
        return 1 - len(missed) / len(self.program.blocks)

    def text(self, line: Line) -> str:
        """What stands there, with the file's name."""
        source = (PROGRAM_FOLDER / line.file).read_text().splitlines()
        return f"{line.file}: {source[line.number - 1].strip()}"

    def report(self) -> str:
        """A table by file, and every line that something is missing of."""
        uncovered, half = self.uncovered(), self.half_covered()
        rows = ["C source        lines  executed  branches  executed"]
        files = sorted({line.file for line in self.program.lines})
        for name in files:
            lines = [mark for line, mark in self.program.lines.items() if line.file == name]
            blocks = [mark for mark, line in self.program.blocks.items() if line.file == name]
            rows.append(_row(name, lines, blocks, self.reached))
        rows.append(
            _row("all", list(self.program.lines.values()), list(self.program.blocks), self.reached)
        )
        rows.append(f"from {self.invocations:,} invocations on the virtual machine")
        rows += [f"never executed: {line.number:>4} {self.text(line)}" for line in uncovered]
        rows += [f"one way only: {line.number:>6} {self.text(line)}" for line in half]
        return "\n".join(rows)


def _row(name: str, lines: list[int], blocks: list[int], reached: set[int]) -> str:
    return f"{name:<14} {len(lines):>6} {_percent(lines, reached)} {len(blocks):>9} " + _percent(
        blocks, reached
    )


def _percent(marks: list[int], reached: set[int]) -> str:
    return f"{100 * sum(mark in reached for mark in marks) / max(len(marks), 1):>8.1f}%"


def build_instrumented() -> Instrumented:
    """Compile the program of this folder with marks.

    Raises:
        BuildError: the compiler is missing or refuses.
        LinkError: the program cannot be linked.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _copy_sources(folder)
        (folder / "coverage.c").write_text(_RUNTIME)
        # Twice, because the runtime has to know how many marks there are.
        marks = Marks()
        list(marks.insert(_assembly(folder, 0)))
        if marks.count > MARKS_MAX:
            raise BuildError(f"{marks.count} marks do not fit the heap")
        count = marks.count
        marks = Marks()
        (folder / "marked.s").write_text("\n".join(marks.insert(_assembly(folder, count))) + "\n")
        _compile(folder, "-c", "marked.s", "-o", "marked.o")
        elf = link((folder / "marked.o").read_bytes(), "coverage_entrypoint")
    return Instrumented(elf, marks.lines, marks.blocks)


def _copy_sources(folder: Path) -> None:
    for source in [*PROGRAM_FOLDER.glob("*.c"), *PROGRAM_FOLDER.glob("*.h")]:
        text = source.read_text()
        text = text.replace("ALWAYS_INLINE pubkey ", f"static {_INLINE} pubkey ")
        text = text.replace(
            f"#define ALWAYS_INLINE static {_INLINE}", f"#define ALWAYS_INLINE static {_NOT_INLINE}"
        )
        (folder / source.name).write_text(text)


def _assembly(folder: Path, marks: int) -> list[str]:
    _compile(folder, "-O0", f"-DMARKS={marks}", "-S", "coverage.c", "-o", "coverage.s")
    return (folder / "coverage.s").read_text().splitlines()


def _compile(folder: Path, *arguments: str) -> None:
    compiler = shutil.which(COMPILER)
    if compiler is None:
        raise BuildError(f"{COMPILER} is not installed")
    result = subprocess.run(
        [compiler, *FLAGS, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=COMPILE_TIMEOUT_S,
        check=False,  # its message goes into BuildError
    )
    if result.returncode != 0:
        raise BuildError(f"{COMPILER} failed:\n{result.stderr}")


class Marks:
    """Puts marks into an assembly file, and remembers what each of them means."""

    def __init__(self) -> None:
        self.count = 0
        self.lines: dict[Line, int] = {}
        self.blocks: dict[int, Line] = {}
        self._files: dict[str, str] = {}
        # The line within this block, the latest line at all, and a block whose line is to come.
        self._here: Line | None = None
        self._latest: Line | None = None
        self._unplaced: int | None = None

    def insert(self, assembly: list[str]) -> Iterator[str]:
        """The same code, with a mark where a basic block or a source line begins."""
        in_program = False
        for text in assembly:
            if found := re.match(r'\s+\.file\s+(\d+)\s+(?:"[^"]*"\s+)?"([^"]*)"', text):
                self._files[found[1]] = Path(found[2]).name
            if found := re.match(r"(\w+):\s+# @(\w+)$", text):
                in_program = not found[1].startswith("coverage_")
            if in_program:
                text = text.replace("call sol_invoke_signed_c", "call coverage_invoke")
            yield text
            if not in_program:
                continue
            if re.match(r"(LBB\d+_\d+:|# %bb\.\d+:)", text):
                yield from self._block()
            elif found := re.match(r"\s+\.loc\s+(\d+)\s+(\d+)\s", text):
                yield from self._line(self._files[found[1]], int(found[2]))

    def _block(self) -> list[str]:
        """A basic block begins here; the next line says to which it belongs."""
        if self._unplaced is not None and self._latest is not None:
            # It ended without one: code that chooses the value of the line before.
            self.blocks[self._unplaced] = self._latest
        self._unplaced = self.count
        self._here = None
        return self._mark()

    def _line(self, file: str, number: int) -> list[str]:
        """A line begins here; 0 is code that belongs to none."""
        line = Line(file, number)
        if number == 0 or line == self._here:
            return []
        self._here = self._latest = line
        if self._unplaced is not None:
            self.blocks[self._unplaced] = line
            self._unplaced = None
        if line in self.lines:
            return self._mark(self.lines[line])
        self.lines[line] = self.count
        return self._mark()

    def _mark(self, number: int | None = None) -> list[str]:
        if number is None:
            number = self.count
            self.count += 1
        return [
            f"\t{SAVED_REGISTER} = r1",
            f"\tr1 = {MAP_ADDRESS} ll",
            f"\t*(u8 *)(r1 + {number}) = r1",
            f"\tr1 = {SAVED_REGISTER}",
        ]
