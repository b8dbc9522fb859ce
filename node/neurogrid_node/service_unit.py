"""The systemd unit of a node, as text. No I/O."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from neurogrid_contracts.terminal.unit_text import command_line, private_tmp, quoted

WRITTEN_BY: Final = "# Written by `neurogrid-node service install`, which replaces it."

# What the daemon does as root, and nothing else. CHOWN, DAC_OVERRIDE, FOWNER: jobs' files belong to nobody.
# SYS_ADMIN, SYS_CHROOT, SYS_PTRACE: mounting jobs' disks where the engine sees them. KILL, SYS_PTRACE: ending
# commands beside a job.
CAPABILITIES: Final = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_SYS_ADMIN",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
)

_UNIT: Final = """\
{written_by}
[Unit]
Description=NeuroGrid node
Wants=network-online.target
# Not Requires=: an engine that is restarted would take us along.
After=network-online.target docker.service
# An engine that is down for an hour must not keep the node down for ever.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
{user}Restart=on-failure
RestartSec=10
# Jobs are the engine's processes and run on. What is left of ours ends with us.
KillMode=mixed
TimeoutStopSec=60
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet={capabilities}
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={writable}
PrivateTmp={private_tmp}
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectHostname=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=mnt
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM
# Not PrivateDevices=, ProtectClock=, DeviceAllow=: GPUs, loop devices and /dev/net/tun come and go.
# Not ProtectControlGroups=: whether a job can still open its GPU is tried in its control group.

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Service:
    """How a node is to run.

    Attributes:
        program: what comes before ``start``.
        user: whose processes; of root's, jobs have disks with hard limits and commands beside them.
        passphrase_file: opens the wallet at each start; None: it is not sealed.
        writable: directories besides the node's own that it writes to.
    """

    program: tuple[str, ...]
    directory: Path
    user: str = "root"
    passphrase_file: Path | None = None
    writable: tuple[Path, ...] = ()

    def unit(self) -> str:
        """The unit's text.

        Raises:
            UnitUnwritable: a path cannot be written in a unit.
        """
        command = [*self.program, "start", "--data", str(self.directory)]
        if self.passphrase_file is not None:
            command += ["--passphrase-file", str(self.passphrase_file)]
        is_root = self.user == "root"
        writable = (self.directory, *self.writable)
        needed = (*writable, Path(self.program[0]), *filter(None, (self.passphrase_file,)))
        return _UNIT.format(
            written_by=WRITTEN_BY,
            command=command_line(command),
            user="" if is_root else f"User={self.user}\nSupplementaryGroups=docker\n",
            capabilities=" ".join(CAPABILITIES) if is_root else "",
            private_tmp=private_tmp(needed),
            writable=" ".join(quoted(str(path)) for path in writable),
        )
