"""`python -m analysis publish RUN`: a run as one file, with the report that follows from it.

In: run folders. Out: a zip file with cleaned run folders (`runs/1`, …), the report that was made
of just those, and a digest of each member. The report is not copied: it is made anew of what is
published, so it can name nothing that was left out.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from analysis import words
from analysis.figures.classes import gallery_rows
from analysis.findings.by_class import first_seeds, most_seeds
from analysis.findings.findings import Findings, find
from analysis.findings.load import Runs, load_runs, read_parts
from analysis.findings.looked import looks_now, remember
from analysis.findings.starts import started
from analysis.publish.analysed import load_published, versions
from analysis.publish.container import ABOUT, FORMAT, KIND, is_container, write_container
from analysis.publish.folder import write_images, write_tables_of, write_trials
from analysis.publish.private_names import cleaner_of
from analysis.report.report import write_findings
from headstart.errors import InputError
from headstart.files import write_json
from headstart.foreign import open_inside, refuse_links
from headstart.records import CONTACT_SHEETS

READ = ("trials", "packs", "images", "search", "report")  # folders of a run that are read
README = """\
A run of Headstart as one file.

report/          the report: open report/index.html; PDF, workbook, tables, figures, report.json
runs/N/          what it follows from: sweep.yaml as it was resolved, provenance.json (versions,
                 hardware, command), trials.parquet, curves.parquet, the predictions by class
publication.json which version of the analysis wrote the report
digests.json     the SHA-256 of every other member

Whether the report follows from the tables:   python -m analysis check FILE.zip
The tables by themselves:                     python -m analysis runs/1
"""


@dataclass(frozen=True)
class Published:
    """The file that was written, and what is to be said of it."""

    path: Path
    lines: tuple[str, ...]


def publish(
    dirs: Sequence[Path | str], out: Path | str | None = None, images: bool = True
) -> Published:
    """Write the run folders `dirs` and their report to one file: `out`, or RUN.zip beside the run.

    images: whether test images of the galleries, and contact sheets, are in it.

    Raises:
        RunFolderError: a folder is no run folder, is damaged, or has a link in it.
        InputError: `out` is not the name of a .zip file, or another file has that name.
        StorageError: the disk is full; nothing is written then.
    """
    folders = sorted({Path(d) for d in dirs})
    path = _target(folders, out)
    for folder in folders:
        for name in READ:
            refuse_links(folder / name, deep=True)
    runs = load_runs(folders)
    with tempfile.TemporaryDirectory(prefix="headstart-publish-") as temporary:
        root = Path(temporary)
        published = _write_runs(folders, runs, root)
        findings = find(published)
        n_images = _write_gallery(findings, runs) if images else 0
        n_sheets = _copy_sheets(folders[0], root / "report") if images else 0
        write_findings(findings, root / "report")
        looks = looks_now(published, findings.asked)
        remember(looks)
        _write_about(root, published)
        n_members = write_container(root, path)
    remember({folders[k]: looks[f] for k, f in enumerate(published.folders) if f in looks})
    return Published(path, tuple(_lines(path, n_members, n_images, n_sheets, findings, images)))


def _target(folders: Sequence[Path], out: Path | str | None) -> Path:
    first = folders[0] if folders[0].name not in ("", "..") else folders[0].resolve()
    path = first.with_name(f"{first.name}.zip") if out is None else Path(out)
    if path.suffix.lower() != ".zip":
        raise InputError(f"--out: {str(path)!r} is not a file name that ends in .zip")
    if not path.parent.is_dir():
        raise InputError(f"--out: {path}: there is no folder {path.parent}; make it first")
    if path.is_dir() or path.is_symlink() or (path.exists() and not is_container(path)):
        raise InputError(
            f"--out: {path}: is there already and is no publication, so it is not written over; "
            "give another name"
        )
    return path


def _write_runs(folders: Sequence[Path], runs: Runs, root: Path) -> Runs:
    """Write the cleaned run folders; returns them as they read."""
    parts = read_parts(folders)
    cleaner = cleaner_of(parts)
    width = len(str(len(parts)))
    for k, (folder, part) in enumerate(zip(folders, parts, strict=True), 1):
        write_tables_of(folder, part, root / "runs" / f"{k:0{width}d}", cleaner)
    published = load_published(root)
    write_trials(_needed(published), runs, published, cleaner)
    return published


def _needed(runs: Runs) -> list[str]:
    """The trials whose predictions or records the report reads."""
    trials = runs.trials
    done = trials[(trials["stage"] == "arm") & (trials["status"] == "done")]
    most = most_seeds(done)
    by_arm = done.groupby(["task", "arm"], sort=False)
    tested = [trial for _, members in by_arm for trial in first_seeds(members, most)]
    return list(dict.fromkeys([*tested, *started(trials)["trial_id"].astype(str)]))


def _write_gallery(findings: Findings, runs: Runs) -> int:
    """Write the test images that the galleries show; returns how many."""
    wanted: dict[str, set[int]] = {}
    for task in findings.tasks:
        shown = gallery_rows(findings, task)
        if shown is not None and len(shown[1]):
            rows = shown[1]
            wanted.setdefault(str(rows["fingerprint"].iloc[0]), set()).update(rows["index"])
    n_images = 0
    for fingerprint, indices in wanted.items():
        kept = runs.images(fingerprint)
        if kept is not None:
            path = findings.runs.folders[0] / "images" / f"{fingerprint}.npz"
            n_images += write_images(kept, indices, path)
    return n_images


def _copy_sheets(run: Path, report: Path) -> int:
    """Copy the contact sheets beside a run's report, without what a camera wrote into them."""
    from PIL import Image

    names = sorted(path.name for path in (run / "report" / CONTACT_SHEETS).glob("*.jpg"))
    for k, name in enumerate(names, 1):
        target = report / CONTACT_SHEETS / f"{k:03d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_inside(run, f"report/{CONTACT_SHEETS}/{name}") as file:
            sink = io.BytesIO()
            try:
                Image.open(file, formats=["JPEG"]).convert("RGB").save(sink, "JPEG", quality=90)
            except (OSError, Image.DecompressionBombError) as err:
                raise InputError(f"{run}/report/{CONTACT_SHEETS}/{name}: is no JPEG") from err
        target.write_bytes(sink.getbuffer())
    return len(names)


