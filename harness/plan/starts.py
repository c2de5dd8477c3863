"""Whether the weights that arms start from fit their networks, before any trial runs.

In: a plan. Out: what there is to say of the files, a line each; or all that does not fit, with the
lines of the sweep file. Each network and file that come together are tried once. It stands alone
because a plan is made without torch, and this needs it. Importing that takes longer than all of a
plan, so what was said of weights that fit is kept in the cache folder; those that do not are tried
each time. What is kept goes by the content of the file, which a plan reads in any case.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.plan.disk import builders
from harness.sweepfile.normalise import Published, published
from harness.sweepfile.settings import Condition, Sweep
from harness.trials.spec import DataUse, Plan, TrialSpec
from headstart.digests import digest_of_file
from headstart.errors import InputError, SpecError
from headstart.kept_answers import keep_answer, kept_answer
from headstart.output import on_one_line
from headstart.records import trial_row
from models import ModelInfo
from models.delta_record import read_record

MOST_TRIED = 200  # networks; the others of a large grid differ in what decides no shape


def check_starts(plan: Plan) -> list[str]:
    """Notes on the files of weights that the plan's trials start from.

    Raises:
        SpecError: weights that cannot be read or do not fit, each with its arm.
    """
    tried = list(_to_try(plan))[:MOST_TRIED]
    mistakes: dict[str, None] = {}
    notes: dict[str, None] = {}
    for spec in tried:
        at = plan.sweep.starts_at.get(spec.arm, f"{plan.sweep.name}: {spec.arm}")
        try:
            report = (*_notes(spec, plan.by_id[spec.parent] if spec.parent else None),
                      *_of_configuration(spec))  # fmt: skip
        except InputError as err:
            mistakes[on_one_line(f"{at}: {err}")] = None
        else:
            name = spec.condition.start.name or spec.condition.start.kind
            notes.update(dict.fromkeys(on_one_line(f"{name}: {note}") for note in report))
    if mistakes:
        raise SpecError(mistakes)
    return [*notes, *_other_numbers(plan)]


def misfits(sweep: Sweep) -> list[str]:
    """Files of weights that do not fit, whatever the data are: told where those are not here.

    A network that takes its images' size from the data is left for later.
    """
    mistakes: dict[str, None] = {}
    for name, condition in (*sweep.stages.items(), *sweep.arms.items()):
        is_file = condition.start.kind == "file" and condition.start.path.is_file()
        if is_file and condition.head != "keep" and condition.model.info.image_size:
            reasons = [_misfit(name, condition, n) for n in _channels(condition.model.info)]
            if all(reasons):
                at = sweep.starts_at.get(name, f"{sweep.name}: {name}")
                mistakes[on_one_line(f"{at}: {reasons[0]}")] = None
    return list(mistakes)


def _channels(info: ModelInfo) -> tuple[int, ...]:
    return (info.channels,) if info.channels else (3, 1)


def _misfit(name: str, condition: Condition, channels: int) -> str:
    """Why the weights do not fit a network for such images; an empty text where they do."""
    size = condition.model.info.image_size
    assert size is not None
    data = DataUse(condition.data[0], "", 2, ("0", "1"), "", True, size, channels)
    spec = TrialSpec("", "arm", name, 0, condition, data, {"init": 0, "head": 0},
                     start_file=condition.start.path.absolute())  # fmt: skip
    try:
        _tried(spec, None)
    except InputError as err:
        return str(err)
    return ""


def _to_try(plan: Plan) -> Iterator[TrialSpec]:
    """A trial of each network that meets a file, or a stage of another network."""
    seen: set[str] = set()
    for spec in plan.trials:
        if spec.parent is None and spec.start_file is None:
            continue
        if spec.parent and _are_alike(spec, plan.by_id[spec.parent]):
            continue
        data = spec.data
        what = (spec.condition.start, spec.condition.head, spec.condition.model.hashed(),
                data.image_size, data.channels, data.class_names)  # fmt: skip
        if (key := repr(what)) not in seen:
            seen.add(key)
            yield spec


def _are_alike(spec: TrialSpec, parent: TrialSpec) -> bool:
    """Whether a stage's weights fit without a look: the same network, a head that can be kept."""
    n_classes = len(spec.data.class_names), len(parent.data.class_names)
    if spec.condition.head == "keep" and n_classes[0] != n_classes[1]:
        return False
    return _network(spec) == _network(parent)


