"""One trial from start to record: data, network, training, evaluation, test.

In: a `TrialSpec`, the folder its worker writes to, what the process gives (device, stop flag,
clock), and how steps are made (`steps.py`). Out: files in that folder and a stream of events, which
an engine consumes. No ray and no analysis here: whatever a trial needs works without them.
"""

from __future__ import annotations

import io
import json
import math
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from datasets.split import Split, split_dataset
from harness.runfolder.folder import TrialFolder, write_curve, write_record
from harness.runfolder.nvidia import driver, mps_runs
from harness.sweepfile.frozen import NOTHING_FROZEN, reason_against
from harness.training.arrays import Part, Parts, copy_all
from harness.training.balance import weights_of_classes
from harness.training.checkpointing import use_checkpoints
from harness.training.compiling import compiled, in_one_line, said_of_breaks
from harness.training.context import StopAsked, TrialContext
from harness.training.determinism import allow_refused_operations, learn_from, refused_operations
from harness.training.features import Front
from harness.training.forms import form_of
from harness.training.goal import Goal, target_scale
from harness.training.loop import Clock, Trainer, loss_function
from harness.training.memory import images_at_once
from harness.training.network import Prepared, narrowed, prepare_network
from harness.training.process import make_accelerator, set_up_process
from harness.training.refit import Replay, chosen_before, read_course
from harness.training.saving import WeightFiles
from harness.training.schedules import probe_phase
from harness.training.score import Score
from harness.training.step_memory import StepMemory, begin_peak, peak_of
from harness.training.steps import SOLO, Steps
from harness.training.surgery import largest, relative_gradients
from harness.trials.events import Ended, Event, NotDeterministic, Progress, Resumed, Stopped
from harness.trials.rows import planned_row
from harness.trials.spec import TrialSpec
from headstart.digests import check_digest, digest_of, digest_of_file, image_keys
from headstart.files import atomic_file
from headstart.rows import TRAINED_ON, EvaluationRow, TrialRow
from models.lora import merged
from models.own_split import reason_against_split

STATE_SHARE = 1 / 40  # of the time may go into saving states, however short `state_every_s` is
ZIP_START = b"PK\x03\x04"  # of what torch writes
KEYS_AT_ONCE = 256  # images of which a refit notes the keys
PREDICTION_DTYPE = np.float16  # of the kept probabilities


@dataclass(frozen=True)
class Measured:
    """An evaluation that was made: on validation images, and of the steps since the one before."""

    score: Score
    trained: Score
    seconds: float = 0.0  # that count as this trial's, where several were evaluated together


@dataclass
class Record:
    """The results of a trial so far; part of its mid-trial state."""

    curve: list[EvaluationRow] = field(default_factory=list)
    best: Score | None = None
    best_step: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    watched: float = math.inf  # early stopping: the value to beat, smaller is better
    n_since: int = 0  # early stopping: evaluations since it was beaten
    checkpoints: list[str] = field(default_factory=list)
    probe_l2: float | None = None  # that was chosen, where the head was fitted
    memory_bytes: int | None = None  # of the largest step that was looked at

    def as_state(self) -> dict[str, object]:
        """Plain values; the weights are the record's own (`asdict` would copy them on a GPU)."""
        weights = self.best_weights
        return {**asdict(replace(self, best_weights={})), "best_weights": weights}


def run_trial(
    spec: TrialSpec, folder: TrialFolder, context: TrialContext, steps: Steps = SOLO
) -> Iterator[Event]:
    """Train, select by validation, score the test set once, and write the record.

    Goes on from the folder's last state where there is one. Ends with one `Ended` or `Stopped`.
    Where several processes share the trial, each of them calls this, and the first one's events
    count.

    Raises:
        HeadstartError: data, weights or settings that do not fit, a full disk.
    """
    try:
        yield from _run_once(spec, folder, context, steps)
        return
    except RuntimeError as err:
        if said := in_one_line(err):
            raise said from err
        if not learn_from(err, spec):
            raise
    # After the block, since the error holds all that the trial had: on from the last state.
    yield from _run_once(spec, folder, context, steps)


