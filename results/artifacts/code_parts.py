"""A module cut into the parts that can be used one by one: definitions, class attributes, what importing it does."""

from __future__ import annotations

import ast
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from copy import copy
from functools import cache, cached_property
from typing import Any

from dirbench.results.artifacts.source_files import source_file, source_of

Imports = dict[str, list[tuple[str, str | None]]]  # local name -> what it may be: (module, name in it or None for all)
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
OPAQUE = frozenset({"globals", "exec", "eval"})  # they find what nobody names
HIDING = re.compile(r"\b(globals|exec|global|__subclasses__)\b|(?<![.\w])eval\b")  # quick to look for
HARMLESS = frozenset({"dataclass", "contextmanager", "cache", "lru_cache", "total_ordering", "runtime_checkable",
                      "wraps", "overload", "no_grad", "inference_mode"})  # decorators that keep nothing


class Part:
    """Some statements of a module.

    Attributes:
        chains: the names in it, with the attributes asked of them: ("np", "linalg", "norm").
        names: the first of each.
        mentions: every name, attribute and text in it.
        imports: by functions in it.
    """

    def __init__(self, module: Module, nodes: Iterable[ast.AST], more: str = "") -> None:
        self._module, self._nodes, self._more = module, list(nodes), more
        self.chains: set[tuple[str, ...]] = set()
        self.mentions: set[str] = set()
        self.imports: Imports = defaultdict(list)
        for node in self._nodes:
            self._read(node, False)
        self.names = {chain[0] for chain in self.chains}

    @cached_property
    def digest(self) -> str:
        """sha256 over the syntax, and over what the imported names in it stand for."""
        stand_for = sorted((name, self._module.imports[name]) for name in self.names & self._module.imports.keys())
        text = "\n".join((*map(ast.dump, self._nodes), repr(stand_for), self._more))
        return hashlib.sha256(text.encode()).hexdigest()

    def _read(self, node: ast.AST, in_function: bool) -> None:
        if isinstance(node, ast.Attribute):
            chain = _chain(node)
            self.mentions.add(node.attr)
            if chain:
                self.chains.add(chain)
                self.mentions.update(chain)
                return
        elif isinstance(node, ast.Name):
            self.chains.add((node.id,))
            self.mentions.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.mentions.add(node.value)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            _note_imports(self._module.name, node, self.imports)
        in_function = in_function or isinstance(node, Function)
        unread = _annotation(node, in_function) if self._module.postpones_annotations else None
        for child in ast.iter_child_nodes(node):
            if child is not unread:
                self._read(child, in_function)


def _chain(node: ast.expr) -> tuple[str, ...]:
    """("a", "b", "c") of ``a.b.c``; nothing where it does not begin with a name."""
    if isinstance(node, ast.Name):
        return (node.id,)
    before = _chain(node.value) if isinstance(node, ast.Attribute) else ()
    return (*before, node.attr) if isinstance(node, ast.Attribute) and before else ()


