"""The rows of a run folder: what a trial, and what one evaluation of it, has to show.

In: values. Out: `TrialRow` (`trial.json`, a row of `trials.parquet`), `EvaluationRow` (a row of
`curve.parquet` and `curves.parquet`) and `ForecastRow` (`forecast/forecast.parquet`). Each field
says what it means, its unit and when it is empty. The JSON, the Arrow schema and
`docs/reference/run-folder.md` all come from these definitions. They stand in the leaf because
whoever trains writes them and whoever reports reads them.

A field's name is its key and its column; the order of fields is the order of columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import NoneType
from typing import Any, Self, get_args, get_origin, get_type_hints

from headstart.digests import check_sealed
from headstart.foreign import is_plain

STATUSES = ("done", "diverged", "failed")
TRAINED_ON = "trained_on.bin"  # of a refit: `image_keys` of its images, uint64
ARROW_TYPES = {str: "string", int: "int64", float: "double", bool: "bool"}
ON_CPUS = "it ran on CPUs"
MOST = 1 << 63  # what an int64 and a double of a table can hold
_COLUMNS: dict[type, tuple[Column, ...]] = {}  # of each kind of row, made when first asked for


@dataclass(frozen=True)
class Column:
    """One field of a row.

    Attributes:
        name: key in JSON and column in the tables.
        arrow: `string`, `int64`, `double` or `bool`; empty for a field that only `trial.json` has.
        meaning: what it says.
        unit: of a number; empty for text and for numbers without one.
        empty: when nothing stands there; empty where something always does.
        type: the classes that a value read from JSON may have.
    """

    name: str
    arrow: str
    meaning: str
    unit: str
    empty: str
    type: tuple[type, ...]

    def cell(self, value: object) -> object:
        """A field's value as a table has it: several texts are lines of one.

        A table of a run folder holds no lists, since a stranger's lists could be of any depth.
        """
        return "\n".join(value) if isinstance(value, tuple) else value


def _field(meaning: str, unit: str = "", empty: str = "", default: Any = None) -> Any:
    return field(default=default, metadata={"meaning": meaning, "unit": unit, "empty": empty})


def _text(meaning: str) -> Any:
    return _field(meaning, default="")


def _texts(meaning: str) -> Any:
    """Texts, of one line each, that are a column as well."""
    meaning += "; in a table, a line each"
    said = {"meaning": meaning, "unit": "", "empty": "", "arrow": "string"}
    return field(default=(), metadata=said)


def _number(meaning: str, unit: str = "") -> Any:
    return _field(meaning, unit, default=0)


def _later(meaning: str, unit: str) -> Any:
    """A number of an evaluation that versions before did not record."""
    return _field(meaning, unit, "a version before this column wrote it")


def _watched(meaning: str, unit: str = "") -> Any:
    """A number of an evaluation on right labels."""
    return _field(
        meaning, unit, "`measure.also_watch` does not ask for it, or right labels are not known"
    )


def _measured(meaning: str, unit: str = "", empty: str = "") -> Any:
    """A field that a trial gives when it ends: empty where it failed, and in the cases named."""
    return _field(meaning, unit, f"the trial failed{empty and f', or {empty}'}")


def _scored(meaning: str, unit: str = "", more: str = "") -> Any:
    """A score of the weights that were chosen, which versions before did not record."""
    empty = f"diverged{more and f', or {more}'}, or a version before this column wrote it"
    return _measured(meaning, unit, empty)


class Row:
    """What rows have in common; a field without a value has its default."""

    __slots__ = ()

    @classmethod
    def columns(cls) -> tuple[Column, ...]:
        """The fields that are columns of a table, in its order."""
        return tuple(column for column in columns_of(cls) if column.arrow)

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> Self:
        """The row that a record holds.

        A key that this version does not know is left out, since records are copied as files and
        never written again from rows. A key that the version which wrote it did not know has its
        default.

        Raises:
            ValueError: a value of another type than its field's.
        """
        given: dict[str, Any] = {}
        for column in columns_of(cls):
            value = content.get(column.name)
            if value is not None:
                given[column.name] = _checked(column, value)
        return cls(**given)

    def to_json(self) -> dict[str, Any]:
        """Every field under its name."""
        return {column.name: getattr(self, column.name) for column in columns_of(type(self))}


_OF_TARGETS = {
    "mean_average_precision": ("mean over labels of average precision", "fraction"),
    "micro_f1": ("F1 of all decisions on labels together", "fraction"),
    "exact_match": ("images of which all labels are right", "fraction"),
    "quadratic_kappa": ("Cohen's kappa of ordered classes with squared weights", ""),
    "mae": ("mean absolute error of numbers; of ordered classes in places of the order",
        "of the target"),
    "rmse": ("root of the mean squared error of numbers", "of the target"),
    "r2": ("share of the numbers' variance that is explained", ""),
}  # fmt: skip
_NO_TARGET = "the target has no such metric, or it is not defined on these images"


def _of_target(name: str, where: str) -> Any:
    """A metric of a target that is no class."""
    meaning, unit = _OF_TARGETS[name]
    return _field(f"{meaning}, {where}", unit, _NO_TARGET)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRow(Row):
    """What a trial is, and what it has to show; `TrialRow()` is a row of which nothing is known."""

    trial_id: str = _text("a hash of all that decides the result: 16 hexadecimal characters")
    sweep: str = _text("name of the sweep whose plan has the trial")
    stage: str = _text("`pretrain`, `search`, `arm`, `double` or `refit`")
    arm: str = _text("name of the arm, or of the pretrain stage")
    seed: int = _number("number of the replicate; trials of one seed share every draw they can")
    status: str = _text("`done`, `diverged` (a loss was not finite) or `failed` (runs again)")
    error: str = _text("why the trial failed or diverged; an empty text where it is done")
    model: str = _text("name of the network")
    dataset: str = _text("name of the data set that was used")
    dataset_fingerprint: str = _text("a hash of the data set's content")
    stand_in_for: str = _text("the data set that the sweep prefers, where another one was used")
    initialize: str = _text("what it started from: `random`, `imagenet`, a stage, a file or a run")
    parent_id: str = _text("the trial that it started from; an empty text where there is none")
    fine_tune: str = _text("which layers train, as the sweep says it")
    grid: str = _text("the point of a grid or the sample of a search, as JSON; else an empty text")
    n_parameters: int | None = _measured("weights and biases of the network", "parameters")
    n_trainable: int | None = _measured("those that training may change", "parameters")
    n_classes: int = _number("classes of the data set", "classes")
    n_train: int | None = _measured("images that it trained on", "images")
    n_validation: int | None = _measured("images that chose the checkpoint", "images")
    n_test: int | None = _measured("images of its test part; 0 in a search", "images")
    n_pool: int | None = _measured(
        "images that all its parts were drawn from", "images", "its test part is set apart"
    )
    learning_rate: float = _number(
        "as the sweep file gives it; a schedule changes it over the steps"
    )
    batch_size: int = _number("images of one step, over all processes", "images")
    epochs: int = _number("passes over the training images that were planned", "epochs")
    steps: int | None = _measured("steps that were made", "steps")
    best_step: int | None = _measured(
        "the step at which validation was best; of a refit its last", "steps"
    )
    best_val_accuracy: float | None = _measured(
        "validation accuracy at `best_step`", "fraction",
        "diverged before it was evaluated, or its target has no accuracy",
    )  # fmt: skip
    final_val_accuracy: float | None = _measured(
        "validation accuracy at the last evaluation", "fraction"
    )
    test_accuracy: float | None = _measured(
        "accuracy on the test part, of the weights of `best_step`", "fraction",
        "diverged, or has no test part",
    )  # fmt: skip
    test_loss: float | None = _measured(
        "mean loss on the test part, of the weights of `best_step`",
        empty="diverged, or has no test part",
    )
    train_time_s: float | None = _measured("time in training steps alone", "seconds")
    eval_time_s: float | None = _measured("time in evaluations", "seconds")
    setup_time_s: float | None = _measured(
        "time before the first step, `prefix_time_s` included", "seconds"
    )
    prefix_time_s: float | None = _measured(
        "time in which the frozen part was computed once", "seconds"
    )
    state_time_s: float | None = _measured("time in which states were saved", "seconds")
    images_per_s: float | None = _measured(
        "training images for each second of `train_time_s`", "images per second"
    )
    device: str | None = _measured("`cpu`, or the name of the GPU")
    host: str = _text("name of the machine")
    n_workers: int | None = _measured("ranks: the processes that shared the trial", "processes")
    ran_as: str | None = _measured(
        "how its steps were made: `solo`, beside others as `heads`, `graph` or `fused`, or by N "
        "ranks as `workers-N`; `+` between two where it went on in another way"
    )
    attempts: int = _number("starts of training, continuations included", "starts")
    finished_at: str = _text("when it ended, as ISO 8601 in UTC")
    deterministic: bool | None = _measured(
        "whether every operation of its training had a deterministic kernel; where not, the same "
        "trial has other bits each time that it runs",
        empty="a version before this column wrote it",
    )
    nondeterministic_operation: str = _text(
        "the operations without a deterministic kernel; else an empty text"
    )
    gpu_share: float | None = _measured(
        "the share of the GPU that its worker was given", empty=ON_CPUS
    )
    gpu_workers: int | None = _measured(
        "workers that shared the GPU at most, its own included", "workers", ON_CPUS
    )
    gpu_sharing: str | None = _measured(
        "`alone` on the GPU, with other workers `in turns`, or at once through NVIDIA's `mps`",
        empty=ON_CPUS,
    )
    cuda: str | None = _measured("version of CUDA that PyTorch was built for", empty=ON_CPUS)
    cudnn: str | None = _measured("version of cuDNN that PyTorch used", empty=ON_CPUS)
    driver: str | None = _measured(
        "version of the GPU's driver", empty=f"{ON_CPUS}, or the driver does not say it"
    )
    class_names: tuple[str, ...] = _field("names of the classes, by their numbers", default=())
    load_report: Mapping[str, object] | None = _measured(
        "`from`: where the first weights came from; `head`, `loaded`, `new`, `left_out`: what "
        "became of the tensors of that file"
    )
    frozen: Mapping[str, object] | None = _measured(
        "`cached`: whether the frozen part was computed once; `reason` where it was not, else "
        "where it ends and what it took"
    )
    notes: tuple[str, ...] = _texts("what a reader should know of its data and of its steps")
    warnings: tuple[str, ...] = _texts(
        "what a reader must know of its data first; a report says it at its top"
    )
    versions: Mapping[str, str] | None = _measured("of Python and the packages that decide numbers")
    files: tuple[str, ...] = _field("the files that it left in its folder", default=())
    digests: Mapping[str, str] | None = _field(
        "SHA-256 of each of `files` but `trial.json`, whose own digest stands under `sha256`",
        empty="a version before digests wrote it, or the trial failed",
    )
    image_height: int | None = _measured("of the images that the network is given", "pixels")
    image_width: int | None = _measured("of the images that the network is given", "pixels")
    channels: int | None = _measured("of the images that the network is given", "channels")
    code: tuple[str, ...] = _texts(
        "network, optimizer and loss of the user's own files, each with the digest of its code"
    )
    best_val_loss: float | None = _scored("mean validation loss at `best_step`")
    best_val_balanced_accuracy: float | None = _scored(
        "mean over classes of validation accuracy at `best_step`", "fraction"
    )
    best_val_macro_f1: float | None = _scored(
        "mean F1 over classes on validation images at `best_step`", "fraction"
    )
    best_train_loss: float | None = _scored(
        "`train_loss` of the evaluation at `best_step`", more="`best_step` is 0"
    )
    best_train_accuracy: float | None = _scored(
        "`train_accuracy` of the evaluation at `best_step`", "fraction", "`best_step` is 0"
    )
    test_balanced_accuracy: float | None = _scored(
        "mean over classes of accuracy on the test part", "fraction", "it has no test part"
    )
    test_macro_f1: float | None = _scored(
        "mean F1 over classes on the test part", "fraction", "it has no test part"
    )
    redrawn: str = _text(
        "of a `double`: the source of randomness in which it differs from the arm's trial at this "
        "seed; else an empty text"
    )
    refits: str = _text(
        "of a `refit`: the arm's trial whose learning rates it repeats on the training, validation "
        "and test images of its split together, so that it has no score of its own; else empty"
    )
    probe_l2: float | None = _measured(
        "the L2 that validation images chose for a linear probe (`fine_tune: {probe: lbfgs}`)",
        empty="its head was trained, or not at all",
    )
    chosen_layers: tuple[str, ...] = _texts(
        "with `fine_tune: surgical` the layer groups that train beside the head, as the first "
        "gradients chose them"
    )
    target: str = _text(
        "what labels stand for: `labels` (several an image), `ordered` classes or a `number`; "
        "empty: one class an image"
    )
    target_scale: Mapping[str, object] | None = _field(
        "`kind` and `unit` of the target; of a number also `mean` and `sd` of the training images, "
        "by which an output is multiplied (`sd`) and moved (`mean`) to be in the unit",
        empty="labels are classes, or the trial failed",
    )
    best_val_mean_average_precision: float | None = _of_target(
        "mean_average_precision", "on validation images at `best_step`"
    )
    test_mean_average_precision: float | None = _of_target(
        "mean_average_precision", "on the test part"
    )
    best_val_micro_f1: float | None = _of_target("micro_f1", "on validation images at `best_step`")
    test_micro_f1: float | None = _of_target("micro_f1", "on the test part")
    best_val_exact_match: float | None = _of_target(
        "exact_match", "on validation images at `best_step`"
    )
    test_exact_match: float | None = _of_target("exact_match", "on the test part")
    best_val_quadratic_kappa: float | None = _of_target(
        "quadratic_kappa", "on validation images at `best_step`"
    )
    test_quadratic_kappa: float | None = _of_target("quadratic_kappa", "on the test part")
    best_val_mae: float | None = _of_target("mae", "on validation images at `best_step`")
    test_mae: float | None = _of_target("mae", "on the test part")
    best_val_rmse: float | None = _of_target("rmse", "on validation images at `best_step`")
    test_rmse: float | None = _of_target("rmse", "on the test part")
    best_val_r2: float | None = _of_target("r2", "on validation images at `best_step`")
    test_r2: float | None = _of_target("r2", "on the test part")

    memory_bytes: int | None = _measured(
        "memory of its largest steps: on a GPU the most that PyTorch's allocator held in training, "
        "images that lie there included, and of trials that ran as `heads` or `fused` a share of "
        "their pack; on a CPU reckoned: network, gradients, the optimizer's state, and what the "
        "first step of an epoch keeps for the way back",
        "bytes",
        "no step was looked at (packs, several processes and `train.compile` on CPUs, a head that "
        "was fitted), or a version before this column wrote it",
    )

    @classmethod
    def from_record(cls, content: Mapping[str, object]) -> TrialRow:
        """The row that a `trial.json` holds, its digest checked.

        Raises:
            ValueError: it was damaged or changed, or no trial ended so.
        """
        check_sealed(content)
        row = TrialRow.from_json(content)
        for name in (*row.files, *filter(None, [row.trial_id])):
            if not is_plain(name):
                raise ValueError(f"the name {name!a:.80} is not used as a path")
        if row.status not in STATUSES:
            raise ValueError(f"status: {row.status[:80]!r} is not one of {', '.join(STATUSES)}")
        return row

    def to_json(self) -> dict[str, Any]:
        """Every field under its name; a trial that failed shows nothing that it did not measure."""
        content = Row.to_json(self)
        if self.status != "failed":
            return content
        return {name: value for name, value in content.items() if value is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationRow(Row):
    """One point of a trial's learning curve; step 0 is the network as it starts."""

    trial_id: str = _text("the trial that was evaluated")
    arm: str = _text("its arm or stage")
    seed: int = _number("its seed")
    step: int = _number("training steps so far", "steps")
    epoch: float = _number("passes over the training images so far", "epochs")
    samples: int = _number("training images shown so far", "images")
    train_time_s: float = _number("time in training steps so far", "seconds")
    learning_rate: float = _number("the rate of the step that comes next")
    train_loss: float = _number(
        "mean loss of the steps since the evaluation before, as they were made; NaN at step 0"
    )
    val_loss: float = _number("mean loss on the validation images; NaN in a refit")
    val_accuracy: float = _number(
        "accuracy on the validation images; NaN in a refit, and of a target without classes",
        "fraction",
    )
    train_accuracy: float | None = _later(
        "accuracy of the steps since the evaluation before, as they were made: of images as "
        "augmentation changed them, under dropout, each by the weights that its step began with; "
        "NaN at step 0, and in the interval in which a version that counts it took over",
        "fraction",
    )
    val_balanced_accuracy: float | None = _later(
        "mean over the classes of accuracy on the validation images", "fraction"
    )
    val_macro_f1: float | None = _later(
        "mean F1 over the classes on the validation images", "fraction"
    )
    val_right_loss: float | None = _watched(
        "mean cross-entropy of the validation images on their right labels, whatever loss trains"
    )
    val_right_accuracy: float | None = _watched(
        "accuracy on the validation images by their right labels", "fraction"
    )
    val_mean_average_precision: float | None = _of_target(
        "mean_average_precision", "on the validation images"
    )
    val_micro_f1: float | None = _of_target("micro_f1", "on the validation images")
    val_exact_match: float | None = _of_target("exact_match", "on the validation images")
    val_quadratic_kappa: float | None = _of_target("quadratic_kappa", "on the validation images")
    val_mae: float | None = _of_target("mae", "on the validation images")
    val_rmse: float | None = _of_target("rmse", "on the validation images")
    val_r2: float | None = _of_target("r2", "on the validation images")