def _run_once(
    spec: TrialSpec, folder: TrialFolder, context: TrialContext, steps: Steps
) -> Iterator[Event]:
    try:
        trial = Trial(spec, folder, context, steps)
    except StopAsked:
        yield Stopped(spec.id, 0)
        return
    yield from trial.start()
    while not trial.is_over:
        trial.train()
        yield from trial.pause()
    yield trial.end()


@dataclass(eq=False, repr=False)
class Trial:
    """The parts of one running trial, so that each step of its life is a short method."""

    spec: TrialSpec  # what to run; goes on from the folder's last state where there is one
    folder: TrialFolder  # where to write; only the first of the ranks that share the trial does
    context: TrialContext
    steps: Steps = SOLO  # how its steps are made

    def __post_init__(self) -> None:
        self.ranks = self.steps.ranks
        self.ran_before: str | None = None  # how steps were made until the state it goes on from
        self.attempts = self.folder.begin() if self.ranks.is_first else 0
        self.clock = Clock(self.context.now)
        self.settings = self.spec.condition.train
        self.record = Record()
        self.diverged = self.stopped = False
        self.last_weights: list[str] = []  # the file's name, once it is written
        is_needed = self.spec.id in self.context.started_from
        save = self.context.save.of_refit() if self.spec.refits else self.context.save
        self.weights = WeightFiles(self.spec, self.folder, save, is_needed)
        self.next_state_at = self.context.now() + self.context.state_every_s
        with self.clock.timing("setup"):
            self._set_up()
            self._restore()
            if self.nondeterministic:
                allow_refused_operations()
            self.steps.warm_up(self.trainer)
        self.ranks.copy_first(self.network.state_dict().values())

    def _set_up(self) -> None:
        """Data, network and what trains of it, in the order in which each needs the one before."""
        context = self.context
        set_up_process(self.settings)
        accelerator = make_accelerator(self.settings.precision, context.device)
        self.device = accelerator.device
        self.form = form_of(self.spec.condition.tuning)
        split, replay = self._open_data()
        self.prepared = self._prepare_network()
        self.network: nn.Module = self.prepared.network
        front = self._cut_front(accelerator, split)
        self.trained: nn.Module = front.tail if front else self.network
        if self.settings.gradient_checkpointing:
            self._use_checkpoints(front)
        parts = front.parts if front else context.images.parts(self.dataset, split, self.device)
        self.parts: Parts = self._watched(parts)
        self.chosen_layers = self._choose_layers()
        if self.form.tuning.n_chosen:
            self.prepared = narrowed(self.spec, self.prepared, self.chosen_layers)
        self.trainer: Trainer = self._make_trainer(accelerator, front, replay)
        l2 = replay.probe_l2 if replay else None
        self.steps = self.form.steps(self.steps, self.parts.validation, l2, self.ranks)

    def _open_data(self) -> tuple[Split, Replay | None]:
        """The data set, its split, the settings that hold for it, and what a refit repeats."""
        spec = self.spec
        dataset = self.dataset = self.context.catalogue.open(spec.data)
        rng = np.random.default_rng(spec.streams["split"])
        split = split_dataset(dataset, spec.data.choice.split, rng)
        split = split if spec.is_tested else split.without_test()
        self.n_pool = None if "test" in dataset.parts else len(dataset.labels)
        settings = self.settings.for_target(spec.data.target).for_images(len(split.train))
        self.settings = self.form.settings(settings, len(dataset.labels))
        replay = None
        if spec.refits:
            replay, split = self._replay(len(split.train)), split.in_one_part()
        self.goal = Goal.of(dataset, split.train, self.device)
        self.notes = [*spec.data.notes, *split.notes, *self.context.notes]
        return split, replay

    def _prepare_network(self) -> Prepared:
        """The network, ready to train in the way in which its steps are made."""
        spec = self.spec
        trials, epochs = self.folder.path.parent, self.settings.epochs
        prepared = prepare_network(spec, trials, self.device, epochs)
        self.nondeterministic = refused_operations(
            spec, prepared.network, self.device, prepared.before_epoch
        )
        if self.nondeterministic:
            allow_refused_operations()
        prepared = self.steps.fitted(spec, prepared)
        self.form.look_at(prepared, spec.condition.model.shown, self._noise())
        return prepared

    def _cut_front(self, accelerator: Accelerator, split: Split) -> Front | None:
        """The frozen front, computed once; None where it is computed in every step, or is none."""
        front, reason = None, reason_against(self.spec.condition)
        # The first rank computes the tables of features, which the others then open.
        with self.clock.timing("prefix", self.device), self.ranks.first_before_others():
            if reason is None and self.prepared.n_frozen:
                reason = self._against_cut()
            if reason is None and self.prepared.n_frozen:
                front = Front(
                    self.spec, self.prepared, self.dataset, split, accelerator,
                    self.context.features,
                    # Other ranks would wait for the first one's table.
                    self.context.should_stop if self.ranks.n == 1 else lambda: False,
                )  # fmt: skip
        uncached = {"cached": False, "reason": reason or NOTHING_FROZEN}
        self.frozen = front.record if front else uncached
        return front

    def _make_trainer(
        self, accelerator: Accelerator, front: Front | None, replay: Replay | None
    ) -> Trainer:
        spec, is_compiled = self.spec, self.settings.compile and not self.form.tuning.is_fitted
        trainer = Trainer(
            self.trained,
            self.parts.train,
            self.settings,
            spec.streams,
            accelerator,
            None if front else self.prepared.normalise,
            self.prepared.parameter_groups,
            self.prepared.before_epoch,
            self.ranks,
            images_at_once(spec.data.image_size, self.device),
            spec.condition.runs_others_code,
            replay,
            weights_of_classes(
                self.settings.class_weights, self.parts.train.labels, spec.data.class_names
            ),
            self.prepared.pull,
            probe_phase(spec.condition),
            self.goal,
            self._compiled if is_compiled else None,
        )
        # Hooks that count what autograd keeps would have the compiler make another code.
        is_seen = self.ranks.n == 1 and trainer.compiler is None
        if self.device.type == "cpu" and is_seen:
            trainer.memory = StepMemory(self.network)
        return trainer

    def _choose_layers(self) -> tuple[str, ...]:
        """The layer groups that train beside the head, where a form has the trial choose some.

        They are chosen once, and kept in the states. The first rank chooses for all; a refit takes
        the choice of the trial that it refits.
        """
        n = self.form.tuning.n_chosen
        if not n:
            return ()
        if state := self._saved_state():
            return tuple(state["chosen_layers"])
        chosen: tuple[str, ...] = ()
        if self.ranks.is_first and self.spec.refits:
            chosen = chosen_before(self.folder.path.parents[1], self.spec.refits)
        elif self.ranks.is_first:
            relative = relative_gradients(
                self.network, self.prepared.groups, self.parts.train, self.prepared.normalise,
                loss_function(self.settings, goal=self.goal), self.settings.batch_size,
            )  # fmt: skip
            chosen = largest(relative, n)
        text = self.ranks.bytes_of_first(json.dumps(chosen).encode())
        return tuple(json.loads(text))

    def _noise(self) -> Tensor:
        """Two images of noise, as the network takes them."""
        shape = (2, self.spec.data.channels, *self.spec.data.image_size)
        return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self.device)

    def _replay(self, n_train: int) -> Replay:
        """What this refit repeats; the first rank reads it for all.

        Args:
            n_train: training images of the trial that it refits.
        """
        run = self.folder.path.parents[1]
        course = read_course(run, self.spec.refits) if self.ranks.is_first else b""
        course = self.ranks.bytes_of_first(course)
        steps_per_epoch = math.ceil(n_train / self.settings.batch_size)
        return Replay.of(course, self.settings, steps_per_epoch, probe_phase(self.spec.condition))

    def _against_cut(self) -> str | None:
        """Why the frozen front of a network of the user's own is computed in every step."""
        prepared, images = self.prepared, self._noise()
        reason = reason_against_split(prepared.network, prepared.groups, prepared.n_frozen, images)
        if reason is not None:
            self.notes.append(f"what is frozen is computed in every step: {reason}")
        return reason

    def _compiled(self, network: nn.Module) -> Callable[[Tensor], Tensor]:
        return compiled(network, self.folder.path.parents[1], self.settings.threads)

    def _use_checkpoints(self, front: Front | None) -> None:
        if front is None:
            name = self.spec.condition.model.shown
            use_checkpoints(name, self.network, self.prepared.groups)
        else:
            self.notes.append("train.gradient_checkpointing: what trains behind a frozen front "
                              "that is computed once is not computed again")  # fmt: skip

    def _watched(self, parts: Parts) -> Parts:
        """The parts, validation with its right labels where the sweep asks for them."""
        right = None
        if self.context.also_watch == "right_labels":
            right = self.context.catalogue.right_labels(self.spec.data)
        if right is None:
            return parts
        labels = torch.from_numpy(right[parts.validation.indices]).to(self.device)
        return replace(parts, validation=replace(parts.validation, right=labels))

    def start(self, measured: Measured | None = None) -> Iterator[Event]:
        """Evaluate the network as it starts, unless a state shows that this was done."""
        if self.nondeterministic:
            yield NotDeterministic(self.spec.id, self.nondeterministic)
        if not self.record.curve:
            yield self._evaluate(measured)
        else:
            step, curve = self.trainer.step_count, tuple(self.record.curve)
            yield Resumed(self.spec.id, step, self.trainer.n_steps, curve)

    @property
    def n_classes(self) -> int:
        return len(self.spec.data.class_names)

    @property
    def ran_as(self) -> str:
        """How its steps were made."""
        before = self.ran_before
        return self.steps.ran_as if before is None else self.steps.name_after(before)

    @property
    def is_over(self) -> bool:
        """Trained to its end, stopped early, diverged, or stopped because it was asked to."""
        return self.trainer.finished or self.diverged or self._stops_early() or self.stopped

    @property
    def will_be_tested(self) -> bool:
        """Whether a trial that is over scores its selected weights on a test part."""
        return not (self.stopped or self.diverged) and len(self.parts.test) > 0

    def train(self) -> None:
        """Steps until a pause is due; on the clock."""
        begin_peak(self.device)
        with self.clock.timing("train", self.device):
            self.steps.make([self.trainer], self.is_pause_due, self.wants_pause)
        self.note_memory()
        self.record.probe_l2 = self.steps.probe_l2

    def note_memory(self, n_trials: int = 1) -> None:
        """Keep the most that steps took; of a pack that computes as one, a trial's share."""
        peak = peak_of(self.device)
        if peak is None and self.trainer.memory is not None:
            peak = self.trainer.memory.n_bytes
        if peak:
            self.record.memory_bytes = max(self.record.memory_bytes or 0, peak // n_trials)

    def wants_pause(self) -> bool:
        """Whether this process was asked to stop, or a state is due."""
        return self.context.should_stop() or self.context.now() >= self.next_state_at

    def pause(self, measured: Measured | None = None) -> Iterator[Progress]:
        """Between steps: evaluate, keep weights, save a state, look for a request to stop, where
        each is due.

        Args:
            measured: the evaluation that is due, where it was made elsewhere.
        """
        if self.is_evaluation_due():
            yield self._evaluate(measured)
        if (name := self.checkpoint_due()) is not None:
            self._save_checkpoint(name)
        stops = self.context.should_stop()
        saves = stops or self.context.now() >= self.next_state_at
        # The first rank decides for all: others may see the request a step later.
        self.stopped, saves = self.ranks.flags_of_first(stops, saves)
        if saves:
            self.trainer.gather_right()
        if saves and self.ranks.is_first:
            self.save_state()

    def end(self, tested: tuple[Score, Tensor] | None = None) -> Stopped | Ended:
        """The trial's last event; its record is written, unless it was stopped.

        Args:
            tested: score and logits of the test part, where they were computed elsewhere.
        """
        self.steps.end()
        if self.stopped:
            return Stopped(self.spec.id, self.trainer.step_count)
        if self.ranks.is_first:
            return Ended(self.spec.id, self._write_record(tested))
        if not self.diverged:  # all ranks score, the first one writes and has the row
            self.be_selected()
            self._score_test()
        return Ended(self.spec.id, TrialRow())

    def is_pause_due(self) -> bool:
        """Whether something must happen after this step; the same in all ranks."""
        return self.is_evaluation_due() or self.checkpoint_due() is not None

    def checkpoint_due(self) -> str | None:
        """The file for the weights of the epoch that this step ended, where they are to be kept."""
        name = self.weights.epoch_name(self.trainer.step_count, self.trainer.steps_per_epoch)
        return None if name in self.record.checkpoints else name

    def is_evaluation_due(self) -> bool:
        step = self.trainer.step_count
        if self.record.curve and self.record.curve[-1].step == step:
            return False
        every = self.settings.evaluate_every
        return self.trainer.finished or every.is_due(step, self.trainer.steps_per_epoch)

    def _evaluate(self, measured: Measured | None) -> Progress:
        if measured is None:
            with self.clock.timing("eval", self.device):
                score = self._validate()
                measured = Measured(score, self.trainer.take_train_score())
        score, trained = measured.score, measured.trained
        self.clock.seconds["eval"] += measured.seconds
        with self.clock.timing("eval"):
            step = self.trainer.step_count
            finite = bool(self.spec.refits) or math.isfinite(score.loss)
            finite = finite and (step == 0 or math.isfinite(trained.loss))
            self.record.curve.append(
                EvaluationRow(
                    trial_id=self.spec.id,
                    arm=self.spec.arm,
                    seed=self.spec.seed,
                    step=step,
                    epoch=self.trainer.epoch,
                    samples=self.trainer.samples,
                    train_time_s=self.clock.seconds["train"],
                    learning_rate=self.trainer.learning_rate,
                    train_loss=trained.loss,
                    val_loss=score.loss,
                    val_accuracy=score.accuracy,
                    train_accuracy=trained.accuracy,
                    val_balanced_accuracy=score.balanced_accuracy,
                    val_macro_f1=score.macro_f1,
                    **{f"val_{name}": value for name, value in score.of_target.items()},
                    **self._on_right(score),
                )
            )
            if finite:
                self._select(score, step)
                self.trainer.after_evaluation(score)
            else:
                self.diverged = True
        evaluation = self.record.curve[-1]
        return Progress(self.spec.id, self.trainer.n_steps, self._images_per_s(), evaluation)

    def _on_right(self, score: Score) -> dict[str, float]:
        """The columns of right labels; none where they are not watched."""
        if self.parts.validation.right is None:
            return {}
        return {"val_right_loss": score.right_loss, "val_right_accuracy": score.right_accuracy}

    def _validate(self) -> Score:
        """The score on validation images; a refit trains on those, and has none."""
        if self.spec.refits:
            return Score(math.nan, math.nan)
        with self.trainer.average.shown():
            return self.trainer.evaluate(self.parts.validation, self.n_classes)

    def _select(self, score: Score, step: int) -> None:
        """Keep the weights where validation is best: accuracy, then loss; or loss alone.

        With `select: last` those of each evaluation, of which the end is one, replace the others. A
        refit keeps its last ones: how long it trains was chosen before it.
        """
        record, is_last = self.record, self.settings.select == "last"
        if self.spec.refits:
            record.best_step = step
            self._keep_best()
            return
        if record.best is None or is_last or self._rank(score) > self._rank(record.best):
            record.best, record.best_step = score, step
            self._keep_best()
        stopping = self.settings.early_stopping
        if stopping is not None and step > 0:
            value = score.cost(stopping.monitor)
            if value < record.watched - stopping.minimum_change:
                record.watched, record.n_since = value, 0
            else:
                record.n_since += 1

    def _keep_best(self) -> None:
        """Copy the weights; after the first time into the same memory."""
        with self.trainer.average.shown():
            kept, weights = self.record.best_weights, self.trained.state_dict()
            for name, value in weights.items():
                if name not in kept:
                    kept[name] = torch.empty_like(value)
            copy_all([kept[name] for name in weights], list(weights.values()))

    def _rank(self, score: Score) -> tuple[float, ...]:
        if self.settings.select == "val_loss":
            return (-score.loss,)
        chosen = -score.cost(self.settings.select)
        return (-math.inf if math.isnan(chosen) else chosen, -score.loss)

    def _stops_early(self) -> bool:
        stopping = self.settings.early_stopping
        return stopping is not None and self.record.n_since >= stopping.patience

    def _note_on_memory(self) -> list[str]:
        """That its evaluations were of smaller batches than its image size asks for."""
        at_once = self.trainer.images_at_once
        if at_once == images_at_once(self.spec.data.image_size, self.device):
            return []
        return [
            f"the GPU was too full for whole batches of an evaluation: {at_once} images at once, "
            "whose logits may differ in their last bits"
        ]

    def _note_on_skips(self) -> list[str]:
        """How many of its steps in fp16 moved nothing."""
        scale = self.trainer.loss_scale
        n = 0 if scale is None else int(scale.n_skipped)
        if not n:
            return []
        return [
            f"train.precision fp16: {n} of {self.trainer.step_count} steps moved no weight, since "
            "a gradient was not finite; the loss scale was halved after each"
        ]

    def _images_per_s(self) -> float:
        seconds = self.clock.seconds["train"]
        return self.trainer.samples / seconds if seconds > 0 else 0.0

    # -- states and checkpoints ------------------------------------------------------------

    def save_state(self) -> None:
        """Write all that the rest of the trial depends on; so rarely that it costs little."""
        started = self.context.now()
        with self.clock.timing("state", self.device):
            step = self.trainer.step_count
            state = {
                "trainer": self.trainer.state(),
                "record": self.record.as_state(),
                "seconds": dict(self.clock.seconds),
                "diverged": self.diverged,
                "ran_as": self.ran_as,
                "nondeterministic": self.nondeterministic,
                "chosen_layers": self.chosen_layers,
            }
            buffer = io.BytesIO()  # torch's own writer does not say that the disk is full
            torch.save(state, buffer)
            with atomic_file(self.folder.new_state(step), "wb") as file:
                file.write(f"{digest_of(buffer.getbuffer())}\n".encode())
                file.write(buffer.getbuffer())
            self.folder.drop_states_before(step)
        wait = max(self.context.state_every_s, (self.context.now() - started) / STATE_SHARE)
        self.next_state_at = self.context.now() + wait

    def _restore(self) -> None:
        state = self._saved_state()
        if not state:
            return
        self.trainer.restore(state["trainer"])
        record = dict(state["record"])
        if record["best"] is not None:
            record["best"] = Score(**record["best"])
        record["curve"] = [EvaluationRow(**point) for point in record["curve"]]
        self.record = Record(**record)
        self.diverged = state["diverged"]
        before = state.get("nondeterministic", ())  # a version before it has none
        self.nondeterministic = tuple(dict.fromkeys((*before, *self.nondeterministic)))
        self.ran_before = state["ran_as"]
        for what, seconds in state["seconds"].items():
            self.clock.seconds[what] += seconds

    def _saved_state(self) -> dict[str, Any]:
        """The first rank's state: other machines may not see its folder as it is; {}: none."""
        path = self.folder.state_file() if self.ranks.is_first else None
        content = self.ranks.bytes_of_first(read_state(path) if path else b"")
        if not content:
            return {}
        state: dict[str, Any] = torch.load(
            io.BytesIO(content), map_location=self.device, weights_only=True
        )
        return state

    def _save_checkpoint(self, name: str) -> None:
        if self.ranks.is_first:
            with self.trainer.average.shown():
                self.weights.write_epoch(merged(self.network), name)
        self.record.checkpoints.append(name)

    def _save_images(self) -> str:
        """Which images it was trained on, so that none of them is taken for a test later."""
        images, places = self.dataset.images, np.sort(self.parts.train.indices)
        with atomic_file(self.folder.result / TRAINED_ON, "wb") as file:
            for start in range(0, len(places), KEYS_AT_ONCE):
                file.write(image_keys(images[places[start : start + KEYS_AT_ONCE]]).tobytes())
        return TRAINED_ON

    # -- the end ---------------------------------------------------------------------------

    def _score_test(self) -> tuple[Score, Tensor] | None:
        """The selected weights on the test part: score and logits; None where there is no part."""
        if not len(self.parts.test):
            return None
        with self.clock.timing("eval", self.device):
            return self.trainer.predict(self.parts.test, self.n_classes)

    def be_selected(self) -> None:
        """Have the weights that validation chose; the last ones are written first, where asked."""
        if not self.last_weights:
            with self.trainer.average.shown():
                self.last_weights = self.weights.write_last(merged(self.network))
        if not self.diverged:
            self.trained.load_state_dict(self.record.best_weights)

    def _write_record(self, tested: tuple[Score, Tensor] | None) -> TrialRow:
        """Score the test set with the selected weights and write every file of the record."""
        result, files = self.folder.result, [*self.record.checkpoints, "curve.parquet"]
        write_curve(result / "curve.parquet", self.record.curve)
        if tested is None:
            self.be_selected()
            tested = None if self.diverged else self._score_test()
        files += self.last_weights
        if not self.diverged:
            files += self.weights.write_best(merged(self.network))
        if self.spec.refits:
            files.append(self._save_images())
        if tested:
            _write_predictions(result / "predictions.npz", self.parts.test, tested[1], self.goal)
            files.append("predictions.npz")
        row = self._row(tested[0] if tested else None, files)
        digests = {name: digest_of_file(result / name) for name in files}
        row = replace(row, digests=digests)
        write_record(result / "trial.json", row)
        return row

    def _row(self, test: Score | None, files: list[str]) -> TrialRow:
        record, seconds = self.record, self.clock.seconds
        best = record.best
        return replace(
            planned_row(self.spec, self.context.sweep),
            status="diverged" if self.diverged else "done",
            error=_divergence(record) if self.diverged else "",
            n_parameters=self.prepared.n_parameters,
            n_trainable=self.prepared.n_trainable,
            chosen_layers=self.chosen_layers,
            n_train=len(self.parts.train),
            n_validation=len(self.parts.validation),
            n_test=len(self.parts.test),
            n_pool=self.n_pool,
            epochs=self.settings.epochs,
            steps=self.trainer.step_count,
            best_step=record.best_step,
            best_val_accuracy=_known(best.accuracy if best else None),
            final_val_accuracy=_known(record.curve[-1].val_accuracy),
            test_accuracy=_known(test.accuracy if test else None),
            test_loss=test.loss if test else None,
            train_time_s=seconds["train"],
            eval_time_s=seconds["eval"],
            setup_time_s=seconds["setup"],
            prefix_time_s=seconds["prefix"],
            state_time_s=seconds["state"],
            images_per_s=self._images_per_s(),
            device=device_name(self.device),
            **self._of_gpu(),
            n_workers=self.ranks.n,
            ran_as=self.ran_as,
            deterministic=not self.nondeterministic,
            nondeterministic_operation=", ".join(self.nondeterministic),
            attempts=self.attempts,
            load_report=self.prepared.load_report,
            frozen=self.frozen,
            notes=(
                *self.notes,
                *self.steps.notes,
                *self._note_on_memory(),
                *self._note_on_skips(),
                *said_of_breaks(self.trainer.compiler is not None),
                *self.weights.notes,
            ),
            versions=versions(),
            files=(*files, "trial.json"),
            image_height=self.spec.data.image_size[0],
            image_width=self.spec.data.image_size[1],
            channels=self.spec.data.channels,
            **self._of_best_step(),
            test_balanced_accuracy=_known(test.balanced_accuracy if test else None),
            test_macro_f1=_known(test.macro_f1 if test else None),
            **self._of_target(test),
            probe_l2=record.probe_l2,
            memory_bytes=record.memory_bytes,
        )

    def _of_target(self, test: Score | None) -> dict[str, Any]:
        """The columns of a target that is no class; none of one that is."""
        scores = {} if test is None else test.of_target
        columns: dict[str, Any] = {f"test_{name}": _known(v) for name, v in scores.items()}
        return columns | {"target_scale": target_scale(self.dataset.target, self.goal)}

    def _of_best_step(self) -> dict[str, Any]:
        """The columns that say of the chosen step what its evaluation says."""
        record = self.record
        if record.best is None:
            return {}
        chosen = next(point for point in record.curve if point.step == record.best_step)
        columns = {
            "best_val_loss": chosen.val_loss,
            "best_val_balanced_accuracy": chosen.val_balanced_accuracy,
            "best_val_macro_f1": chosen.val_macro_f1,
            "best_train_loss": chosen.train_loss,
            "best_train_accuracy": chosen.train_accuracy,
            **{f"best_val_{name}": value for name, value in record.best.of_target.items()},
        }
        return {name: _known(value) for name, value in columns.items()}

    def _of_gpu(self) -> dict[str, Any]:
        """The columns that say of a GPU what seconds depend on; none on a CPU."""
        if self.device.type != "cuda":
            return {}
        share, workers = self.context.gpu_share, self.context.gpu_workers
        sharing = "alone" if workers == 1 else "mps" if mps_runs() else "in turns"
        return {
            "gpu_share": share,
            "gpu_workers": workers,
            "gpu_sharing": sharing,
            **gpu_versions(),
        }


def read_state(path: Path) -> bytes:
    """A saved state as torch reads it, compared with its digest, which is the file's first line.

    Raises:
        RunFolderError: the file is damaged.
    """
    content = path.read_bytes()
    if content[:4] == ZIP_START:  # of a version before digests
        return content
    digest, _, state = content.partition(b"\n")
    advice = f"remove the folder {path.parent.parent} to begin the trial anew"
    check_digest(path, digest_of(state), digest.decode("ascii", "replace"), advice)
    return state


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def gpu_versions() -> dict[str, str | None]:
    """Of CUDA, cuDNN and the driver; None where one does not say it."""
    its = driver()
    number = torch.backends.cudnn.version()
    return {
        "cuda": torch.version.cuda,
        "cudnn": cudnn_text(number) if number else None,
        "driver": its.version if its else None,
    }


def cudnn_text(number: int) -> str:
    """A version of cuDNN as people write it: 92600 is 9.26.0, and 8907 of before is 8.9.7."""
    major, rest = divmod(number, 10_000 if number >= 90_000 else 1_000)
    return f"{major}.{rest // 100}.{rest % 100}"


def versions() -> dict[str, str]:
    """What the numbers depend on beside the settings."""
    names = ("torch", "accelerate", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _known(value: float | None) -> float | None:
    """A score as a row has it: nothing where it is not defined."""
    return value if value is not None and math.isfinite(value) else None


def _divergence(record: Record) -> str:
    last = record.curve[-1]
    which = "validation" if not math.isfinite(last.val_loss) else "training"
    return f"the {which} loss was not finite at step {last.step}"


def _write_predictions(path: Path, part: Part, logits: Tensor, goal: Goal | None) -> None:
    """Every test prediction: indices, labels, predicted int64 (N,), probabilities (N, classes).

    Of a target without classes: indices, and float32 (N, outputs) `right` and `answers`, which are
    probabilities by label or numbers in their unit.
    """
    arrays: dict[str, Any] = {"indices": part.indices.astype(np.int64)}
    if goal is not None and not goal.has_accuracy:
        right = goal.on("cpu").right(part.labels.cpu())
        arrays["right"] = right.numpy().astype(np.float32)
        arrays["answers"] = goal.answers(logits).numpy().astype(np.float32)
    else:
        arrays["labels"] = part.labels.cpu().numpy()
        arrays["predicted"] = logits.argmax(dim=1).numpy()
        arrays["probabilities"] = logits.softmax(dim=1).numpy().astype(PREDICTION_DTYPE)
    with atomic_file(path, "wb") as file:
        np.savez_compressed(file, **arrays)
