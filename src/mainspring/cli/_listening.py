"""The listening socket: bound first, closed last, and without a connection that nobody answers."""

import ctypes
import errno
import socket
import struct
from contextlib import suppress
from typing import NoReturn

from ._exits import fail

# Linux, asm-generic/socket.h; Python has no name for it.
_SO_ATTACH_FILTER = 26
# Of a classic BPF program that sees TCP segments: let everything pass but those that ask for a connection (SYN).
_NO_NEWCOMERS = (
    (0x30, 0, 0, 13),  # load the byte with the flags
    (0x45, 0, 1, 0x02),  # is SYN among them?
    (0x06, 0, 0, 0),  # then drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # else keep it
)


def bind(host: str, port: int) -> socket.socket:
    """The listening socket, bound before anything else is started: a taken port is known at once.

    Raises:
        typer.Exit: The address cannot be had; says what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        fail_to_listen(error, host, port)
    listener.set_inheritable(True)
    return listener


def refuse_newcomers(listener: socket.socket) -> None:
    """Let no further connection begin on this socket, in whatever process; those that have begun can be accepted.

    Closing a listening socket resets the connections that the system has made and nobody has accepted yet, and there
    is always a moment between the last look and the close. So newcomers are kept out first: the system does not answer
    them, their clients try again after a second, and find the port closed. Other systems than Linux have no such filter;
    there the moment remains.
    """
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _NO_NEWCOMERS))
    filtering = struct.pack("HL", len(_NO_NEWCOMERS), ctypes.addressof(program))
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filtering)


def fail_to_listen(error: OSError, host: str, port: int) -> NoReturn:
    """End the command with what is wrong with an address.

    Raises:
        typer.Exit: Always.
    """
    if error.errno == errno.EADDRINUSE:
        fail(f"Port {port} of {host} is taken by another program. Choose another one with --port; 0 picks a free one.")
    if error.errno == errno.EACCES:
        fail(f"Port {port} of {host} is not for ordinary users. Choose one above 1023 with --port.")
    fail(f"Cannot listen on {host}, port {port}: {error.strerror}. Choose another address with --host.")
