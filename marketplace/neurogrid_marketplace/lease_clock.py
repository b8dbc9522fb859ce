"""What a lease's times become when its machine's clock is set.

A job that has run for a minute has done so whatever the clock says since. The times that durations are
measured from move with the clock: neither time limit nor price sees a step.
"""

from dataclasses import replace

from .lease import Boot, NodeLease

# Less is the jitter of two readings, one after the other.
CLOCK_STEP_MS = 1_000


def keep_time(lease: NodeLease, boot: Boot) -> NodeLease:
    """The lease with its times by the clock as it is now; the same one while nobody has set it.

    Nothing moves over a reboot: no job has run through it.
    """
    if lease.boot is None or lease.boot.boot_id != boot.boot_id:
        return replace(lease, boot=boot)
    step_ms = boot.at_ms - lease.boot.at_ms
    if abs(step_ms) < CLOCK_STEP_MS:
        return lease
    lease = replace(lease, boot=boot, since_ms=lease.since_ms + step_ms)
    if not lease.started_at_ms or lease.ran is not None:
        return lease
    return replace(
        lease,
        started_at_ms=lease.started_at_ms + step_ms,
        paused_at_ms=lease.paused_at_ms and lease.paused_at_ms + step_ms,
        reclaimed_at_ms=lease.reclaimed_at_ms and lease.reclaimed_at_ms + step_ms,
        stepped_ms=lease.stepped_ms + step_ms,
    )
