# SPDX-License-Identifier: BSD-3-Clause
"""XDP programs held by a bpf_link: found by the interface's number, and torn off as another administrator would do it
(bpf(2): BPF_LINK_GET_NEXT_ID, BPF_LINK_GET_FD_BY_ID, BPF_OBJ_GET_INFO_BY_FD, BPF_LINK_DETACH)."""
import ctypes
import os
import struct

SYS_BPF, GET_INFO, GET_FD_BY_ID, GET_NEXT_ID, DETACH, TYPE_XDP = 321, 15, 30, 31, 34, 6
LIBC = ctypes.CDLL(None, use_errno=True)


def _bpf(command, attributes):
    result = LIBC.syscall(SYS_BPF, command, attributes, ctypes.c_uint(len(attributes)))
    return result if result >= 0 else -ctypes.get_errno()


def links(ifindex):
    """Descriptors, for the caller to close, of the XDP links on an interface of that number, in whatever namespace it is."""
    found, number = [], 0
    while True:
        attributes = ctypes.create_string_buffer(struct.pack("III", number, 0, 0), 128)
        if _bpf(GET_NEXT_ID, attributes) < 0:
            return found
        number = struct.unpack_from("I", attributes, 4)[0]
        fd = _bpf(GET_FD_BY_ID, ctypes.create_string_buffer(struct.pack("I", number), 128))
        if fd < 0:
            continue
        info = ctypes.create_string_buffer(256)
        _bpf(GET_INFO, ctypes.create_string_buffer(struct.pack("IIQ", fd, len(info), ctypes.addressof(info)), 128))
        kind, _id, _program, _padding, where = struct.unpack_from("IIIII", info)
        if kind == TYPE_XDP and where == ifindex:
            found.append(fd)
        else:
            os.close(fd)


def attached(ifindex):
    """How many there are; asked without holding them, for a link lives as long as anybody does."""
    fds = links(ifindex)
    for fd in fds:
        os.close(fd)
    return len(fds)


def detach(ifindex):
    """Takes the programs off; returns how many."""
    fds = links(ifindex)
    done = sum(_bpf(DETACH, ctypes.create_string_buffer(struct.pack("I", fd), 128)) == 0 for fd in fds)
    for fd in fds:
        os.close(fd)
    return done
