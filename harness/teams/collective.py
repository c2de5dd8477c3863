"""What the ranks of a trial send each other: sums over all, and what the first one decides.

In: a meeting place (address and port). Out: a `Group`, over gloo on CPUs and NCCL on GPUs. Only
tensors travel; nothing is unpickled. It stands alone so that training asks for "the sum over all"
and knows neither backend nor addresses.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

from harness.training.ranks import Ranks
from headstart.errors import HeadstartError, InputError
from headstart.interfaces import address_of

MEET_WITHIN = timedelta(minutes=5)
ANSWER_WITHIN = timedelta(minutes=30)  # for a rank that hangs; that one died is seen at once
LOOK_S = 0.1
BACKEND_VARIABLE = "HEADSTART_GPU_MESSAGES"  # for machines with GPUs on which NCCL does not work


class LostContactError(HeadstartError):
    """Another rank of the trial is gone, or does not answer."""


@dataclass(eq=False)
class Group(Ranks):
    """The ranks of a trial, each a process of its own; made by `meet`."""

    rank: int
    n: int
    device: torch.device
    store: Store
    n_turns: int = 0

    def sum_(self, tensor: Tensor) -> Tensor:
        with _contact():
            dist.all_reduce(tensor)
        return tensor

    def begin_sum(self, tensor: Tensor) -> Callable[[], None]:
        with _contact():
            work = dist.all_reduce(tensor, async_op=True)

        def wait() -> None:
            with _contact():
                work.wait()

        return wait

    def gather(self, tensor: Tensor) -> Tensor:
        table = tensor.new_empty(self.n, *tensor.shape)
        with _contact():
            if dist.get_backend() == "gloo":  # which cannot write into one table
                dist.all_gather(list(table), tensor)
            else:
                dist.all_gather_into_tensor(table, tensor)
        return table

    def flags_of_first(self, *flags: bool) -> list[bool]:
        numbers = torch.tensor(flags, dtype=torch.int64, device=self.device)
        self._from_first(numbers)
        return [bool(number) for number in numbers.tolist()]

    def bytes_of_first(self, content: bytes) -> bytes:
        size = torch.tensor([len(content)], device=self.device)
        self._from_first(size)
        held = torch.zeros(int(size), dtype=torch.uint8, device=self.device)
        if self.is_first and content:
            held.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        if len(held):
            self._from_first(held)
        return held.cpu().numpy().tobytes()

    @torch.no_grad()
    def copy_first(self, tensors: Iterable[Tensor]) -> None:
        for tensor in tensors:
            flat = tensor.detach().reshape(-1).clone()
            self._from_first(flat)
            tensor.copy_(flat.view(tensor.shape))

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        self.n_turns += 1
        key = f"turn-{self.n_turns}"
        with _contact():
            while not self.is_first and not self.store.check([key]):
                time.sleep(LOOK_S)
        yield
        if self.is_first:
            with _contact():
                self.store.set(key, "done")

    def _from_first(self, tensor: Tensor) -> None:
        with _contact():
            dist.broadcast(tensor, 0)


def open_meeting(host: str, n: int) -> tuple[Store, int]:
    """A place where `n` ranks meet, kept by this process; the kernel chooses its port.

    It listens at this one address of the machine: torch by itself would listen at all of them.
    """
    server = socket.create_server((host, 0), backlog=2 * n)
    port: int = server.getsockname()[1]
    listener = server.detach()  # the store closes it
    store = TCPStore(
        host, port, n, True, MEET_WITHIN, wait_for_workers=False, master_listen_fd=listener
    )
    return store, port


def meet(
    host: str, port: int, rank: int, n: int, device: torch.device, store: Store | None = None
) -> Group:
    """Connect with the others at the first rank's meeting place; returns when all `n` are there.

    `store` is the meeting place itself, for the process that keeps it.

    Raises:
        LostContactError: not all came within `MEET_WITHIN`.
        InputError: `HEADSTART_GPU_MESSAGES` names no backend.
    """
    _choose_interface(host, port)
    with _contact():
        if store is None:
            store = TCPStore(host, port, n, False, MEET_WITHIN, wait_for_workers=False)
        dist.init_process_group(
            _backend(device),
            store=PrefixStore("group", store), rank=rank, world_size=n, timeout=ANSWER_WITHIN,
        )  # fmt: skip
        group = Group(rank, n, device, store)
        group.sum_(torch.zeros(1, device=device))
    return group


def _backend(device: torch.device) -> str:
    if device.type == "cpu":
        return "gloo"
    backend = os.environ.get(BACKEND_VARIABLE, "nccl")
    if backend not in ("nccl", "gloo"):
        raise InputError(f"{BACKEND_VARIABLE}: {backend!r} is neither nccl nor gloo")
    return backend


def _choose_interface(host: str, port: int) -> None:
    """Let gloo and NCCL use the network interface that leads to the first rank.

    By themselves they take the address of the host's name, which on many systems is the loopback's.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, port))  # sends nothing
            own_address = probe.getsockname()[0]
        except OSError:
            return
    for _, name in socket.if_nameindex():
        with suppress(OSError):
            if address_of(name) == own_address:
                os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
                os.environ.setdefault("NCCL_SOCKET_IFNAME", name)
                return


@contextmanager
def _contact() -> Iterator[None]:
    """Turn torch's RuntimeError, with which it reports a lost rank, into one of our own kind."""
    try:
        yield
    except torch.OutOfMemoryError:  # of this rank's own GPU
        raise
    except RuntimeError as err:
        reason = str(err).strip().splitlines()[0] if str(err).strip() else type(err).__name__
        raise LostContactError(f"lost contact with another worker of the trial: {reason}") from err