def _annotation(node: ast.AST, in_function: bool) -> ast.AST | None:
    """The annotation of an argument, of what a function returns, or of a local variable: never evaluated."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.returns
    return node.annotation if isinstance(node, ast.arg) or (in_function and isinstance(node, ast.AnnAssign)) else None


class Module:
    """The syntax of a module, without documentation.

    Attributes:
        definitions: {name: the statements at its top level that give it its value}.
        imports: by its top level; those inside ``if`` and ``try`` too.
        bound: names that other statements bind.
        runs: the modules that importing it imports, among names that are none.
        passes_on: of a package whose ``__init__.py`` only hands names on: {name: (module, name there)}; else None.

    Raises:
        ValueError: it has no Python source.
    """

    def __init__(self, name: str) -> None:
        file = source_file(name)
        if file is None:
            raise ValueError(f"no Python source of a module named {name}, so its code cannot be part of a key")
        self.name, self.definitions, self.imports = name, defaultdict[str, list[ast.stmt]](list), Imports()
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text)
        self.passes_on = _passed_on(name, tree) if file.name == "__init__.py" else None
        _drop_documentation(tree)
        self._effects: list[ast.stmt] = []
        found: Imports = defaultdict(list)
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                _note_imports(name, node, found)
            elif names := _defined(node):
                for defined in names:
                    self.definitions[defined].append(node)
            else:
                self._effects.append(node)
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Import | ast.ImportFrom):
                        _note_imports(name, inner, found)
        self.imports = dict(found)
        self._parts: dict[str, tuple[Part, dict[str, tuple[Part, bool]]]] = {}
        self.postpones_annotations = ("__future__", "annotations") in self.imports.pop("annotations", [])
        self.runs = {place for known in self.imports.values() for source, inner in known
                     for place in (source, f"{source}.{inner}")}
        self.bound = {node.name if isinstance(node, ast.FunctionDef | ast.ClassDef) else node.id
                      for effect in self._effects for node in ast.walk(effect)
                      if isinstance(node, ast.FunctionDef | ast.ClassDef)
                      or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))}
        self._tree, self._may_hide = tree, bool(HIDING.search(text))

    @cached_property
    def named(self) -> set[str]:
        """Every name in it, those in annotations too."""
        return {node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name)}

    @cached_property
    def is_opaque(self) -> bool:
        """Whether some of its names, or uses of them, cannot be seen in the syntax."""
        return "__getattr__" in self.definitions or "*" in self.imports or (self._may_hide and (
            bool(self.named & OPAQUE) or any(
                isinstance(node, ast.Global) or (isinstance(node, ast.Attribute) and node.attr == "__subclasses__")
                for node in ast.walk(self._tree))))

    @cached_property
    def effects(self) -> Part:
        """What importing it does besides defining names."""
        return Part(self, self._effects)

    @cached_property
    def unused_imports(self) -> Imports:
        """What it imports and names nowhere, not even in an annotation."""
        return {local: found for local, found in self.imports.items() if local not in self.named}

    @cached_property
    def left_out(self) -> Part:
        """The unused imports, as a part."""
        return Part(self, (), repr(sorted(self.unused_imports.items())))

    @cached_property
    def registered(self) -> list[str]:
        """Definitions under a decorator that may keep them somewhere, so that they are used and never named."""
        return [name for name, nodes in self.definitions.items()
                for node in nodes for decorator in getattr(node, "decorator_list", ()) if not _is_harmless(decorator)]

    @property
    def does(self) -> bool:
        """Whether importing it does more than define names."""
        return bool(self._effects)

    def part(self, name: str) -> Part:
        """A definition; of a class, without the attributes that ``attributes`` has."""
        return self._part(name)[0]

    def attributes(self, name: str) -> Mapping[str, tuple[Part, bool]]:
        """{attribute: (its assignment, whether it is declared as ClassVar here)} of a class: plain values only."""
        return self._part(name)[1]

    def _part(self, name: str) -> tuple[Part, dict[str, tuple[Part, bool]]]:
        if name not in self._parts:
            nodes: list[ast.AST] = []
            attributes: dict[str, tuple[Part, bool]] = {}
            once = len(self.definitions[name]) == 1
            for node in self.definitions[name]:
                if isinstance(node, ast.ClassDef) and once:
                    node, own = _without_attributes(node)
                    attributes = {key: (Part(self, [assigned]), declared) for key, (assigned, declared) in own.items()}
                nodes.append(node)
            self._parts[name] = Part(self, nodes), attributes
        return self._parts[name]

    @cached_property
    def classes(self) -> list[str]:
        """The classes at its top level that say a base."""
        return [name for name, nodes in self.definitions.items()
                if any(isinstance(node, ast.ClassDef) and (node.bases or node.keywords) for node in nodes)]

    def bases(self, name: str) -> set[tuple[str, ...]]:
        """Names in the list of a class's bases, each with the attributes asked of it."""
        return {chain for node in self.definitions[name] if isinstance(node, ast.ClassDef)
                for chain in Part(self, [*node.bases, *node.keywords]).chains}

    def body(self, name: str) -> list[ast.stmt]:
        """The statements of a class."""
        return [inner for node in self.definitions[name] if isinstance(node, ast.ClassDef) for inner in node.body]

    def declares(self, name: str, attribute: str) -> bool:
        """Whether a class declares the attribute as ClassVar."""
        return any(isinstance(inner, ast.AnnAssign) and attribute in _defined(inner) and _is_class_var(inner.annotation)
                   for inner in self.body(name))

    def is_told(self, name: str) -> bool:
        """Whether a class is told of the classes that inherit from it, and may keep them somewhere."""
        return any(isinstance(inner, ast.FunctionDef) and inner.name == "__init_subclass__" for inner in self.body(name)
                   ) or any(isinstance(node, ast.ClassDef) and node.keywords for node in self.definitions[name])


