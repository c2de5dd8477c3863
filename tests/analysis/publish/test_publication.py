"""A run as one file: nothing private in it, and a report that follows from its tables."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from synthetic_runs import Arm, Made, data_record, write_run

from analysis.__main__ import main
from analysis.publish import publication
from analysis.publish.private_names import cleaner_of
from headstart.cli import status_of
from headstart.digests import digest_of
from headstart.errors import InputError, RunFolderError
from headstart.foreign import checked_name

TOKEN, USER, HOST = "s3cr3tValue0123456789", "annabella", "lab-machine-77"
HOME = f"/{'home'}/{USER}"
PRIVATE = (TOKEN, USER, HOST, "/scratch/", "/opt/conda", "fileserver")


def private_run(folder: Path) -> Path:
    """A run folder whose every free text has something private in it."""
    starts = [f"{HOME}/{which}/w.safetensors" for which in ("first", "second")]
    arms = [Arm(f"tuned [initialize={start}]", initialize=start) for start in starts]
    data = {"name": "folder", "path": f"{HOME}/data", "cache": f"//fileserver/{USER}/x"}
    of_data = data_record(source=f"{HOME}/photos", notes=[f"asked {USER} on {HOST}"])
    made = Made(arms=(Arm("scratch"), *arms), seeds=3, extra={"data": data}, data=(of_data,))
    run = write_run(folder, made)
    command = f"python -m harness.sweep {HOME}/s.yaml --out /scratch/{USER}/run --hf-token {TOKEN}"
    entry = {"command": command, "host": HOST, "data": [of_data]}
    (run / "provenance.json").write_text(json.dumps(entry | {"commands": [entry]}))
    trials = pd.read_parquet(run / "trials.parquet")
    trials["error"] = f"{HOST}: /opt/conda/{USER}/y: api_key={TOKEN}"
    trials["host"], trials["notes"] = HOST, f"../{USER}/data"
    trials["grid"] = [
        json.dumps({"initialize": s}) if "/" in s else "" for s in trials["initialize"]
    ]
    trials["of_another_version"] = HOME
    trials.to_parquet(run / "trials.parquet")
    for path in (run / "trials").glob("*/trial.json"):
        record = json.loads(path.read_text()) | {"host": HOST, "load_report": {"from": HOME}}
        path.write_text(json.dumps(record))
        np.savez(path.with_name("extra.npz"), user=np.array([USER]))
    (run / "code/0123").mkdir(parents=True)
    (run / "code/0123/nets.py.txt").write_text(f"HOME = '{HOME}'")
    return run


def everything_in(path: Path) -> dict[str, str]:
    """Every member of a publication as text: tables by their cells, PDFs by their words."""
    texts = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            texts[name] = f"{name} {content.decode('utf-8', 'replace')}"
            if name.endswith(".parquet"):
                table = pq.read_table(io.BytesIO(content))
                texts[name] += table.to_pandas().to_csv() + str(table.schema.metadata)
            if name.endswith((".xlsx", ".npz")):
                with zipfile.ZipFile(io.BytesIO(content)) as inside:
                    texts[name] += "".join(
                        inside.read(each).decode("utf-8", "replace") for each in inside.namelist()
                    )
            if name.endswith(".pdf") and shutil.which("pdftotext"):
                command = ["pdftotext", "-", "-"]
                said = subprocess.run(command, input=content, capture_output=True).stdout
                texts[name] += said.decode()
    return texts


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return private_run(tmp_path_factory.mktemp("private") / "run")


@pytest.fixture(scope="module")
def published(run: Path) -> publication.Published:
    return publication.publish([run])


def changed(path: Path, to: Path, change: Callable[[dict[str, bytes]], None], seal: bool) -> Path:
    """The publication with changed members; `seal`: with digests that fit them."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    if seal:
        digests = {n: digest_of(c) for n, c in members.items() if n != "digests.json"}
        members["digests.json"] = json.dumps(digests).encode()
    with zipfile.ZipFile(to, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return to


def checked(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    status = status_of(main, ["check", str(path)])
    return status, capsys.readouterr().out.splitlines()


def test_a_cleaner_gives_arms_of_a_grid_names_that_differ(run: Path) -> None:
    from analysis.findings.load import read_parts

    cleaner = cleaner_of(read_parts([run]))
    shown = sorted(set(cleaner.names.values()))
    assert [name for name in shown if name.startswith("tuned")] == [
        "tuned [initialize=…/first/w.safetensors]", "tuned [initialize=…/second/w.safetensors]",
    ]  # fmt: skip
    assert len(set(cleaner.grids.values())) == 3
    assert cleaner.text(f"{HOST} of {USER.title()}: {HOME}/x, hosts of annabellas") == (
        "machine-1 of ***: …/x, hosts of annabellas"
    )


@pytest.mark.slow
def test_nothing_private_is_in_any_member(run: Path, published: publication.Published) -> None:
    texts = everything_in(published.path)
    assert "…/s.yaml --out …/run --hf-token ***" in texts["report/index.html"]
    assert "tuned [initialize=…/second/w.safetensors]" in texts["report/index.html"]
    assert not [name for name in texts if name.startswith(("runs/1/code", "runs/1/packs"))]
    for name, text in texts.items():
        for private in (*PRIVATE, str(run.parent), "headstart-publish-"):
            assert private not in text, f"{name} has {private}"
        if name.startswith("runs/"):
            checked_name(name, "publication")
    assert published.lines[1].startswith("It holds ")
    assert " test images of made; --no-images leaves them out" in published.lines[1]


@pytest.mark.slow
def test_published_twice_it_has_the_same_bytes_and_its_report_follows(
    run: Path, published: publication.Published, tmp_path: Path, capsys
) -> None:
    again = publication.publish([run], tmp_path / "again.zip")
    assert again.path.read_bytes() == published.path.read_bytes()
    status, lines = checked(published.path, capsys)
    assert (status, lines[0]) == (0, "The report follows from the tables.")
    assert lines[1].startswith("Not known: whether the tables are of trainings that took place")
    assert not any("drawn in other bytes" in line for line in lines)


@pytest.mark.slow
def test_a_report_that_was_changed_is_named_by_row_and_value(
    published: publication.Published, tmp_path: Path, capsys
) -> None:
    def forge(members: dict[str, bytes]) -> None:
        content = json.loads(members["report/report.json"])
        content["tables"]["by_arm"][0]["score"] += 0.01
        content["answer"][0] = "All is well."
        members["report/report.json"] = json.dumps(content).encode()
        page = members["report/index.html"].decode()
        members["report/index.html"] = page.replace("<h1>", "<h1>Proven: ").encode()

    status, lines = checked(changed(published.path, tmp_path / "f.zip", forge, True), capsys)
    assert status == 1
    assert lines[0].startswith("report/report.json: answer, 1: the report says “All is well.”")
    assert lines[1].startswith("report/report.json: tables, by_arm, 1 (made, scratch), score: ")
    assert lines[2].startswith("report/index.html: after ")
    assert "Proven: " in lines[2]
    assert lines[3] == "The report does not follow from the tables: 3 differences."


@pytest.mark.slow
def test_a_member_that_was_changed_is_named_first(
    published: publication.Published, tmp_path: Path, capsys
) -> None:
    def damage(members: dict[str, bytes]) -> None:
        content = bytearray(members["runs/1/trials.parquet"])
        content[len(content) // 2] ^= 255
        members["runs/1/trials.parquet"] = bytes(content)

    for seal in (False, True):
        status, lines = checked(changed(published.path, tmp_path / "d.zip", damage, seal), capsys)
        assert status == 1
        assert lines[0].startswith("runs/1/trials.parquet: is not what was") is not seal
        assert lines[-1].startswith(f"{tmp_path / 'd.zip'}: its tables cannot be read")
        assert "report follows from them: runs/1/trials.parquet: damaged" in lines[-1]


def test_what_is_no_publication_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_text("no zip")
    for name in ("x.zip", "none.zip", "."):
        assert status_of(main, ["check", str(tmp_path / name)]) == 2


@pytest.mark.parametrize("place", ["trials", "search", "report", "images", "packs"])
def test_links_are_refused_and_nothing_is_written(
    made_run: Path, tmp_path: Path, place: str
) -> None:
    run = shutil.copytree(made_run, tmp_path / "run")
    (tmp_path / "outside").mkdir()
    shutil.rmtree(run / place, ignore_errors=True)
    os.symlink(tmp_path / "outside", run / place)
    with pytest.raises(RunFolderError, match="is a link"):
        publication.publish([run])
    assert not (tmp_path / "run.zip").exists()


def test_what_is_no_publication_is_not_written_over(made_run: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.zip").write_text("my thesis")
    for name in ("thesis.zip", "no folder/x.zip", "x.tar"):
        with pytest.raises(InputError, match="--out"):
            publication.publish([made_run], tmp_path / name)
    assert (tmp_path / "thesis.zip").read_text() == "my thesis"