@dataclass(frozen=True, kw_only=True, slots=True)
class LaterTestRow(TrialRow):
    """A trial's row whose test columns are of a test set met later (`evaluations/NAME.parquet`)."""

    trained_on: str = _text("the data set that the trial was trained on")
    accuracy_case_merged: float | None = _field(
        "accuracy where upper and lower case of one letter count as the same",
        "fraction",
        "no two classes differ in case alone",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class AlsoTestRow(Row):
    """What the chosen weights of one trial score on one further test set (`also_test`)."""

    trial_id: str = _text("the trial whose weights were scored, those of `best_step`")
    arm: str = _text("its arm")
    seed: int = _number("its seed")
    test_set: str = _text("the further test set, as the report calls it")
    corruption: str = _text(
        "how the trial's own test images were made worse; an empty text for another data set"
    )
    strength: int | None = _field("of the corruption, 1 to 5", empty="it is another data set")
    fingerprint: str = _text(
        "a hash of the set's images, as the network was given them, and labels; of a corruption of "
        "the data set's and of the corruption's settings"
    )
    n_images: int = _number("images that were scored", "images")
    accuracy: float | None = _field("accuracy on them", "fraction")
    balanced_accuracy: float | None = _field("mean over classes of accuracy on them", "fraction")
    macro_f1: float | None = _field("mean F1 over classes on them", "fraction")
    loss: float | None = _field("mean loss on them, as the trial's own")
    mean_average_precision: float | None = _of_target("mean_average_precision", "on them")
    micro_f1: float | None = _of_target("micro_f1", "on them")
    exact_match: float | None = _of_target("exact_match", "on them")
    quadratic_kappa: float | None = _of_target("quadratic_kappa", "on them")
    mae: float | None = _of_target("mae", "on them")
    rmse: float | None = _of_target("rmse", "on them")
    r2: float | None = _of_target("r2", "on them")
    device: str = _text("`cpu`, or the name of the GPU that computed the answers")


@dataclass(frozen=True, kw_only=True, slots=True)
class ForecastRow(Row):
    """One score of the start of one arm at one seed, made without any test image."""

    arm: str = _text("the arm, under the plan's name")
    seed: int = _number("the seed whose split, and whose random weights, were used")
    data_set: str = _text("the data set, and how many images train")
    dataset_fingerprint: str = _text("its content")
    start: str = _text("what the arm starts from; arms that share it share their scores")
    score: str = _text("which score, as `--scores` names it")
    value: float | None = _field("the score; more is better", "", "it cannot be had: see `reason`")
    reason: str = _text("why there is no score; empty where there is one")
    n_images: int = _number("training and validation images that it was computed from", "images")
    n_features: int | None = _field(
        "features of an image before the head", "", "the network cannot be cut there"
    )
    features_time_s: float = _number(
        "time to compute the features, or to read them from the cache", "seconds"
    )
    score_time_s: float = _number("time to compute the score from them", "seconds")


def columns_of(row: type) -> tuple[Column, ...]:
    """All fields of a kind of row, those of `trial.json` alone included."""
    if row not in _COLUMNS:
        hints = get_type_hints(row)
        _COLUMNS[row] = tuple(_column(f.name, hints[f.name], f.metadata) for f in fields(row))
    return _COLUMNS[row]


def _checked(column: Column, value: object) -> object:
    if column.arrow == "int64" and isinstance(value, float) and value.is_integer():
        value = int(value)  # as other programs write it
    fits = isinstance(value, column.type) and isinstance(value, bool) == (column.type == (bool,))
    if fits and isinstance(value, int):
        fits = abs(value) < MOST
    if fits and isinstance(value, list):
        fits = all(isinstance(item, str) for item in value)
    if not fits:
        raise ValueError(f"{column.name}: {repr(value)[:80]} is no {column.type[0].__name__}")
    if column.arrow == "double" and isinstance(value, int):
        return float(value)  # a table takes no integer that a double would round
    return tuple(value) if isinstance(value, list) else value


def _column(name: str, hint: Any, said: Mapping[str, str]) -> Column:
    kind = get_args(hint)[0] if NoneType in get_args(hint) else hint
    arrow = ARROW_TYPES.get(kind, said.get("arrow", ""))
    classes = {"double": (float, int)}.get(arrow, (kind,))
    if kind not in ARROW_TYPES:
        classes = (list,) if get_origin(kind) is tuple else (dict,)
    return Column(name, arrow, said["meaning"], said["unit"], said["empty"], classes)