@cache
def parsed(name: str) -> Module:
    """The module, parsed once."""
    return Module(name)


# -- statements ----------------------------------------------------------------------------------------
def _defined(node: ast.stmt) -> list[str]:
    """The names that a definition or a simple assignment gives a value; none for any other statement."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets: list[Any] = node.targets if isinstance(node, ast.Assign) else \
        [node.target] if isinstance(node, ast.AnnAssign | ast.AugAssign) else []
    flat: list[Any] = [one for target in targets
                       for one in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [one.id for one in flat] if all(isinstance(one, ast.Name) for one in flat) else []


def _is_harmless(decorator: ast.expr) -> bool:
    named: Any = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (getattr(named, "attr", None) or getattr(named, "id", None)) in HARMLESS


def _note_imports(module: str, node: ast.Import | ast.ImportFrom, found: Imports) -> None:
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            found[alias.asname or alias.name].append((source_of(module, node), alias.name))
        elif alias.asname:
            found[alias.asname].append((alias.name, None))
        else:
            found[alias.name.split(".")[0]].append((alias.name.split(".")[0], None))
            if "." in alias.name:  # it is run, too, and whoever names nothing of it may mean just that
                found[alias.name].append((alias.name, None))


def _without_attributes(node: ast.ClassDef) -> tuple[ast.ClassDef, dict[str, tuple[ast.stmt, bool]]]:
    """(the class without them, {name: (its assignment, whether it is declared as ClassVar)}).

    Only where nothing happens but that one name gets a value: no calls, and no ``__names__``.
    """
    own: dict[str, tuple[ast.stmt, bool]] = {}
    body = []
    for statement in node.body:
        names = _defined(statement) if isinstance(statement, ast.Assign | ast.AnnAssign) else []
        declared = isinstance(statement, ast.AnnAssign)
        plain = len(names) == 1 and not names[0].startswith("__") and names[0] not in own and not any(
            isinstance(inner, ast.Call | ast.NamedExpr) for inner in ast.walk(statement))
        if plain and (not isinstance(statement, ast.AnnAssign) or _is_class_var(statement.annotation)):
            own[names[0]] = statement, declared
        else:
            body.append(statement)
    names_left = {n.id for statement in body for n in ast.walk(statement) if isinstance(n, ast.Name)}
    kept = [statement for name, (statement, _) in own.items() if name in names_left]  # the class's own body may need it
    own = {name: found for name, found in own.items() if name not in names_left}
    bare = copy(node)
    bare.body = kept + body
    return bare, own


def _is_class_var(annotation: ast.expr) -> bool:
    named: Any = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return "ClassVar" in (getattr(named, "id", ""), getattr(named, "attr", ""))


# -- packages that only hand on ------------------------------------------------------------------------
def _passed_on(package: str, tree: ast.Module) -> dict[str, tuple[str, str]] | None:
    """{name: (module, name there)} of a package whose ``__init__.py`` only hands names on; None for any other.

    It may do so when a name is asked for (``__getattr__``); then the imports under ``if TYPE_CHECKING`` say from where.
    """
    found: dict[str, tuple[str, str]] = {}
    body = [node for node in tree.body if not _is_text(node)]
    lazy = any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in body)
    inner = [node for outer in body for node in (outer.body if lazy and isinstance(outer, ast.If) else [outer])]
    for node in inner:
        if isinstance(node, ast.ImportFrom):
            source = source_of(package, node)
            found |= {alias.asname or alias.name: (source, alias.name) for alias in node.names if source != package}
        elif not (isinstance(node, ast.Import) or _is_dunder(node) or _is_type_checking(node) or lazy):
            return None
    return found if body else None


def _is_dunder(node: ast.stmt) -> bool:
    """Whether it is ``__all__ = ...``, ``__version__ = ...`` or the like."""
    return isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) and target.id.startswith("__")
                                                for target in node.targets)


# -- documentation -------------------------------------------------------------------------------------
def _drop_documentation(node: ast.AST) -> None:
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):  # where statements are
        inner = getattr(node, field, ())
        if field == "body":
            inner = [n for n in inner if not (_is_text(n) or _is_type_checking(n))]
            node.body = inner  # type: ignore[attr-defined]
        for child in inner:
            if hasattr(child, "body"):
                _drop_documentation(child)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
