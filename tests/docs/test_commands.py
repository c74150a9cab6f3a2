"""Every command of README, CONTRIBUTING and docs is one that is known, and runs from the installed wheel.

A page's commands run in their order, in a folder of the page's own, with the files that its reader has. What would take
long runs in a shorter form, and what sets up or tests is `.ci/run`'s to run: both stand in tables here. A command of an
unknown kind fails the test.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from helpers.pages import PAGES, blocks, name_of
from helpers.reader import READERS
from helpers.tiny import ROOT

from dirbench.benchmarks.commands import parser

CI = {  # command -> what .ci/run has in its place
    "python3 -m venv .venv": "python3 -m venv .venv",
    ".venv/bin/pip install -e .": "pip install --quiet --editable '.[test]'",
    ".venv/bin/pip install -e .[test]": "pip install --quiet --editable '.[test]'",
    ".venv/bin/pip install -e .[dev]": "pip install --quiet --editable '.[dev]'",
    ".venv/bin/pre-commit install": "pre-commit run --all-files",
    ".venv/bin/python -m pytest": ".venv/bin/python -m pytest",
    "python -m pytest": ".venv/bin/python -m pytest",
    "python -m pytest -m slow": ".venv/bin/python -m pytest -m slow",
    "python -m pip install -e .[docs]": "pip install --quiet --editable '.[docs]'",
    "python -m mkdocs build --strict": ".venv/bin/python -m mkdocs build --strict",
}
TESTS = r"python -m pytest (tests/.*|-m 'numeric and not slow' --seed-shift 7)"  # those of files must be there

SHORTER = (  # the first pattern that a command has -> (what is replaced, by what), and what is added
    (r"--dry-run", {}, ""),
    (r"--suite celeba_subsets .*trained/zoo_celeba64", {}, "--profile tiny.yaml --workers 1"),
    (r"--suite celeba_subsets", {"--methods all --seeds 0,1,2": "--methods all --seeds 0"}, "--profile smoke"),
    (r"--suite \w+\.yaml", {}, "--profile tiny.yaml --workers 1"),
    (r"audit ", {}, "--profile smoke --steps 1"),
    (r"train-oracle celeba", {"--out oracles": "--out trained-oracles"}, "--epochs 1 --network small"),
    (r"train-oracle folder", {"--out oracles": "--out trained-oracles"}, "--epochs 1 --network small"),
    (r"train-zoo celeba", {"--out trained": "--out trained-now"}, "--images 16 --only full"),  # all: `reader`
    (r"train-zoo sngan", {}, "--images 16"),
    (r"zoo check", {}, "--samples 8"),
    (r"perf --repeats 7", {"--repeats 7": "--repeats 1 --only losses"}, ""),
    (r"perf ", {}, "--repeats 1"),
    (r"new method [\w-]+$", {}, "--out methods"),  # where a checkout has it
)
STOPPED = r"train-oracle scorer|train-zoo mini"  # hours, and no option makes them few: fine where it still works after
STOPPED_AFTER = 40  # seconds
MAY_SAY_NO = r"zoo check"  # exit code 1: GANs of a few images are not fit, and eight samples do not show it


def commands(page: Path) -> list[str]:
    """The commands of a page's fenced blocks, as a shell would have them."""
    lines = [line for block in blocks(page.read_text(encoding="utf-8"), "bash")
             for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    return [shlex.join(part) for line in words for part in _split(line) if part]


def _split(words: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        parts[-1].append(word) if word != "&&" else parts.append([])
    return parts


def words_of(command: str) -> list[str] | None:
    """What follows the program's name; None where it is not dirbench that is called."""
    found = re.match(r"(?:(?:\.venv/bin/)?python run_bench\.py|dirbench) (.*)", command)
    return shlex.split(found[1].replace("'$SLURM_ARRAY_TASK_ID/8'", "0/8")) if found else None


def module_of(command: str) -> list[str] | None:
    """The module that is run, and its words; None where it is none of dirbench's."""
    found = re.match(r"python -m (dirbench\..*)", command)
    return shlex.split(found[1]) if found else None


def shorter(command: str) -> str:
    """The command in a form that takes less than a minute or two."""
    for pattern, replaced, added in SHORTER:
        if re.search(pattern, command):
            for long, short in replaced.items():
                command = command.replace(long, short)
            return f"{command} {added}".strip()
    return command


def plain(command: str) -> str:
    """Without the quotes that a shell takes away."""
    return " ".join(shlex.split(command))


ALL = [(page, command) for page in PAGES for command in commands(page)]


@pytest.mark.parametrize("page, command", ALL, ids=lambda value: name_of(value) if isinstance(value, Path) else value)
def test_every_command_is_known(page, command):
    words = words_of(command)
    if words is not None:
        words = words if words and not words[0].startswith("-") else ["run", *words]
        assert parser().parse_args(words).function
    elif module := module_of(command):
        path = ROOT / module[0].replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file()
    elif re.fullmatch(TESTS, command):
        assert all((ROOT / word).exists() for word in shlex.split(command) if word.startswith("tests/"))
    else:
        assert plain(command) in CI, f"{name_of(page)} has a command that no test knows: {command}"


def test_what_sets_up_and_tests_is_what_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    named = {plain(command) for _, command in ALL}
    assert set(CI) <= named, "no page has it any more"
    assert not [command for command, there in CI.items() if there not in ci]


def test_nothing_in_the_tables_is_out_of_use():
    whole = "\n".join(command for _, command in ALL)
    for pattern, replaced, _ in SHORTER:
        assert re.search(pattern, whole, re.M), pattern
        assert all(long in whole for long in replaced), pattern


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The ``bin`` folder of an environment with the wheel, which finds other packages where these tests do."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder, ROOT], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (wheel,) = folder.glob("*.whl")
    python = folder / "venv/bin/python"
    subprocess.run([*pip, "--python", python, "install", "--no-deps", wheel], check=True)
    where = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True,
                           capture_output=True, text=True).stdout.strip()
    Path(where, "others.pth").write_text(sysconfig.get_path("purelib") + "\n")  # its own .pth files are not read
    return folder / "venv/bin"


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if any(words_of(c) or module_of(c) for c in commands(page))],
                         ids=name_of)
