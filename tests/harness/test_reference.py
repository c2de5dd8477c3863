"""Networks answer for labels in doubt, and the audit of those, as a person calls them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analysis.audit_answers import answers_for, is_answers
from datasets import load_dataset
from harness.plan import DataCatalogue
from harness.reference_networks import read_entry, shown
from headstart.errors import InputError, RunFolderError
from runs import environment

SPOILT = "corrupt_labels: {kind: KIND, fraction: FRACTION, seed: 4}"


def audit(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "analysis", "audit", *words],
        cwd=cwd, env=environment(), capture_output=True, text=True, timeout=200,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("audits")


@pytest.fixture(scope="module")
def run(folder) -> Path:
    """A run of one network that learned right labels, with its answers."""
    done = audit(folder, "optdigits", "--networks", "1")
    assert done.stdout.splitlines()[0] == "# Labels of “optdigits”: none", done
    return folder / "runs" / "audit-optdigits"


CASES = [("uniform", 0.4), ("pairs", 0.3)]


@pytest.mark.parametrize(("kind", "fraction"), CASES)
def test_a_data_set_is_audited_by_its_name_alone(folder, kind, fraction):
    spoilt = SPOILT.replace("KIND", kind).replace("FRACTION", str(fraction))
    done = audit(folder, f"{{name: optdigits, {spoilt}}}", "--networks", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].endswith(f": {kind}"), done.stdout
    where = Path(folder / done.stdout.splitlines()[-1])
    assert {f.name for f in where.iterdir()} >= {"audit.md", "confusion.png", "contradicted.csv"}


def test_a_run_answers_for_itself_and_for_others(folder, run):
    again = audit(folder, str(run))  # nobody needs to be asked again
    assert again.stdout.splitlines()[0] == "# Labels of “optdigits”: none"
    assert "answered by “learner”" in again.stdout.lower()
    spoilt = SPOILT.replace("KIND", "complementary").replace("FRACTION", "0.999")
    done = audit(folder, f"{{name: optdigits, {spoilt}}}", "--reference", str(run))
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.splitlines()[0] == "# Labels of “optdigits” with corrupt_labels: complementary"
    )
    assert "whose labels are trusted" in done.stdout
    same = audit(folder, "optdigits", "--reference", str(run))
    assert same.returncode == 2
    assert "trained on these very labels" in same.stderr
    assert "Traceback" not in same.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no_such_set"], "'no_such_set' is no data set"),
        (["optdigits", "--reference", "nowhere"], "--reference nowhere: is no run folder"),
        (["optdigits", "--networks", "0"], "--networks 0"),
        (["{name: optdigits, corrupt_labels: {kind: odd, fraction: 1}}"], "corrupt_labels"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path, words, message):
    done = audit(tmp_path, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_entries_are_names_paths_or_mappings(tmp_path):
    assert read_entry("mnist", "--on") == {"name": "mnist"}
    assert read_entry(str(tmp_path), "--on") == {"name": "folder", "path": str(tmp_path)}
    arrays = tmp_path / "mine.npz"
    np.savez(arrays, images=np.zeros((4, 8, 8), np.uint8), labels=[0, 1, 0, 1])
    assert read_entry(str(arrays), "--on")["name"] == "npz"
    assert not is_answers(arrays)
    assert shown({"name": "npz", "path": str(arrays)}) == "“mine.npz”"
    for text in ("[1, 2]", "{path: x}", "3"):
        with pytest.raises(InputError, match="--on"):
            read_entry(text, "--on")


def test_a_run_cannot_be_audited_by_a_reference(tmp_path):
    (tmp_path / "trials").mkdir()
    (tmp_path / "sweep.yaml").touch()
    with pytest.raises(InputError, match="audits a data set"):
        answers_for(str(tmp_path), reference="other")
    with pytest.raises(RunFolderError, match="is no run folder"):
        answers_for("optdigits", reference=str(tmp_path / "none"))


def test_images_were_held_out_from_the_networks_that_answer(run):
    """Of each audited image the mean is over the networks whose split left it out."""
    from datasets.split import split_dataset
    from harness.reference_networks import trained_specs

    (spec,) = trained_specs(run, DataCatalogue(), None)[:1]
    dataset = load_dataset("optdigits", image_size=(28, 28), channels=1)
    rng = np.random.default_rng(spec.streams["split"])
    split = split_dataset(dataset, spec.data.choice.split, rng)
    with np.load(run / "audit" / "optdigits-itself.npz") as found:
        assert not set(found["indices"]) & set(split.train)
        assert set(found["indices"]) == {*split.validation, *split.test}
        assert (found["given"] == dataset.labels[found["indices"]]).all()


def test_the_analysis_needs_no_torch_to_audit_a_file(folder, run):
    file = run / "audit" / "optdigits-itself.npz"
    code = (
        "import sys\n"
        "from analysis.__main__ import main\n"
        f"assert main(['audit', {str(file)!r}, '--out', 'there']) == 0\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (folder / "there" / "audit.md").is_file()
