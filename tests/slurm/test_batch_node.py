"""The node of a batch script as the others see it: who acts, when, and how."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from fakes import FakeSlurm

from headstart.errors import InputError
from slurm.batch_node import SILENT_S, UPDATE_TRIES, BatchNode, Job, watch

LINE = "JobId=7 JobState={state} Requeue={requeue} Restarts={restarts} NodeList={nodes} ."


@pytest.fixture
def node(tmp_path: Path) -> BatchNode:
    return BatchNode("n1", tmp_path / "7.out", False, job_id="7", n_restarts=2, n_nodes=3)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "round").write_text("1\n")
    (tmp_path / "alive-1").touch()
    return Job(tmp_path, "1", tmp_path)


def _answer(slurm: FakeSlurm, nodes: str, then: str = "PENDING", **other: str) -> None:
    """Let scontrol show the job with these nodes, and their names; requeued, it is in state `then`.

    The first update is refused where `then` has a second word.
    """
    given = {"state": "RUNNING", "requeue": "1", "restarts": "2", **other}
    before = LINE.format(nodes=nodes, **given)
    slurm.answer("scontrol", before + "\n")
    (slurm.folder / "after").write_text(before.replace("RUNNING", then.split()[0]) + "\n")
    script = slurm.folder / "scontrol"
    first, log, _, status = script.read_text().splitlines()
    refuse = f'[ -e "{slurm.folder}/tried" ] || {{ touch "{slurm.folder}/tried"; exit 1; }}'
    rest = f"""\
case "$1 $2" in
"show hostnames") printf '%s\\n' {" ".join(nodes.split(","))} ;;
"show job") cat "{slurm.folder}/scontrol.out" ;;
requeue*) cp "{slurm.folder}/after" "{slurm.folder}/scontrol.out" ;;
update*) {refuse if " " in then else ":"} ;;
esac
"""
    script.write_text("\n".join([first, log.split(";")[0], rest, status]))


def test_a_job_whose_batch_node_is_gone_goes_back_with_the_nodes_that_are_left(
    slurm: FakeSlurm, node: BatchNode
) -> None:
    _answer(slurm, "n2,n3")
    assert node.act()
    assert [call for call in slurm.calls if "show" not in call] == [
        "scontrol requeue 7",
        "scontrol update JobId=7 NumNodes=2-3 NumTasks=2",
    ]
    assert "node n1 is gone; requeued: it goes on from the saved states" in node.log.read_text()


def test_slurm_is_asked_again_where_it_refuses(slurm: FakeSlurm, node: BatchNode) -> None:
    _answer(slurm, "n2,n3", then="PENDING refused")
    naps: list[float] = []
    assert node.act(naps.append)
    assert len(naps) == 1
    assert slurm.calls[-1] == "scontrol update JobId=7 NumNodes=2-3 NumTasks=2"


def test_slurm_is_not_asked_while_it_clears_the_job_away(slurm: FakeSlurm, node: BatchNode) -> None:
    _answer(slurm, "n2,n3", then="COMPLETING")
    naps: list[float] = []
    assert node.act(naps.append)
    assert len(naps) == UPDATE_TRIES
    assert not any("update" in call for call in slurm.calls)


def test_trials_that_need_all_nodes_wait_for_them(slurm: FakeSlurm, tmp_path: Path) -> None:
    _answer(slurm, "n2")
    node = BatchNode("n1", tmp_path / "7.out", True, job_id="7", n_restarts=2, n_nodes=2)
    assert node.act()
    assert slurm.calls[-1] == "scontrol requeue 7"


def test_a_job_that_may_not_go_back_is_ended_with_the_reason(
    slurm: FakeSlurm, node: BatchNode
) -> None:
    _answer(slurm, "n2", requeue="0")
    assert node.act()
    assert slurm.calls[-1] == "scancel 7"
    assert "not requeued: it may not be; submit again" in node.log.read_text()


def test_the_log_tells_of_no_requeueing_that_slurm_refused(
    slurm: FakeSlurm, node: BatchNode
) -> None:
    _answer(slurm, "n2,n3")
    script = slurm.folder / "scontrol"
    script.write_text(script.read_text().replace("requeue*) cp", "requeue*) exit 1; cp"))
    with pytest.raises(InputError):
        node.act()
    assert not node.log.exists()


@pytest.mark.parametrize(
    ("problem", "is_over"),
    [(FileNotFoundError, True), (OSError(errno.EIO, "Input/output error"), False),
     (PermissionError, False)],
    ids=["gone", "fails for a moment", "credentials are renewed"],
)  # fmt: skip
def test_a_round_is_over_when_its_folder_is_gone_and_not_when_it_cannot_be_read(
    job: Job, monkeypatch: pytest.MonkeyPatch, problem: Exception, is_over: bool
) -> None:
    def read_text(*_: object) -> str:
        raise problem

    monkeypatch.setattr(Path, "read_text", read_text)
    assert job.is_over() == is_over


@pytest.mark.parametrize(
    ("given", "is_over"),
    [({"nodes": "n1,n2"}, False), ({"nodes": "n2", "state": "PENDING"}, True),
     ({"nodes": "n2", "restarts": "3"}, True)],
    ids=["still there", "requeued already", "a later start"],
)  # fmt: skip
def test_nothing_is_done_to_a_job_that_another_takes_care_of(
    slurm: FakeSlurm, node: BatchNode, given: dict[str, str], is_over: bool
) -> None:
    _answer(slurm, **given)
    assert node.act() == is_over
    assert all("show" in call for call in slurm.calls)
    assert not node.log.exists()


def test_slurm_is_asked_only_once_the_head_is_silent(
    slurm: FakeSlurm, node: BatchNode, job: Job
) -> None:
    _answer(slurm, "n2,n3")
    naps = []

    def sleep(seconds: float) -> None:
        assert not slurm.calls
        naps.append(seconds)
        if len(naps) == 3:
            past = job.alive_file.stat().st_mtime - SILENT_S - 1
            os.utime(job.alive_file, (past, past))

    watch(job, node, sleep)
    assert len(naps) == 3
    assert "scontrol requeue 7" in slurm.calls


def test_a_guard_ends_with_its_round_and_goes_on_where_slurm_does_not_answer(
    slurm: FakeSlurm, node: BatchNode, job: Job
) -> None:
    slurm.answer("scontrol", complaint="Unable to contact slurm controller", status=1)
    os.utime(job.alive_file, (1, 1))
    naps = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 4:
            (job.folder / "round").write_text("2\n")

    watch(job, node, sleep)
    assert slurm.calls == ["scontrol show job --oneliner 7"] * 2
