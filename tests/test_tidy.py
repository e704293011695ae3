"""House style, where a program can judge it: layers, sizes, names, and a README that is true."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

ROOT = Path(__file__).parent.parent

MAY_IMPORT = {
    "messages": {"msgpack"},
    "raft": {"messages"},
    "kv": {"messages"},
    "storage": {"messages", "lmdb", "zstandard"},
    "verify": {"messages", "raft", "kv", "storage"},
    "actors": {"messages", "raft", "kv", "storage", "zmq", "yaml"},
    "launch": {"messages", "actors", "rich"},
}
"""Beside itself and the standard library; bench and tests may import anything."""

LAYERS = [
    "driver",
    "held",
    "idle",
    "counters",
    "core",
    "ready",
    "election",
    "replication",
    "snapshot",
    "roles",
    "transfer",
    "reads",
    "membership",
    "invariants",
    "state",
    "progress",
    "log",
    "quorum",
]
"""The files of raft/: each imports only from those below it here."""

PURE = ("messages", "raft", "kv")
IMPURE = {
    *("asyncio", "multiprocessing", "queue", "signal", "subprocess", "threading"),
    *("datetime", "time"),
    *("random", "secrets", "uuid"),
    *("io", "os", "pathlib", "shutil", "tempfile"),
    *("select", "selectors", "socket"),
    "logging",
}
PRODUCT = (*MAY_IMPORT, "bench")

COLUMNS_MAX = 100
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
NESTING_MAX = 4

PROMISES = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
VAGUE = {"util", "utils", "common", "manager", "managers", "helper", "helpers", "misc"}
DISTRIBUTIONS = {"zmq": "pyzmq", "yaml": "PyYAML"}
"""Where a package is installed by another name than it is imported by."""

Node = TypeVar("Node", bound=ast.AST)
NESTING = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Import(NamedTuple):
    """One imported module and, if it was a from-import, the name taken from it."""

    line: int
    module: str
    name: str

    @property
    def top(self) -> str:
        """The package that the module belongs to."""
        return self.module.partition(".")[0]


def test_imports_point_down():
    """A package knows only those below it, so one can be read, tested and replaced alone."""
    wrong = [
        f"{where(file, found.line)} imports {found.module}"
        for package, allowed in MAY_IMPORT.items()
        for file in python_files(package)
        for found in imports(file)
        if found.top not in allowed | {package} | sys.stdlib_module_names
    ]
    assert wrong == []


def test_raft_imports_point_down():
    """Inside raft/ a file imports only from the files after it in LAYERS."""
    wrong = [
        f"{where(file, found.line)} imports {layer}"
        for file in python_files("raft")
        if file.stem in LAYERS
        for found in imports(file)
        if found.top == "raft"
        for layer in [found.name if found.module == "raft" else found.module.split(".")[1]]
        if layer not in LAYERS[LAYERS.index(file.stem) + 1 :]
    ]
    assert wrong == []


def test_every_file_of_raft_has_its_layer():
    """A new file must say where it stands."""
    assert {file.stem for file in python_files("raft")} - {"__init__"} <= set(LAYERS)


def test_the_deciding_packages_are_pure():
    """No clock, socket, disk, thread, logger or global chance: same messages in, same out."""
    wrong = [
        f"{where(file, found.line)} imports {found.module}"
        for file in python_files(*PURE)
        for found in imports(file)
        if found.top in IMPURE and (found.module, found.name) != ("random", "Random")
    ]
    assert wrong == []


def test_chance_is_handed_in():
    """The driver owns the seed: Random is a type to the pure packages, never a thing they make."""
    made = [
        where(file, call.lineno)
        for file in python_files(*PURE)
        for call in nodes(file, ast.Call)
        if isinstance(call.func, ast.Name) and call.func.id in {"Random", "open", "input"}
    ]
    assert made == []


def test_functions_are_short():
    """At most 50 lines; a longer one hides a decision that deserves a name."""
    long = [
        f"{where(file, function.lineno)} {function.name} has {lines} lines"
        for file in python_files(*PRODUCT)
        for function in functions(file)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_files_are_short():
    """At most 400 lines; a longer file answers more than one question."""
    long = [
        f"{where(file)} has {lines} lines"
        for file in python_files(*PRODUCT)
        if (lines := len(file.read_text().splitlines())) > FILE_LINES_MAX
    ]
    assert long == []


def test_nesting_is_shallow():
    """At most four blocks deep inside a function; an elif is no deeper than its if."""
    deep = [
        f"{where(file, function.lineno)} {function.name} nests {depth} deep"
        for file in python_files(*PRODUCT)
        for function in functions(file)
        if (depth := nesting(function.body)) > NESTING_MAX
    ]
    assert deep == []


def test_lines_fit_in_100_columns():
    """Code, configuration and recipes; prose has one sentence per line instead."""
    tools = [ROOT / name for name in ("Makefile", "pyproject.toml", ".ci/run")]
    wide = [
        where(file, number)
        for file in [*python_files(), *tools]
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if len(line) > COLUMNS_MAX
    ]
    assert wide == []


def test_nothing_is_promised_in_comments():
    """What is left to do stands in an issue, not in the code."""
    promises = [
        where(file, number)
        for file in [*python_files(), *prose_files()]
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if PROMISES.search(line)
    ]
    assert promises == []


def test_file_names_say_what_is_inside():
    """Names like these answer no reader's question."""
    vague = [where(file) for file in python_files() if VAGUE & set(file.stem.lower().split("_"))]
    assert vague == []


