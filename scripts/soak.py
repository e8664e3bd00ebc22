"""Try what may go wrong, for as long as it is told, and write what survived: `make soak`.

    .venv/bin/python scripts/soak.py --minutes 20

It goes through the fault catalogue (tests/faults) once, makes 10,000 tiny training steps while it
watches memory, open files and disk, and spends the rest of the time on data sets made at random
(tests/fuzz), each odd, faulty or damaged, with new seeds. docs/results/soak.json has the figures,
and docs/reliability.md is written from them. It ends with 1 if anything failed, which is then told
with all that is needed to see it again. It needs Linux, whose /proc says what a process holds.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "results" / "soak.json"
TESTS = ROOT / "tests"
sys.path[:0] = [str(TESTS), str(ROOT / "scripts" / "docs")]
import reliability  # noqa: E402
from catalogue import CATALOGUE  # noqa: E402
from faults.harness import TINY  # noqa: E402
from fuzz.kinds import KINDS, TRIALS, run  # noqa: E402
from seqjepa.devices import cpu_name, environment, place  # noqa: E402

STEPS = 10_000
TRIES = 20  # data sets of a kind and a trial, before the next kind has its turn
GROWTH = 0.02  # between the halves of a run: what an allocator and longer numbers may do
QUIET = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, help="of the data sets; default: another each time")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    began, seed = time.monotonic(), options.seed or random.SystemRandom().randrange(2**31)
    torch.set_num_threads(1)

    catalogue, failed = try_catalogue()
    print(f"fault catalogue: {sum(row['tries'] for row in catalogue)} tries, {len(failed)} failed")
    with tempfile.TemporaryDirectory() as folder:
        steps = watch_steps(Path(folder) / "run", STEPS)
    print(f"{STEPS:,} steps: {'flat' if steps['flat'] else 'NOT FLAT'}, {steps}")
    left = 60 * options.minutes - (time.monotonic() - began)
    fuzz, found = fuzz_for(left, seed)

    results = {
        "minutes": round((time.monotonic() - began) / 60, 1),
        "seed": seed,
        "environment": environment(place("auto", torch.device("cpu"))),
        "cpu": cpu_name(),
        "catalogue": catalogue,
        "steps": steps,
        "fuzz": fuzz,
        "failed": [*failed, *found],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    if options.out == OUT:
        reliability.PAGE.write_text(reliability.page())
    sys.exit(1 if results["failed"] or not steps["flat"] else 0)


def try_catalogue() -> tuple[list[dict[str, Any]], list[str]]:
    """Run the tests of the fault catalogue; return its rows with figures, and what failed."""
    files = sorted({test.split("::")[0] for row in CATALOGUE for test in row.tests})
    paths = [str(path) for name in files for path in ROOT.glob(f"{name.removesuffix('.py')}*.py")]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        pytest = [sys.executable, "-m", "pytest", "-q", "-n", "2", f"--junit-xml={report}"]
        subprocess.run([*pytest, *paths], cwd=ROOT, env=os.environ | QUIET, check=False)
        cases = list(ElementTree.parse(report).iter("testcase"))

    failed = [name_of(case) for case in cases if bad(case)]
    rows = []
    for row in CATALOGUE:
        own = [case for case in cases if name_of(case).startswith(row.tests)]
        own = [case for case in own if case.find("skipped") is None]
        figures = {"tries": len(own), "survived": sum(not bad(case) for case in own)}
        rows.append({"fault": row.fault, "promise": row.promise} | figures)
    return rows, failed


def name_of(case: ElementTree.Element) -> str:
    """Return the name of a test in pytest's report, as one types it."""
    return f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name']}"


def bad(case: ElementTree.Element) -> bool:
    """Return whether a test failed."""
    return case.find("failure") is not None or case.find("error") is not None


@dataclass(frozen=True)
class Held:
    """What a training process and its run folder hold at a moment.

    Attributes:
        memory: resident, MiB.
        descriptors: open files.
        files: in the run folder.
        checkpoints: bytes of them.
    """

    memory: float
    descriptors: int
    files: int
    checkpoints: int


def watch_steps(folder: Path, steps: int) -> dict[str, Any]:
    """Train the tiny recipe for that many steps; return what it held in each half, at most."""
    often = max(1, steps // 100)
    every = [f"--train.steps={steps}", f"--train.log-every={often}"]
    every.append(f"--train.checkpoint-every={often}")
    command = [sys.executable, "-m", "seqjepa.cli", "train", TINY, "--run-dir", str(folder), *every]
    environment = os.environ | QUIET | {"PYTHONPATH": str(TESTS)}
    log = folder.with_suffix(".log")
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)

    # A moment in which a checkpoint is being written counts only where it is the largest.
    halves: tuple[list[Held], list[Held]] = ([], [])
    while process.poll() is None:
        if (done := logged(folder)) > steps // 10 and (now := held(process.pid, folder)):
            halves[done > steps // 2].append(now)
        time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"training ended with {process.returncode}:\n{log.read_text()[-2000:]}")

    first, last = map(most, halves)
    figures = {"first_half": asdict(first), "last_half": asdict(last)}
    return {"steps": steps, **figures, "flat": is_flat(first, last)}


def most(half: list[Held]) -> Held:
    """Return the most of everything that was held in a half of a run."""
    return Held(*(max(values) for values in zip(*map(astuple, half), strict=True)))


def is_flat(first: Held, last: Held) -> bool:
    """Return whether the last half of a run held no more than the first."""
    pairs = zip(astuple(first), astuple(last), strict=True)
    return all(after <= (1 + GROWTH) * before for before, after in pairs)


def logged(folder: Path) -> int:
    """Return the last step in a run's log."""
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    try:
        return int(json.loads(lines[-1])["step"]) if lines else 0
    except json.JSONDecodeError:  # the line is being written
        return 0


def held(pid: int, folder: Path) -> Held | None:
    """Return what a process and its run folder hold; None if it has just ended."""
    process = Path("/proc") / str(pid)
    try:
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        memory = int(status["VmRSS"].split()[0]) / 1024
        descriptors = len(list((process / "fd").iterdir()))
        sizes = [path.stat().st_size for path in (folder / "checkpoints").rglob("*")]
        files = sum(path.is_file() for path in folder.rglob("*"))
    except (OSError, KeyError):
        return None
    return Held(round(memory, 1), descriptors, files, sum(sizes))


def fuzz_for(seconds: float, seed: int) -> tuple[dict[str, Any], list[str]]:
    """Try data sets made at random; return the figures of each kind and trial, and what failed."""
    tries, survived, failed = Counter[str](), Counter[str](), []
    end, chance = time.monotonic() + seconds, random.Random(seed)
    while time.monotonic() < end:
        for kind in KINDS:
            for trial in TRIALS:
                name, draw = f"{kind}, {trial}", chance.randrange(2**31)
                try:
                    survived[name] += run(kind, trial, TRIES, draw)
                except Exception:  # noqa: BLE001 - whatever it is, the others go on
                    failed.append(f"{name}, seed {draw}\n{traceback.format_exc()[-4000:]}")
                    print(failed[-1])
                tries[name] += TRIES
        print(f"{sum(tries.values()):,} data sets, {len(failed)} failed", flush=True)
    return {name: {"tries": tries[name], "survived": survived[name]} for name in tries}, failed


if __name__ == "__main__":
    main()
