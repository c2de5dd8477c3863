"""Which address and which port a node's Ray gets, so that two jobs on one node never meet.

Takes node names, interface names and job ids; gives IPv4 addresses and ports. Stands alone because
a cluster node often has several networks, and the first one is often the wrong one.
"""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
from collections.abc import Iterator

from headstart.errors import InputError, did_you_mean
from headstart.interfaces import address_of

FIRST_PORT, LAST_PORT = 20000, 31999  # below the range from which the kernel gives ports out
N_PORTS = 20  # that a job tries


def address_of_node(node: str, interface: str | None) -> str:
    """The IPv4 address at which other nodes reach this one.

    Args:
        node: this node's name in SLURM.
        interface: a network interface whose address is wanted; None for the address at which
            SLURM itself reaches the node.

    Raises:
        InputError: no such interface, or SLURM's address is not one of this machine.
    """
    if interface is not None:
        return _address_of_interface(interface)
    name = _slurm_address(node) or node
    try:
        address = socket.gethostbyname(name)
    except OSError as err:
        raise InputError(f"{node}: its address {name!r} cannot be resolved: {err}") from err
    if address.startswith("127.") or not is_free(address, 0):
        raise InputError(
            f"{node}: SLURM's address {name!r} ({address}) is not one at which others reach this "
            f"node; set `interface` to one of {', '.join(_interfaces())}"
        )
    return address


def derive_ports(job_id: str) -> Iterator[int]:
    """The ports that a job tries, in its own order: different jobs begin at different ones."""
    n_ports = LAST_PORT - FIRST_PORT + 1
    for attempt in range(N_PORTS):
        digest = hashlib.blake2b(f"{job_id}/{attempt}".encode(), digest_size=8).digest()
        yield FIRST_PORT + int.from_bytes(digest) % n_ports


def is_free(host: str, port: int) -> bool:
    """Whether this machine could listen at `host:port`; port 0 asks about the host alone."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _slurm_address(node: str) -> str | None:
    """`NodeAddr` of a node, where scontrol is there to ask."""
    if shutil.which("scontrol") is None:
        return None
    answer = subprocess.run(
        ["scontrol", "show", "node", "--oneliner", node],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    ).stdout
    fields = dict(word.split("=", 1) for word in answer.split() if "=" in word)
    return fields.get("NodeAddr")


def _interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex() if name != "lo"]


def _address_of_interface(interface: str) -> str:
    try:
        return address_of(interface)
    except OSError as err:
        known = _interfaces()
        raise InputError(
            f"interface: {interface!r} has no IPv4 address on {socket.gethostname()}; "
            f"its interfaces are {', '.join(known)}{did_you_mean(interface, known)}"
        ) from err
