"""The pages: each table with ours beside the published figures, and an index of all."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from seqjepa.benchmark.standings import FAILED, training_seconds
from seqjepa.evaluation.suite import PROBES
from seqjepa.files import disk_errors, write_atomically
from seqjepa.report.benchmark.table import exact
from seqjepa.report.runs import read_object
from seqjepa.report.tables import CONTROLS, Value
from seqjepa.report.words import amount, duration
from seqjepa.reproduce.heat import draw_heat_map
from seqjepa.reproduce.jobs import RUNS, Job
from seqjepa.reproduce.layout import Cell, Grid, Published, Table, Where
from seqjepa.reproduce.results import Results
from seqjepa.reproduce.scales import Scale
from seqjepa.reproduce.tables import needed_parts

Figures = Mapping[Cell, Value | None]  # ours of each cell, None while there is none

INDEX = "index.md"
NONE = "–"
HOW = (
    "In each cell: ours, and in brackets the published figure of the paper (arXiv 2505.03176). "
    f"`{NONE}`: there is none, or not yet."
)


def publish(tables: Iterable[Table], jobs: Sequence[Job], results: Results) -> None:
    """Write the pages of tables and their pictures.

    Args:
        tables: of the paper.
        jobs: the runs of all tables.
        results: of these runs.

    Raises:
        DiskError: if they cannot be written.
    """
    for table in tables:
        figures = {cell: results.figure(cell) for cell in table.cells}
        with disk_errors(f"cannot write to {results.out}"):
            pictures = _pictures(table, figures, results.out)
            text = _page(table, figures, jobs, results, pictures)
            write_atomically(results.out / f"{table.name}.md", text.encode())


def _page(
    table: Table,
    figures: Figures,
    jobs: Sequence[Job],
    results: Results,
    pictures: Sequence[tuple[str, str]],
) -> str:
    """Return a table's page in Markdown; `pictures` are file and alternative text of each."""
    lines = [_row([table.stub, *table.columns]), f"|---|{'---:|' * len(table.columns)}"]
    for line in table.lines:
        cells = [NONE if cell is None else _text(cell, figures[cell]) for cell in line.cells]
        lines.append(_row([line.label, *cells]))
    lines += _controls(table, results)

    notes = [HOW, _about(results.scale), *_counts(table, jobs, results.seeds)]
    notes += [*table.notes, *_left_out(table, jobs)]
    parts = [f"# {_name(table)}. {table.title}", "\n".join(lines)]
    parts += [f"![{alt}]({file})" for file, alt in pictures]
    parts += ["\n".join(f"- {note}" for note in notes), f"[All tables]({INDEX})"]
    return "\n\n".join(parts) + "\n"


def publish_index(tables: Sequence[Table], jobs: Sequence[Job], results: Results) -> None:
    """Write the list of all tables and runs; see `publish` for arguments.

    Tables of earlier calls that are not among these stay listed.

    Raises:
        DiskError: if it cannot be written.
    """
    out, own = results.out, {table.name for table in tables}
    others = sorted(path.stem for path in out.glob("*[0-9].md") if path.stem not in own)
    states = {job: job.state for job in jobs}

    lines = ["| table | shows | runs done |", "|---|---|---:|"]
    for table in tables:
        counts = Counter(job.state for job in _own(table, jobs))
        count = f"{counts['done']} of {counts.total()}" if counts else NONE
        lines.append(f"| [{_name(table)}]({table.name}.md) | {exact(table.title)} | {count} |")
    lines += [f"| [{name}]({name}.md) | written before | |" for name in others]

    rows = ["| run | state | views | trained for |", "|---|---|---:|---:|"]
    for job, state in states.items():
        train = job.experiment.train
        views = amount(train.steps * train.views_per_step)
        seconds = training_seconds(job.folder)
        took = NONE if seconds is None else duration(seconds)
        link = f"[{job}]({RUNS}/{job})" if job.folder.exists() else f"{job}"
        rows.append(f"| {link} | {_state(job, state)} | {views} | {took} |")

    text = "\n\n".join(
        [
            "# The paper's tables, and ours",
            f"{HOW} {_about(results.scale)}",
            "\n".join(lines),
            "## Runs",
            "\n".join(rows),
        ]
    )
    with disk_errors(f"cannot write {out / INDEX}"):
        write_atomically(out / INDEX, f"{text}\n".encode())


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(exact(cell) for cell in cells)} |"


def _about(scale: Scale) -> str:
    return f"Scale `{scale.name}`: {scale.about}"


def _name(table: Table) -> str:
    """Return a table's name in words: `Table 1`."""
    kind = table.name.rstrip("0123456789")
    return f"{kind.capitalize()} {table.name.removeprefix(kind)}"


