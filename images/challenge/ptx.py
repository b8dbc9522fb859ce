"""Make kernels.ptx of kernels.cu: ``python images/challenge/ptx.py [--out FILE]``.

The same clang makes the same text anywhere, as of the on-chain program: it is committed, so that building the
image takes no clang. PTX is what every NVIDIA driver compiles for the GPU that it finds.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent
# Pinned by name: another major version writes other, equally valid, code.
COMPILER: Final = "clang-16"
FLAGS: Final = (
    *("-x", "cuda", "--cuda-device-only", "-nocudainc", "-nocudalib"),
    # Maxwell (2014) and everything after it; PTX 6.0 is what drivers know since 2017.
    *("--cuda-gpu-arch=sm_50", "--cuda-feature=+ptx60", "-Xclang", "-target-feature"),
    *("-Xclang", "+ptx60", "-O2", "-Wall", "-Wextra", "-Wno-unknown-cuda-version", "-S"),
)
COMPILE_TIMEOUT_S: Final = 120


def build(out: Path) -> None:
    """Write the PTX.

    Raises:
        OSError: there is no clang-16: Debian's package is of that name.
        subprocess.CalledProcessError: it found an error, which it has printed.
    """
    # In the source's folder and by relative name, so that no path can reach the text.
    subprocess.run(
        [COMPILER, *FLAGS, "kernels.cu", "-o", out],
        cwd=FOLDER,
        check=True,
        timeout=COMPILE_TIMEOUT_S,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER / "kernels.ptx", help="file to write")
    try:
        build(parser.parse_args().out.resolve())
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
