"""The methods section: what the sweep says of its settings stands before what is computed."""

from types import SimpleNamespace

from analysis.report.methods import _chosen


def _terms(*sweeps: dict) -> list:
    return list(_chosen(SimpleNamespace(asked=[SimpleNamespace(sweep=s) for s in sweeps])))


def test_the_reasons_of_a_sweep_are_terms_said_once_for_all_its_runs():
    sweep = {"choices": {"page": "Cropped; compared.", "training": "AdamW; not compared."}}
    named = [(term.name, term.text) for term in _terms(sweep, sweep)]
    assert named == [
        ("Why this page", "Cropped; compared."),
        ("Why this training", "AdamW; not compared."),
    ]
    assert _terms({}) == []


def test_refitted_networks_are_said_to_have_no_score():
    (term,) = _terms({"refit": True})
    assert term.name == "Refitted networks"
    assert "They have no score of their own" in term.text
