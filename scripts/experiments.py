"""The runs behind the pages in docs/, each experiment a set of them.

    .venv/bin/python scripts/experiments.py equal_views --runs last demo --seeds 0 1 2 --jobs 2

A run is trained and evaluated on the test split, and its results.json is copied to
docs/results/EXPERIMENT/RUN_seedS.json, further parts of its evaluation to docs/results/parts; the
curves of its online probes, where a page draws them, to docs/curves. A run whose results are there
is finished. When the script was killed, start it again:
it goes on where it was. Every run is one process with one thread; `--jobs` of them run side by
side. Weights stay in runs/EXPERIMENT/.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"

LAST = "--method.predict last"
INVERSE = "--method.inverse 5"
PRESENT = "--method.present"
FILM = "--method.conditioning film"
# The demo's objective: the aggregator is given no actions.
OURS = f"--method.loss contrast {INVERSE} {PRESENT} --method.condition predictor {FILM}"
ONLINE = "--method.target online"
# A predictor that is given no actions cannot be modulated by them.
NO_ACTIONS = "--method.condition none --method.conditioning concat"
COLD = "--method simclr --method.temperature 0.1"
TWO_VIEWS = ("byol", "simclr", "vicreg", "sen", "equimod", "sie", "conditional_byol")


def length(observed: int, batch: int) -> str:
    """Return the options of the paper's objective with that many observed views."""
    return f"{LAST} --train.num-views {observed + 1} --train.batch-size {batch}"


# A million views each, 256 a step, whatever a method reads of them.
EQUAL_VIEWS = {
    "demo": "shapes_demo",
    "demo_both": "shapes_demo --method.condition both",
    "demo_no_actions": f"shapes_demo {NO_ACTIONS}",
    # What predictions are compared with learns from them, too.
    "demo_online": f"shapes_demo {ONLINE}",
    "demo_online_no_actions": f"shapes_demo {ONLINE} {NO_ACTIONS}",
    "every": "shapes_tiny",
    "every_no_actions": f"shapes_tiny {NO_ACTIONS}",
    "last": f"shapes_tiny {LAST}",
    "last_no_actions": f"shapes_tiny {LAST} {NO_ACTIONS}",
    # M observed views; three are the recipe's.
    "last_m1": f"shapes_tiny {length(1, 128)}",
    "last_m2": f"shapes_tiny {length(2, 85)}",
    "last_m4": f"shapes_tiny {length(4, 51)}",
    # Each part of the demo's objective alone, and the demo without it.
    "contrast": "shapes_tiny --method.loss contrast",
    "inverse": f"shapes_tiny {INVERSE}",
    "present": f"shapes_tiny {PRESENT}",
    "film": f"shapes_tiny {FILM}",
    "demo_no_contrast": "shapes_demo --method.loss cosine",
    "demo_no_inverse": "shapes_demo --method.inverse 0",
    "demo_no_present": "shapes_demo --method.no-present",
    "demo_no_film": "shapes_demo --method.conditioning concat",
    "demo_others": "shapes_demo --method.negatives others",
    "demo_own": "shapes_demo --method.negatives own",
    # The demo with as few training objects as there are real meshes, and four times as many, each
    # in 96 views.
    "demo_290": "shapes_demo --world.train-objects 290 --world.views 96",
    "demo_1160": "shapes_demo --world.train-objects 1160 --world.views 96",
    # The other methods, with controls for the demo's temperature and inverse dynamics.
    **{name: f"shapes_tiny --method {name}" for name in (*TWO_VIEWS, "vicreg_traj", "conv_jepa")},
    "equimod_inverse": f"shapes_tiny --method equimod {INVERSE}",
    "simclr_cold": f"shapes_tiny {COLD}",
    "simclr_cold_inverse": f"shapes_tiny {COLD} {INVERSE}",
    "supervised": "shapes_tiny --method supervised --method.classes 29",
}
# 64 sequences a step and as many steps, whatever a method reads of each.
EQUAL_SEQUENCES = {
    **{f"last_m{m}": f"shapes_tiny {length(m, 64)}" for m in (1, 2, 4)},
    **{
        name: f"shapes_tiny --method {name} --train.batch-size 64"
        for name in (*TWO_VIEWS, "vicreg_traj")
    },
}
# As much time as the demo's 4,000 steps take, by the costs in docs/speed/methods.json; the demo
# itself is that of equal views.
EQUAL_TIME = {
    name: f"{EQUAL_VIEWS[name]} --train.steps {steps}"
    for name, steps in {
        "every": 3900,
        "last": 5040,
        "equimod": 5200,
        "equimod_inverse": 5140,
        "simclr_cold": 5040,
        "simclr_cold_inverse": 4990,
    }.items()
}
# Three million views.
LONG = {
    "demo": "shapes_demo_long",
    "demo_both": "shapes_demo_long --method.condition both",
    "demo_no_actions": f"shapes_demo_long {NO_ACTIONS}",
    "every": "shapes_small",
    "every_no_actions": f"shapes_small {NO_ACTIONS}",
    "last": f"shapes_small {LAST}",
    "last_no_actions": f"shapes_small {LAST} {NO_ACTIONS}",
    "equimod": "shapes_small --method equimod",
}
# Positions on cliparts, crops and jitter of digits, rotations of furniture. The data come from
# `make cliparts digits furniture`.
CLIPARTS = "saccades --world.path data/cliparts --train.steps 2000"
DIGITS = "augmented --world.path data/digits --world.actions crop jitter --train.steps 2000"
PIXELS = {
    "cliparts": CLIPARTS,
    # The paper's objective, and the same without what guides its fixations.
    "cliparts_last": f"{CLIPARTS} {LAST}",
    "cliparts_last_no_inhibition": f"{CLIPARTS} {LAST} --world.inhibition none",
    "cliparts_last_unguided": (
        f"{CLIPARTS} {LAST} --world.saliency uniform --world.inhibition none"
    ),
    "cliparts_demo": f"{CLIPARTS} {OURS}",
    "digits": DIGITS,
    "digits_demo": f"{DIGITS} {OURS}",
    "furniture": "furniture",
    "furniture_demo": f"furniture {OURS}",
    "furniture_supervised": "furniture --method supervised --method.classes 20",
}
# Some runs of equal views, trained once more and asked by the paper's own probes.
PAPER_PROBES = {name: EQUAL_VIEWS[name] for name in ("demo", "last", "equimod")}
# What an evaluation asks; further parts where a method predicts views.
SUITE = ("--suite", "probes", "retrieval", "group")
CURVES = ("long", "pixels")  # experiments whose curves are kept
EXPERIMENTS = {
    "equal_views": EQUAL_VIEWS,
    "equal_sequences": EQUAL_SEQUENCES,
    "equal_time": EQUAL_TIME,
    "long": LONG,
    "pixels": PIXELS,
    "paper_probes": PAPER_PROBES,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=list(EXPERIMENTS))
    parser.add_argument("--runs", nargs="+", metavar="RUN", help="default: all of the experiment")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one thread each")
    options = parser.parse_args()

    known = EXPERIMENTS[options.experiment]
    chosen = options.runs or list(known)
    if strangers := [name for name in chosen if name not in known]:
        parser.error(f"{options.experiment} has no run {strangers[0]}; it has {', '.join(known)}")

    # Seed by seed, so that what is cut short compares as many runs as it can.
    jobs = [(options.experiment, name, seed) for seed, name in product(options.seeds, chosen)]
    with ThreadPoolExecutor(options.jobs) as pool:
        codes = list(pool.map(run, *zip(*jobs, strict=True)))

    failed = [
        f"{name}, seed {seed}" for (_, name, seed), code in zip(jobs, codes, strict=True) if code
    ]
    sys.exit(f"failed: {'; '.join(failed)}; see runs/*/*.log" if failed else 0)


