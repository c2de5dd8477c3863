"""The worker that watches over the processes of a trial: what it makes of errors and deaths."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from harness.joint.fused import FUSED
from harness.joint.heads import HEADS
from harness.plan.dry_run import describe_plan
from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import Save
from harness.teams.data_parallel import SharedSteps
from harness.teams.local_team import LocalTeam
from harness.teams.rank import Meeting
from harness.teams.team import LostContact, Message, RankDiedError, Team, run_together
from harness.training.context import StopFile, WorkerSettings
from harness.training.ranks import OneRank
from harness.training.steps import SOLO
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended, Failed, Progress, Started, Stopped
from headstart.errors import InputError
from headstart.rows import EvaluationRow, TrialRow
from runs import fingerprints, wait_until_gone


class PlayedTeam(Team):
    """Two processes that open and meet, and then say what a test wants (a list: at once)."""

    n = 2

    def __init__(self, *said: Message | list[Message]):
        self.said = list(said)
        self.waiting: list[Message] = []
        self.n_started = self.n_ended = 0

    def start(self):
        self.n_started += 1

    def call(self, rank, method, *arguments):
        if method == "open" and rank == 0:
            self.waiting.append(Message(0, "item", Meeting("here", 1)))
        if method in ("open", "join"):
            self.waiting.append(Message(rank, "over"))

    def receive(self, timeout_s):
        messages, self.waiting = self.waiting, []
        if not messages:
            said = self.said.pop(0)
            messages = said if isinstance(said, list) else [said]
        return messages

    def end(self):
        self.n_ended += 1
        self.is_open = False


class Spec:
    id = "t1"


def played(team, should_stop=lambda: False):
    return list(run_together(team, [Spec()], {"t1": None}, should_stop))


def test_the_events_of_the_first_process_are_the_trials():
    progress, ended = (
        Progress("t1", 2, 1.0, EvaluationRow(step=1)),
        Ended("t1", TrialRow(trial_id="t1")),
    )
    team = PlayedTeam(
        Message(0, "item", progress), Message(0, "item", ended),
        Message(0, "over"), Message(1, "over"),
    )  # fmt: skip
    assert played(team) == [Started("t1"), progress, ended]
    assert (team.n_started, team.n_ended, team.is_open) == (1, 0, True)


def test_a_death_is_told_and_not_the_lost_contact_that_it_caused():
    lost = Message(0, "item", LostContact("Connection closed by peer"))
    team = PlayedTeam(lost, Message(0, "over"), Message(1, "died", "exit status -9"))
    _, failed = played(team)
    assert failed == Failed("t1", "worker 2 of 2 died (exit status -9)", retry=True)
    assert (team.n_ended, team.is_open) == (1, False)


def test_a_death_that_comes_together_with_the_lost_contact_is_told():
    lost = Message(0, "item", LostContact("Connection closed by peer"))
    team = PlayedTeam([lost, Message(0, "over"), Message(1, "died", "exit status -9")])
    _, failed = played(team)
    assert failed == Failed("t1", "worker 2 of 2 died (exit status -9)", retry=True)
    together = [Message(0, "died", "exit status 1"), Message(1, "died", "exit status -9")]
    assert played(PlayedTeam(together))[1].error == "worker 1 of 2 died (exit status 1)"


def test_an_error_that_says_what_is_wrong_comes_first():
    wrong = Message(1, "item", Failed("t1", "no such layer", retry=False))
    team = PlayedTeam(Message(0, "died", "exit status 1"), wrong)
    assert played(team)[1] == Failed("t1", "no such layer", retry=False)


def test_trouble_after_the_record_is_written_is_no_failure():
    ended = Ended("t1", TrialRow(trial_id="t1"))
    team = PlayedTeam(Message(0, "item", ended), Message(1, "died", "exit status -9"))
    assert played(team) == [Started("t1"), ended]
    assert not team.is_open


def test_where_a_place_is_not_kept_the_worker_itself_is_lost():
    team = PlayedTeam(Message(0, "died", "its node died"), Message(1, "died", "its node died"))
    team.keeps_place = False
    with pytest.raises(RankDiedError, match="worker 1 of 2 died"):
        played(team)


def test_a_stop_before_the_processes_met_stops_the_trial():
    assert played(PlayedTeam(), lambda: True)[1] == Stopped("t1", 0)


# -- with processes ----------------------------------------------------------------------------


@pytest.fixture
def one_trial(write_sweep, tmp_path):
    """Runs one trial by two processes into a folder, goes on there when called again."""
    catalogue = DataCatalogue()
    augmented = ("epochs: 3", "epochs: 30, augment: {rotate: 10}")
    plan = make_plan(load_sweep(write_sweep(augmented)), catalogue)
    spec = next(t for t in plan.trials if t.arm == "scratch")
    stop_file = StopFile(tmp_path / "stop")
    stop_file.create()
    settings = WorkerSettings("small", Save(), None, stop_file.path, state_every_s=0.0, n_workers=2)
    team = LocalTeam(settings)

    def run(out: Path, disturb=lambda team: None):
        with RunFolder(out) as folder:
            folder.adopt([spec.id])
            trial_folder = folder.trial_folder(spec.id)
            events = []
            for event in run_together(
                team, [spec], {spec.id: trial_folder}, StopFile(stop_file.path)
            ):
                events.append(event)
                if isinstance(event, Progress) and event.step >= 8:
                    disturb(team)
            if isinstance(events[-1], Ended):
                folder.publish(spec.id, events[-1].row)
            return events

    yield run, team, stop_file
    team.end()


@pytest.mark.slow
def test_killed_and_stopped_a_shared_trial_goes_on_to_the_same_bits(one_trial, tmp_path):
    """Slow: starts two processes that import torch, four times."""
    run, team, stop_file = one_trial
    straight = run(tmp_path / "straight")
    assert isinstance(straight[-1], Ended)
    row = straight[-1].row
    assert (row.n_workers, row.ran_as, row.attempts) == (2, "workers-2", 1)
    pids = [place.process.pid for place in team.places]

    def kill_the_second(team):
        os.kill(team.places[1].process.pid, signal.SIGKILL)

    killed = run(tmp_path / "disturbed", kill_the_second)
    assert isinstance(killed[-1], Failed)
    assert killed[-1].error == "worker 2 of 2 died (exit status -9)"
    assert killed[-1].retry
    wait_until_gone(pids, within_s=60)
    stopped = run(tmp_path / "disturbed", lambda team: stop_file.request())
    assert isinstance(stopped[-1], Stopped)
    assert stopped[-1].step >= 8
    team.end()  # as the command does that was stopped
    stop_file.create()
    last = run(tmp_path / "disturbed")
    assert isinstance(last[-1], Ended)
    assert last[-1].row.attempts == 3
    assert fingerprints(tmp_path / "straight") == fingerprints(tmp_path / "disturbed")


def test_a_row_names_all_ways_in_which_its_steps_were_made():
    class Ranks(OneRank):
        def __init__(self, n):
            self.n = n

    def name(before, n):
        return SharedSteps(Ranks(n)).name_after(before)

    assert name("workers-2", 2) == "workers-2"
    assert name("workers-2", 4) == "workers-2+workers-4"
    assert name("solo", 2) == "solo+workers-2"
    assert name("solo+workers-2", 2) == "solo+workers-2"
    assert SOLO.name_after("solo") == "solo"
    assert SOLO.name_after("fused") == "fused"
    assert HEADS.name_after("solo") == "heads"
    assert FUSED.name_after("graph") == "graph+fused"  # a graph alone promises the solo bits
    assert FUSED.name_after("graph+fused") == "graph+fused"
    assert SOLO.name_after("graph+fused") == "graph+fused"


# -- rules -------------------------------------------------------------------------------------


def plan_of(path, *assignments):
    return make_plan(load_sweep(path, assignments=assignments), DataCatalogue())


def test_the_number_of_workers_changes_no_id(write_sweep):
    path = write_sweep()
    first, four = plan_of(path), plan_of(path, "resources.workers=4")
    assert [t.id for t in first.trials] == [t.id for t in four.trials]


def test_batch_norm_parts_is_in_the_id_and_its_default_is_not(write_sweep):
    path = write_sweep(("{name: lenet5}", "{name: midas_cnn, width: 4, dense: 30}"))
    whole = plan_of(path, "resources.workers=2")
    assert [t.id for t in whole.trials] == [t.id for t in plan_of(path).trials]
    set_to_one = plan_of(path, "resources.workers=2", "train.batch_norm_parts=1")
    assert [t.id for t in whole.trials] == [t.id for t in set_to_one.trials]
    each = plan_of(path, "resources.workers=2", "train.batch_norm_parts=2")
    assert not {t.id for t in whole.trials} & {t.id for t in each.trials}


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (("resources.gpus=0.5",), "each worker of a trial needs a GPU of its own"),
        (("train.batch_size=1",), "train.batch_size: 1 is less than resources.workers: 2"),
        (("train.batch_norm_parts=3",), "train.batch_norm_parts: 3 with resources.workers: 2"),
        (("train.batch_norm_parts=2", "resources.workers=1"), "2 with resources.workers: 1: each"),
    ],
)
def test_what_cannot_be_shared_is_refused(write_sweep, assignments, message):
    with pytest.raises(InputError, match=message):
        plan_of(write_sweep(), "resources.workers=2", *assignments)


def test_that_packs_run_in_turn_is_said(write_sweep, tmp_path):
    plan = plan_of(write_sweep(), "resources.workers=2", "resources.pack=3")
    lines = describe_plan(plan, tmp_path / "run")
    said = [line for line in lines if line.startswith("resources.pack")]
    assert said == [
        "resources.pack: 3: trials of 2 workers run one after another, never as one computation"
    ]