def _write_about(root: Path, runs: Runs) -> None:
    (root / "README.txt").write_text(README, encoding="utf-8")
    names = [folder.relative_to(root).as_posix() for folder in runs.folders]
    about = {"kind": KIND, "format": FORMAT, "runs": names, "made_with": versions()}
    write_json(root / ABOUT, about)


def _lines(
    path: Path, n_members: int, n_images: int, n_sheets: int, findings: Findings, images: bool
) -> Iterator[str]:
    yield (
        f"{path}: {path.stat().st_size / 1e6:.1f} MB, {n_members:,} files: the report, the tables "
        "that it follows from, sweep, environment and command; paths, machines and users are left "
        "out"
    )
    pictures = [words.plural(n_images, "test image")] if n_images else []
    pictures += [words.plural(n_sheets, "contact sheet")] if n_sheets else []
    if pictures:
        shown = findings.evidence[findings.evidence["status"] == "done"]["dataset"].astype(str)
        of = words.listed(list(dict.fromkeys(shown)))
        yield f"It holds {words.listed(pictures)} of {of}; --no-images leaves them out"
    else:
        yield "It holds no images" + ("" if images else ": the report has no galleries")
    with suppress(KeyError):
        if any(findings.evidence["code"].fillna("") != ""):
            yield "Code of your own is not in it, its digests are; hand it on by yourself"
    if findings.runs.unfinished is not None:
        yield f"Unfinished: {findings.runs.unfinished}; the report says so"
    yield f"Whether the report follows from the tables: python -m analysis check {path}"