def run(experiment: str, name: str, seed: int) -> int:
    """Train, evaluate and copy one run. Return the exit code."""
    arguments = [*EXPERIMENTS[experiment][name].split(), "--seed", str(seed)]
    place = Path(experiment) / f"{name}_seed{seed}"
    folder, kept = "runs" / place, DOCS / "results" / f"{place}.json"
    # A run whose results are committed is finished.
    if kept.exists():
        return 0

    folder.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    seqjepa = [sys.executable, "-m", "seqjepa.cli"]
    train = [*seqjepa, "train", *arguments, "--run-dir", str(folder), "--resume"]
    how = ("--protocol", "paper") if experiment == "paper_probes" else SUITE
    evaluate = [*seqjepa, "evaluate", str(folder), "--split", "test", *how]

    with folder.with_suffix(".log").open("a") as log:
        for command in (train, evaluate):
            done = subprocess.run(command, check=False, env=environment, stdout=log, stderr=log)
            if done.returncode:
                return done.returncode

    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "results.json", kept)
    keep_parts(folder, DOCS / "results" / "parts" / place)
    if experiment in CURVES:
        keep_curves(folder, DOCS / "curves" / f"{place}.json")
    return 0


def keep_parts(folder: Path, kept: Path) -> None:
    """Copy what further parts of a run's evaluation found, those that were asked by hand, too."""
    for found in (folder / "suite").glob("*.json"):
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copy(found, kept)


def keep_curves(folder: Path, kept: Path) -> None:
    """Write the curves that figures are drawn from, of the online probes of a run."""
    # Four digits are enough for a figure and keep the committed files small.
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    curves = {
        key: [round(record[key], 4) for record in logged]
        for key in ("views_seen", "online/class_view", "online/action_r2")
    }
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(curves) + "\n")


if __name__ == "__main__":
    main()
