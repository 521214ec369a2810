"""The pause image, made from bytes: the process that holds a pod's namespaces open.

No registry is needed for a sandbox: the program is about a hundred bytes of machine code in a static ELF. It blocks
SIGINT, SIGTERM and SIGCHLD and then waits for them one by one: a child's end is reaped (with a shared process
namespace it is PID 1 of the whole pod), the other two end it with code 0. Blocked signals are delivered to PID 1 even
with default handlers, so no handler is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from kubelet.images.oci import File, ImageConfig, build_image, host_architecture

PAUSE_REFERENCE = "registry.navarch.local/pause:1"

_SIGINT, _SIGTERM, _SIGCHLD = 2, 15, 17
_MASK = (1 << (_SIGINT - 1)) | (1 << (_SIGTERM - 1)) | (1 << (_SIGCHLD - 1))
_BASE = 0x400000
_HEADER_SIZE = 64 + 56


def pause_binary(architecture: str | None = None) -> bytes:
    """The ELF executable for ``amd64`` or ``arm64``."""
    name = architecture or host_architecture()
    if name not in _PROGRAMS:
        raise ValueError(f"no pause program for architecture {name!r}")
    machine, assemble = _PROGRAMS[name]
    return _elf(machine, assemble())


def pause_image(architecture: str | None = None, reference: str = PAUSE_REFERENCE) -> bytes:
    """The archive that `ctr -n k8s.io image import` takes."""
    layer = {"pause": File(pause_binary(architecture), 0o755)}
    config = ImageConfig(entrypoint=["/pause"], user="65535:65535", env=(), working_dir="/")
    return build_image(reference, [layer], config, architecture=architecture)


def _elf(machine: int, code: bytes) -> bytes:
    """One loadable segment that holds the headers and the code, readable and executable."""
    size = _HEADER_SIZE + len(code)
    ident = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)
    header = struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, _BASE + _HEADER_SIZE, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return ident + header + segment + code


def _amd64() -> bytes:
    block = (
        b"\x48\x83\xec\x10"  # sub rsp, 16
        + b"\x48\xc7\x04\x24" + struct.pack("<I", _MASK)  # mov qword [rsp], mask
        # rt_sigprocmask(block, rsp)
        + b"\xb8\x0e\x00\x00\x00\x31\xff\x48\x89\xe6\x31\xd2\x41\xba\x08\x00\x00\x00\x0f\x05"
    )
    wait = b"\xb8\x80\x00\x00\x00\x48\x89\xe7\x31\xf6\x31\xd2\x41\xba\x08\x00\x00\x00\x0f\x05"  # rt_sigtimedwait(rsp)
    leave = b"\xb8\xe7\x00\x00\x00\x31\xff\x0f\x05"  # exit_group(0)
    reap = (
        # wait4(-1, WNOHANG)
        b"\xb8\x3d\x00\x00\x00\x48\xc7\xc7\xff\xff\xff\xff\x31\xf6\xba\x01\x00\x00\x00\x45\x31\xd2\x0f\x05"
        b"\x48\x85\xc0"  # test rax, rax
    )
    is_child = b"\x83\xf8\x11\x74" + bytes([4 + len(leave)])  # cmp eax, SIGCHLD; je reap
    interrupted_from = len(wait) + len(is_child) + 4
    interrupted = b"\x85\xc0\x78" + struct.pack("b", -interrupted_from)  # test eax, eax; js wait
    again = b"\x7f" + struct.pack("b", -(len(reap) + 2))  # jg reap
    back_from = interrupted_from + len(leave) + len(reap) + len(again) + 2
    back = b"\xeb" + struct.pack("b", -back_from)  # jmp wait
    return block + wait + is_child + interrupted + leave + reap + again + back


def _arm64() -> bytes:
    def move(register: int, value: int) -> int:
        return 0xD2800000 | value << 5 | register

    svc, sp_to_x0, sp_to_x1 = 0xD4000001, 0x910003E0, 0x910003E1
    block = [
        0xD10043FF,  # sub sp, sp, #16
        move(0, _MASK & 0xFFFF),
        0xF2A00000 | (_MASK >> 16) << 5,  # movk x0, #high, lsl #16
        0xF90003E0,  # str x0, [sp]
        move(8, 135), move(0, 0), sp_to_x1, move(2, 0), move(3, 8), svc,  # rt_sigprocmask
    ]
    wait = [move(8, 137), sp_to_x0, move(1, 0), move(2, 0), move(3, 8), svc]  # rt_sigtimedwait
    leave = [move(8, 94), move(0, 0), svc]  # exit_group
    reap = [move(8, 260), 0x92800000, move(1, 0), move(2, 1), move(3, 0), svc, 0xF100001F]  # wait4; cmp x0, #0
    is_child = [0x7100001F | _SIGCHLD << 10, 0x54000000 | (2 + len(leave)) << 5]  # cmp w0, #17; b.eq reap
    interrupted = [0x37F80000 | (-(len(wait) + len(is_child)) & 0x3FFF) << 5]  # tbnz w0, #31, wait
    again = [0x5400000C | (-len(reap) & 0x7FFFF) << 5]  # b.gt reap
    back = [0x14000000 | (-(len(wait) + len(is_child) + 1 + len(leave) + len(reap) + 1) & 0x3FFFFFF)]  # b wait
    words = block + wait + is_child + interrupted + leave + reap + again + back
    return struct.pack(f"<{len(words)}I", *words)


#: Architecture → (ELF machine number, assembler).
_PROGRAMS: dict[str, tuple[int, Callable[[], bytes]]] = {"amd64": (62, _amd64), "arm64": (183, _arm64)}
