"""``--help`` and ``--version``: at once, under any name; every command ends its help with examples that it takes."""

import shlex
import subprocess
import sys

import pytest
from helpers.tiny import ROOT

from dirbench.benchmarks.commands import main, parser
from dirbench.benchmarks.commands._found import find_commands
from dirbench.benchmarks.commands._main import THREAD_VARIABLES
from dirbench.results.artifacts.store import Store
from dirbench.version import __version__

COMMANDS = find_commands()[0]
HEAVY = {"torch", "numpy", "scipy", "pandas", "sklearn", "matplotlib", "PIL", "pydantic"}

# As the console script of an installed copy does it: no variable set, nothing imported before.
INSTALLED = """
import sys
sys.argv[:] = ["/somewhere/bin/dirbench", *sys.argv[1:]]
from dirbench.benchmarks.commands import main
sys.exit(main())
"""
LIGHT = INSTALLED.replace("sys.exit(main())", f"""
try:
    assert main() == 0
except SystemExit as stop:
    assert stop.code == 0
assert not (found := {HEAVY} & set(sys.modules)), found
""")


def installed(*args: str, code: str = INSTALLED, **env: str) -> subprocess.CompletedProcess[str]:
    """The command as its console script runs it, in an environment without settings."""
    return subprocess.run([sys.executable, "-c", code, *args], cwd=ROOT, text=True, capture_output=True,
                          env={"PATH": "/usr/bin:/bin", **env}, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_says_what_it_does_and_ends_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    assert " ".join(COMMANDS[command].HELP.split()) in " ".join(text.split())
    for example in COMMANDS[command].EXAMPLES:
        assert f"  run_bench.py {command} {example}".rstrip() in text.split("\nexample", 1)[1].splitlines()


@pytest.mark.parametrize("command, example", [(name, line) for name in COMMANDS for line in COMMANDS[name].EXAMPLES])
def test_every_example_is_one_that_the_parser_takes(command, example):
    assert parser().parse_args([command, *shlex.split(example)]).function is COMMANDS[command].run


def test_the_help_without_a_command_lists_all_and_shows_the_default_one(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert f"\n  run_bench.py {COMMANDS['run'].EXAMPLES[0]}\n" in text and "not loaded" not in text
    for name, command in COMMANDS.items():
        listed = text.split(f"\n{command.GROUP}:\n", 1)[1].split("\n\n")[0]
        assert f"\n  {name} " in f"\n{listed}"


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["store", "list"],
                                  *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_what_needs_no_arithmetic_loads_none(args, tmp_path):
    """It answers in a tenth of a second, where torch alone takes one or more to load."""
    Store(tmp_path)
    found = installed(*args, code=LIGHT, DIRBENCH_STORE=str(tmp_path))
    assert found.returncode == 0 and found.stdout, found.stderr


def test_version_is_said_by_every_name_of_the_program(capsys):
    by_console = installed("--version")
    for command in (["run_bench.py"], ["-m", "dirbench"]):
        said = subprocess.run([sys.executable, *command, "--version"], cwd=ROOT, text=True, capture_output=True,
                              check=True)
        assert said.stdout == by_console.stdout and said.stdout.startswith(f"dirbench {__version__}")
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out == by_console.stdout


def test_a_process_of_the_program_has_one_thread():
    code = "import os, sys\n" \
        "import dirbench.benchmarks.commands.list as command\n" \
        "def show(args):\n" \
        f"    print([os.environ.get(name) for name in {THREAD_VARIABLES}])\n" \
        "    assert not {'numpy', 'scipy', 'torch'} & set(sys.modules)  # else too late\n" \
        "    return 7\n" \
        "command.run = show\n"
    found = installed("list", code=code + INSTALLED, OMP_NUM_THREADS="4")
    assert found.stdout == "['1', '1', '1']\n" and found.returncode == 7, found.stderr


def test_a_users_modules_of_the_same_names_are_not_taken_for_ours(tmp_path):
    for name in ("methods", "metrics", "oracles", "results"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a stranger')\n")
    code = f"import sys\nsys.path.insert(2, {str(ROOT)!r})\n" + INSTALLED  # behind the current folder and PYTHONPATH
    found = subprocess.run([sys.executable, "-c", code, "list"], cwd=tmp_path, text=True, capture_output=True,
                           env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)}, check=False)
    assert found.returncode == 0 and "\nmetrics:\n" in found.stdout, found.stderr


@pytest.mark.parametrize("called, name", [("/somewhere/bin/dirbench", "dirbench"), ("run_bench.py", "run_bench.py"),
                                          ("/site-packages/dirbench/__main__.py", "python -m dirbench")])
def test_it_calls_itself_as_it_was_called(called, name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [called])
    with pytest.raises(SystemExit):
        main(["show", "--help"])
    assert f"  {name} show results/runs/mine\n" in capsys.readouterr().out
    assert main(["show", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith(f"{name}: nowhere is not a run's folder")
