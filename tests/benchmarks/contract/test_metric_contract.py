"""What every registered metric must do, ours or a user's: one test, (clause x metric), of ``check-metric``."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import numpy as np
import pytest

from dirbench.benchmarks.commands import main
from dirbench.benchmarks.contract import metrics as contract
from dirbench.benchmarks.contract.metric_case import MetricCase
from dirbench.benchmarks.contract.report import Fault, LeftOut
from dirbench.errors import Inapplicable, NotApplicable
from dirbench.metric import Metric, Score
from dirbench.plugins import METRICS

CASES = {name: MetricCase(cls) for name, cls in METRICS.load_all()[0].items()}
# Better than an answer that changes nothing, and worse than one of unrelated mixtures, or the other way round.
READ_BESIDE_OTHERS = {"effect", "reliability", "off_target_recovery"}
JUDGING = {contract.a_perfect_answer_beats_a_useless_one, contract.a_duplicated_answer_is_no_better}


@pytest.mark.parametrize("name, clause", [(name, clause) for name, case in CASES.items()
                                          for clause in contract.clauses_of(case.kind)],
                         ids=lambda value: value if isinstance(value, str) else value.__name__)
def test_every_metric(name, clause):
    try:
        clause(CASES[name])
    except NotApplicable as reason:
        assert clause in JUDGING and name in READ_BESIDE_OTHERS, reason


def test_every_clause_is_listed():
    helpers = {contract.check_metric, contract.clauses_of, contract.chance_of}
    written = {f for name, f in vars(contract).items() if inspect.isfunction(f) and f.__module__ == contract.__name__
               and not name.startswith("_")}
    assert written - helpers == set(contract.CLAUSES)


class Right(Metric):
    """Mean size of the standardised mean change, of the strongest attribute of each direction."""

    name, needs, protocols, source = "right", "single", ("plain",), "nobody"
    bounds: ClassVar[tuple[float, float]] = (0.0, 10.0)

    def number(self, change: np.ndarray, seed: int) -> float:
        return float(np.abs(change.mean(axis=2)).mean(axis=0).max(axis=-1).mean())

    def compute(self, inputs: Any, protocol: str, resamples: int = 200) -> Score:
        self.check_protocol(protocol)
        one = inputs.responses
        spread = np.maximum(one.before.std(axis=0), 1e-6)
        value = self.number((np.stack([one.plus, one.minus]) - one.before) / spread, inputs.seed)
        low, high = (max(value - 0.1, 0), min(value + 0.1, 10)) if resamples else (np.nan, np.nan)
        return Score(value, low, high, one.n_samples)


class Reversed(Right):
    higher_is_better: ClassVar[bool] = False

    def number(self, change, seed):
        return super().number(change, seed) if np.abs(change.mean(axis=2)).max() > 1 else 0.0


class Signed(Right):
    bounds = (-10.0, 10.0)

    def number(self, change, seed):
        return float(change[0].mean(axis=1).max(axis=-1).mean())


class First(Right):
    def number(self, change, seed):
        return super().number(change[:, :1], seed)


class Latest(Right):
    def number(self, change, seed):
        return super().number(change[:, :, -2:], seed)


class Rolling(Right):
    def number(self, change, seed):
        return super().number(change, seed) + 0.01 * float(np.random.random())


class Keeping(Right):
    seen = 0

    def number(self, change, seed):
        type(self).seen += 1
        return super().number(change, seed) + 0.01 * self.seen


class Writing(Right):
    def compute(self, inputs, protocol, resamples=200):
        score = super().compute(inputs, protocol, resamples)
        inputs.responses.plus[:] = 0
        return score


class Nan(Right):
    def number(self, change, seed):
        return float("nan")


class Infinite(Right):
    def number(self, change, seed):
        return float("inf")


class Outside(Right):
    bounds = (0.0, 0.5)


class NoScore(Right):
    def compute(self, inputs, protocol, resamples=200):
        return super().compute(inputs, protocol, resamples).value


class Complex(Right):
    def compute(self, inputs, protocol, resamples=200):
        score = super().compute(inputs, protocol, resamples)
        return Score(score.value, score.ci_low, score.ci_high, score.n, {"array": np.zeros(3)})


class AlwaysInterval(Right):
    def compute(self, inputs, protocol, resamples=200):
        return super().compute(inputs, protocol, 200)


class Elsewhere(Right):
    def compute(self, inputs, protocol, resamples=200):
        score = super().compute(inputs, protocol, resamples)
        return Score(score.value, score.value + 1, score.value + 2, score.n) if resamples else score


class OtherWithout(Right):
    def compute(self, inputs, protocol, resamples=200):
        score = super().compute(inputs, protocol, resamples)
        return score if resamples else Score(score.value / 2, n=score.n)


class AnyProtocol(Right):
    @classmethod
    def check_protocol(cls, protocol):
        pass


class Dividing(Right):
    def number(self, change, seed):
        return super().number(change, seed) / (1 / int(change.shape[-1] > 1) if change.shape[-1] > 1 else 1 // 0)


class Silent(Right):
    def compute(self, inputs, protocol, resamples=200):
        if len(inputs.responses) == 1:
            raise Inapplicable
        return super().compute(inputs, protocol, resamples)


class Repeating(Right):
    """Rewards directions that are alike."""

    def number(self, change, seed):
        mean = change.mean(axis=2)[0]
        unit = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return float((np.abs(mean).max(axis=1) / np.abs(mean).sum(axis=1)).mean() + np.abs(unit @ unit.T).mean())


WRONG = [
    (Reversed, contract.a_perfect_answer_beats_a_useless_one, "is that the right way round?"),
    (Signed, contract.signs_do_not_matter, "which way a direction points is arbitrary"),
    (First, contract.directions_order_does_not_matter, "listed in another order"),
    (Latest, contract.latents_order_does_not_matter, "in another order"),
    (Rolling, contract.same_inputs_same_score, "global random state"),
    (Keeping, contract.same_inputs_same_score, "keep nothing between calls"),
    (Writing, contract.leaves_its_inputs_alone, "work on a copy"),
    (Nan, contract.gives_scores_within_bounds, "raise Inapplicable with the reason"),
    (Infinite, contract.gives_scores_within_bounds, "the value is inf"),
    (Outside, contract.gives_scores_within_bounds, "is outside of its bounds, [0.0, 0.5]"),
    (NoScore, contract.gives_scores_within_bounds, "compute returns a float, expected a Score"),
    (Complex, contract.gives_scores_within_bounds, "plain values that JSON can hold"),
    (AlwaysInterval, contract.the_interval_contains_the_value, "resamples=0 gives an interval"),
    (Elsewhere, contract.the_interval_contains_the_value, "does not contain the value"),
    (OtherWithout, contract.the_interval_contains_the_value, "chance would be of another score"),
    (AnyProtocol, contract.refuses_protocols_that_it_does_not_have, "self.check_protocol(protocol)"),
    (Dividing, contract.what_is_undefined_is_inapplicable, "one attribute, protocol \"plain\": ZeroDivisionError"),
    (Silent, contract.what_is_undefined_is_inapplicable, "Inapplicable without a reason"),
    (Repeating, contract.a_duplicated_answer_is_no_better, "a method could win by repeating itself"),
]


@pytest.mark.parametrize("cls, clause, words", WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_a_clause_catches_what_it_is_for(cls, clause, words):
    with pytest.raises(Fault) as fault:
        clause(MetricCase(cls))
    assert words in str(fault.value)


@pytest.mark.parametrize("clause", contract.clauses_of("single"), ids=lambda clause: clause.__name__)
def test_a_metric_that_is_right_passes(clause):
    try:
        clause(MetricCase(Right))
    except NotApplicable:
        assert clause in JUDGING


def test_a_source_that_is_left_out_is_said_and_not_passed():
    class Bare(Right):
        source = ""

    with pytest.raises(LeftOut, match="source"):
        contract.says_what_it_is(MetricCase(Bare))
    assert {f.check: f.status for f in contract.check_metric(Bare)}["says what it is"] == "left out"


def test_the_command_takes_names_and_files(tmp_path, capsys):
    assert main(["check-metric", "s_disen"]) == 0
    assert "perfect 0.8" in capsys.readouterr().out
    (tmp_path / "m.py").write_text("from dirbench.metrics.effect import Effect\n\n\nclass Mine(Effect):\n"
                                   "    name = 'mine'\n    bounds = (1, 0)\n")
    assert main(["check-metric", str(tmp_path / "m.py")]) == 1
    assert "m.py:4: class Mine: \"mine\": bounds is (1, 0)" in capsys.readouterr().out
    for subject, words in (("s_disn", 'Did you mean "s_disen"?'), (str(tmp_path / "nowhere.py"), "does not exist"),
                           (str(tmp_path), "is a folder")):
        assert main(["check-metric", subject]) == 2
        assert words in capsys.readouterr().err
