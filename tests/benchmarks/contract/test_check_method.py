"""``check-method`` on other people's files: each fault is explained, nothing right is called wrong."""

from __future__ import annotations

import re
import sys

import pytest
from helpers.strangers_method import mine
from helpers.tiny import ROOT

from dirbench.benchmarks.commands import main
from dirbench.benchmarks.contract import methods as contract
from dirbench.plugins import METHODS


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    """What a test imports is forgotten after it, and where it looked for it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("checked_mine", None)


def check(folder, capsys, text):
    file = folder / "mine.py"
    file.write_text(text)
    code = main(["check-method", str(file)])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_a_good_method_passes(tmp_path, capsys):
    code, said = check(tmp_path, capsys, mine())
    assert code == 0 and "nothing is wrong" in said, said


@pytest.mark.parametrize("trouble, words", [
    ("one = torch.randn(one.shape)", "draw from context.rng"),
    ("generator.mean.data += 1", "discovery changes the generator: its weights"),
    ("one = one[:2]; other = other[:2]", "2 directions were found, 6 were asked for"),
    ("generator.synthesize(one)", "images() says 0, but 6 were made"),
    ("return one", "it returns a Tensor, expected Directions"),
    ("raise KeyError('oh')", "KeyError: 'oh'"),
    ("one, other = torch.eye(64)[:6, :generator.dim()], 0 * one", "the seed changes nothing"),
    ("one, other = one.nan_to_num(nan=1.0), other.nan_to_num()",
     "NaN gives directions without a word"),
    ("context.progress(1, 2)", "progress must rise to its total"),
])
def test_each_fault_is_explained(tmp_path, capsys, trouble, words):
    code, said = check(tmp_path, capsys, mine(trouble=trouble))
    assert code == 1 and words in said, said


def test_files_that_are_no_method(tmp_path, capsys):
    for text, words in (("x = 1\n", "has no method"), ("import nowhere_at_all\n", "cannot be imported: ModuleNotFound"),
                        ("raise SystemExit\n", "cannot be imported: SystemExit")):
        code, said = check(tmp_path, capsys, text)
        assert code == 2 and words in said and "Traceback" not in said
    assert main(["check-method", str(tmp_path / "nowhere.py")]) == 2


def test_the_readmes_method_passes_and_what_it_does_not_say_is_said(tmp_path, capsys):
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)[1]
    code, said = check(tmp_path, capsys, block)
    assert code == 0 and "wrong:" not in said and "nothing is wrong, 2 things are left out" in said, said
    measured = re.search(r"left out  recovers planted factors: .* in w (\d\.\d+), random directions (\d\.\d+);", said)
    assert float(measured[1]) > float(measured[2])
    assert "say beats_random_by (at most 0." in said


def test_a_margin_is_printed_as_it_is_measured(tmp_path, capsys):
    margin = "    beats_random_by: ClassVar[float] = "
    text = re.sub(r"    why_not: .*", margin + "0.9", mine())
    code, said = check(tmp_path, capsys, text)
    assert code == 1 and "but it says beats_random_by = 0.9" in said and "random directions 0." in said
    code, said = check(tmp_path, capsys, mine())
    assert re.search(r"ok  recovers planted factors: .*in w 0\.\d+, random directions 0\.\d+; in z 0\.\d+", said)


def test_an_error_of_a_strangers_method_is_told_with_its_line(tmp_path, capsys):
    code, said = check(tmp_path, capsys, mine(trouble="raise KeyError('oh')"))
    line = mine(trouble="raise KeyError('oh')").split("raise KeyError")[0].count("\n") + 1
    assert code == 1 and f"KeyError: 'oh' ({(tmp_path / 'mine.py').as_posix()}:{line})" in said
    assert said.count("KeyError: 'oh'") < 5  # told once; the checks that it stops say which to mend first


def test_our_own_method_passes():
    """Every method does, clause by clause, in test_contract.py."""
    findings = contract.check_method(METHODS.get("latentclr"))
    assert {f.status for f in findings} <= {"ok", "not applicable"} and len(findings) == len(contract.CLAUSES)


def test_a_long_training_is_not_tried_unless_asked_for(tmp_path, capsys):
    text = mine().replace("    def discover", "    n_steps: int = 10_000_000\n    lr: float = 0.1\n\n    def discover")
    _, said = check(tmp_path, capsys, text)
    assert "recovers planted factors: not tried, for its training takes 10,000,000 steps" in said
    assert "own objective falls: a training puts its `loss_notes`" in said
    assert "resumes to the same answer: a KeyboardInterrupt in the middle" in said


def test_asking_for_long_checks_asks_no_more_of_the_class(tmp_path, capsys):
    """A source that is not said is left out with --long as without: a stranger's method is no method of ours."""
    file = tmp_path / "mine.py"
    file.write_text(re.sub(r"    source: .*\n", "", mine()))
    for more in ([], ["--long"]):
        assert main(["check-method", str(file), *more]) == 0, capsys.readouterr()
        assert "left out  says what it is: say in `source`" in capsys.readouterr().out
