"""Units of systemd: installed, taken out, asked for; in this system, or in one that does not run."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_UNITS: Final = Path("etc/systemd/system")
# There while systemd is what runs the machine. Source: sd_booted(3).
_BOOTED: Final = Path("/run/systemd/system")
# systemctl waits for the daemon to start or to stop.
_SYSTEMCTL_S: Final = 120
# Nothing is deleted or replaced that is longer than any unit of ours.
_UNIT_BYTES_MAX: Final = 64 * 1024


class ServiceRefused(Exception):
    """It is not done; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a unit is.

    Attributes:
        state: systemd's word, ``active`` if it runs; "elsewhere" in a system that does not run.
    """

    path: Path
    installed: bool
    enabled: bool = False
    state: str = "unknown"


@dataclass(frozen=True, slots=True)
class Unit:
    """The place of a unit.

    Attributes:
        name: letters, digits, ``-`` and ``_``.
        root: of the system it is in; "/" is this one.
        written_by: the first line of the units that we may replace or remove.
    """

    name: str
    root: Path
    written_by: str

    @property
    def path(self) -> Path:
        """The file.

        Raises:
            ServiceRefused: the name is none.
        """
        if not self.name or not all(
            letter.isascii() and (letter.isalnum() or letter in "-_") for letter in self.name
        ):
            raise ServiceRefused(f"--name {self.name!r}: letters, digits, - and _")
        return self.root / _UNITS / f"{self.name}.service"

    @property
    def _is_here(self) -> bool:
        return self.root == Path("/")

    def install(self, text: str, *, start: bool) -> bool:
        """Write the unit, have it start with the machine, and start it; whether it was changed.

        Raises:
            ServiceRefused: somebody else wrote it, or systemd does not run here or says no.
            OSError: the file that is there cannot be read.
        """
        self._require_systemd()
        path = self.path
        before = _read(path)
        if before and not before.startswith(self.written_by):
            raise ServiceRefused(f"{path} was written by somebody else: choose another --name")
        changed = before != text
        if changed:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                partial = path.with_suffix(".partial")
                partial.write_text(text)
                partial.chmod(0o644)
                partial.rename(path)
            except OSError as error:
                raise ServiceRefused(
                    f"{error}: installing a service takes root (sudo), or --print shows the unit"
                ) from error
        if not self._is_here:
            _systemctl(f"--root={self.root}", "enable", path.name)
            return changed
        if changed:
            _systemctl("daemon-reload")
        _systemctl("enable", path.name)
        if start:
            # A unit that was changed counts from a restart on; one that runs as it should is left alone.
            _systemctl("restart" if before and changed else "start", path.name)
        return changed

    def uninstall(self) -> bool:
        """Stop it and remove the file; whether there was one.

        Raises:
            ServiceRefused, OSError: see `install`.
        """
        self._require_systemd()
        path = self.path
        text = _read(path)
        if not text:
            return False
        if not text.startswith(self.written_by):
            raise ServiceRefused(f"{path} was written by somebody else, and is left alone")
        if self._is_here:
            _systemctl("disable", "--now", path.name)
        else:
            _systemctl(f"--root={self.root}", "disable", path.name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ServiceRefused(f"{error}: removing a service takes root (sudo)") from error
        if self._is_here:
            _systemctl("daemon-reload")
        return True

    def standing(self) -> Standing:
        """How it is.

        Raises:
            ServiceRefused, OSError: see `install`.
        """
        path = self.path
        if not _read(path):
            return Standing(path, installed=False)
        place = () if self._is_here else (f"--root={self.root}",)
        return Standing(
            path,
            installed=True,
            enabled=_ask_systemctl(*place, "is-enabled", path.name) == "enabled",
            state=_ask_systemctl("is-active", path.name) if self._is_here else "elsewhere",
        )

    def _require_systemd(self) -> None:
        """Before anything is written: what runs this machine has to be systemd."""
        if self._is_here and not _BOOTED.exists():
            raise ServiceRefused(
                "systemd does not run this machine: `service install --print` shows what another supervisor "
                "needs, and --root installs into a system that does not run"
            )


def own_program(script: str, module: str) -> tuple[str, ...]:
    """The words that start a program of this installation, wherever that is."""
    path = Path(sys.executable).with_name(script)
    return (str(path),) if path.exists() else (sys.executable, "-m", module)


def _read(path: Path) -> str:
    """The unit that is there, or ""."""
    try:
        with path.open() as file:
            return file.read(_UNIT_BYTES_MAX)
    except FileNotFoundError:
        return ""


def _systemctl(*arguments: str) -> None:
    done = _run(*arguments)
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip()
        raise ServiceRefused(f"systemctl {' '.join(arguments)}: {said}")


def _ask_systemctl(*arguments: str) -> str:
    """Its one word; its exit status says the same."""
    return _run(*arguments).stdout.strip() or "unknown"


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("systemctl")
    if program is None:
        raise ServiceRefused(
            "there is no systemd here: `service install --print` shows what another supervisor needs"
        )
    try:
        return subprocess.run(
            [program, "--no-pager", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SYSTEMCTL_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceRefused(f"systemctl {' '.join(arguments)}: {error}") from error
