"""Settings of jobs: what a profile, flags and --sbatch say, and what is said about mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headstart.errors import InputError, SpecError
from slurm.sbatch_options import FREE_OPTIONS, OWN_OPTIONS
from slurm.settings import PROFILES, load_settings, parse_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("10:30", 630), ("2:00:00", 7200), ("1-12", 129600), ("1-12:30", 131400),
     ("1-0:0:59", 86459)],
)  # fmt: skip
def test_time_limits_are_read_as_sbatch_reads_them(text: str, seconds: int) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["2h", "", "0", "0:30", "-5", "1:2:3:4", "٣٠", "9" * 5000])
def test_what_is_no_time_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no time limit|under a minute"):
        parse_time(text)


@given(st.integers(0, 99), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_days_hours_minutes_and_seconds_add_up(days: int, h: int, m: int, s: int) -> None:
    seconds = ((days * 24 + h) * 60 + m) * 60 + s
    assume(seconds >= 60)
    assert parse_time(f"{days}-{h:02}:{m:02}:{s:02}") == seconds
    assert parse_time(f"{24 * days + h}:{m:02}:{s:02}") == seconds


@given(st.text(st.sampled_from("0123456789-: .٣x"), max_size=12))
def test_any_text_is_a_time_limit_or_refused(text: str) -> None:
    try:
        assert parse_time(text) >= 60
    except ValueError as err:
        assert text[:5] in str(err) or repr(text)[:5] in str(err)  # noqa: PT017


@pytest.mark.parametrize(
    ("time", "lead_s"), [(None, 120), ("4", 60), ("8", 120), ("2:00:00", 120), ("1", 15)]
)
def test_notice_is_at_most_a_quarter_of_the_limit(time: str | None, lead_s: int) -> None:
    assert load_settings(None, {"time": time}).signal_lead_s == lead_s


def test_flags_override_the_profile_and_sbatch_options_add_up(tmp_path: Path) -> None:
    profile = tmp_path / "site.yaml"
    profile.write_text(
        "partition: gpu\ntime: 2:00:00\nnodes: 4\nmodules: [cuda/12.4]\n"
        "sbatch: {constraint: a100, exclusive: true}\n"
    )
    settings = load_settings(profile, {"nodes": 2, "account": None}, ["gres=tmpdir:1"])
    assert (settings.partition, settings.nodes, settings.account) == ("gpu", 2, None)
    assert settings.time == "2:00:00"  # YAML 1.1 would have read 7200
    assert dict(settings.sbatch) == {"constraint": "a100", "exclusive": None, "gres": "tmpdir:1"}
    assert settings.modules == ("cuda/12.4",)


def test_every_mistake_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    profile = tmp_path / "site.yaml"
    profile.write_text(
        "partion: gpu\naccount: my account\nlead_s: 600\ntime: 30\nsbatch:\n  exclusiv: true\n"
    )
    with pytest.raises(SpecError) as caught:
        load_settings(profile, {}, ["partition=x"])
    said = "\n".join(caught.value.mistakes)
    assert "site.yaml:1: partion: is no setting (did you mean 'partition'?)" in said
    assert "site.yaml:2: account: 'my account' is given; one word is expected" in said
    assert "site.yaml:6: 'exclusiv' is no option of sbatch (did you mean 'exclusive'?)" in said
    assert "--sbatch: 'partition' is not for sbatch's options: it is the setting" in said
    assert len(caught.value.mistakes) == 4


def test_a_wrong_key_lists_the_valid_ones() -> None:
    with pytest.raises(SpecError) as caught:
        load_settings(None, {}, ["constrain=a100"])
    assert all(option in str(caught.value) for option in ("constraint", "reservation", "licenses"))


def test_a_lead_over_a_quarter_of_the_limit_is_refused() -> None:
    with pytest.raises(SpecError, match=r"--lead-s: 61 s is over a quarter .* at most 60"):
        load_settings(None, {"time": "4", "lead_s": 61})


@pytest.mark.parametrize("flag", ["shards", "at_once"])
def test_what_belongs_to_the_other_mode_is_refused(flag: str) -> None:
    with pytest.raises(SpecError, match="belongs to mode array"):
        load_settings(None, {"mode": "ray", flag: 2})


def test_control_characters_cannot_reach_a_script(tmp_path: Path) -> None:
    profile = tmp_path / "site.yaml"
    profile.write_text('activate: "source x\\nrm y"\n')
    with pytest.raises(SpecError, match="one line of text"):
        load_settings(profile, {})


@pytest.mark.parametrize("key", ["activate", "setup"])
@pytest.mark.parametrize(
    "text", ["source 'x", 'echo "', "cat << END", "true \\", "if true", "(", "echo `date", "f() {"]
)
def test_a_line_of_shell_that_does_not_end_is_refused(key: str, text: str) -> None:
    with pytest.raises(SpecError, match=f"--{key}.* one whole line of shell is expected"):
        load_settings(None, {key: text if key == "activate" else (text,)})


@pytest.mark.parametrize(
    "text",
    [
        'source "$HOME/x y/bin/activate"',
        "PATH=$(pwd):$PATH",
        "f() { return 1; }",
        "a && read b <<< x",
    ],
)
def test_a_whole_line_of_shell_is_taken(text: str) -> None:
    assert load_settings(None, {"activate": text, "setup": (text,)}).activate == text


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"gpus: no such file.*example"):
        load_settings("gpus", {})


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_profile_of_ours_loads_by_name(path: Path) -> None:
    assert load_settings(path.stem, {}).nodes >= 1


def test_no_option_is_both_free_and_ours() -> None:
    assert not FREE_OPTIONS & set(OWN_OPTIONS)


@pytest.mark.parametrize(
    ("gres", "n_gpus"),
    [("gpu", 1), ("gpu:4", 4), ("gpu:a100", 1), ("gpu:a100:2", 2), ("gpu:a100:2,gpu:h100:1", 3),
     ("gres/gpu:3,lustre:1", 3), ("lustre:1", 0)],
)  # fmt: skip
def test_gpus_may_be_asked_for_in_a_sites_own_way(gres: str, n_gpus: int) -> None:
    assert load_settings(None, {}, [f"gres={gres}"]).n_gpus == n_gpus
    assert load_settings(None, {"gpus_per_node": 8}, [f"gres={gres}"]).n_gpus == 8
    assert load_settings(None, {}).n_gpus == 0