def test_every_command_runs_from_the_wheel(page, installed, tmp_path, tmp_path_factory):
    READERS.get(name_of(page), lambda folder: None)(tmp_path)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["DIRBENCH_STORE"] = str(tmp_path_factory.getbasetemp() / "commands-store")
    for command in commands(page):
        short = shorter(command)
        if (words := words_of(short)) is not None:
            call = [str(installed / "dirbench"), *words]
        elif (module := module_of(short)) is not None:
            call = [str(installed / "python"), "-m", *module]
        else:
            continue  # of CI
        done = run(call, tmp_path, environment, STOPPED_AFTER if re.search(STOPPED, command) else None)
        fine = done.returncode == 0 or (done.returncode == 1 and re.search(MAY_SAY_NO, command))
        assert fine, f"{command}\n(as {' '.join(call)})\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        assert "Traceback" not in done.stderr, f"{command}\n{done.stderr[-4000:]}"
        _what_it_says_next(words, done.stdout, page)


def run(call: list[str], folder: Path, environment: dict[str, str], seconds: int | None) -> subprocess.CompletedProcess:
    """Runs a command in ``folder``; one that still works after ``seconds`` is stopped, and counts as done."""
    with subprocess.Popen(call, cwd=folder, env=environment, text=True, start_new_session=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            out, err = process.communicate(timeout=seconds)
            return subprocess.CompletedProcess(call, process.returncode, out, err)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return subprocess.CompletedProcess(call, 0, "", "")


def _what_it_says_next(words: list[str] | None, said: str, page: Path) -> None:
    """`new` names the page's next command; a check of a plug-in ends with its verdict."""
    if words and words[0] == "new" and "--out" in words and name_of(page).startswith("docs/plugins"):
        following = "python run_bench.py " + re.search(r"^next: dirbench (.+)$", said, re.M)[1]
        assert plain(following) in [plain(command) for command in commands(page)]
    elif words and words[0] in ("check-method", "check-metric"):
        assert said.rstrip().endswith("nothing is wrong")
