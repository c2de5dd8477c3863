"""Mean and deviation of a condition: the network's before the data's, and where they come from."""

from __future__ import annotations

import json

import pytest

from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep, parse_yaml, read_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.trials.catalogue import DataCatalogue
from headstart.errors import SpecError

OF_DATA = ("count: 600, seed: 1,", "count: 600, seed: 1, normalise: {mean: 0.2, std: 0.4},")
OF_MODEL = ("{name: lenet5}", "{name: lenet5, normalise: {mean: 0.5, std: [0.25]}}")


def numbers(path, arm="scratch"):
    info = load_sweep(path).arms[arm].model.info
    return info.mean, info.std


def test_the_networks_goes_before_the_datas(write_sweep):
    assert numbers(write_sweep()) == ((0.1307,), (0.3081,))
    assert numbers(write_sweep(OF_DATA)) == ((0.2,), (0.4,))
    assert numbers(write_sweep(OF_MODEL)) == ((0.5,), (0.25,))
    assert numbers(write_sweep(OF_DATA, OF_MODEL)) == ((0.5,), (0.25,))


def test_it_is_in_the_id_only_where_it_is_written(write_sweep, tmp_path):
    def ids(*replacements):
        plan = make_plan(load_sweep(write_sweep(*replacements)), DataCatalogue(tmp_path))
        return {trial.id for trial in plan.trials if trial.arm == "scratch"}

    same = ("count: 600, seed: 1,", "count: 600, seed: 1, normalise: {mean: 0.5, std: 0.25},")
    assert ids(OF_MODEL) == ids(same)
    assert not ids() & ids(OF_DATA)
    assert not ids(OF_MODEL) & ids(OF_DATA)


def test_the_resolved_text_has_it_where_it_holds_and_reads_to_the_same(write_sweep):
    sweep = load_sweep(write_sweep(OF_DATA))
    text = resolved_yaml(sweep)
    assert text.count("normalise") == 2  # of both arms; the stage's data say nothing
    assert read_sweep(parse_yaml(text, "again")) == sweep
    assert "normalise" not in resolved_yaml(load_sweep(write_sweep()))


def test_grey_images_have_the_mean_of_three_numbers(write_sweep):
    path = write_sweep(("{name: lenet5}", "{name: lenet5, normalise: imagenet}"))
    mean, std = numbers(path)
    assert mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,))
    assert std == pytest.approx(((0.229 + 0.224 + 0.225) / 3,))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("preprocessor_config.json", {"image_mean": [0.5], "image_std": [0.2]}, ((0.5,), (0.2,))),
        ("config.json", {"pretrained_cfg": {"mean": [0.4] * 3, "std": [0.3] * 3}},
         ((pytest.approx(0.4),), (pytest.approx(0.3),))),
        ("preprocessor_config.json", {"do_normalize": False, "image_mean": [0.5]}, ((0,), (1,))),
    ],
)  # fmt: skip
def test_a_configuration_beside_the_weights_is_taken(
    write_sweep, tmp_path, name, content, expected
):
    (tmp_path / "w.safetensors").touch()
    (tmp_path / name).write_text(json.dumps(content))
    arm = f"{{initialize: {tmp_path}/w.safetensors, model: {{normalise: weights}}}}"
    path = write_sweep(("{initialize: drawn}", arm))
    assert numbers(path, "pretrained") == expected
    assert numbers(path) == ((0.1307,), (0.3081,))


@pytest.mark.parametrize(
    ("normalise", "says"),
    [
        (
            "{mean: 123.7, std: 0.2}",
            r"normalise.mean: 123.7 is over 1: .* divide numbers of 0..255",
        ),
        ("{mean: 0.5, std: 0}", "normalise.std: 0 a deviation is over 0"),
        ("{mean: 0.5}", "normalise.std: is missing"),
        ("{mean: [0.1, 0.2], std: 0.5, sdt: 1}", "normalise.sdt: is not a key here"),
        ("imagnet", "is not one of imagenet, weights, {mean: …, std: …}"),
        ("weights", "it starts from a stage; give {mean: …, std: …}"),
    ],
)
def test_what_cannot_be_is_said_with_its_line(write_sweep, normalise, says):
    arm = f"{{initialize: drawn, model: {{normalise: {normalise}}}}}"
    with pytest.raises(SpecError, match=says) as caught:
        load_sweep(write_sweep(("{initialize: drawn}", arm)))
    assert all(":12: arms.pretrained.model" in line for line in caught.value.mistakes)


def test_without_a_configuration_the_numbers_are_asked_for(write_sweep, tmp_path):
    (tmp_path / "w.pth").touch()
    arm = f"{{initialize: {tmp_path}/w.pth, model: {{normalise: weights}}}}"
    with pytest.raises(SpecError, match=r"no preprocessor_config.json or config.json .* beside"):
        load_sweep(write_sweep(("{initialize: drawn}", arm)))


def test_several_data_sets_must_agree(write_sweep):
    old = "data: {name: glyphs, count: 600, seed: 1,"
    two = "data: {first_of: [{name: optdigits, normalise: imagenet}, optdigits],"
    path = write_sweep((old, two))
    with pytest.raises(SpecError, match="is not the same for all data sets of first_of"):
        load_sweep(path)
