"""The system calls that code in the sandbox may not make. The only file that imports pyseccomp.

A list of what is refused, not of what is allowed: interpreters need many calls, and the namespaces are the wall. What
is refused is what walls have been climbed with: tracing, namespaces, mounts, keys, kernel interfaces with a history.
"""

import errno
import os
from functools import cache
from typing import Any

from a2a_bridge.errors import CodeExecutionError

REFUSED = (
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd", "unshare", "setns",
    "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick",
    "mount_setattr", "keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd", "kexec_load",
    "kexec_file_load", "init_module", "finit_module", "delete_module", "open_by_handle_at", "name_to_handle_at",
    "io_uring_setup", "io_uring_enter", "io_uring_register", "quotactl", "reboot", "swapon", "swapoff", "acct",
    "syslog", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname",
    "vhangup", "iopl", "ioperm", "lookup_dcookie", "nfsservctl", "fanotify_init", "vmsplice", "memfd_secret",
)  # fmt: skip

_NEW_NAMESPACES = (0x10000000, 0x00020000, 0x04000000, 0x08000000, 0x20000000, 0x40000000, 0x02000000)
_INET6 = 10
"""The last address family that is let through: unix, inet and inet6 are below; packet, netlink, vsock above."""
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C


def filter_file() -> int:
    """A new file descriptor with the filter, as bubblewrap's --seccomp takes it; the caller closes it.

    CodeExecutionError if pyseccomp, or the library it needs, is missing.
    """
    descriptor = os.memfd_create("a2a-bridge-seccomp")
    os.write(descriptor, _program())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


@cache
def _program() -> bytes:
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError) as error:  # pyseccomp raises RuntimeError without the library
        raise CodeExecutionError(
            'the sandbox needs pyseccomp and libseccomp: pip install "a2a-agent-bridge[sandbox]", and libseccomp2'
            f" (Debian, Ubuntu) or libseccomp of your system ({error})"
        ) from None
    made = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    refuse = pyseccomp.ERRNO(errno.EPERM)
    for name in REFUSED:
        _rule(made, refuse, name)
    for flag in _NEW_NAMESPACES:
        _rule(made, refuse, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    _rule(made, pyseccomp.ERRNO(errno.ENOSYS), "clone3")  # its flags are in memory; C libraries then use clone
    _rule(made, pyseccomp.ERRNO(errno.EAFNOSUPPORT), "socket", pyseccomp.Arg(0, pyseccomp.GT, _INET6))
    for request in (_TIOCSTI, _TIOCLINUX):
        _rule(made, refuse, "ioctl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, 0xFFFFFFFF, request))
    descriptor = os.memfd_create("a2a-bridge-seccomp-program")
    with os.fdopen(descriptor, "r+b") as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()


def _rule(made: Any, action: int, name: str, *arguments: Any) -> None:
    try:
        made.add_rule(action, name, *arguments)
    except (OSError, RuntimeError, ValueError) as error:  # a call that this machine's architecture has not
        if getattr(error, "errno", None) not in (errno.EINVAL, errno.EFAULT, errno.EDOM, None):
            raise CodeExecutionError(f"the seccomp filter cannot be made: {name}: {error}") from None
