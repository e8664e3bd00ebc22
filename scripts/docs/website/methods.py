"""A page for each method: what it minimises, its settings, and what was measured."""

import importlib
import inspect
import json
import pkgutil
import runpy
from collections.abc import Iterator
from types import ModuleType

import tables
from committed import DOCS, Committed
from seqjepa import methods
from seqjepa.methods.base import Method, MethodConfig
from website.prose import markdown, options, table, title

EXPERIMENTS = runpy.run_path(str(DOCS.parent / "scripts" / "experiments.py"))["EXPERIMENTS"]
COSTS = DOCS / "speed" / "methods.json"
MEASURED = {"equal_views": "equal views", "equal_time": "equal time"}


def names() -> list[str]:
    """Return every method, seq-JEPA first and the supervised control last."""
    found = {module.name for module in pkgutil.iter_modules(methods.__path__)} - {"base"}
    ends = ("seq_jepa", "supervised")
    return ["seq_jepa", *sorted(found.difference(ends)), "supervised"]


def pages(runs: Committed) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each page."""
    for name in names():
        yield name, page(name, runs)


def page(name: str, runs: Committed) -> str:
    """Return the page of a method."""
    module = importlib.import_module(f"seqjepa.methods.{name}")
    config, method = module.Config, class_of(module)
    head, lead = title(module.__doc__)
    _, _, specification = markdown(module.__doc__).partition("\n\n")
    needed = " --method.classes 29" if name == "supervised" else ""
    parts = [
        f"# {head}",
        lead,
        f"```text\nseqjepa train shapes_tiny --method {name}{needed} --run-dir runs/{name}\n```",
        facts(config, method),
        "## What it minimises",
        specification,
        "## Settings",
        f"{markdown(config.__doc__)} They are options of `seqjepa train` and fields of the "
        "method's `Config`.",
        table(option for _, own in options(config(), "--method.") for option in own),
        "## What was measured",
        *measured(name, runs),
        *cost(name),
        "## In the code",
        f"```{{eval-rst}}\n.. autoclass:: seqjepa.methods.{name}.{method.__name__}\n"
        "   :members: forward, aggregate, predict\n   :show-inheritance:\n```\n",
    ]
    return "\n\n".join(parts)


def class_of(module: ModuleType) -> type[Method]:
    """Return the method that a module defines."""
    classes = [cls for _, cls in inspect.getmembers(module, inspect.isclass)]
    [found] = [
        cls for cls in classes if issubclass(cls, Method) and cls.__module__ == module.__name__
    ]
    return found


def facts(config: type[MethodConfig], method: type[Method]) -> str:
    """Return what a method needs and can do, as a list."""
    views = f"{config.reads} views" if config.reads else "2 views or more"
    actions = ", and no actions."
    if config.conditioned:
        actions = ", and the actions between them."
    elif config().uses_actions:
        actions = f", and the actions between them. To do without, {config.without_actions}."

    several = "the mean of their features is probed"
    if method.aggregates:
        several = "it makes one vector"
    predicts = "yes" if method.predicts else "no"
    return (
        f"- **Reads** {views} of a training sequence{actions}\n"
        f"- **Of several views** {several}.\n"
        f"- **Predicts** views from actions: {predicts}."
    )


def measured(name: str, runs: Committed) -> list[str]:
    """Return the committed results of a method, and the command behind each row."""
    parts = list[str]()
    for experiment, label in MEASURED.items():
        commands = {
            run: command
            for run, command in EXPERIMENTS[experiment].items()
            if (found := runs.get(f"{experiment}/{run}"))
            and found.runs[0].config["method"]["kind"] == name
        }
        if commands:
            rows = {f"{experiment}/{run}": f"`{run}`" for run in commands}
            made = (f"- `{run}`: `seqjepa train {text}`" for run, text in commands.items())
            parts += [f"### At {label}", tables.table(runs, rows, head="run"), "\n".join(made)]

    if not parts:
        return [
            "No run of it is among the committed results yet. `seqjepa benchmark shapes_tiny "
            f"--methods {name}` measures it on your machine."
        ]
    about = (
        "The world is `shapes` (32 px, 29 classes), the encoder a quarter-width ResNet-18. Figures "
        "are of test objects, by probes on frozen features that have converged "
        "([how](../methods.md#all-methods)); ± is the standard deviation over n seeds. "
        "[All methods side by side](../benchmark.md)."
    )
    return [about, *parts]


def cost(name: str) -> list[str]:
    """Return what a training view costs with the method, as a sentence, if it was measured."""
    found = {row["method"]: row["time"] for row in json.loads(COSTS.read_text())["figures"]}
    if name not in found:
        return []
    time = f"A training view takes {found[name]:.2f} times as long as with the paper's objective"
    return [f"{time} ([how](../benchmark.md#what-a-view-costs))."]