def _network(spec: TrialSpec) -> object:
    return spec.condition.model.hashed(), spec.data.image_size, spec.data.channels


def _notes(spec: TrialSpec, parent: TrialSpec | None) -> tuple[str, ...]:
    """What there is to say of weights that fit: kept from an earlier plan, or tried."""
    key = _key(spec, parent)
    if key is None:
        return _tried(spec, parent)
    kept = kept_answer("starts", key)
    if kept is not None and isinstance(kept[0], list):
        return tuple(map(str, kept[0]))
    notes = _tried(spec, parent)
    keep_answer("starts", key, list(notes))
    return notes


def _key(spec: TrialSpec, parent: TrialSpec | None) -> str | None:
    """All that the notes follow from; None: also from other files, or from code of the user's."""
    if any(each is not None and each.condition.runs_users_code for each in (spec, parent)):
        return None
    if parent is None and (
        spec.start_file is None
        or spec.start_content is None
        or trial_row(spec.start_file.parent) is not None  # a trial's: its record is read too
        or read_record(spec.start_file) is not None  # differences: their content is of two files
    ):
        return None
    condition, reader = spec.condition, Path(__file__).parent.parent / "training" / "network.py"
    what = (
        condition.start, condition.head, condition.tuning, _network(spec), spec.data.class_names,
        str(spec.start_file), spec.start_content,
        parent and (_network(parent), parent.arm, parent.data.class_names),
    )  # fmt: skip
    return repr((what, builders(), digest_of_file(reader)))


def _tried(spec: TrialSpec, parent: TrialSpec | None) -> tuple[str, ...]:
    """Load the weights into a network as the trial will; what there is to say of it."""
    from harness.training import network as training  # torch: only where weights are given

    own, groups = training.build_network(spec)
    if parent is None:
        assert spec.start_file is not None
        start = training.read_start(spec, spec.start_file)
    else:
        drawn, _ = training.build_network(parent)
        head = training.head_of(spec, parent.data.class_names)
        start = training.StartWeights(drawn.state_dict(), f"stage {parent.arm}", head)
    return start.for_network(spec, own, groups).load(spec, own, groups).notes


def _of_configuration(spec: TrialSpec) -> Iterator[str]:
    """What a configuration beside the file says otherwise than the network is given."""
    choice, file = spec.condition.model, spec.start_file
    if spec.condition.start.kind != "file" or file is None or choice.options.normalise is not None:
        return
    said, info = published(file), choice.info
    if said is not None and info.channels == len(said.mean) and _differ(said, info):
        yield (
            f"{said.file} beside it says mean {_shown(said.mean)}, deviation {_shown(said.std)}, "
            f"and the network is given {_shown(info.mean)}, {_shown(info.std)}; "
            "model: {normalise: weights} takes the file's"
        )


def _other_numbers(plan: Plan) -> Iterator[str]:
    """A line for each arm whose images are normalised otherwise than those of its stage."""
    lines: dict[str, None] = {}
    for (_, arm), trials in plan.by_arm.items():
        parent = plan.by_id.get(trials[0].parent or "")
        if parent is not None:
            own, of_stage = trials[0].condition.model.info, parent.condition.model.info
            if (own.mean, own.std) != (of_stage.mean, of_stage.std):
                numbers = [f"{_shown(i.mean)}, {_shown(i.std)}" for i in (own, of_stage)]
                lines[f"{arm} is normalised by {numbers[0]}, and its stage {parent.arm} by "
                      f"{numbers[1]}"] = None  # fmt: skip
    yield from lines


def _differ(said: Published, info: ModelInfo) -> bool:
    pairs = zip((*said.mean, *said.std), (*info.mean, *info.std), strict=False)
    return any(abs(one - other) > 0.001 for one, other in pairs)


def _shown(numbers: tuple[float, ...]) -> str:
    return "/".join(f"{number:.3g}" for number in numbers)
