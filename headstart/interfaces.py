"""The IPv4 address of a network interface, which Python's socket module cannot be asked for.

In: an interface's name. Out: its address. A leaf, because batch jobs (Ray's head) and trials of
several processes (gloo, NCCL) both have to choose among a node's networks.
"""

from __future__ import annotations

import fcntl
import socket
import struct

SIOCGIFADDR = 0x8915  # Linux: the request for an interface's address


def address_of(interface: str) -> str:
    """The interface's IPv4 address, as `10.0.0.7`.

    Raises:
        OSError: there is no such interface, or it has no IPv4 address.
    """
    request = struct.pack("256s", interface.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return socket.inet_ntoa(fcntl.ioctl(probe.fileno(), SIOCGIFADDR, request)[20:24])
