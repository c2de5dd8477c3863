"""The command that submits: what it asks SLURM, what it records, what it refuses."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import FakeSlurm

from headstart.errors import InputError, RunFolderError
from slurm.jobs import read_jobs
from slurm.submit import main

ROOT = Path(__file__).resolve().parents[2]
README_COMMAND = re.compile(r"(?m)^python -m slurm.submit SWEEP.yaml (.*)$")


def test_one_job_is_checked_submitted_recorded_and_announced(
    slurm: FakeSlurm, sweep_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.answer("sbatch", "123;cluster\n")
    run = tmp_path / "run"
    assert main([str(sweep_file), "--nodes", "2", "--time", "10", "--out", str(run)]) == 0
    script = run / "slurm" / "ray.sh"
    assert slurm.calls == [f"sbatch --test-only {script}", f"sbatch --parsable {script}"]
    (job,) = read_jobs(run)
    assert (job.id, job.part, job.n_nodes) == ("123", "ray", 2)
    said = capsys.readouterr().out
    for words in ("job 123", f"{run}/slurm/123.out", "python -m slurm.status", "slurm.cancel"):
        assert words in said
    assert (run / "slurm" / "sweep.yaml").read_bytes() == sweep_file.read_bytes()
    assert "--engine ray" in script.read_text()


def test_an_array_is_a_chain_in_which_each_part_waits_for_the_one_before(
    slurm: FakeSlurm, sweep_file: Path, tmp_path: Path
) -> None:
    slurm.answer("sbatch", "7\n")
    run = tmp_path / "run"
    main([str(sweep_file), "--mode", "array", "--shards", "3", "--out", str(run)])
    submitted = [call for call in slurm.calls if "--parsable" in call]
    folder = run / "slurm"
    assert submitted == [
        f"sbatch --parsable {folder}/pretrain.sh",
        f"sbatch --parsable --dependency=afterany:7 {folder}/shards.sh",
        f"sbatch --parsable --dependency=afterany:7 {folder}/report.sh",
    ]
    assert [(job.part, job.n_tasks) for job in read_jobs(run)] == [
        ("pretrain", 1), ("shards", 3), ("report", 1)
    ]  # fmt: skip


def test_a_dry_run_prints_the_scripts_and_leaves_nothing(
    slurm: FakeSlurm, sweep_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(sweep_file), "--dry-run", "--out", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.startswith("#!/bin/bash\n# Headstart, sweep small")
    assert not slurm.calls
    assert not (tmp_path / "run").exists()


def test_what_slurm_refuses_is_said_in_one_line_with_the_partitions_there_are(
    slurm: FakeSlurm, sweep_file: Path, tmp_path: Path
) -> None:
    slurm.answer("sbatch", complaint="sbatch: error: invalid partition specified: gpux\n", status=1)
    slurm.answer("sinfo", "gpu\ncpu\ngpu\n")
    with pytest.raises(InputError, match=r"invalid partition.*\(partitions here: cpu, gpu\)"):
        main([str(sweep_file), "--partition", "gpux", "--out", str(tmp_path / "run")])


def test_data_that_is_not_here_is_said_and_how_to_fetch_it(
    slurm: FakeSlurm, sweep_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    slurm.answer("sbatch", "7\n")
    data = ["--data", str(tmp_path), "--out", str(tmp_path / "run")]
    main([str(sweep_file), *data])
    assert capsys.readouterr().err == ""
    main([str(sweep_file), *data, "--set", "data={name: mnist, train: 100, validation: 50}"])
    mnist, fetch = capsys.readouterr().err.splitlines()
    assert mnist.startswith("mnist: would be fetched: 15 MB, or put its four files")
    assert str(tmp_path / "mnist") in mnist
    assert fetch.endswith(f"fetch it here first: python -m harness.sweep {sweep_file} --fetch")


def test_a_run_that_is_queued_already_is_not_submitted_again(
    slurm: FakeSlurm, sweep_file: Path, tmp_path: Path
) -> None:
    slurm.answer("sbatch", "7\n")
    command = [str(sweep_file), "--out", str(tmp_path / "run")]
    main(command)
    slurm.answer("squeue", "7|7|RUNNING|0:10|1:00:00|1|n1|None\n")
    with pytest.raises(InputError, match=r"job 7 of this run is RUNNING.*slurm\.cancel"):
        main(command)
    slurm.answer("squeue", "8|8|RUNNING|0:10|1:00:00|1|n1|None\n")
    main(command)
    assert len(read_jobs(tmp_path / "run")) == 2


def test_what_a_killed_job_left_of_its_own_is_removed(
    slurm: FakeSlurm, sweep_file: Path, tmp_path: Path
) -> None:
    left = tmp_path / "run" / "slurm" / ".job-5-0"
    left.mkdir(parents=True)
    (tmp_path / "run" / "trials").mkdir()
    (left / "token").write_text("secret")
    (tmp_path / "elsewhere").mkdir()
    (left.parent / ".job-6-0").symlink_to(tmp_path / "elsewhere")
    slurm.answer("sbatch", "7\n")
    main([str(sweep_file), "--out", str(tmp_path / "run")])
    assert not left.exists()
    assert (tmp_path / "elsewhere").is_dir(), "a link is not followed"


def test_trials_that_could_never_start_are_refused(
    slurm: FakeSlurm, sweep_file: Path, tmp_path: Path
) -> None:
    command = [str(sweep_file), "--out", str(tmp_path / "run"), "--set"]
    with pytest.raises(InputError, match=r"resources.gpus is 0.5 and --gpus-per-node 0"):
        main([*command, "resources.gpus=0.5"])
    with pytest.raises(InputError, match=r"resources.cpus is 8 and --cpus-per-node 4"):
        main([*command, "resources.cpus=8", "--cpus-per-node", "4"])


def test_gpus_that_no_trial_would_use_or_that_would_idle_are_not_reserved(
    slurm: FakeSlurm, sweep_file: Path, tmp_path: Path
) -> None:
    command = [str(sweep_file), "--out", str(tmp_path / "run"), "--gpus-per-node", "8"]
    with pytest.raises(InputError, match=r"resources.gpus is 0 and --gpus-per-node 8: .* to auto"):
        main([*command, "--set", "resources.gpus=0"])
    with pytest.raises(InputError, match=r"--cpus-per-node 4: --gpus-per-node 8 .* needs 8, else"):
        main([*command, "--cpus-per-node", "4"])
    assert not (tmp_path / "run").exists()
    assert main([*command, "--cpus-per-node", "8", "--dry-run"]) == 0


def test_auto_means_the_gpus_that_are_asked_for_and_a_processor_for_each_worker(
    slurm: FakeSlurm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def script(*options: str) -> list[str]:
        sweep = str(ROOT / "sweeps" / "part2.yaml")
        assert main([sweep, "--out", str(tmp_path / "run"), "--dry-run", *options]) == 0
        return capsys.readouterr().out.splitlines()

    readme = shlex.split(README_COMMAND.search((ROOT / "README.md").read_text())[1])
    with_gpus = script(*readme)
    assert "#SBATCH --gpus-per-node=8" in with_gpus
    assert "#SBATCH --cpus-per-task=8" in with_gpus
    assert any("--cpus-per-task=8 " in line for line in with_gpus if "#SBATCH" not in line)
    assert any("--slots 16" in line for line in with_gpus), "of two nodes with eight GPUs"
    assert not any("CUDA_VISIBLE_DEVICES" in line for line in with_gpus)
    array = script("--mode", "array", "--gpus-per-node", "4", "--set", "resources.cpus=3")
    assert array.count("#SBATCH --cpus-per-task=12") == 2, "stages and shards, not the report"
    on_cpus = script("--nodes", "2")
    assert "export CUDA_VISIBLE_DEVICES=" in "\n".join(on_cpus)
    assert not [line for line in on_cpus if "--gpus" in line or "--slots" in line]
    assert not [line for line in on_cpus if line.startswith("#SBATCH --cpus")]


def test_workers_of_a_trial_may_need_several_nodes_and_in_mode_array_have_one(
    slurm: FakeSlurm, sweep_file: Path, tmp_path: Path
) -> None:
    command = [
        str(sweep_file), "--out", str(tmp_path / "run"), "--set", "resources.workers=6",
        "--cpus-per-node", "4", "--nodes",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"workers: 6 ask for 6 cpus together, and a node .* 4"):
        main([*command, "1"])
    with pytest.raises(InputError, match=r"6 cpus together, and a node of the job .* have 4"):
        main([*command, "2", "--mode", "array"])
    assert main([*command, "2"]) == 0


def test_other_peoples_folders_are_not_written_into(
    slurm: FakeSlurm, sweep_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    with pytest.raises(RunFolderError, match=r"thesis: holds other things"):
        main([str(sweep_file), "--out", str(tmp_path / "thesis")])


def test_arguments_of_the_sweep_reach_it_with_absolute_paths(
    slurm: FakeSlurm, sweep_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    slurm.answer("sbatch", "7\n")
    main([sweep_file.name, "--data", "data", "--set", "seeds=3", "--out", "run"])
    script = (tmp_path / "run" / "slurm" / "ray.sh").read_text()
    assert f"--out {tmp_path}/run --set seeds=3 --data {tmp_path}/data" in script


def test_mistakes_end_with_status_2_and_no_traceback(sweep_file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "slurm.submit", str(sweep_file), "--sbatch", "constrain=a"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "did you mean 'constraint'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_records_survive_what_is_written_beside_them(
    slurm: FakeSlurm, sweep_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunFolderError, match="no job was submitted"):
        read_jobs(tmp_path)
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "jobs.json").write_text(json.dumps([{"id": "1"}]))
    with pytest.raises(RunFolderError, match="cannot be read"):
        read_jobs(tmp_path)
