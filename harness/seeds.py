"""Seeds by hash: one independent stream for each named source of randomness of a trial.

A stream depends on the sweep's root seed, the name of its axis and the replicate, and on nothing
else. So adding an arm or a seed changes nobody else's draws, and two arms at the same seed share
every draw that they can share: their difference is paired. A draw inside a stream (the order of
epoch 7, the dropout masks of step 412) is again a hash of the stream and its position, so a trial
that goes on from its last state needs no generator to be restored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

AXES = ("split", "order", "init", "head", "augment", "dropout")


def derive_seed(root: int, axis: str, replicate: int) -> int:
    """A seed in [0, 2**63) for one axis of one replicate; 63 bits of BLAKE2b over all three."""
    text = f"{root}\x1f{axis}\x1f{replicate}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def derive_streams(root: int, replicate: int, vary: Collection[str]) -> dict[str, int]:
    """The seed of every axis; an axis that the sweep does not `vary` stays at replicate 0."""
    return {axis: derive_seed(root, axis, replicate if axis in vary else 0) for axis in AXES}
