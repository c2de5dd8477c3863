"""Optimizers and losses of the user's own, `my_opt.py:Lion`: what is said of them is checked.

In: an absolute reference and the options beside it. Out: the digest of the code, or a mistake. It
stands alone because the file is run for it, which happens for no optimizer or loss of ours. A
reference without a folder is one that a run folder names: for it nothing is run.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart.errors import InputError, did_you_mean
from headstart.own_code import read_code, shown

RATES = ("lr", "learning_rate")  # how an optimizer may call it
DECAY = "weight_decay"
Options = Mapping[str, Any]


def digest_of_part(key: str, reference: str, options: object, written: object) -> str:
    """The digest of the code that `train.optimizer` or `train.loss` names.

    Args:
        key: `optimizer` or `loss`.
        options: what `optimizer_options` or `loss_options` say.
        written: a digest that stands beside them, as in a run folder's sweep.yaml.

    Raises:
        InputError: the file cannot be read or run, or the options do not fit.
    """
    if not Path(reference).is_absolute():
        if not isinstance(written, str) or not written:
            raise InputError(f"{key}: {reference} has no {key}_code beside it")
        return written
    code = read_code(reference)
    if written and written != code.digest:
        raise InputError(
            f"{key}: the code of {shown(reference)} has changed: {str(written)[:8]} is written, "
            f"and it has {code.digest[:8]} now; leave {key}_code out to train with it as it is"
        )
    _check_options(key, reference, code.load(), options if isinstance(options, Mapping) else {})
    return code.digest


def parameters_of(made: object) -> dict[str, inspect.Parameter]:
    """The parameters of a class's or function's call by name.

    Raises:
        InputError: it cannot be called, or its signature cannot be read.
    """
    if not callable(made):
        raise InputError(f"is {type(made).__name__}, and no class or function")
    try:
        return dict(inspect.signature(made).parameters)
    except (TypeError, ValueError) as err:
        raise InputError(f"its signature cannot be read: {err}") from err


def rate_of(parameters: Mapping[str, inspect.Parameter]) -> str | None:
    """How an optimizer calls its learning rate; None where it takes none."""
    return next((name for name in RATES if name in parameters), None)


def _check_options(key: str, reference: str, made: object, options: Options) -> None:
    what = f"{key}: {shown(reference)}"
    try:
        parameters = parameters_of(made)
    except InputError as err:
        raise InputError(f"{what}: {err}") from err
    if key == "optimizer":
        given: tuple[str, ...] = (next(iter(parameters), ""), *RATES, DECAY)
        if rate_of(parameters) is None:
            raise InputError(f"{what}: takes no `lr`, which train.learning_rate is given as")
    else:
        given = () if inspect.isclass(made) else tuple(parameters)[:2]
    own = {k: p for k, p in parameters.items() if k not in given}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in own.values())
    names = [k for k, p in own.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    for name in options:
        if name not in names and not takes_any:
            raise InputError(
                f"{what}: {key}_options: {name} is none of its options{did_you_mean(name, names)}; "
                f"it takes {', '.join(names) or 'none'}"
            )
    lacking = [k for k in names if own[k].default is inspect.Parameter.empty and k not in options]
    if lacking:
        raise InputError(
            f"{what}: needs {key}_options: {{{', '.join(f'{k}: …' for k in lacking)}}}"
        )
