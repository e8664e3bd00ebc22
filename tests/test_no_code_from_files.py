"""Nothing in the package can run code from a file: a search through its syntax trees."""

import ast
from pathlib import Path

import pytest

import seqjepa

SOURCES = sorted(Path(next(iter(seqjepa.__path__))).rglob("*.py"))
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "torch.jit.load", "os.system"}


def unsafe(source: str) -> list[str]:
    """Return the imports and calls of a source that could run code from a file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if unsafe_module(alias.name)]
        elif isinstance(node, ast.ImportFrom) and unsafe_module(node.module or ""):
            # The error that PyTorch's reader raises; who has its name can unpickle nothing.
            if [alias.name for alias in node.names] != ["UnpicklingError"]:
                found.append(node.module)
        elif isinstance(node, ast.Call) and unsafe_call(node):
            found.append(ast.unparse(node))
    return found


def unsafe_module(name: str) -> bool:
    return name.partition(".")[0] in UNSAFE_MODULES


def unsafe_call(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    settings = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name == "torch.load" and settings.get("weights_only") != "True":
        return True
    return name in UNSAFE_CALLS or settings.get("allow_pickle", "False") != "False"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_source_can_run_code_from_a_file(path: Path) -> None:
    assert unsafe(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "from pickle import UnpicklingError, loads",
        "import joblib.memory",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "yaml.load(f)",
        "np.load(p, allow_pickle=True)",
        "np.load(p, allow_pickle=flag)",
        "eval(x)",
        "exec(x)",
    ],
)
def test_the_search_for_unsafe_calls_finds_them(source: str) -> None:
    assert unsafe(source)
