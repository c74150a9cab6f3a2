"""The speed script runs and prints every goal's row; what the clock says is nobody's business here."""

import pytest
import torch

from dirbench.benchmarks.perf import losses, steps
from dirbench.benchmarks.perf.__main__ import main
from dirbench.benchmarks.perf.report import Row
from dirbench.benchmarks.perf.setup import Setup, Sizes
from dirbench.benchmarks.perf.timing import Ratio, Turns

TINY = Sizes(resolution=8, channels={4: 4, 8: 4}, w_dim=16, input_size=32, chunk=8, batches=(2,), rows=32, sefa=(2, 16),
             samples=100, mapped=16, components=4, pool=8,
             methods={name: {"batch": 4} for name in ("voynov", "hessian", "jacobian", "latentclr")}
             | {name: {"batch": 4, "n_samples": 100, "n_components": 8} for name in ("contrafeat",)}
             | {"ganspace+attention": {"batch": 4, "n_samples": 100, "n_regression": 50}})


def rows_of(text):
    return [[cell.strip() for cell in line.strip("| \n").split("|")] for line in text.splitlines()
            if line.startswith("|")][2:]


def test_it_prints_every_goal_and_every_trained_method(tmp_path, capsys):
    assert main(["--repeats", "1", "--out", str(tmp_path / "perf.md")], TINY) == 0
    out = capsys.readouterr().out
    rows = rows_of(out)
    assert {row[0] for row in rows} == {"3", "4", "7", "8", "9", "13"}
    left = out.partition("No floor is stated for ")[2]
    assert all(any(row[1].startswith(f"training step over its floor: {name},") for row in rows) or name in left
               for name in steps.trained())
    assert all(len(row) == 9 and float(row[4]) > 0 and row[8] in ("no", "target", "stretch") for row in rows)
    assert "goals 1 and 2" in out and "14 (peak memory" in out
    assert (tmp_path / "perf.md").read_text() == out


def test_one_group_or_one_method_alone(capsys):
    assert main(["--only", "sefa", "--repeats", "1"], TINY) == 0
    assert [row[0] for row in rows_of(capsys.readouterr().out)] == ["8"]
    assert main(["--only", "hessian", "--repeats", "1"], TINY) == 0
    assert [row[1] for row in rows_of(capsys.readouterr().out)] == ["training step over its floor: hessian, batch 4"]
    assert main(["--only", "hesian"], TINY) == 2
    assert 'Did you mean "hessian"' in capsys.readouterr().err


@pytest.mark.parametrize("median, at_most, reached", [
    (1.0, True, "stretch"), (1.1, True, "target"), (1.2, True, "no"), (5.0, False, "stretch"), (1.1, False, "target"),
    (1.0, False, "no")])
def test_a_goal_is_judged_by_the_median_and_its_direction(median, at_most, reached):
    target, stretch = (1.15, 1.05) if at_most else (1.08, 2.0)
    assert Row(4, "", target, stretch, Ratio(median, 0, 9, 1, 1), at_most).reached == reached


def test_ratios_are_taken_within_each_repeat():
    ratio = Ratio.of([2.0, 8.0, 3.0], [1.0, 2.0, 3.0])
    assert (ratio.median, ratio.low, ratio.high, ratio.above, ratio.below) == (2.0, 1.0, 4.0, 3e3, 2e3)


def test_each_step_is_followed_by_one_floor_and_the_first_is_not_counted():
    calls = []
    turns = Turns(lambda: calls.append(1))
    for done in range(4):
        turns(done, 3)
    assert len(calls) == 3 and len(turns.above) == len(turns.below) == 2 and min(turns.above) >= 0


def test_steps_that_share_work_are_one_round(monkeypatch):
    clock = iter([0.0, 5.0, 5.0, 6.0, 6.0, 7.0, 7.0, 8.0, 8.0, 17.0, 17.0, 18.0, 18.0, 19.0, 19.0, 20.0, 20.0])
    monkeypatch.setattr("dirbench.benchmarks.perf.timing.process_time", lambda: next(clock))
    turns = Turns(lambda: None, steps=2)
    for done in range(5):
        turns(done, 4)
    assert turns.above == [5.0] and turns.below == [1.0]


def test_a_floor_makes_the_images_that_the_formulas_say():
    from dirbench.benchmarks.generators.counting import count_images
    from dirbench.benchmarks.perf.floors import floor
    from dirbench.plugins import METHODS

    setup = Setup(TINY, 1)
    for name, images in {"xga": 68, "xga-release": 46, "voynov": 64, "hessian": 4 * 96, "jacobian": 3 * 32,
                         "latentclr": 8 * 17, "contrafeat": 20}.items():
        least = floor(METHODS.build(name, {}), setup)
        with count_images(*setup.pair) as count:
            least()
        assert count.images == images, name


def test_losses_that_disagree_are_not_timed():
    right = torch.tensor(1.0), torch.ones(3)
    losses.check("any", right, right)
    with pytest.raises(RuntimeError, match="any's loss: gradients of the loop and of the project differ by 0.1"):
        losses.check("any", right, (torch.tensor(1.0), torch.tensor([1.0, 0.9, 1.0])))
