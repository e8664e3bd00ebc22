"""A page for each method: what it minimises, its settings, and what was measured."""

import importlib
import inspect
import json
import pkgutil
import runpy
from collections.abc import Iterator

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
    head, lead = title(module.__doc__)
    _, _, specification = markdown(module.__doc__).partition("\n\n")
    method = next(
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, Method) and cls.__module__ == module.__name__
    )
    train = f"seqjepa train shapes_tiny --method {name} --run-dir runs/{name}"
    more = " --method.classes 29" if name == "supervised" else ""
    return "\n\n".join(
        [
            f"# {head}",
            lead,
            f"```text\n{train}{more}\n```",
            facts(module.Config, method),
            "## What it minimises",
            specification,
            "## Settings",
            f"{markdown(module.Config.__doc__)} They are options of `seqjepa train` and fields of "
            "the method's `Config`.",
            table(option for _, own in options(module.Config(), "--method.") for option in own),
            "## What was measured",
            *measured(name, runs),
            "## In the code",
            f"```{{eval-rst}}\n.. autoclass:: seqjepa.methods.{name}.{method.__name__}\n"
            "   :members: forward, aggregate, predict\n   :show-inheritance:\n```\n",
        ]
    )


def facts(config: type[MethodConfig], method: type[Method]) -> str:
    """Return what a method needs and can do, as a list."""
    views = f"{config.reads} views" if config.reads else "2 views or more"
    needed = config.conditioned or config().uses_actions
    without = "" if config.conditioned else f" To do without, {config.without_actions}."
    several = "one vector of them" if method.aggregates else "the mean of their features is probed"
    predicts = "yes" if method.predicts else "no"
    return "\n".join(
        [
            f"- **Reads** {views} of a training sequence"
            + (f", and the actions between them.{without}" if needed else ", and no actions."),
            f"- **Of several views** it makes {several}."
            if method.aggregates
            else f"- **Of several views** {several}.",
            f"- **Predicts** views from actions: {predicts}.",
        ]
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
    return [about, *costs(name), *parts]


def costs(name: str) -> list[str]:
    """Return what a training view costs with the method, as a sentence, if it was measured."""
    found = {row["method"]: row["time"] for row in json.loads(COSTS.read_text())["figures"]}
    if name not in found:
        return []
    return [f"A view costs {found[name]:.2f} times the time of one of the paper's objective."]
