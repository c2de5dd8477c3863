"""`python -m analysis check FILE.zip`: does the report in it follow from its tables?

In: a file that anybody may have made. Out: what was changed since it was published, where the
report differs from the one that the tables give, and what nobody can know from the file. The tables
are analysed anew, in a temporary folder, by this version.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from analysis import words
from analysis.findings.findings import Findings, find
from analysis.publish.analysed import load_published, versions
from analysis.publish.compare import differences, listed, shown, text_differences
from analysis.publish.container import Container, open_container
from analysis.report.report import write_findings
from headstart.errors import EXIT_DONE, EXIT_FAILED, RunFolderError
from headstart.records import CONTACT_SHEETS

MAX_BYTES = 512 << 20  # of a file of the report
MOST_LINES = 20
TEXTS = (".csv", ".tex")  # beside report.json and index.html
DRAWN = re.compile(r"<svg.*?</svg>", re.DOTALL)
HIDDEN = re.compile(r"<(script|style)\b.*?</\1>", re.DOTALL)


@dataclass(frozen=True)
class Checked:
    """What to print, and the exit status: 0 the report follows, 1 it does not."""

    lines: tuple[str, ...]
    status: int


@dataclass
class _Compared:
    """Lines on what differs, and the files that can only be compared byte by byte, and differ."""

    lines: list[str]
    drawn_otherwise: list[str]


def check_publication(path: Path) -> Checked:
    """Whether the report in a publication follows from the tables in it.

    Raises:
        InputError: the file is no publication, or is one that is not opened.
    """
    with (
        open_container(path) as container,
        tempfile.TemporaryDirectory(prefix="headstart-check-") as temporary,
    ):
        changed = list(container.changed())
        try:
            findings = _analysed(container, Path(temporary))
        except (RunFolderError, OSError) as err:
            reason = str(err).replace(f"{temporary}/", "")
            return _unread(path, changed, reason)
        compared = _compare(container, Path(temporary))
        is_same = _same_version(container)
    lines = [
        *changed,
        *listed(compared.lines, MOST_LINES),
        *_verdict(changed, compared.lines, is_same),
    ]
    lines += _not_known(container, compared.drawn_otherwise, findings)
    return Checked(tuple(lines), EXIT_FAILED if changed or compared.lines else EXIT_DONE)


def _unread(path: Path, changed: list[str], reason: str) -> Checked:
    line = f"{path}: its tables cannot be read, so no report follows from them: {reason}"
    return Checked((*changed, line), EXIT_FAILED)


def _analysed(container: Container, root: Path) -> Findings:
    """Analyse the tables of the publication, and write the report on them to `root/report`."""
    container.unpack(root, "runs/", f"report/{CONTACT_SHEETS}/")
    if not (root / "runs").is_dir():
        raise RunFolderError("there is no folder runs")
    findings = find(load_published(root))
    write_findings(findings, root / "report")
    return findings


def _compare(container: Container, root: Path) -> _Compared:
    compared = _Compared([], [])
    own = {p.relative_to(root).as_posix(): p for p in (root / "report").rglob("*") if p.is_file()}
    said = [name for name in container.names if name.startswith("report/")]
    for name in sorted({*own, *said}, key=_rank):
        if name not in own:
            compared.lines.append(f"{name}: the tables give no such file")
        elif name not in said:
            compared.lines.append(f"{name}: is not in the file; the tables give it")
        elif (content := container.read(name, MAX_BYTES)) != (made := own[name].read_bytes()):
            new = list(_of_file(name, content, made, _same_version(container)))
            compared.lines += [f"{name}: {line}" for line in new]
            if not new:
                compared.drawn_otherwise.append(name)
    return compared


def _rank(name: str) -> tuple[bool, bool, str]:
    """report.json names rows, so its lines come first; then the page."""
    return name != "report/report.json", name != "report/index.html", name


def _of_file(name: str, said: bytes, made: bytes, same_version: bool) -> Iterator[str]:
    """A line for each difference of a file, whose bytes differ, that is not one of last bits."""
    if name.endswith(".json"):
        try:
            content = json.loads(said)
        except (ValueError, RecursionError):
            yield "is no JSON"
            return
        yield from differences(content, json.loads(made))
    elif name.endswith((".html", *TEXTS)):
        texts = [content.decode("utf-8", "replace") for content in (said, made)]
        if name.endswith(".html"):
            texts = [DRAWN.sub("", text) for text in texts]
            if not same_version:  # scripts and styles are of the version
                texts = [HIDDEN.sub("", text) for text in texts]
        yield from text_differences(*texts)


def _same_version(container: Container) -> bool:
    return container.about.get("made_with") == versions()


def _verdict(changed: list[str], lines: list[str], is_same: bool) -> Iterator[str]:
    if lines:
        n = words.plural(len(lines), "difference")
        other = " Another version wrote it, which may have said it in other words." * (not is_same)
        yield f"The report does not follow from the tables: {n}.{other}"
    elif changed:
        n = words.plural(len(changed), "file")
        yield f"What is there follows from the tables, but {n} changed since it was published."
    else:
        yield "The report follows from the tables."


def _not_known(container: Container, drawn: list[str], findings: Findings) -> Iterator[str]:
    """What cannot be said from the file alone."""
    yield (
        "Not known: whether the tables are of trainings that took place. A digest shows damage; "
        "it does not show who wrote a file."
    )
    made_with = container.about.get("made_with")
    known = made_with if isinstance(made_with, dict) else {}
    other = [f"{key} {shown(known.get(key, 'unknown'))} (here {value})"
             for key, value in versions().items() if known.get(key) != value]  # fmt: skip
    if other:
        yield f"The report was written with other versions: {', '.join(other)}."
    if drawn:
        yield f"Not compared, since they are drawn in other bytes here: {words.shortened(drawn)}."
    evidence = findings.evidence
    if "code" in evidence and any(evidence["code"].fillna("") != ""):
        yield "Not in the file: code of its user’s own, of which it has the digests."
