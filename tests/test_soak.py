"""The program of `make soak`, for a moment instead of minutes."""

import ast
import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "scripts" / "docs")]
import reliability  # noqa: E402
import soak  # noqa: E402


def _tests_of_faults() -> list[str]:
    return [
        f"{path.relative_to(ROOT)}::{node.name}"
        for path in (ROOT / "tests" / "faults").glob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def test_every_test_of_the_fault_catalogue_is_in_one_row() -> None:
    for name in _tests_of_faults():
        rows = [row.fault for row in soak.CATALOGUE if name.startswith(row.tests)]
        assert len(rows) == 1, f"{name} is in {rows or 'no row'}"


def test_every_row_has_tests() -> None:
    files = (ROOT / "tests").rglob("test_*.py")
    names = [*_tests_of_faults(), *(str(path.relative_to(ROOT)) for path in files)]
    for row in soak.CATALOGUE:
        for beginning in row.tests:
            assert any(name.startswith(beginning) for name in names), beginning


def test_names_in_pytests_report_are_those_of_the_rows() -> None:
    case = ElementTree.Element(
        "testcase", classname="tests.faults.test_kill", name="test_killed_inside_a_save[x-1]"
    )
    name = soak.name_of(case)
    assert name == "tests/faults/test_kill.py::test_killed_inside_a_save[x-1]"
    assert [row.fault for row in soak.CATALOGUE if name.startswith(row.tests)] == [
        "killed inside a save"
    ]


@pytest.mark.posix
def test_a_run_is_watched(tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    found = soak.watch_steps(tmp_path / "run", 40)
    assert found["steps"] == 40
    for half in (found["first_half"], found["last_half"]):
        assert half["memory"] > 50 and half["descriptors"] > 2 and half["checkpoints"] > 10_000


@pytest.mark.parametrize("what", ["memory", "descriptors", "files", "checkpoints"])
def test_growth_is_seen(what: str) -> None:
    first = {"memory": 400.0, "descriptors": 6, "files": 22, "checkpoints": 1_000_000}
    assert soak.is_flat(soak.Held(**first), soak.Held(**first))
    last = first | {what: first[what] * 1.2}
    assert not soak.is_flat(soak.Held(**first), soak.Held(**last))


def test_a_try_that_fails_is_kept_and_the_others_go_on(monkeypatch) -> None:
    def run(kind: str, trial: str, tries: int, random: int) -> int:
        if trial == "odd":
            raise ZeroDivisionError("by nothing")
        return tries

    monkeypatch.setattr(soak, "run", run)
    figures, failed = soak.fuzz_for(0.001, seed=1)
    odd, damaged = figures["arrays, odd"], figures["arrays, damaged"]
    own = [text for text in failed if text.startswith("arrays, ")]
    assert odd["tries"] == soak.TRIES * len(own) and odd["survived"] == 0
    assert damaged["tries"] == damaged["survived"] > 0
    assert failed[0].startswith("arrays, odd, seed ")
    assert "ZeroDivisionError: by nothing" in failed[0]


def test_the_page_has_all_figures_and_tells_of_failures(tmp_path: Path) -> None:
    half = {"memory": 417.1, "descriptors": 6, "files": 22, "checkpoints": 3_725_343}
    found = {
        "minutes": 20.2,
        "seed": 5,
        "environment": {"torch": "2.13.0", "precision": "bf16"},
        "cpu": "a processor",
        "catalogue": [{"fault": "flood", "promise": "it floats", "tries": 3, "survived": 2}],
        "steps": {"steps": 10_000, "first_half": half, "last_half": half | {"memory": 418.0}},
        "fuzz": {"arrays, odd": {"tries": 1200, "survived": 1200}},
        "failed": ["one"],
    }
    results = tmp_path / "soak.json"
    results.write_text(json.dumps(found))
    page = " ".join(reliability.page(results).split())  # lines may break anywhere
    for part in (
        "Of all tries, 1 failed.",
        "| flood | it floats | 3 | 2 |",
        "| arrays, odd | 1,200 | 1,200 |",
        "| resident memory, MiB | 417.1 | 418.0 |",
        "Here are 1,200 data sets",
    ):
        assert part in page
