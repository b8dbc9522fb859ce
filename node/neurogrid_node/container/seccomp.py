"""The system calls a job may make; everything else is refused with EPERM.

The engine's own default filter is an allow-list too, but an older engine's list still contains
io_uring, and none of them lets us see what they contain. A custom profile *replaces* the default,
so this one is an allow-list of its own: shorter than the engine's (no ptrace, no process_vm_*, no
modify_ldt, no 32-bit calls), and a call that a future kernel adds is refused until it is listed.
All capabilities are dropped as well, so no rule here is conditional on one.

It is data, and the profile's hash goes into the signed receipt (`profile.py`).
"""

import functools
import hashlib
import json
from typing import Any, Final

# Grouped by what a program does with them; a name that an architecture lacks is ignored by runc.
_FILES: Final = """
    access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat
    faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync
    fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd
    getdents getdents64 getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl
    lchown lgetxattr link linkat listxattr llistxattr lremovexattr lseek lsetxattr lstat mkdir
    mkdirat mknod mknodat newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64
    pwritev pwritev2 read readahead readlink readlinkat readv removexattr rename renameat renameat2
    rmdir sendfile setxattr splice stat statfs statx symlink symlinkat sync sync_file_range syncfs
    tee truncate umask unlink unlinkat utime utimensat utimes vmsplice write writev
"""
_WAITING: Final = """
    epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2
    io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit poll ppoll pselect6 select
    signalfd signalfd4 timerfd_create timerfd_gettime timerfd_settime
"""
_MEMORY: Final = """
    brk madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect
    mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect shmat shmctl
    shmdt shmget
"""
_PROCESSES: Final = """
    arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue futex_wait
    futex_waitv futex_wake get_robust_list get_thread_area getcpu getegid geteuid getgid getgroups
    getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage
    getsid gettid getuid ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset
    landlock_restrict_self pause pidfd_open pidfd_send_signal prctl prlimit64 rseq
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield seccomp set_robust_list set_thread_area set_tid_address setfsgid
    setfsuid setgid setgroups setpgid setpriority setregid setresgid setresuid setreuid setrlimit
    setsid setuid sysinfo tgkill tkill uname vfork wait4 waitid
"""
_SIGNALS_AND_TIME: Final = """
    alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep
    restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
    rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo setitimer sigaltstack time timer_create
    timer_delete timer_getoverrun timer_gettime timer_settime times
"""
_MESSAGES: Final = """
    accept accept4 bind connect getpeername getsockname getsockopt listen mq_getsetattr mq_notify
    mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd recvfrom recvmmsg
    recvmsg semctl semget semop semtimedop sendmmsg sendmsg sendto setsockopt shutdown socketpair
"""

ALLOWED_SYSCALLS: Final[frozenset[str]] = frozenset(
    name
    for group in (_FILES, _WAITING, _MEMORY, _PROCESSES, _SIGNALS_AND_TIME, _MESSAGES)
    for name in group.split()
)

# CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET (linux/sched.h): a job
# makes processes and threads, but no namespaces.
_NAMESPACE_FLAGS: Final = 0x7E020000
# linux/personality.h: query (all ones), and Linux or "uname says 2.6", each with and without
# address randomisation. Others switch to executing data or to foreign binary formats.
_PERSONALITIES: Final = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK, _NETLINK_ROUTE = 1, 2, 10, 16, 0
_ENOSYS: Final = 38


def _allow(names: list[str], *comparisons: dict[str, Any]) -> dict[str, Any]:
    return {"names": names, "action": "SCMP_ACT_ALLOW", "args": list(comparisons)}


def _equals(index: int, value: int) -> dict[str, Any]:
    return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}


def seccomp_profile() -> dict[str, Any]:
    """The profile in the engine's JSON form (docs.docker.com/engine/security/seccomp)."""
    no_namespaces = {
        "index": 0,
        "value": _NAMESPACE_FLAGS,
        "valueTwo": 0,
        "op": "SCMP_CMP_MASKED_EQ",
    }
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        # No sub-architectures: a 32-bit call kills the process with SIGSYS.
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
        ],
        "syscalls": [
            _allow(sorted(ALLOWED_SYSCALLS)),
            _allow(["clone"], no_namespaces),
            # The filter cannot read clone3's flags (they are behind a pointer). ENOSYS makes the C
            # library fall back to clone; EPERM would make every thread fail to start.
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS},
            *(_allow(["personality"], _equals(0, value)) for value in _PERSONALITIES),
            *(_allow(["socket"], _equals(0, family)) for family in (_AF_UNIX, _AF_INET, _AF_INET6)),
            # getifaddrs() asks NETLINK_ROUTE; other netlink families are kernel attack surface.
            _allow(["socket"], _equals(0, _AF_NETLINK), _equals(2, _NETLINK_ROUTE)),
        ],
    }


@functools.cache
def seccomp_json() -> str:
    """The profile as the text that goes into ``SecurityOpt``; equal on every run."""
    return json.dumps(seccomp_profile(), sort_keys=True, separators=(",", ":"))


@functools.cache
def seccomp_sha256() -> str:
    """Hex SHA-256 of `seccomp_json`: names this exact filter in a receipt."""
    return hashlib.sha256(seccomp_json().encode()).hexdigest()