def _text(cell: Cell, found: Value | None) -> str:
    """Return a cell's text: ours, and the published figure in brackets."""
    ours = NONE if found is None else _shown(cell.where, found)
    published = _printed(cell.published)
    return f"{ours} ({published})" if published else ours


def _shown(where: Where, found: Value) -> str:
    digits = 1 if where.percent else 3
    text = f"{found.mean:.{digits}f}"
    if not math.isnan(found.spread):
        text += f" ± {found.spread:.{digits}f}"
    return text.replace("-", "−")


def _printed(published: Published) -> str:
    """Return a published number, without zeros at its end."""
    if published is None:
        return ""
    if isinstance(published, tuple):
        return " ± ".join(_printed(number) for number in published)
    return f"{published:.10g}".replace("-", "−")


def _controls(table: Table, results: Results) -> list[str]:
    """Return a row for each control that was measured beside the runs of a table."""
    found = []
    for features, label in CONTROLS.items() if table.controls else ():
        texts = []
        for column in range(len(table.columns)):
            # The first run of the column has it.
            cells = (line.cells[column] for line in table.lines)
            cell = next(cell for cell in cells if cell is not None)
            texts.append(_control(cell, features, results))
        if any(text != NONE for text in texts):
            found.append(f"| *{label}* | {' | '.join(texts)} |")
    return found


def _control(cell: Cell, features: str, results: Results) -> str:
    """Return the text of a control in a cell's place."""
    if cell.run is None or cell.where.part != PROBES:
        return NONE
    found = results.figure(cell.of(features))
    return NONE if found is None else _shown(cell.where, found)


def _own(table: Table, jobs: Sequence[Job]) -> list[Job]:
    """Return the runs of a table, asked what this table asks alone."""
    parts = needed_parts([table])
    return [replace(job, parts=parts[job.run]) for job in jobs if job.run in parts]


def _counts(table: Table, jobs: Sequence[Job], seeds: int) -> list[str]:
    """Return a note of the number of seeds."""
    own = _own(table, jobs)
    if not own:
        return []
    if seeds == 1:
        return ["n = 1 seed."]
    done = Counter(job.run for job in own if job.state == "done")
    counts = sorted({done[job.run] for job in own})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return [f"Mean ± sample standard deviation over n = {n} of {seeds} seeds."]


def _left_out(table: Table, jobs: Sequence[Job]) -> list[str]:
    """Return notes of runs that are missing."""
    notes = []
    states = {job: job.state for job in _own(table, jobs)}
    for state, words in (("missing", "Not run yet"), ("begun", "Begun")):
        names = [f"`{job}`" for job, found in states.items() if found == state]
        if names:
            notes.append(f"{words}: {', '.join(names)}.")
    lacking = [job for job, found in states.items() if found == "no data"]
    for options in dict.fromkeys(tuple(job.options) for job in lacking):
        names = [f"`{job}`" for job in lacking if tuple(job.options) == options]
        notes.append(f"Without data ({' '.join(options)}): {', '.join(names)}.")
    notes += [
        f"`{job}` {_state(job, state)}." for job, state in states.items() if state == "failed"
    ]
    return notes


def _state(job: Job, state: str) -> str:
    """Return a run's state in words."""
    if state == "no data":
        return f"needs {' '.join(job.options)}"
    if state != "failed":
        return state
    why = str(read_object(job.folder / FAILED).get("why", "")).rstrip(".")
    return f"failed: {exact(why)}"


def _pictures(table: Table, figures: Figures, out: Path) -> list[tuple[str, str]]:
    """Draw the heat maps of a table; return file and alternative text of each."""

    def ours(cell: Cell) -> float | None:
        found = figures[cell]
        return None if found is None else found.mean

    def printed(cell: Cell) -> float | None:
        return cell.published[0] if isinstance(cell.published, tuple) else cell.published

    drawn = []
    for grid in table.grids:
        rows = _numbers(table, grid, ours)
        if any(number is not None for row in rows for number in row):
            drawn.append((grid.name, f"ours, {grid.title}", rows, grid))
    if drawn:
        grid = table.grids[0]
        rows = _numbers(table, grid, printed)
        drawn.append((f"{table.name}_published", "published", rows, grid))

    found = []
    for name, title, rows, grid in drawn:
        picture = draw_heat_map(name, f"{_name(table)}, {title}", rows, grid.ticks)
        write_atomically(out / f"{name}.png", picture.png)
        found.append((f"{name}.png", picture.alt))
    return found


def _numbers(
    table: Table, grid: Grid, number: Callable[[Cell], float | None]
) -> list[list[float | None]]:
    """Return a number of each cell of a grid, row by row; None where there is no cell."""
    return [
        [None if cell is None else number(cell) for cell in line.cells[slice(*grid.columns)]]
        for line in table.lines
    ]
