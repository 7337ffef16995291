#!/usr/bin/python3
"""Runs a program on a kernel that seems not to have some system calls: a filter answers ENOSYS.

    without.py NAME... -- PROGRAM ARGUMENT...
"""

import ctypes
import os
import struct
import sys

# The same on all architectures, as all calls since Linux 5.1.
NUMBERS = {
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "faccessat2": 439,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
RET_ALLOW, RET_ERRNO, ENOSYS = 0x7FFF0000, 0x00050000, 38


def instruction(code, value, if_true=0, if_false=0):
    return struct.pack("HBBI", code, if_true, if_false, value)


def main():
    end = sys.argv.index("--")
    names, command = sys.argv[1:end], sys.argv[end + 1 :]
    program = [instruction(LOAD, 0)]
    for index, name in enumerate(names):
        program.append(instruction(JUMP_IF_EQUAL, NUMBERS[name], if_true=len(names) - index))
    program += [instruction(RETURN, RET_ALLOW), instruction(RETURN, RET_ERRNO | ENOSYS)]
    text = ctypes.create_string_buffer(b"".join(program))
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(text)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_, 0, 0):
        sys.exit(f"without.py: no filter: {os.strerror(ctypes.get_errno())}")
    os.execvp(command[0], command)


main()
