"""Take rights away from the calling process, and from all it will ever start, for good. Standard library only.

Landlock decides which files can be opened, seccomp which doors to the network and the kernel exist at all, and the
capabilities of a root user are dropped. Call `enter` early, in a process with one thread: Landlock binds a thread.
Sources: the kernel's userspace-api/landlock and seccomp_filter pages, capabilities(7), prctl(2).
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import stat
import struct
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG = 1
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

# The same numbers on every architecture: Landlock came after the tables were unified.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << bit for bit in range(6))
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = (1 << bit for bit in range(6, 13))
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
BIND_TCP, CONNECT_TCP = 1, 2
SCOPE_ABSTRACT_UNIX, SCOPE_SIGNAL = 1, 2

_LOOK = READ_FILE | READ_DIR
_USE = _LOOK | EXECUTE
# REFER is on the work folder alone. A link from `in/` to `work/` would need it on both, so an input can never be given
# a second, writable name. No EXECUTE: what a task writes is never a program.
_WORK = (
    _LOOK | WRITE_FILE | TRUNCATE | REFER | REMOVE_DIR | REMOVE_FILE
    | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_SYM
)  # fmt: skip
_FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

# Not here, on purpose: /etc as a whole (passwd, shadow, keys), /proc of others, /home, /tmp, /var, /run.
_SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt/libreoffice", "/nix/store",
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime",
    "/etc/fonts", "/var/cache/fontconfig", "/etc/libreoffice", "/var/lib/libreoffice", "/var/spool/libreoffice",
    "/etc/mime.types", "/etc/papersize",
)  # fmt: skip
_KERNEL = (
    "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems",
    "/proc/sys/vm/overcommit_memory", "/sys/devices/system/cpu", "/sys/fs/cgroup",
)  # fmt: skip
_DEVICES = {"/dev/null": READ_FILE | WRITE_FILE | TRUNCATE, "/dev/zero": READ_FILE, "/dev/urandom": READ_FILE,
            "/dev/random": READ_FILE}  # fmt: skip


def abi() -> int:
    """The kernel's Landlock version (1 and up), or 0 where there is none."""
    if sys.platform != "linux":
        return 0
    version: int = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return max(version, 0)


@cache
def python_paths() -> list[Path]:
    """Where this interpreter, its libraries and this package live. The entries of sys.path are not all of them:
    one of those may be the folder the server was started in, with everybody's data below it."""
    names = {"stdlib", "platstdlib", "purelib", "platlib"}
    found = [sys.prefix, sys.base_prefix, sys.exec_prefix, *(sysconfig.get_paths()[name] for name in names)]
    return sorted({Path(path).resolve() for path in found} | {Path(__file__).resolve().parent})


