"""The classes of a stranger's Python file, which is imported for it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from dirbench.benchmarks.contract.report import Fault
from dirbench.checks import place
from dirbench.errors import import_fault
from dirbench.plugins import Faults, sort_classes


def classes_of(path: Path, bases: tuple[type, ...], what: str, faults: Faults) -> tuple[
        list[type[Any]], list[str]]:
    """(classes that the registry would take, sentences for those that it would not) of a Python file.

    The module is called ``checked_<stem>``, and what lies beside the file can be imported.

    Raises:
        Fault: there is no such file, it cannot be imported, or it has no such class.
    """
    if not path.is_file():
        raise Fault(f"{path} does not exist" if not path.is_dir() else f"{path} is a folder, expected a Python file")
    name = f"checked_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Fault(f"{path} is no Python file")
    if (folder := str(path.resolve().parent)) not in sys.path:  # last: nothing of ours is hidden by it
        sys.path.append(folder)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever a user's file does, it is told to the user
        del sys.modules[name]
        raise Fault(f"{path} cannot be imported: {import_fault(error, path.name)}") from error
    good, wrong = sort_classes(module, bases, faults)
    if not good and not wrong:
        raise Fault(f"{path} has no {what}: expected a subclass of {' or '.join(base.__name__ for base in bases)} with "
                    'a `name: ClassVar[str] = "..."`')
    return good, [f"{path.name}:{place(cls).rpartition(':')[2]}: class {cls.__name__}: {why}"
                  for cls, why in wrong.items()]
