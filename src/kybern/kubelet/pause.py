"""The program of the sandbox image: it holds a pod's namespaces, and does nothing.

In:   a machine architecture as `uname -m` spells it.
Out:  a static ELF executable of a few hundred bytes, put together here, as no compiler can be
      expected on a user's machine and no image can be expected to be pulled.
By:   images.py.

The program is, in C:

    int main(void) {
        signal(SIGCHLD, SIG_IGN);   // process 1 of a shared PID namespace must not keep zombies
        for (;;) pause();           // as process 1 it dies of SIGKILL only, which is how pods end
    }

One read-execute segment holds header, code and data. System call numbers and instruction
encodings are those of the kernel's and the processors' manuals.
"""

from __future__ import annotations

import struct

BASE = 0x400000
HEADER_SIZE = 64 + 56  # the ELF header and one program header
SIGCHLD = 17
# struct kernel_sigaction: handler SIG_IGN, flags, restorer, mask
IGNORE = struct.pack("<QQQQ", 1, 0, 0, 0)
EM_X86_64, EM_AARCH64 = 62, 183


def pause_program(machine: str) -> bytes:
    """Return the executable for a machine.

    Raises:
        ValueError: no code is known for this machine.
    """
    if machine == "x86_64":
        return _elf(EM_X86_64, _x86_64_code())
    if machine == "aarch64":
        return _elf(EM_AARCH64, _aarch64_code())
    raise ValueError(f"the sandbox program is not available for {machine} processors")


def _x86_64_code() -> bytes:
    def assemble(action: int) -> bytes:
        return b"".join((
            b"\xb8" + struct.pack("<I", 13),  # mov eax, SYS_rt_sigaction
            b"\xbf" + struct.pack("<I", SIGCHLD),  # mov edi, SIGCHLD
            b"\xbe" + struct.pack("<I", action),  # mov esi, &action
            b"\x31\xd2",  # xor edx, edx
            b"\x41\xba" + struct.pack("<I", 8),  # mov r10d, sizeof(mask)
            b"\x0f\x05",  # syscall
            b"\xb8" + struct.pack("<I", 34),  # again: mov eax, SYS_pause
            b"\x0f\x05",  # syscall
            b"\xeb\xf7",  # jmp again
        ))  # fmt: skip

    return assemble(BASE + HEADER_SIZE + len(assemble(0))) + IGNORE


def _aarch64_code() -> bytes:
    words = [
        _movz(8, 134),  # SYS_rt_sigaction
        _movz(0, SIGCHLD),
        0,  # adr x1, action: filled in below
        _movz(2, 0),
        _movz(3, 8),
        0xD4000001,  # svc #0
        # again: ppoll(NULL, 0, NULL, NULL, 0); there is no pause on this architecture
        _movz(0, 0),
        _movz(1, 0),
        _movz(2, 0),
        _movz(3, 0),
        _movz(4, 0),
        _movz(8, 73),
        0xD4000001,  # svc #0
        0x14000000 | (-7 & 0x3FFFFFF),  # b again
    ]
    offset = (len(words) - 2) * 4
    words[2] = 0x10000000 | (offset & 3) << 29 | (offset >> 2) << 5 | 1
    return struct.pack(f"<{len(words)}I", *words) + IGNORE


def _movz(register: int, value: int) -> int:
    return 0xD2800000 | value << 5 | register


def _elf(machine: int, code: bytes) -> bytes:
    size = HEADER_SIZE + len(code)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        ident, 2, machine, 1, BASE + HEADER_SIZE, 64, 0, 0, 64, 56, 1, 0, 0, 0,
    )  # fmt: skip
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 0x1000)
    return header + segment + code
