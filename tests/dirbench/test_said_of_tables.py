"""What classes say for tables, figures and checks is checked when they are registered, and ours say what they should."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from dirbench import DirectionMethod, Vectors
from dirbench.checks import method_faults
from dirbench.metric_checks import metric_faults
from dirbench.plugins import METHODS, METRICS, method_group


@dataclass(frozen=True)
class Mine(DirectionMethod):
    """A method like any other."""

    name: ClassVar[str] = "mine"

    def discover(self, generator, context):
        return Vectors(context.rng("d"), space=generator.space)


def changed(cls: type, **said: object) -> type:
    return type(cls.__name__, (cls,), {"__module__": cls.__module__, **said})


@pytest.mark.parametrize("role", ["floor", "", 1])
def test_a_role_is_one_of_three(role):
    assert method_faults(Mine) == []
    assert method_faults(changed(Mine, role=role)) == [
        f"role is {role!r}, expected one of 'baseline', 'method', 'ceiling'"]


@pytest.mark.parametrize(("said", "words"), [
    ({"tolerance": -0.1}, "tolerance is -0.1, expected a number from 0, or None"),
    ({"tolerance": True}, "tolerance is True"), ({"tolerance": float("inf")}, "tolerance is inf"),
    ({"paper_table": 5}, "paper_table is 5, expected a text"),
    ({"also_headline": "index"}, "also_headline is 'index', expected a tuple of protocols"),
    ({"also_headline": ("centred",)}, 'also_headline has "centred", which is none of its protocols (greedy, index,'),
    ({"on_control": None}, "on_control is None"), ({"level_of": None}, "level_of is None")])
def test_what_a_metric_says_for_tables_and_checks_is_of_its_kind(said, words):
    cls = METRICS.get("alignment")
    assert metric_faults(cls) == []
    (fault,) = metric_faults(changed(cls, **said))
    assert fault.startswith(words)


def test_there_is_one_baseline_and_one_ceiling_and_groups_begin_and_end_with_them():
    roles = {name: cls.role for name, cls in METHODS.load_all()[0].items() if cls.role != "method"}
    assert roles == {"random": "baseline", "interfacegan": "ceiling"}
    for group in ("core", "all"):
        names = method_group(group)
        assert (names[0], names[-1]) == ("random", "interfacegan")


def test_what_metrics_say_of_each_other_is_there():
    found = METRICS.load_all()[0]
    assert {cls.level_of for cls in found.values()} - {""} <= set(found)
    assert {name: cls.paper_table for name, cls in found.items() if cls.paper_table} == {
        "attribute_recovery": "4", "alignment": "5"}
