"""The systemd unit of a coordinator, as text. No I/O."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from neurogrid_contracts.terminal.unit_text import command_line, plain, private_tmp, quoted

WRITTEN_BY: Final = "# Written by `neurogrid-coordinator service install`, which replaces it."

# A coordinator talks to the network and writes to its directory. It needs no privilege, no device and nobody
# else's files, so it is left none of them.
_UNIT: Final = """\
{written_by}
[Unit]
Description=NeuroGrid coordinator
Wants=network-online.target
# Not Requires=: a database that is restarted would take us along, and we wait for one that is away.
After=network-online.target postgresql.service
# A coordinator that stands by ends when the lead passes on, and has to be started again, however often.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
User={user}
{environment}Restart=on-failure
RestartSec=5
# The API ends its children itself; what is left of them ends with it.
KillMode=mixed
TimeoutStopSec=60
# [http] connections and [p2p] nodes, each with a descriptor, and room beside them.
LimitNOFILE=65536
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={writable}
PrivateTmp={private_tmp}
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
LockPersonality=yes
RemoveIPC=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
# AF_NETLINK: which addresses this machine has.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
# Not MemoryDenyWriteExecute=: cffi's callbacks may need such memory.

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Service:
    """How a coordinator is to run.

    Attributes:
        program: what comes before ``start``.
        user: whose processes; the directory is theirs.
        environment_file: lines ``NAME=value`` with secrets, which systemd reads as root; None: no such file.
        writable: directories besides the coordinator's own that it writes to.
    """

    program: tuple[str, ...]
    directory: Path
    user: str
    environment_file: Path | None = None
    writable: tuple[Path, ...] = ()

    def unit(self) -> str:
        """The unit's text.

        Raises:
            UnitUnwritable: a path cannot be written in a unit.
        """
        writable = (self.directory, *self.writable)
        environment = ""
        if self.environment_file is not None:
            environment = f"EnvironmentFile={plain(str(self.environment_file))}\n"
        return _UNIT.format(
            written_by=WRITTEN_BY,
            command=command_line([*self.program, "start", "--data", str(self.directory)]),
            user=plain(self.user),
            environment=environment,
            writable=" ".join(quoted(str(path)) for path in writable),
            private_tmp=private_tmp((*writable, Path(self.program[0]))),
        )
