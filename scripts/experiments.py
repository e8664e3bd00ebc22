"""The experiments behind docs/results.md, each a set of runs.

    .venv/bin/python scripts/experiments.py conditioning objective --jobs 2

A run is trained and evaluated. Its results.json is copied to docs/results, the curves of its online
probes to docs/curves. When the script was killed, start it again: it goes on where it was. Every
run is one process with one thread; `--jobs` of them run side by side.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RESULTS = Path(__file__).parent.parent / "docs" / "results"
CURVES = RESULTS.parent / "curves"
CROPS = ["--world.path", "data/digits", "--world.actions", "crop", "jitter"]

# An experiment's runs: their names and what `seqjepa train` is given.
EXPERIMENTS = {
    # Does action conditioning give rotation? (claim C2) The same recipe with and without it.
    "conditioning": {
        "small": ["shapes_small"],
        "small_unconditioned": ["shapes_small", "--method.condition", "none"],
    },
    # Real pixels: positions on cliparts, crops and jitter of digits, rotations of furniture. The
    # data come from `make cliparts digits furniture`.
    "pixels": {
        "cliparts": ["saccades", "--world.path", "data/cliparts", "--train.steps", "2000"],
        "digits": ["augmented", *CROPS, "--train.steps", "2000"],
        "furniture": ["furniture"],
    },
    # Does predicting every next view beat predicting the last, in equal time? Three seeds each.
    "objective": {
        f"{recipe}_seed{seed}": [recipe, "--seed", str(seed)]
        for seed in (0, 1, 2)
        for recipe in ("shapes_tiny", "shapes_tiny_last")
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiments", nargs="+", choices=list(EXPERIMENTS))
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one thread each")
    options = parser.parse_args()

    runs: dict[str, list[str]] = {}
    for experiment in options.experiments:
        runs |= EXPERIMENTS[experiment]
    with ThreadPoolExecutor(options.jobs) as pool:
        codes = list(pool.map(run, runs, runs.values()))

    failed = [name for name, code in zip(runs, codes, strict=True) if code]
    sys.exit(f"failed: {', '.join(failed)}; see runs/*.log" if failed else 0)


def run(name: str, arguments: list[str]) -> int:
    """Train, evaluate and copy one run. Return the exit code."""
    folder = Path("runs") / name
    # A run whose results are committed is finished.
    if (RESULTS / f"{name}.json").exists():
        return 0

    folder.parent.mkdir(exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    seqjepa = [sys.executable, "-m", "seqjepa.cli"]
    train = [*seqjepa, "train", *arguments, "--run-dir", str(folder), "--resume"]
    evaluate = [*seqjepa, "evaluate", str(folder)]

    with folder.with_suffix(".log").open("a") as log:
        for command in (train, evaluate):
            done = subprocess.run(command, check=False, env=environment, stdout=log, stderr=log)
            if done.returncode:
                return done.returncode
    keep(folder, name)
    return 0


def keep(folder: Path, name: str) -> None:
    """Copy a run's results, and the curves that figures are drawn from."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    CURVES.mkdir(exist_ok=True)

    # Four digits are enough for a figure and keep the committed files small.
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    curves = {
        key: [round(record[key], 4) for record in logged]
        for key in ("views_seen", "online/class_view", "online/action_r2")
    }
    (CURVES / f"{name}.json").write_text(json.dumps(curves) + "\n")
    shutil.copy(folder / "results.json", RESULTS / f"{name}.json")


if __name__ == "__main__":
    main()
