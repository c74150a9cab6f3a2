"""``--help`` and ``--version``: every command ends its help with examples, and each example is one that it takes."""

import shlex
import subprocess
import sys

import pytest
from helpers.tiny import ROOT

from dirbench.benchmarks.commands import THREAD_VARIABLES
from dirbench.benchmarks.commands._examples import EXAMPLES
from dirbench.benchmarks.commands._main import COMMANDS, main, parser
from dirbench.version import __version__

# As the console script of an installed copy does it: no variable set, nothing imported before.
INSTALLED = """
import sys
sys.argv[:] = ["/somewhere/bin/dirbench", *sys.argv[1:]]
from dirbench.benchmarks.commands import main
main()
"""


def installed(*args: str, code: str = INSTALLED, **env: str) -> subprocess.CompletedProcess[str]:
    """The command as its console script runs it, in an environment without settings."""
    return subprocess.run([sys.executable, "-c", code, *args], cwd=ROOT, text=True, capture_output=True,
                          env={"PATH": "/usr/bin:/bin", **env}, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_ends_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    assert EXAMPLES.get(command), f"{command} has no example in benchmarks/commands/_examples.py"
    for example in EXAMPLES[command]:
        assert f"  run_bench.py {command} {example}".rstrip() in text.split("example", 1)[1].splitlines()


@pytest.mark.parametrize("command, example", [(name, line) for name, lines in EXAMPLES.items() for line in lines])
def test_every_example_is_one_that_the_parser_takes(command, example):
    assert command in COMMANDS
    assert parser().parse_args([command, *shlex.split(example)]).function


def test_the_help_without_a_command_shows_the_default_one(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert f"\n  run_bench.py {EXAMPLES['run'][0]}\n" in capsys.readouterr().out


def test_version_is_said_by_both_commands_without_loading_torch(capsys):
    code = INSTALLED + "\nassert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
    by_console, by_file = installed("--version", code=code), subprocess.run(
        [sys.executable, "run_bench.py", "--version"], cwd=ROOT, text=True, capture_output=True, check=True)
    assert by_console.returncode == 0, by_console.stderr
    assert by_console.stdout == by_file.stdout and by_file.stdout.startswith(f"dirbench {__version__}")
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out == by_file.stdout


def test_the_installed_command_has_one_thread():
    code = "import os, sys, types\n" \
        "def show(argv):\n" \
        f"    print([os.environ.get(name) for name in {THREAD_VARIABLES}], argv)\n" \
        "    assert not {'numpy', 'scipy', 'torch'} & set(sys.modules)  # else too late\n" \
        "sys.modules['dirbench.benchmarks.commands._main'] = types.SimpleNamespace(main=show)\n"
    found = installed("list", code=code + INSTALLED, OMP_NUM_THREADS="4")
    assert found.stdout == "['1', '1', '1'] ['list']\n" and found.returncode == 0, found.stderr


def test_a_users_modules_of_the_same_names_are_not_taken_for_ours(tmp_path):
    for name in ("methods", "metrics", "oracles", "results"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a stranger')\n")
    code = f"import sys\nsys.path.insert(2, {str(ROOT)!r})\n" + INSTALLED  # behind the current folder and PYTHONPATH
    found = subprocess.run([sys.executable, "-c", code, "list"], cwd=tmp_path, text=True, capture_output=True,
                           env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)}, check=False)
    assert found.returncode == 0 and "\nmetrics:\n" in found.stdout, found.stderr


def test_the_installed_command_calls_itself_by_its_name(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/dirbench"])
    with pytest.raises(SystemExit):
        main(["show", "--help"])
    assert "  dirbench show results/runs/mine\n" in capsys.readouterr().out
    assert main(["show", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("dirbench: nowhere is not a run's folder")