def enter(
    *, read: Iterable[Path], write: Iterable[Path], listable: Iterable[Path] = (), programs: Iterable[Path] = ()
) -> None:
    """Confine this process: it reads the system, the interpreter and `read`, and writes below `write`, nothing else.

    It may start what lies in the system, in the interpreter's folders and in `programs` (files or folders). No TCP, UDP
    or other network, no connection to any local socket, no signals to processes outside. `listable` shows names, not
    contents. Works with every Landlock version from 1; what a version lacks, seccomp and the caller's own checks cover
    in part. Raises OSError when any step is refused: the process must then not serve.
    """
    drop_capabilities()
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    version = abi()
    if version > 0:
        _landlock(version, [*read], [*write], [*listable], [*programs])
    _seccomp()


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent goes, however it goes."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def give_back_memory() -> None:
    """Hand the free pages of this process's heap back to the system; a matter of milliseconds, where glibc is."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(ctypes.c_size_t(0))


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none can slip away by forking twice."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def children(pid: int | None = None) -> list[int]:
    """The direct children of a process (this one by default), of all its threads, zombies too."""
    me = "self" if pid is None else str(pid)
    try:
        found: list[int] = []
        for thread in os.listdir(f"/proc/{me}/task"):
            with open(f"/proc/{me}/task/{thread}/children", "rb") as listing:
                found += map(int, listing.read().split())
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        wanted = os.getpid() if pid is None else pid
        return [process for process, parent in _parents() if parent == wanted]
    return found


def drop_capabilities() -> None:
    """Make root an ordinary owner of files: no capability now, none after an exec. Nothing to do for others."""
    if os.geteuid() != 0:
        return
    _libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)  # EINVAL on kernels that have no ambient set
    for capability in range(64):
        if _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # EINVAL past the last one; EPERM when a container already took CAP_SETPCAP, and then most others
    header = struct.pack("=Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    number = _number("capset")
    if number is not None and _libc.syscall(number, header, bytes(24)) != 0:
        raise _error("capset")


def _parents() -> Iterable[tuple[int, int]]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue  # gone meanwhile
            yield int(name), int(fields[1])


def _landlock(
    version: int, read: Sequence[Path], write: Sequence[Path], listable: Sequence[Path], programs: Sequence[Path]
) -> None:
    handled = (1 << 13) - 1
    handled |= REFER if version >= 2 else 0
    handled |= TRUNCATE if version >= 3 else 0
    handled |= IOCTL_DEV if version >= 5 else 0
    net = BIND_TCP | CONNECT_TCP if version >= 4 else 0
    scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL if version >= 6 else 0
    # The structure grew with the versions; an older kernel refuses a longer one.
    attributes = struct.pack("=QQQ", handled, net, scoped)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset: int = _libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if ruleset < 0:
        raise _error("landlock_create_ruleset")
    try:
        for path in (*map(Path, _SYSTEM), *python_paths(), *programs):
            _allow(ruleset, path, _USE & handled, must_exist=False)
        for name in _KERNEL:
            _allow(ruleset, Path(name), _LOOK & handled, must_exist=False)
        for name, rights in _DEVICES.items():
            _allow(ruleset, Path(name), rights & handled, must_exist=False)
        for path in listable:
            _allow(ruleset, path, READ_DIR & handled, must_exist=False)
        for path in read:
            _allow(ruleset, path, _LOOK & handled, must_exist=True)
        for path in write:
            _allow(ruleset, path, _WORK & handled, must_exist=True)
        if _libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)) != 0:
            raise _error("landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int, *, must_exist: bool) -> None:
    try:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        if must_exist:
            raise
        return
    try:
        if not stat.S_ISDIR(os.fstat(folder).st_mode):
            rights &= _FILE_RIGHTS
        rule = struct.pack("=Qi", rights, folder)
        if _libc.syscall(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), rule, ctypes.c_uint32(0)):
            raise _error("landlock_add_rule")
    finally:
        os.close(folder)


# System calls by architecture that answer "not permitted"; `arch` is no call, and `capset` is only made by us.
# socket: what works on files needs none (a connected pair, which Python uses, is another call).
# connect: Landlock (up to version 7 at least) does not cover sockets with a path, and the database listens on one.
# io_uring: makes connections without those calls. The rest is what kernel exploits begin with and no converter needs.
_NUMBERS: dict[str, dict[str, int]] = {
    "x86_64": {
        "arch": 0xC000003E, "capset": 126, "socket": 41, "connect": 42, "ptrace": 101, "process_vm_readv": 310,
        "process_vm_writev": 311, "bpf": 321, "userfaultfd": 323, "perf_event_open": 298, "add_key": 248,
        "request_key": 249, "keyctl": 250, "unshare": 272, "setns": 308, "mount": 165, "umount2": 166,
        "io_uring_setup": 425, "pidfd_getfd": 438, "open_by_handle_at": 304,
    },
    "aarch64": {
        "arch": 0xC00000B7, "capset": 91, "socket": 198, "connect": 203, "ptrace": 117, "process_vm_readv": 270,
        "process_vm_writev": 271, "bpf": 280, "userfaultfd": 282, "perf_event_open": 241, "add_key": 217,
        "request_key": 218, "keyctl": 219, "unshare": 97, "setns": 268, "mount": 40, "umount2": 39,
        "io_uring_setup": 425, "pidfd_getfd": 438, "open_by_handle_at": 265,
    },
}  # fmt: skip


_Step = tuple[int, int | str, int | str, int]
"""(code, where to when true, where to when false, operand); a jump to one of the two ends goes by its name."""


def _number(call: str) -> int | None:
    return _NUMBERS.get(platform.machine(), {}).get(call)


def _seccomp() -> None:
    """Install the filter; on an architecture without a table only Landlock guards."""
    table = _NUMBERS.get(platform.machine())
    if table is None:
        return
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06  # LD|W|ABS, JEQ|K, JGE|K, RET|K
    allow, refuse = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ERRNO with EPERM
    denied = [number for name, number in table.items() if name not in ("arch", "capset")]
    # Offsets in seccomp_data: 0 the call, 4 the architecture.
    body: list[_Step] = [(load, 0, 0, 0)]
    body += [(at_least, "refuse", 0, 0x40000000)] if platform.machine() == "x86_64" else []  # the x32 call table
    body += [(equal, "refuse", 0, number) for number in denied]
    program: list[_Step] = [(load, 0, 0, 4), (equal, 0, "refuse", table["arch"]), *body]
    ends = {"allow": len(program), "refuse": len(program) + 1}
    packed = b""
    for at, (code, yes, no, operand) in enumerate(program):
        jumps = [ends[to] - at - 1 if isinstance(to, str) else to for to in (yes, no)]
        packed += struct.pack("=HBBI", code, *jumps, operand)
    packed += struct.pack("=HBBI", answer, 0, 0, allow) + struct.pack("=HBBI", answer, 0, 0, refuse)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    header = struct.pack("@HP", len(packed) // 8, ctypes.addressof(buffer))
    if _libc.prctl(PR_SET_SECCOMP, 2, header, 0, 0) != 0:
        raise _error("seccomp")


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise _error("prctl")


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
