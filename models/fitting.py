"""A file's tensors in, the same under the network's own names out, or why they do not fit.

In: two mappings from names to tensors. Out: `Fitted`. What training scripts put before the names
(`module.`, `model.`, `backbone.`) is seen by what the network asks for: a prefix is taken off where
all that the network needs lies behind it, and never by its word alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from headstart.cli import few
from headstart.errors import ModelError
from models.nearest import OTHER_NAMES, nearest_network

N_SHOWN = 2  # names of each side in a message
LONGEST_NAME = 1000  # of a tensor that the network may have
_COUNTER = "num_batches_tracked"  # torch fills it in where an older file has none
OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|conv))\.([12]\..+)$")
AUXILIARY = re.compile(r"^(aux\d|AuxLogits)\.")  # heads that only training has


@dataclass(frozen=True)
class Fitted:
    """Tensors under the network's names, as they are in the file.

    Attributes:
        tensors: what is to be copied.
        left_out: names of the file that are not used.
        summed: names of `tensors` that must be added up over their three input channels.
        notes: what there is to say of it.
    """

    tensors: dict[str, Tensor]
    left_out: tuple[str, ...]
    summed: tuple[str, ...]
    notes: tuple[str, ...]


def fitted(
    own: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    *,
    of_head: Collection[str],
    head: str,
    prefix: str = "",
    replaced: Collection[str] = (),
) -> Fitted:
    """The tensors of `state` that the network takes.

    Args:
        own: the network's state dict.
        of_head: names in it of the last layer group.
        head: `new`: the last layer group stays as drawn; `keep`: it is taken.
        prefix: what stands before the names that are meant; empty: what fits.
        replaced: paths of layers that a new head took the place of, which a file may have.

    Raises:
        ModelError: tensors are missing, of another shape or kind, unknown or not finite.
    """
    skipped = set(of_head) if head == "new" else set()
    needed = {name: tensor for name, tensor in own.items() if name not in skipped}
    before = _given_prefix(state, prefix) if prefix else _prefix(needed, state)
    names = _names(state, before, own)
    beyond = set(_beyond(names, needed, skipped, replaced) if head == "new" else ())
    given = {name: state[key] for name, key in names.items() if name not in skipped | beyond}
    mistakes = _Mistakes(needed, given)
    if mistakes:
        everything = {name: state[key] for name, key in names.items()}
        raise ModelError(mistakes.text(everything, skipped, of_head, before))
    taken = {names[name] for name in given}
    notes = [f"the prefix {before} was taken off its names"] if before else []
    summed = tuple(name for name, tensor in given.items() if sums_to(tensor, own[name]))
    notes += [f"{name} was added up over its three colours" for name in summed]
    return Fitted(
        given,
        left_out=tuple(key for key in state if key not in taken),
        summed=summed,
        notes=(*notes, *_conversions(own, given), *_about(beyond, state, before)),
    )


def sums_to(given: Tensor, own: Tensor) -> bool:
    """Whether `given` is a convolution over colour where `own` is the same over grey."""
    return (
        given.dim() == own.dim() == 4
        and given.shape[1] == 3
        and own.shape == (given.shape[0], 1, *given.shape[2:])
    )


# -- names -----------------------------------------------------------------------------------


def _names(state: Mapping[str, Tensor], before: str, own: Mapping[str, Tensor]) -> dict[str, str]:
    """The file's names by those of the network; old names of DenseNet's layers are renewed."""
    names = {}
    for key in state:
        if key.startswith(before):
            name = key[len(before) :]
            renewed = OLD_DENSENET.sub(r"\1\2", name)
            names[renewed if name not in own and renewed in own else name] = key
    return names


def _given_prefix(state: Mapping[str, Tensor], prefix: str) -> str:
    before = prefix if prefix.endswith(".") else f"{prefix}."
    if any(key.startswith(before) for key in state):
        return before
    tops = list(dict.fromkeys(key.split(".")[0] for key in state))
    raise ModelError(
        f"no name in the file begins with {before!r}; they begin with {few(tops, N_SHOWN)}"
    )


def _prefix(needed: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """What stands before the network's names in the file; empty where they stand alone.

    Raises:
        ModelError: all that the network needs lies behind several prefixes.
    """
    wanted = [name for name in needed if not name.endswith(_COUNTER)]
    if not wanted:
        return ""
    behind: Counter[str] = Counter()
    for key in state:
        if len(key) > LONGEST_NAME:
            continue
        for at in (-1, *(i for i, letter in enumerate(key) if letter == ".")):
            name = key[at + 1 :]
            if name in needed and has_shape(state[key], needed[name]):
                behind[key[: at + 1]] += not name.endswith(_COUNTER)
    if behind[""] == len(wanted):
        return ""
    whole = [before for before, n in behind.items() if n == len(wanted)]
    if len(whole) > 1:
        raise ModelError(
            f"the file has the network {len(whole)} times, behind {few(whole)}: choose one by "
            f"initialize: {{file: …, prefix: {whole[0]}}}"
        )
    if whole:
        return whole[0]
    best = max(behind, key=lambda before: behind[before], default="")
    if behind[best] * 2 >= len(wanted):
        return best
    first = {key[: key.find(".") + 1] for key in state}
    return first.pop() if len(first) == 1 and best.startswith(tuple(first)) else ""


def _beyond(
    given: Collection[str],
    needed: Collection[str],
    skipped: Collection[str],
    replaced: Collection[str],
) -> Iterator[str]:
    """Names of layers that the network has not, in the place of its own head or beside it.

    They are the file's head under another name, or helpers of its training. A name whose first
    part the network's layers have tells of a deeper network, and so do numbers.
    """
    has_head = any(name in given for name in skipped)
    tops = {name.split(".")[0] for name in needed}
    of_heads = tuple(f"{path}." for path in (*replaced, *(n.rpartition(".")[0] for n in skipped)))
    for name in given:
        top = name.split(".")[0]
        if name in needed or name in skipped:
            continue
        if (
            name.startswith(of_heads)
            or AUXILIARY.match(name)
            or not (has_head or top in tops or top.isdigit())
        ):
            yield name


# -- what does not fit -----------------------------------------------------------------------


def has_shape(given: Tensor, own: Tensor) -> bool:
    return given.shape == own.shape or sums_to(given, own)


class _Mistakes:
    """What does not fit, of the network's names and of the file's."""

    def __init__(self, own: Mapping[str, Tensor], given: Mapping[str, Tensor]):
        self.own, self.given = own, given
        self.of_own = {name: what for name, tensor in own.items()
                       if (what := self._wrong(name, tensor))}  # fmt: skip
        self.unknown = [name for name in given if name not in own]

    def __bool__(self) -> bool:
        return bool(self.of_own or self.unknown)

    def _wrong(self, name: str, own: Tensor) -> str:
        given = self.given.get(name)
        if given is None:
            return "" if self._may_lack(name, own) else f"{name} is not in the file"
        if not has_shape(given, own):
            of_grey = (" (the file's network takes grey images: channels: 1, and channels_mode: "
                       "sum for torchvision's)") if sums_to(own, given) else ""  # fmt: skip
            return f"{name} is {_sides(given)} in the file, {_sides(own)} in the network{of_grey}"
        if own.is_floating_point() and not given.is_floating_point():
            return f"{name} is of {_kind(given)} in the file (quantised weights are not read)"
        n_broken = _n_broken(given, own)
        count = f"{n_broken:,} of {given.numel():,}"
        text = f"{name} holds values that are not finite (NaN or infinity), {count}"
        return text if n_broken else ""

    def _may_lack(self, name: str, own: Tensor) -> bool:
        """A counter of an older file, or another name of a tensor that the file has."""
        return name.endswith(_COUNTER) or any(
            other != name and other in self.given and tensor.data_ptr() == own.data_ptr()
            for other, tensor in self.own.items()
            if tensor.shape == own.shape and own.numel()
        )

    def text(
        self,
        of_file: Mapping[str, Tensor],
        skipped: Collection[str],
        of_head: Collection[str],
        before: str,
    ) -> str:
        """One line; `of_file` has all of the file's tensors, the ones that are left out too."""
        own = [name for name in self.own if not name.endswith(_COUNTER)]
        n_fit = sum(name in self.given and name not in self.of_own for name in own)
        parts = [few(list(self.of_own.values()), N_SHOWN, "; ")] if self.of_own else []
        unknown = [name for name in of_file if name not in self.own and name not in skipped
                   and not name.endswith(_COUNTER)]  # fmt: skip
        if unknown:
            shown = [f"{name} {_sides(of_file[name])}" for name in unknown]
            verb = "is" if len(shown) == 1 else "are"
            parts.append(f"{few(shown, N_SHOWN)} of the file {verb} not in the network")
        if before:
            parts.append(f"the prefix {before} was taken off the file's names")
        if not unknown and not skipped and set(self.of_own) <= set(of_head):
            parts.append("head: new gives it a fresh one")
        elif unknown or n_fit * 2 < len(own):
            parts += self._advice(of_file)
        fit = f"the weights do not fit the network, {n_fit} of whose {len(own)} tensors do"
        return f"{fit}: {'; '.join(parts)}"

    def _advice(self, of_file: Mapping[str, Tensor]) -> list[str]:
        """Which network the file is of; where it is of this one, what to do with the rest."""
        nearest = nearest_network(of_file)
        if not self.of_own and nearest in ("", nearest_network(self.own)):
            return ["where the network needs none of it, save the file without it"]
        parts = [f"its shapes are those of {nearest}"] if nearest else []
        if nearest.endswith(OTHER_NAMES):
            parts.append("rename its tensors, or write that network into a file of your own "
                         "(docs/own-network.md)")  # fmt: skip
        return parts


def _n_broken(given: Tensor, own: Tensor) -> int:
    """Values that are not finite where a fresh network's are: a mask may hold infinities."""
    if not given.is_floating_point():
        return 0
    return int((~given.to(own.dtype).isfinite() & own.isfinite()).sum())


def _sides(tensor: Tensor) -> str:
    return str(list(tensor.shape))


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


# -- what is said of what fits ---------------------------------------------------------------


def _conversions(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Iterator[str]:
    kinds = Counter(
        (_kind(tensor), _kind(own[name]))
        for name, tensor in given.items()
        if tensor.is_floating_point() and tensor.dtype != own[name].dtype
    )
    for (kind, wanted), n in kinds.items():
        yield f"{n} of its tensors were turned from {kind} into {wanted}"


def _about(beyond: Collection[str], state: Mapping[str, Tensor], before: str) -> Iterator[str]:
    outside = [key for key in state if not key.startswith(before)]
    if beyond:
        yield f"left out, since the network has no such layers: {few(sorted(beyond), N_SHOWN)}"
    if outside:
        yield f"left out, since they do not lie behind {before}: {few(outside, N_SHOWN)}"
