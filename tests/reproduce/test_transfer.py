"""Cells about another world: what is asked, again where it is damaged, and data named later."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from fixtures.small_scale import small
from seqjepa.evaluation import few_labels
from seqjepa.reproduce import run as running
from seqjepa.reproduce.jobs import plan
from seqjepa.reproduce.pictures import write_pictures
from seqjepa.reproduce.run import reproduce
from seqjepa.reproduce.scales import PAPER, Scale
from seqjepa.reproduce.tables import KNOWN, find_tables

NAME = "stl10-seq_jepa-m4_seed0"
ENTRY = f"| [{NAME}](runs/{NAME}) |"


@pytest.fixture(autouse=True)
def few(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few pictures and steps, and of table 3 the row of figure 15's run alone."""
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path_factory.getbasetemp() / "transfer_cache"))
    monkeypatch.setattr(running, "write_pictures", partial(write_pictures, number=60))
    monkeypatch.setattr(few_labels, "FEWEST", 2)
    table = KNOWN["table3"]
    lines = tuple(line for line in table.lines if line.label == "seq-JEPA")
    monkeypatch.setitem(KNOWN, "table3", replace(table, lines=lines))


def unnamed() -> Scale:
    """The small scale, whose other pictures have to be named as ImageNet has."""
    scale = small()
    sources = {
        name: replace(source, data="imagenet" if name.startswith("imagenet") else source.data)
        for name, source in scale.sources.items()
    }
    return replace(scale, sources=sources)


def go(out: Path, *tables: str, **options):
    lines: list[str] = []
    scale = unnamed()
    outcome = reproduce(tables, out, scale, device="cpu", quiet=True, say=lines.append, **options)
    assert not outcome.failures
    return outcome, lines


def test_data_are_named_later_and_a_damaged_file_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run goes through it all: it is trained once."""
    out, folder = tmp_path / "out", tmp_path / "out" / "runs" / NAME

    # Alone, the figure has nothing to train for.
    outcome, lines = go(out, "figure15")
    assert lines == [f"1/1 {NAME}: left out, name its data: --imagenet PATH"]
    assert outcome.without_data == 1 and not folder.exists()
    page = (out / "figure15.md").read_text()
    assert f"Without data (--imagenet PATH): `{NAME}`." in page
    assert "| patches of 32 px | – (5.95) |" in page

    # Another table needs the run, and misses nothing.
    outcome, [line] = go(out, "table3", "figure15")
    assert line.startswith(f"1/1 {NAME}: done in") and outcome.without_data == 1
    assert line.endswith("; for the rest name its data: --imagenet PATH")
    assert "Without data" not in (out / "table3.md").read_text()
    index = (out / "index.md").read_text()
    assert "(table3.md) | STL-10, predictive learning across saccades | 1 of 1 |" in index
    assert "top-1 of z_AGG, % | 0 of 1 |" in index and f"{ENTRY} needs --imagenet PATH |" in index
    results = (folder / "results.json").read_bytes()

    # Now the data are named.
    monkeypatch.setattr(running, "train", None)
    monkeypatch.setattr(running, "evaluate_suite", None)
    paths = {"imagenet": str(write_pictures(tmp_path, "other_pictures", 60))}
    outcome, [line] = go(out, "table3", "figure15", paths=paths)
    assert line.startswith(f"1/1 {NAME}: done in") and not outcome.without_data
    assert (folder / "results.json").read_bytes() == results
    files = {path.name: path for path in (folder / "transfer").iterdir()}
    assert sorted(files) == ["imagenet_32.json", "imagenet_84.json"]

    page = (out / "figure15.md").read_text()
    for side, published in ((32, "9.68"), (84, "16.64")):
        asked = ("model", "class", "sequence", 2, "top1")
        data = json.loads(files[f"imagenet_{side}.json"].read_bytes())
        [value] = [
            record["value"]
            for record in data["records"]
            if tuple(record[key] for key in ("features", "task", "input", "views", "metric"))
            == asked
        ]
        [row] = [line for line in page.splitlines() if line.startswith(f"| patches of {side} px")]
        assert row.split(" | ")[2] == f"{100 * value:.1f} ({published})" and "–" not in row
    assert data["experiment"]["world"]["patch_size"] == 24

    # One file is damaged, and alone is asked again; the other is whole and stays.
    whole, time = files["imagenet_84.json"].read_bytes(), files["imagenet_32.json"].stat().st_mtime
    files["imagenet_84.json"].write_text("{half")
    [job] = plan(find_tables(["figure15"]), unnamed(), out, paths, 1)
    assert (job.state, job.missing_parts) == ("begun", ["transfer/imagenet_84"])
    go(out, "figure15", paths=paths)
    again = json.loads(files["imagenet_84.json"].read_bytes())
    assert again["records"] == json.loads(whole)["records"]
    assert files["imagenet_32.json"].stat().st_mtime == time

    # What is there needs no name, and nothing is asked twice.
    monkeypatch.setattr(running, "transfer", None)
    assert go(out, "figure15")[1] == [f"1/1 {NAME}: already done"]


def test_the_paper_scale_names_imagenet(tmp_path: Path) -> None:
    def job(*tables: str, **paths: str):
        [found] = plan(find_tables(tables), PAPER, tmp_path, paths, 1)
        return found

    both = ["--stl10 PATH", "--imagenet PATH"]
    assert (job("figure15").state, job("figure15").options) == ("no data", both)
    assert job("table3").options == both[:1]
    found = job("figure15", stl10="a")
    assert (found.state, found.options) == ("no data", ["--imagenet PATH"])
    found = job("figure15", "table3", stl10="a")
    assert (found.state, found.options) == ("missing", ["--imagenet PATH"])

    found = job("figure15", stl10="a", imagenet="b", imagenet_saliency="c", stl10_saliency="d")
    assert (found.state, found.options) == ("missing", [])
    assert found.experiment.world.saliency == "d"
    for (part, other), side in zip(found.others, (32, 84), strict=True):
        assert part == f"transfer/imagenet_{side}" and other.method == found.experiment.method
        world, evaluate = other.world, other.evaluate
        assert (world.path, world.saliency, world.image_size) == ("b", "c", 224)
        assert (world.patch_size, evaluate.objects, evaluate.protocol) == (side, 50_000, "paper")
