"""`python -m analysis audit RUN`: an audit in words, tables and figures.

In: files that `harness.reference` wrote (RUN/audit/NAME.npz, or one such file). Out: text that
says what was done to the labels, how sure that is and what follows; audit.md, tables and figures in
a folder beside each. It never imports torch: networks have answered before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import words
from analysis.audit.audit import CERTAIN, SELF_ERROR, SHAPES, Answers, Audit, audit_labels
from analysis.audit.figures import draw_audit
from analysis.statistics.samples.intervals import Interval
from headstart.cells import write_frame
from headstart.errors import InputError, RunFolderError
from headstart.files import atomic_file
from headstart.foreign import open_plain, own_folder
from headstart.packed import BROKEN, read_arrays

MOST_PAIRS, FEW_PAIRS = 12, 3
_ARRAYS = (
    "indices", "given", "probabilities", "trusted_given", "trusted_probabilities", "class_names",
    "image_indices", "images", "about",
)  # fmt: skip
MUCH = 0.02  # of labels: what `none` may leave open and accuracy still be taken as it is


@dataclass(frozen=True)
class AnswersFile:
    """What `harness.reference` wrote: answers, and images (m, C, h, w) by `image_indices`."""

    path: Path
    answers: Answers
    trusted: Answers | None
    class_names: tuple[str, ...]
    image_indices: np.ndarray
    images: np.ndarray
    about: dict[str, str]


@dataclass(frozen=True)
class Audited:
    """One audit: its text, and where its files lie."""

    text: str
    folder: Path


def audit_run(where: Path | str, out: Path | str | None = None) -> list[Audited]:
    """Audit every file of answers in a run folder, or one file; write text, tables and figures.

    Raises:
        RunFolderError: no answers there (says which command makes them), or a damaged file.
    """
    files = _files(Path(where))
    audited = []
    for path in files:
        folder = own_folder(path.parent, path.stem) if out is None else Path(out)
        if out is not None and len(files) > 1:
            folder = folder / path.stem
        audited.append(_audit_file(read_answers(path), folder))
    return audited


def _files(where: Path) -> list[Path]:
    if where.is_file() and where.suffix == ".npz":
        return [where]
    files = sorted((where / "audit").glob("*.npz"))
    if not where.is_dir():
        raise RunFolderError(f"{where}: no such run folder or .npz file")
    if not files:
        raise RunFolderError(
            f"{where}: no network has answered for labels to audit yet; run "
            f"python -m harness.reference {where} (the labels it was trained on) or "
            f"python -m harness.reference TRUSTED_RUN --on DATA_SET"
        )
    return files


def read_answers(path: Path) -> AnswersFile:
    """A file that `harness.reference` wrote, checked.

    Raises:
        RunFolderError: it is damaged, or is no such file.
    """
    try:
        with open_plain(path) as file:
            arrays = read_arrays(file, _ARRAYS)
        _check_arrays(arrays)
        about = json.loads(str(arrays["about"]))
        return AnswersFile(
            path,
            Answers(arrays["indices"], arrays["given"], arrays["probabilities"]),
            _trusted(arrays["trusted_given"], arrays["trusted_probabilities"]),
            tuple(str(name) for name in arrays["class_names"]),
            arrays["image_indices"],
            arrays["images"],
            {key: str(about[key]) for key in ("name", "data", "by")},
        )
    except (*BROKEN, TypeError, RecursionError) as err:
        reason = " ".join(str(err).split())[:150]
        raise RunFolderError(
            f"{path}: not a file of answers, or damaged ({reason}); harness.reference writes them"
        ) from err


def _trusted(given: np.ndarray, probabilities: np.ndarray) -> Answers | None:
    return Answers(np.arange(len(given)), given, probabilities) if len(given) else None


def _check_arrays(arrays: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError: arrays whose types, lengths and class numbers do not fit each other."""
    n_classes, n = len(arrays["class_names"]), len(arrays["given"])
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "class_names": ("U", (n_classes,)),
        "indices": ("iu", (n,)),
        "given": ("iu", (n,)),
        "probabilities": ("f", (n, n_classes)),
        "trusted_given": ("iu", arrays["trusted_given"].shape[:1]),
        "trusted_probabilities": ("f", (*arrays["trusted_given"].shape[:1], n_classes)),
        "image_indices": ("iu", arrays["image_indices"].shape[:1]),
        "images": ("u", (*arrays["image_indices"].shape, *arrays["images"].shape[-3:])),
    }
    for name, (kinds, shape) in shapes.items():
        array = arrays[name]
        if array.dtype.kind not in kinds or array.shape != shape:
            raise ValueError(f"{name} are {array.dtype} {array.shape}, not {kinds} {shape}")
    for name in ("given", "trusted_given"):
        if len(arrays[name]) and not 0 <= arrays[name].min() <= arrays[name].max() < n_classes:
            raise ValueError(f"{name} hold a class that is none of {n_classes}")
    for name in ("probabilities", "trusted_probabilities"):
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} are not finite (NaN or infinity)")
    if arrays["images"].dtype != np.uint8:
        raise ValueError(f"images are {arrays['images'].dtype}, not uint8")
    if n == 0 or n_classes < 2:
        raise ValueError(f"{n} answers over {n_classes} classes")


