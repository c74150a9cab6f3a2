"""Bad input: a sentence and a non-zero exit code, never a traceback."""

import os

import pytest
from tiny import arguments

from benchmarks.cli import main


@pytest.mark.parametrize("args, words", [
    (["--suite", "celeba_subset"], 'unknown suite "celeba_subset". Did you mean "celeba_subsets"?'),
    (["--suite", "celeba_subsets", "--profile", "minni"], 'unknown profile "minni". Did you mean "mini"?'),
    (["--suite", "celeba_subsets", "--methods", "sefaa"], 'unknown method "sefaa". Did you mean "sefa"?'),
    (["--suite", "celeba_subsets", "--metrics", "aligment"], 'unknown metric "aligment". Did you mean "alignment"?'),
    (["--suite", "celeba_subsets", "--device", "gpu9"], '--device "gpu9" cannot be used here'),
    (["--suite", "celeba_subsets", "--device", "cuda:7"], '--device "cuda:7" cannot be used here'),
    (["--suite", "celeba_subsets", "--seeds", "0,x"], "--seeds takes whole numbers"),
    (["--suite", "celeba_subsets", "--cell", "3/2", "--out", "x"], "--cell takes I/N"),
    (["--suite", "celeba_subsets", "--cell", "0/2"], "--cell needs --out"),
    (["--suite", "celeba_subsets", "--only", "nothing*"], "matches no cell"),
    (["--suite", "celeba_subsets", "--zoo", "minii"], "minii"),
    (["show", "nowhere"], "not a run's folder"),
    (["check", "nowhere", "--against", "x.csv"], "not a run's folder"),
], ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else "")
def test_a_mistake_is_a_sentence(args, words, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("DIRBENCH_STORE", str(tmp_path / "store"))
    assert main(args) == 2
    out, err = capsys.readouterr()
    assert words in err, err
    assert "Traceback" not in out + err


@pytest.mark.parametrize("args", [["--suite"], ["--nonsense"], ["run"], ["frobnicate"]], ids=str)
def test_wrong_usage_exits_with_2(args, capsys):
    with pytest.raises(SystemExit) as stop:
        main(args)
    assert stop.value.code == 2 and "--help" in capsys.readouterr().err


def test_list_names_everything(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in ("celeba_subsets", "smoke", "sefa", "xga", "alignment", "attribute_recovery"):
        assert name in out


def test_dry_run_makes_nothing(tmp_path, capsys):
    assert main(arguments(tmp_path, "run", "store", "random,sefa", "--dry-run")) == 0
    out = capsys.readouterr().out
    # 2 GANs x 8 latents x (1 + 2 x 16): each method, and two null runs; 2 x 16 x 7 x 2 pictures for the sheets
    assert "images: 3,008 to synthesise of 3,008" in out, out
    assert not (tmp_path / "run").exists() and not (tmp_path / "store" / "directions").exists()


def test_a_folder_of_another_plan_is_refused(tmp_path, capsys):
    assert main(arguments(tmp_path, "run", "store", "random", "--only", "bank/full")) == 0
    assert main(arguments(tmp_path, "run", "store", "sefa", "--only", "bank/full")) == 2
    assert "belongs to another plan: suite.methods is" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    assert main(arguments(tmp_path, "mine", "store", "random")) == 2
    assert "is not a run's folder" in capsys.readouterr().err


def test_an_unwritable_folder_is_a_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(arguments(tmp_path, "file/run", "store", "random")) == 2
    assert "cannot be written to" in capsys.readouterr().err
    assert main(arguments(tmp_path, "run", "file/store", "random")) == 2
    assert "cannot be written to" in capsys.readouterr().err


def test_altered_weights_stop_the_run_before_it_starts(tmp_path, capsys):
    import shutil

    from benchmarks.generators.zoo import load_zoo
    zoo = tmp_path / "zoo"
    shutil.copytree(load_zoo("mini").folder, zoo)
    weights = next(zoo.glob("no_hats*.safetensors"))
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    args = arguments(tmp_path, "run", "store", "random", "--zoo", str(zoo))
    assert main(args) == 2
    assert "altered" in capsys.readouterr().err
    os.truncate(weights, len(raw) // 2)
    assert main(args) == 2
    assert "truncated" in capsys.readouterr().err
    weights.unlink()
    assert main(args) == 2
    assert "missing" in capsys.readouterr().err
