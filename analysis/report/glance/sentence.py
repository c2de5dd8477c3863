"""What came out, in one plain sentence, for a reader who knows no statistics.

In: the outcome of each pair of arms. Out: one short sentence, and one on the pairs that it leaves
out. It stands apart from `leads`, whose sentences are of one pair each and say how surely: here
pairs that share a control are said together, and nothing is said that asks for a course.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis import words
from analysis.findings.findings import Findings
from analysis.report.glance.layers import at_one_point
from analysis.report.glance.outcomes import Outcome, Phrase, outcomes_of
from analysis.statistics.times.course import Course

MOST_NAMED = 3  # arms that one clause names; more are counted
MOST_NAME = 66  # characters that their names may take together
MOST_GROUPS = 2  # controls, of each of which a sentence says how many layers to tune
QUESTIONS = ("way", "final", "stability", "overfitting")
VERBS = {
    "way": Phrase("learns", "faster"),
    "stability": Phrase("is", "more stable"),
    "overfitting": Phrase("overfits", "less"),
}


def say(findings: Findings) -> tuple[str, str]:
    """The sentence, and what it leaves out ("" where it leaves out nothing)."""
    arms = findings.arms
    if not arms["n_done"].sum():
        return "There is no answer: no trial of an arm finished.", ""
    outcomes = outcomes_of(findings)
    if not outcomes:
        return _without_comparison(findings), ""
    direct = [o for o in outcomes if (o.treatment, o.control) in findings.layers.pairs]
    layered = " ".join(_on_layers(direct, findings))
    others = [outcome for outcome in outcomes if outcome not in direct]
    if not others:
        return layered, ""
    text, left_out = _of_all(others, findings)
    return f"{text} {layered}".strip(), left_out


def _on_layers(outcomes: Sequence[Outcome], findings: Findings) -> Iterator[str]:
    """Of arms that differ in how many layers train alone, every question, a sentence a control."""
    controls = list(dict.fromkeys(outcome.control for outcome in outcomes))
    groups = [[o for o in outcomes if o.control == control] for control in controls]
    if len(groups) > MOST_GROUPS:
        groups = [list(outcomes)]
    n_tasks = len(findings.tasks)
    together = f" over {n_tasks} tasks together" if n_tasks > 1 else ""
    for k, group in enumerate(groups):
        arms = [name for o in group for name in (o.treatment, o.control)]
        place, text = at_one_point(arms, _of_group(group, findings.course))
        at = f"at {place}" if place else ""
        if not k:
            at = ", ".join(filter(None, (f"on how many layers to tune{together}", at)))
        yield words.sentence(f"{at}: {text}" if at else text)


def _of_all(outcomes: Sequence[Outcome], findings: Findings) -> tuple[str, str]:
    """The sentence on all other pairs, and what it leaves out."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.control, []).append(outcome)
    clearest = max(groups.values(), key=lambda group: (sum(o.weight for o in group), len(group)))
    if 2 * len(clearest) <= len(outcomes) > 1:  # no control has the most of them
        clearest = list(outcomes)
    n_tasks = len(findings.tasks)
    text = _of_group([o.short for o in clearest], findings.course)
    if n_tasks > 1:
        text = f"Over {n_tasks} tasks together {text}"
    left_out = [outcome for outcome in outcomes if outcome not in clearest]
    return words.sentence(text), _left_out(left_out)


def find_words(findings: Findings, question: str) -> str:
    """What came out of one question (`way`, `final`, `stability`, `overfitting`) in one sentence;
    "" where it was not asked of any pair."""
    outcomes = [outcome.of_question(question) for outcome in outcomes_of(findings)]
    outcomes = [outcome for outcome in outcomes if outcome.shown or outcome.unknown]
    if not outcomes:
        return ""
    text = _of_group(outcomes, findings.course)
    n_tasks = len(findings.tasks)
    return words.sentence(f"Over {n_tasks} tasks together {text}" if n_tasks > 1 else text)


def _without_comparison(findings: Findings) -> str:
    """One arm, or several that nobody set against each other over all tasks."""
    done = findings.arms[findings.arms["n_done"] > 0]
    if findings.pairs.comparisons and len(findings.tasks) > 1:
        return f"The {len(findings.tasks)} tasks have no arms in common: each is told by itself."
    if len(done) > 1:
        return f"Nothing was compared: {words.plural(len(done), 'arm')} stand side by side."
    row, course = done.iloc[0], findings.course
    seeds = words.plural(int(row["n_done"]), "seed")
    value = words.write(course.kind, row["score"])
    return f"“{row['arm']}” ends at {value} {course.words} ({seeds}); nothing was compared with it."


def _of_group(group: Sequence[Outcome], course: Course) -> str:
    """All pairs with one control in one sentence."""
    compared = [o for o in group if o.shown or o.unknown]
    if not compared:
        control = _control(group, many=len(group) > 1)
        who = _names([o.treatment for o in group], _n_arms(group))
        return f"{who} cannot be compared with {control}: nothing was measured of one of them"
    clauses: list[str] = []
    for names in _together(compared):
        clause = _clause(compared, names, bare=bool(clauses))
        clauses += [clause] if clause else []
    unknown = [
        name
        for name in QUESTIONS
        if any(name in o.unknown for o in compared) and not any(name in o.shown for o in compared)
    ]
    text = "; ".join(clauses)
    if unknown:
        text = _not_known(compared, unknown, text, course)
    text += _hinted(compared, course.ends("more") if unknown == ["final"] else "")
    finished = [o.finished for o in compared if o.finished]
    if finished:
        which = f": {finished[0]}" if len(finished) == 1 else ""
        text += f" (of the runs that finished{which})"
    return text


