"""`--address` joins a Ray cluster that runs already; here one that a node's step keeps, alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sweep_joins_a_running_cluster_and_leaves_it_running(
    sweep_file: Path, tmp_path: Path
) -> None:
    """Slow: Ray takes some ten seconds to start, and the sweep's workers import torch."""
    private, tmp = tmp_path / "private", Path(f"/tmp/hs-test-{os.getpid()}")
    private.mkdir(mode=0o700)
    (private / "round").write_text("1\n")
    (private / "token").write_text("0123456789abcdef" * 4)
    environment = {
        **os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(private / "token"),
        "SLURM_JOB_ID": str(os.getpid()), "SLURM_CPUS_ON_NODE": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    node = subprocess.Popen(
        [sys.executable, "-m", "slurm.ray_node", "head", str(private), "--round", "1",
         "--tmp", str(tmp), "--interface", "lo"],
        cwd=ROOT, env=environment,
    )  # fmt: skip
    try:
        address = _wait_for(private / "address-1", node)
        command = [
            sys.executable, "-m", "harness.sweep", str(sweep_file), "--address", address,
            "--out", str(tmp_path / "run"), "--no-report", "--set", "seeds=1",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert node.poll() is None, "the sweep ended a cluster that it had only joined"
        without_token = {**environment, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "none")}
        refused = subprocess.run(
            [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address],
            env=without_token, capture_output=True,
        )  # fmt: skip
        assert refused.returncode != 0, "the cluster let somebody in without its token"
    finally:
        node.send_signal(signal.SIGTERM)
        assert node.wait(timeout=240) == 0
    rows = [json.loads(path.read_text()) for path in tmp_path.glob("run/trials/*/trial.json")]
    assert [row["status"] for row in rows] == ["done"] * 3
    assert not tmp.exists()


def _wait_for(path: Path, node: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 300
    while not path.exists():
        assert node.poll() is None, "the head ended"
        assert time.monotonic() < deadline, "the head is not ready"
        time.sleep(0.2)
    return path.read_text().strip()
