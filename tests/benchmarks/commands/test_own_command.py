"""A command is one file: dropped in, it is found, listed, parsed and run; a broken one takes no other away."""

import sys
from pathlib import Path

import pytest

from dirbench.benchmarks import commands
from dirbench.benchmarks.commands import main
from dirbench.benchmarks.commands._found import find_commands

COUNT = '''\
"""``count-files``: how many files a folder has."""

from pathlib import Path

GROUP = "runs"
HELP = "count a folder's files, 100% of them"
EXAMPLES = ("results", "results --limit 50%")


def arguments(parser):
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit")


def run(args):
    if not args.folder.is_dir():
        raise ValueError(f"{args.folder} is no folder")
    print(len(list(args.folder.iterdir())))
    return 1
'''


@pytest.fixture
def drop(tmp_path, monkeypatch):
    """Puts a file beside the commands that there are."""
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    known = set(sys.modules)

    def put(name, text):
        (tmp_path / name).write_text(text, encoding="utf-8")

    yield put
    for name in set(sys.modules) - known:
        if (tmp_path / f"{name.rpartition('.')[2]}.py").exists():
            del sys.modules[name]
            vars(commands).pop(name.rpartition(".")[2], None)


def said_by(args, capsys):
    with pytest.raises(SystemExit):
        main(args)
    told = capsys.readouterr()
    return told.out + told.err


def test_one_file_is_a_command(drop, tmp_path, capsys):
    drop("count_files.py", COUNT)
    assert "\n  count-files         count a folder's files, 100% of them\n" in said_by(["--help"], capsys)
    own = said_by(["count-files", "--help"], capsys)
    called = "  run_bench.py count-files results"
    assert own.endswith(f"examples:\n{called}\n{called} --limit 50%\n")
    assert 'Did you mean "count-files"' in said_by(["count-file"], capsys)
    assert main(["count-files", str(tmp_path)]) == 1
    assert int(capsys.readouterr().out) >= 1
    assert main(["count-files", "nowhere"]) == 2
    assert capsys.readouterr().err == "run_bench.py: nowhere is no folder\n"


@pytest.mark.parametrize("text, words", [
    ("import nowhere_at_all\n", "nowhere_at_all"), ("1 +\n", "SyntaxError"), ("raise SystemExit\n", "SystemExit"),
    ("", "it has no GROUP and no HELP and no EXAMPLES (a tuple of texts) and no arguments and no run"),
    (COUNT.replace('EXAMPLES = ("results", "results --limit 50%")', 'EXAMPLES = "results"'), "no EXAMPLES (a tuple"),
    (COUNT.replace("def run", "def go"), "it has no run, which every command has")])
def test_a_file_that_is_no_command_is_listed_with_the_reason(drop, capsys, text, words):
    drop("broken.py", text)
    _, broken = find_commands()
    assert words in broken["benchmarks/commands/broken.py"]
    assert "\nnot loaded: benchmarks/commands/broken.py: " in said_by(["--help"], capsys)
    assert main(["list"]) == 0


def test_helpers_are_no_commands(drop):
    drop("_helper.py", COUNT)
    files = Path(commands.__path__[0]).glob("[!_]*.py")
    assert find_commands()[0].keys() == {file.stem.replace("_", "-") for file in files}