def test_every_module_opens_with_a_sentence():
    """The first paragraph of its docstring says what the file is for."""
    silent = [
        where(file)
        for file in python_files()
        if not (ast.get_docstring(tree(file)) or "").partition("\n\n")[0].endswith((".", ":"))
    ]
    assert silent == []


def test_tests_do_not_sleep():
    """A test waits for a condition, or moves a clock of its own."""
    sleeping = [
        where(file, line)
        for file in python_files("tests")
        for line in [
            *(
                node.lineno
                for node in nodes(file, ast.Attribute)
                if ast.unparse(node) == "time.sleep"
            ),
            *(found.line for found in imports(file) if found[1:] == ("time", "sleep")),
        ]
    ]
    assert sleeping == []


def test_dependencies_are_those_imported():
    """Every package that ours import is declared, and nothing is declared before it is used."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[^\w.-]", wanted)[0] for wanted in project["dependencies"]}
    ours = {*PRODUCT, "tests", *(file.stem for file in ROOT.glob("*.py"))}
    imported = {
        DISTRIBUTIONS.get(found.top, found.top)
        for file in product_files()
        for found in imports(file)
        if found.top not in ours | sys.stdlib_module_names
    }
    assert imported == declared


def test_readme_earns_each_dependency():
    """One line each in its table says what a dependency is for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["bench"]]
    rows = set(re.findall(r"^\| `([\w.-]+)` \|", readme(), re.MULTILINE))
    assert rows == {re.split(r"[^\w.-]", requirement)[0] for requirement in wanted}


def test_readme_names_only_what_exists():
    """Each `make` verb, `python -m` module, file and folder that it mentions is there."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    verbs = {f"make {verb}" for verb in re.findall(r"\bmake ([a-z][\w-]*)", commands())}
    modules = set(re.findall(r"\bpython -m ([\w.]+)", commands()))
    paths = {*re.findall(r"`([\w./-]+/)`", readme()), *re.findall(r"\]\(([\w./-]+)\)", readme())}

    missing = verbs - {f"make {target}" for target in targets}
    missing |= {f"python -m {module}" for module in modules if not is_module(module)}
    missing |= {path for path in paths if not (ROOT / path).exists()}
    assert missing == set()


def python_files(*folders: str) -> list[Path]:
    """All Python files below these folders, or below every folder of ours and beside them."""
    ours = folders or (*PRODUCT, "tests")
    beside = [] if folders else sorted(ROOT.glob("*.py"))
    return [*beside, *(file for folder in ours for file in sorted((ROOT / folder).rglob("*.py")))]


def product_files() -> list[Path]:
    """What is installed and imported by users; bench compares with whatever it likes."""
    return [*sorted(ROOT.glob("*.py")), *python_files(*MAY_IMPORT)]


def prose_files() -> list[Path]:
    """Everything written for people."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "Makefile"]


def tree(file: Path) -> ast.Module:
    """The file as Python reads it."""
    return ast.parse(file.read_text(), filename=str(file))


def nodes(file: Path, kind: type[Node]) -> Iterator[Node]:
    """All parts of the file that are of this kind."""
    return (node for node in ast.walk(tree(file)) if isinstance(node, kind))


def functions(file: Path) -> Iterator[Function]:
    """Every function of the file, methods and inner functions among them."""
    yield from nodes(file, ast.FunctionDef)
    yield from nodes(file, ast.AsyncFunctionDef)


def imports(file: Path) -> Iterator[Import]:
    """Every import of the file, also those inside functions."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from (Import(node.lineno, module, alias.name) for alias in node.names)


def nesting(body: list[ast.stmt]) -> int:
    """How many blocks deep the deepest statement of a body lies."""
    return max((0, *(depth(statement) for statement in body)))


def depth(statement: ast.stmt) -> int:
    """How many blocks a statement opens, counted down to its deepest."""
    if not isinstance(statement, NESTING):
        return 0
    if isinstance(statement, ast.If) and [type(s) for s in statement.orelse] == [ast.If]:
        return max(1 + nesting(statement.body), depth(statement.orelse[0]))  # an elif
    inside = (value for _, value in ast.iter_fields(statement) if isinstance(value, list))
    return 1 + max(nesting(blocks(part)) for part in inside)


def blocks(part: list[ast.AST]) -> list[ast.stmt]:
    """The statements of a block's part, those of its handlers and cases among them."""
    found: list[ast.stmt] = []
    for item in part:
        if isinstance(item, ast.stmt):
            found.append(item)
        elif isinstance(item, ast.ExceptHandler | ast.match_case):
            found.extend(item.body)
    return found


def where(file: Path, line: int = 0) -> str:
    """A place that an editor can jump to."""
    return f"{file.relative_to(ROOT)}:{line}" if line else str(file.relative_to(ROOT))


def readme() -> str:
    """The README."""
    return (ROOT / "README.md").read_text()


def commands() -> str:
    """What the README shows as code: its blocks and its words in backticks."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", readme(), re.DOTALL))


def is_module(name: str) -> bool:
    """Whether `python -m name` would find something of ours."""
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
