"""Bad input: a sentence and a non-zero exit code, never a traceback."""

import io
import os
import re

import pytest
from helpers.tiny import ROOT, arguments, profile
from safetensors import SafetensorError

from dirbench.benchmarks.commands import main


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
    (["--suite", "celeba_subsets", "--only", "nothing*"], "matches no cell; ids look like"),
    (["--suite", "celeba_subsets", "--only", "random"], 'matches no cell (did you mean "*random*"?); ids look like'),
    (["--suite", "celeba_subsets", "--zoo", "minii"], "minii"),
    (["--suite", "celeba_subsets", "--oracle", "model.pt"], "train-oracle made ends with .safetensors"),
    (["--suite", "celeba_subsets", "--teacher", "scorr"], 'unknown oracle "scorr". Did you mean "scorer"?'),
    (["--suite", "celeba_subsets", "--methods", ""], "--methods is given nothing"),
    (["--suite", "celeba_subsets", "--methods", "sefa,mine/own.py"], "`check-method mine/own.py` tries it"),
    (["--suite", "celeba_subsets", "--metrics", "own.py"], "a package's entry point in dirbench.metrics names it"),
    (["--suite", "celeba_subsets", "--methods", ","], "--methods names nothing"),
    (["--suite", "celeba_subsets", "--metrics", " "], "--metrics is given nothing"),
    (["--suite", "celeba_subsets", "--metrics", ","], "--metrics names nothing"),
    (["--suite", "celeba_subsets", "--seeds", ""], "--seeds is given nothing"),
    (["--suite", "celeba_subsets", "--seeds", ","], "--seeds names nothing"),
    (["--suite", "celeba_subsets", "--seeds", "²"], "--seeds takes whole numbers"),
    (["--suite", "celeba_subsets", "--seeds", "4294967296"], "--seeds takes whole numbers"),
    (["--suite", "celeba_subsets", "--only", ""], "--only is given nothing"),
    (["--suite", "celeba_subsets", "--out="], "--out is given nothing"),
    (["--suite", ""], "--suite is given nothing"),
    (["--suite", "celeba_subsets", "--workers", "0"], "--workers 0: expected a whole number from 1"),
    (["--suite", "celeba_subsets", "--workers", "-3"], "--workers -3: expected a whole number from 1"),
    (["--suite", "celeba_subsets", "--cell", "1/0", "--out", "x"], "--cell takes I/N"),
    (["--suite", "celeba_subsets", "--cell", "²/3", "--out", "x"], "--cell takes I/N"),
    (["--suite", "celeba_subsets", "--cell", "0/2/3", "--out", "x"], "--cell takes I/N"),
    (["store", "clean", "--unused-for", "-1"], "expected a number of days from 0"),
    (["store", "clean", "--unused-for", "nan"], "expected a number of days from 0"),
    (["synthesize", ""], "given nothing"),
    (["zoo", "check", "--samples", "0"], "--samples 0: expected a whole number from 2"),
    (["zoo", "check", "--samples", "-5"], "--samples -5: expected a whole number from 2"),
    (["zoo", "check", "--data", "x", "--oracle", "y"], "--data and --oracle would not be used here"),
    (["train-zoo", "mini", "--only", "ful"], '--only: unknown GAN "ful". Did you mean "full"?'),
    (["train-zoo", "mini", "--workers", "0"], "--workers 0: expected a whole number from 1"),
    (["train-zoo", "mini", "--data", "x"], "train-zoo mini: --data would not be used here"),
    (["train-zoo", "mini", "--resolution", "64"], "train-zoo mini: --resolution would not be used here"),
    (["train-zoo", "sngan", "--data", "x", "--only", "full"], "train-zoo sngan: --only would not be used here"),
    (["train-oracle", "scorer", "--out", "x", "--epochs", "3"], "train-oracle scorer: --epochs would not be used here"),
    (["train-oracle", "teacher", "--out", "x", "--name", "../x"], "teacher: --name would not be used here"),
    (["train-oracle", "folder", "--data", "x", "--out", "x", "--epochs", "0"], "--epochs 0: expected a number from 1"),
    (["train-oracle", "folder", "--data", "x", "--out", "x", "--seed", "-1"], "--seed -1: expected a number from 0"),
    (["train-oracle", "celeba", "--data", "x", "--out", "x", "--readable-from", "7"], "--readable-from 7.0: expected"),
    (["train-oracle", "celeba", "--data", "x", "--out", "x", "--readable-from", "nan"], "--readable-from nan: expec"),
    (["inspect-checkpoint", "x.pkl", "--sheet", "x.txt"], "--sheet x.txt: expected a name ending in .png"),
    (["show", "nowhere"], "not a run's folder"),
    (["check", "nowhere", "--against", "x.csv"], "not a run's folder"),
], ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else "")
def test_a_mistake_is_a_sentence(args, words, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("DIRBENCH_STORE", str(tmp_path / "store"))
    assert main(args) == 2
    out, err = capsys.readouterr()
    assert words in err, err
    assert "Traceback" not in out + err


@pytest.mark.parametrize("args, words", [
    (["runn"], 'unknown command "runn". Did you mean "run"?'),
    (["zzz"], 'unknown command "zzz". Known: run, check, list, show'),
    (["store", "lst"], 'unknown action "lst". Did you mean "list"?'),
    (["new", "metod", "x"], 'unknown kind "metod". Did you mean "method"?'),
    (["run", "--suite", "s", "--pairs", "al"], 'unknown --pairs "al". Did you mean "all"?'),
    (["--suite", "s", "--oracel", "x"], 'run: unknown option "--oracel". Did you mean "--oracle"?'),
    (["--suite", "s", "--seeds", "0", "1", "2"], 'run: "1 2" is too much here; a list is one word with commas'),
    (["list", "methods"], 'list: "methods" is too much here. See run_bench.py list --help'),
    (["--suite", "s", "--methods", "sefa", "--methods", "random"], "--methods is there twice; a list is one word"),
    (["--suite", "s", "--workers", "two"], '--workers: "two" is no whole number.'),
    (["synthesize", "x", "--psi", "half"], '--psi: "half" is no number.'),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_what_argparse_finds_is_said_in_our_words(args, words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(args)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_a_profile_that_chooses_a_gan_that_its_zoo_has_not_is_refused(tmp_path, capsys):
    """It compared all GANs of the suite instead, which is hours for a typo."""
    args = arguments(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(path.read_text().replace("[full, no_hats]", "[full, no_hat]"))
    assert main([*args, "--dry-run"]) == 2
    assert 'profile tiny: gans: unknown GAN "no_hat". Did you mean "no_hats"?' in capsys.readouterr().err


@pytest.mark.parametrize("error, words", [
    (OSError(28, "No space left on device", "/x/run.json"), "/x/run.json: No space left on device; free some space"),
    (PermissionError(13, "Permission denied", "/x/y"), "/x/y: Permission denied; choose another place"),
    (FileExistsError(17, "File exists", "/x/y"), "/x/y: File exists; choose another place"),
    (SafetensorError("I/O error"), "a file could not be read or written (I/O error)"),
], ids=lambda value: "" if isinstance(value, str) else type(value).__name__)
def test_what_the_system_refuses_names_the_file_and_a_way_out(error, words, capsys, monkeypatch):
    def fail(args):
        raise error

    monkeypatch.setattr("dirbench.benchmarks.commands.list.run", fail)
    assert main(["list"]) == 2
    err = capsys.readouterr().err
    assert words in err and "Errno" not in err and "Traceback" not in err


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
    # 2 GANs x 8 latents x (1 + 2 x 16): each method, and two random runs; 2 x 16 x 7 x 2 pictures for the sheets
    assert "images: 3,008 to synthesise of 3,008" in out, out
    assert not (tmp_path / "run").exists() and not (tmp_path / "store" / "directions").exists()


def test_a_folder_of_another_plan_is_refused(tmp_path, capsys):
    assert main(arguments(tmp_path, "run", "store", "random", "--only", "random/full")) == 0
    assert main(arguments(tmp_path, "run", "store", "sefa", "--only", "random/full")) == 2
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


def test_more_directions_than_a_latent_has_numbers_are_found_in_the_plan(tmp_path, capsys):
    path = tmp_path / "suite.yaml"
    shipped = (ROOT / "dirbench/benchmarks/suites/celeba_subsets.yaml").read_text(encoding="utf-8")
    for old, new in (("n_directions: 16", "n_directions: 513"),
                     ("methods: core", "methods: [sefa: {n_directions: 600}]")):
        path.write_text(re.sub(f"(?m)^{old}", new, shipped), encoding="utf-8")
        assert main(arguments(tmp_path, "run", "store", "sefa", "--suite", str(path))) == 2
        assert "a latent of full has 512 numbers" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_variant_can_be_chosen_by_its_id(tmp_path, capsys):
    path = tmp_path / "suite.yaml"
    shipped = (ROOT / "dirbench/benchmarks/suites/celeba_subsets.yaml").read_text(encoding="utf-8")
    path.write_text(re.sub("(?m)^methods: core.*", "methods: [random, {name: sefa, variant: a}]", shipped))
    args = arguments(tmp_path, "run", "store", "sefa", "--dry-run", "--only", "discover/sefa[[]a]/full/seed0")
    args[args.index("--only") + 1] = "discover/sefa[a]/*"
    assert main([*args, "--suite", str(path)]) == 0
    assert re.search(r"discover +2 ", capsys.readouterr().out)


def test_groups_and_methods_can_be_named_together(tmp_path):
    from dirbench.benchmarks.config.job import make_job
    job = make_job("celeba_subsets", profile(tmp_path), methods=["core", "voynov", "sefa"])
    labels = [entry.label for entry in job.suite.methods]
    assert labels[0] == "random" and labels[-1] == "voynov" and len(set(labels)) == len(labels)


def test_pairs_of_one_gan_are_refused(tmp_path, capsys):
    path = tmp_path / "suite.yaml"
    path.write_text("suite: one\ntitle: t\nzoo: mini\noracle: scorer\ngans: [full]\nmethods: [sefa]\n")
    for more, words in ((("--pairs", "all"), "has no pairs of GANs"), (("--methods", "xga"), "nothing to do for xga"),
                        (("--metrics", "alignment"), "nothing to do for alignment")):
        assert main(["--suite", str(path), "--profile", "smoke", "--store", str(tmp_path / "store"), *more]) == 2
        assert words in capsys.readouterr().err


# -- the environment -------------------------------------------------------------------------------------------
def test_cores_are_counted_where_the_system_does_not_say_which_may_be_used(monkeypatch):
    from dirbench.benchmarks.running.process import usable_workers
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert usable_workers("cpu") == (os.cpu_count() or 1) and usable_workers("cuda:1") == 1
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_workers("cpu") == 1


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "cp437"])
def test_a_terminal_without_unicode_gets_something_in_its_place(tmp_path, monkeypatch, encoding):
    path = tmp_path / "suite.yaml"
    path.write_text("suite: λ\ntitle: “μικρό” – 日本\nzoo: mini\noracle: scorer\ngans: [full]\nmethods: [sefa]\n",
                    encoding="utf-8")
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    usual = ["--profile", "smoke", "--store", str(tmp_path / "store"), "--dry-run"]
    assert main(["--suite", str(path), *usual]) == 0
    assert main(["--suite", str(path), "--methods", "λ", *usual]) == 2
    out.flush()
    assert b"suite " in out.buffer.getvalue()


def test_altered_weights_stop_the_run_before_it_starts(tmp_path, capsys):
    import shutil

    from dirbench.benchmarks.zoo.zoo import load_zoo
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


@pytest.mark.parametrize("args", [["train-oracle", "scorer", "--out", "o"],
                                  ["train-zoo", "sngan", "--data", ".", "--out", "o"]])
def test_a_training_in_one_process_is_not_started_by_many(args, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(args) == 2
    assert "runs in one process; start it without torchrun" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--device", "cuda"], ["--cache", "elsewhere"]])
def test_what_rendered_oracles_do_not_use_is_refused(option, capsys):
    assert main(["train-oracle", "scorer", "--out", "o", *option]) == 2
    assert f"{option[0]} would not be used here" in capsys.readouterr().err