def _audit_file(file: AnswersFile, folder: Path) -> Audited:
    audit = audit_labels(file.answers, file.trusted)
    text = "\n".join(describe(audit, file.about, file.class_names))
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / "audit.md") as out:
        out.write(text + "\n")
    for name, table in tables(audit, file.class_names).items():
        write_frame(folder / f"{name}.csv", table, float_format="%.6g")
    draw_audit(audit, file.class_names, file.image_indices, file.images, folder)
    return Audited(text, folder)


def tables(audit: Audit, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Every table of an audit under the name of its file, classes by name."""
    label = np.array(names)
    frames = {}
    for name, rows in (("confusion", "given"), ("transition", "read")):
        matrix = getattr(audit, name)
        frames[name] = pd.DataFrame(matrix, columns=list(names))
        frames[name].insert(0, rows, list(names))
    for name, table, keys in (
        ("pairs", audit.pairs, ("read", "given")),
        ("contradicted", audit.contradicted, ("read", "given")),
        ("wrong_labels", audit.listed, ("given", "proposed")),
    ):
        classes = {key: label[table[key].to_numpy(dtype=int)] for key in keys}
        frames[name] = table.assign(**classes)
    return {**frames, "by_certainty": audit.by_certainty}


def describe(audit: Audit, about: Mapping[str, str], names: Sequence[str]) -> Iterator[str]:
    """The audit in sentences: verdict, how it is known, what follows, what to look at."""
    yield f"# Labels of {about['data']}: {audit.shape}"
    yield ""
    yield words.sentence(verdict(audit, names))
    if audit.note:
        yield words.sentence(f"Note: {audit.note}")
    yield ""
    yield f"Answered by {about['by']}."
    yield from _how(audit)
    yield ""
    yield from what_follows(audit, names)
    yield ""
    yield from _listed(audit, names)
    yield from _contradicted(audit)


def verdict(audit: Audit, names: Sequence[str]) -> str:
    """What was done to the labels, in one sentence."""
    meaning = SHAPES[audit.shape]
    right, wrong = share_words(audit.right), share_words(audit.wrong)
    if len(audit.told) and audit.shape != "pairs":
        told = _pairs(audit.told, names, FEW_PAIRS)
        if audit.shape == "other":
            return f"{told}; in all, {wrong} of labels are wrong"
        return f"{told}; beside that, {meaning} ({wrong} of labels are wrong in all)"
    if audit.shape == "none":
        return (
            f"{meaning}: {_percent(audit.wrong.estimate)} wrong is the estimate, "
            f"{_percent(audit.wrong.high)} the most that fits"
        )
    if audit.shape == "uniform":
        return (
            f"{meaning}: {share_words(audit.replaced)} of them, which makes {wrong} of labels wrong"
        )
    if audit.shape == "complementary":
        n = len(names)
        return (
            f"{meaning} over the {n - 1} other classes; {right} of labels are right, where drawing "
            f"at random would make {_percent(1 / n)} right"
        )
    if audit.shape == "pairs":
        listed = _pairs(audit.pairs, names, MOST_PAIRS)
        return f"{meaning} ({wrong} of all labels are wrong): {listed}"
    return f"{meaning}: {wrong} of labels are wrong"


def _pairs(pairs: pd.DataFrame, names: Sequence[str], most: int) -> str:
    """Which classes are labelled as which others, the most frequent first."""
    rows = pairs.head(most)
    listed = [
        f"{words.interval('percent', p.share, p.share_low, p.share_high)} of the images of "
        f"{names[int(p.read)]} are labelled {names[int(p.given)]}"
        for p in rows.itertuples()
    ]
    more = len(pairs) - len(rows)
    return "; ".join(listed) + (f"; and {words.plural(more, 'pair')} more" if more else "")


def _how(audit: Audit) -> Iterator[str]:
    yield (
        f"Read off as the class that it finds {audit.reading}, on {audit.n:,} images; rates are "
        f"measured on the {audit.n_certain:,} of which it is most certain ({CERTAIN:.0%} of each "
        f"class and ties), with 95 % intervals ({audit.right.method})."
    )
    if audit.reference_error.n:
        yield (
            f"There it errs itself in {share_words(audit.reference_error)} of "
            f"{audit.reference_error.n:,} images whose labels are trusted; this is allowed for, "
            "as far as the audited images are like those."
        )
    else:
        yield (
            f"Its own mistakes there are not measured (no trusted labels): up to {SELF_ERROR:.0%} "
            "are allowed for, so fewer wrong labels than that cannot be told from none, and where "
            "a wrong label is a class's most frequent one, this audit takes it for the right one."
        )
    shares = [f"{_percent(s)}" for s in audit.by_certainty["share"] if not np.isnan(s)]
    yield (
        f"Contradicted labels by certainty, most certain quarter first: {', '.join(shares)} (flat "
        "where labels are wrong whatever the image, rising where the network errs)."
    )


def what_follows(audit: Audit, names: Sequence[str]) -> Iterator[str]:
    """What networks that learn these labels score, and what to do."""
    chance = 1 / len(names)
    if audit.shape == "none":
        yield (
            "Accuracy on these labels can be taken as it is."
            if audit.wrong.high <= MUCH
            else f"Up to {_percent(audit.wrong.high)} of them could still be wrong: what this "
            "network gets wrong by itself hides them."
        )
        return
    yield (
        f"On labels like these no network can score over {_percent(audit.accuracy_given)}. Judged "
        f"on right labels, one that learns them scores {_percent(audit.accuracy_right)} if it "
        "answers the most frequent label of each class, and "
        f"{_percent(audit.accuracy_drawn)} if it answers as often as they say; chance is "
        f"{_percent(chance)}."
    )
    if audit.accuracy_drawn < chance:
        below = words.write("points_plain", chance - audit.accuracy_drawn)
        yield (
            f"That is {below} points below chance: such labels teach a network which class an "
            "image does not have, so that it avoids the right one. A better network, or a better "
            "start, only avoids it more surely."
        )
    worth = f", so that {audit.bits_all / audit.bits:.0f} of these are worth one"
    yield (
        f"A label here tells {audit.bits:.2f} bits about the class, a right one "
        f"{audit.bits_all:.2f}{worth if 1.5 * audit.bits < audit.bits_all and audit.bits else ''}."
    )
    yield _advice(audit)


def _advice(audit: Audit) -> str:
    if audit.shape == "complementary":
        return (
            "What they say can still be learned: train with `loss: complementary` and choose the "
            "checkpoint with `select: val_loss`, since accuracy on such labels is best where the "
            "network is worst."
        )
    if audit.shape in ("uniform", "pairs") and audit.accuracy_right > 0.99:
        return (
            "The right class is still the most frequent label of every class, so that training as "
            "usual can learn it; validate on the loss or on corrected labels."
        )
    return "Correct the contradicted labels, or leave them out, before anything is trained on them."


def _listed(audit: Audit, names: Sequence[str]) -> Iterator[str]:
    """How many labels look wrong one by one, and the surest of them."""
    n = len(audit.listed)
    if audit.reading == "least likely" or audit.shape == "complementary":
        yield "Nearly every label is wrong, so that none is listed by itself."
        return
    if not n:
        yield f"None of {audit.n:,} labels looks wrong by itself (cleanlab's rule)."
        return
    look = "looks" if n == 1 else "look"
    yield (
        f"{words.plural(n, 'label')} of {audit.n:,} ({_percent(n / audit.n)}) {look} wrong by "
        "cleanlab's rule (confident learning); wrong_labels.csv has each with the proposed label, "
        "the surest first, and sheet.png shows them. " + meaning_of_list(audit)
    )
    for row in audit.listed.head(5).rename(columns={"index": "image"}).itertuples():
        yield (
            f"- image {row.image}: labelled {names[int(row.given)]} (probability "
            f"{row.probability_given:.3f}), looks like {names[int(row.proposed)]} "
            f"({row.probability:.3f})"
        )


def meaning_of_list(audit: Audit) -> str:
    """What a person may take the list of labels for."""
    if audit.shape == "none":
        return (
            "They are the ones to look at first, and not known to be wrong: networks err too, and "
            "no more labels are contradicted than that explains. Look before you change any."
        )
    return "The surest are first; further down networks err more often than labels do."


def _contradicted(audit: Audit) -> Iterator[str]:
    n = len(audit.contradicted)
    yield (
        f"{n:,} labels ({_percent(n / audit.n)}) are contradicted, the network's own mistakes "
        "included; contradicted.csv has them, the most certain first."
    )


def _percent(share: float) -> str:
    """Two digits after the point below 1 % and above 99 %, one between."""
    digits = 2 if share < 0.01 or share > 0.99 else 1
    return f"{100 * share:.{digits}f} %"


def share_words(share: Interval) -> str:
    """`3.8 % [2.1, 4.8]`."""
    low, high = _percent(share.low).removesuffix(" %"), _percent(share.high).removesuffix(" %")
    return f"{_percent(share.estimate)} [{low}, {high}]"


def check_out(out: str | None) -> None:
    """Refuse an `--out` that is a file, before anything is computed."""
    if out is not None and Path(out).is_file():
        raise InputError(f"--out {out}: is a file; a folder is expected")
