"""The model card: its figures are those of results.json, and its code runs."""

import json
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from fixtures.run_copies import copy_run
from fixtures.untrained import untrained
from seqjepa.errors import ConfigError
from seqjepa.exchange.card import model_card
from seqjepa.exchange.pretrained import pretrained_files
from seqjepa.model import Model
from seqjepa.report.runs import read_run


def card(model: Model, run: Path, address: str = "someone/demo") -> str:
    return model_card(model, read_run(run), address=address, licence="mit")


def test_figures_are_those_of_the_results(model: Model, run: Path) -> None:
    text = card(model, run)
    records = json.loads((run / "results.json").read_text())["records"]

    def figure(features: str) -> float:
        [value] = [
            record["value"]
            for record in records
            if (record["features"], record["split"]) == (features, "test")
            and (record["task"], record["metric"]) == ("individual rotation", "median_degrees")
        ]
        return value

    row = re.search(r"\| Pose of one view.*rotation, median error, ° \| (.*) \|", text)
    assert row
    shown = [cell.strip("* ") for cell in row[1].split("|")]
    kinds = ("model", "random", "pixels")
    assert shown == [f"{figure(kind):.1f}" for kind in kinds]
    best = min(kinds, key=figure)
    assert f"**{figure(best):.1f}**" in row[1]

    assert "### Split test, 32 objects" in text and "### Split unseen class" in text
    assert "features of 64 objects of split `train`, until they no longer improved" in text
    assert "seed 0 (n = 1)" in text and "2505.03176" in text and "seq-JEPA (Ghaemi" in text
    # A class that training does not know is no question.
    unseen = text.partition("### Split unseen class")[2].partition("###")[0]
    assert "| Class" not in unseen and "rotation" in unseen


def test_the_head_is_what_the_hub_reads(model: Model, run: Path) -> None:
    data = ModelCard(card(model, run)).data
    assert (data.license, data.library_name, data.model_name) == ("mit", "seqjepa", "signal")
    assert "self-supervised-learning" in data.tags and "seq_jepa" in data.tags

    records = json.loads((run / "results.json").read_text())["records"]
    [expected] = [
        record["value"]
        for record in records
        if (record["features"], record["split"], record["task"], record["metric"])
        == ("model", "test", "relative rotation", "r2")
    ]
    name = "relative rotation from z of two views, r2, converged probe, n = 1"
    [found] = [each for each in data.eval_results if each.metric_name == name]
    assert found.metric_value == round(expected, 4) and found.metric_type == "r_squared"
    assert (found.dataset_name, found.dataset_split) == ("signal_world", "test")


def run_code(text: str) -> dict[str, object]:
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    return names


def test_the_code_runs(model: Model, run: Path, tmp_path: Path) -> None:
    for name, data in pretrained_files(model).items():
        (tmp_path / name).write_bytes(data)
    names = run_code(card(model, run, str(tmp_path)))
    assert names["z"].shape == (8, 4, 16) and names["z_agg"].shape == (8, 24)
    assert names["expected"].shape == names["target"].shape == (8, 16)


def test_a_method_without_aggregator_and_predictor(run: Path, tmp_path: Path) -> None:
    model = untrained("simclr")
    for name, data in pretrained_files(model).items():
        (tmp_path / name).write_bytes(data)
    plain = copy_run(run, tmp_path / "run")
    (plain / "results.json").unlink()
    text = card(model, plain, str(tmp_path))
    assert set(run_code(text)) >= {"z"} and "z_agg" not in text and "predict(" not in text


def test_a_run_that_was_not_evaluated_has_no_figures(
    model: Model, run: Path, tmp_path: Path
) -> None:
    other = copy_run(run, tmp_path / "run")
    (other / "results.json").unlink()
    text = card(model, other)
    assert "None: the run has not been evaluated." in text
    assert ModelCard(text).data.eval_results is None


def test_results_of_another_step_are_refused(model: Model, run: Path, tmp_path: Path) -> None:
    other = copy_run(run, tmp_path / "run")
    results = json.loads((other / "results.json").read_text()) | {"step": 2}
    (other / "results.json").write_text(json.dumps(results))
    with pytest.raises(ConfigError, match=r"are of step 2, the weights of step 4: seqjepa eval"):
        card(model, other)