def _control(outcomes: Sequence[Outcome], many: bool) -> str:
    if len({outcome.control for outcome in outcomes}) == 1:
        return f"“{outcomes[0].control}”"
    return "their controls" if many else "its controls"


def _together(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Questions to be said in one clause: those of whose answers all pairs give the same."""
    alike = [name for name in QUESTIONS if all(o.shown.get(name) for o in outcomes)]
    alike = [n for n in alike if len({_same(o.shown[n]) for o in outcomes}) == 1]
    rest = [name for name in QUESTIONS if name not in alike]
    return ([tuple(alike)] if alike else []) + [(name,) for name in rest]


def _clause(outcomes: Sequence[Outcome], names: tuple[str, ...], bare: bool) -> str:
    """`“a” and “b” learn faster than “c” and end more accurate`; `bare`: without the control."""
    by_phrases: dict[tuple[tuple[str, ...], ...], list[Outcome]] = {}
    for outcome in outcomes:
        if all(name in outcome.shown for name in names):
            key = tuple(_same(outcome.shown[n]) for n in names)
            by_phrases.setdefault(key, []).append(outcome)
    parts: list[str] = []
    for members in sorted(by_phrases.values(), key=len, reverse=True):
        many = len({outcome.treatment for outcome in members}) > 1
        several = len({outcome.control for outcome in outcomes}) > 1
        control = "" if (bare or parts) and not several else _control(members, many)
        said = [
            members[0].shown[name].text("" if k else control, many) for k, name in enumerate(names)
        ]
        who = _names([o.treatment for o in members], _n_arms(outcomes))
        parts.append(f"{who} {words.listed(said)}")
    return words.listed(parts)


def _same(phrase: Phrase) -> tuple[str, ...]:
    """What two arms must share to be said in one clause."""
    return phrase.verb, phrase.word, phrase.tail


def _n_arms(outcomes: Sequence[Outcome]) -> int:
    return len({outcome.treatment for outcome in outcomes})


def _names(arms: Sequence[str], n_all: int) -> str:
    """`“a” and “b”`; `all 5 others`; `5 of 11 arms`."""
    arms = list(dict.fromkeys(arms))
    room = MOST_NAME if n_all <= MOST_NAMED else MOST_NAME // 3
    if len(arms) <= MOST_NAMED and sum(map(len, arms)) <= room:
        return words.listed(f"“{arm}”" for arm in arms)
    return f"all {n_all} other arms" if len(arms) == n_all else f"{len(arms)} of {n_all} arms"


def _not_known(
    outcomes: Sequence[Outcome], unknown: Sequence[str], text: str, course: Course
) -> str:
    end = Phrase("ends", course.ends("more"))
    which = words.listed((VERBS.get(name, end).text() for name in unknown), "or")
    why = {
        0: ": no pair of runs finished",
        1: ": each ran once, which cannot tell a difference from chance",
    }.get(max((o.n for o in outcomes), default=0), "")
    lone = _n_arms(outcomes) == 1
    any_ = "either" if _n_arms(outcomes) == 2 else "any"
    control = _control(outcomes, many=not lone)
    if len(outcomes) == 1:
        if text:
            return f"{text}; which of the two {which} is not shown"
        return f"it is not known which of “{outcomes[0].treatment}” and {control} {which}{why}"
    if text:
        said = sum(bool(outcome.shown) for outcome in outcomes)
        of = "them" if said == len(outcomes) else f"the {_n_arms(outcomes)} arms"
        of = of if _n_arms(outcomes) > 2 else of.replace("2", "two")
        return f"{text}; whether {'it' if lone else f'{any_} of {of}'} {which} is not shown"
    who = _names([o.treatment for o in outcomes], _n_arms(outcomes))
    any_of = f"{any_} of {who.replace('all', 'the', 1) if who.startswith('all ') else who}"
    any_of = who if lone else any_of
    return f"it is not known whether {any_of} {which} than {control}{why}"


def _hinted(outcomes: Sequence[Outcome], asked: str) -> str:
    """`, though there is a hint that “a” does`, what was asked just before; or that it learns …"""
    by_arms: dict[tuple[str, ...], list[Phrase]] = {}
    for phrase in dict.fromkeys(hint for outcome in outcomes for hint in outcome.hints):
        if asked and phrase.word != asked and len(outcomes) > MOST_NAMED:
            continue  # of so many arms others show it
        arms = tuple(o.treatment for o in outcomes if phrase in o.hints)
        by_arms.setdefault(arms, []).append(phrase)
    hints = []
    for arms, phrases in by_arms.items():
        many = len(set(arms)) > 1
        what = words.listed(phrase.text(many=many) for phrase in phrases)
        if len(by_arms) == 1 and [phrase.word for phrase in phrases] == [asked]:
            what = "do" if many else "does"
        who = "it" if len(outcomes) == 1 else _names(arms, _n_arms(outcomes))
        hints.append(f"that {who} {what}")
    return f", though there is a hint {words.listed(hints)}" if hints else ""


def _left_out(outcomes: Sequence[Outcome]) -> str:
    """`3 more pairs have another control; 1 of them differs.`"""
    if not outcomes:
        return ""
    n, n_shown = len(outcomes), sum(bool(outcome.shown) for outcome in outcomes)
    if n == 1:
        shows = "it shows a difference" if n_shown else "it shows no difference"
        return f"1 more pair has another control; {shows}."
    shows = f"{n_shown} of them {'shows' if n_shown == 1 else 'show'} a difference"
    return (
        f"{n} more pairs have another control; {shows if n_shown else 'none shows a difference'}."
    )
