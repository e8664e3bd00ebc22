"""Methods after equal views on one GPU, in two calls that take less than nine minutes each.

    scripts/gpu.sh --out results/gpu      # measures, plans, trains the first contenders
    scripts/gpu.sh --out results/gpu      # goes on with the rest

A call first measures what its parts cost there. What does not fit into its budget is left out, and
named. The number of views is the most that all contenders fit into two calls with; `plan.json`
keeps it for the second call. Every contender leaves a JSON file in the folder: the contents of a
results.json and the curves of its online probes. `--tiny` does the same in small on a CPU.
"""

import argparse
import functools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gpu_contenders import CONTENDERS, Setting, contender, full, tiny
from seqjepa import evaluate, train
from seqjepa.devices import find_device, place
from seqjepa.errors import SeqJepaError
from seqjepa.evaluation.timings import seconds_of
from seqjepa.files import json_bytes, write_atomically
from seqjepa.speed.timing import scratch
from seqjepa.worlds import shapes as world

CURVES = ("views_seen", "online/class_view", "online/class_sequence", "online/action_r2")

MEASURED = 30  # steps that a contender is measured with; the first third warms up
RENDERED = 512  # objects that rendering is measured with
RENDERING = 100.0  # seconds that rendering may take: a slower machine gets fewer objects
SPEED = 120.0  # seconds that the benchmark of a step may take
# Steps that all probes of a contender take together: 8,000 to 11,000 in the committed results.
PROBE_STEPS = 15_000
# The share of a budget that is planned with: measured seconds scatter.
PLANNED = 0.92

now = time.monotonic


@dataclass(frozen=True)
class Cost:
    """Seconds that a contender's training takes: once, and for each step."""

    once: float
    step: float

    def of(self, steps: int) -> float:
        return self.once + steps * self.step


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, plan and do what fits; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the JSON files")
    parser.add_argument("--budget", type=float, default=520, help="seconds of this call")
    parser.add_argument("--device", help="default: cuda, with --tiny cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="the same in small, on a CPU")
    options = parser.parse_args(arguments)

    setting = tiny() if options.tiny else full()
    device = options.device or ("cpu" if options.tiny else "cuda")
    call = Call(setting, options.out, device, options.seed, options.budget)
    return call.run()


class Call:
    """One of the two calls: what it has to do, and the time that it has."""

    def __init__(self, setting: Setting, out: Path, device: str, seed: int, budget: float) -> None:
        self.setting, self.out, self.device, self.budget = setting, out, device, budget
        self.recipe = replace(setting.recipe, seed=seed)
        self.began, self.left_out = now(), list[str]()
        self.machine = place(self.recipe.train.precision, find_device(device))

    def run(self) -> int:
        """Do the parts in their order; return 1 if nothing was done, though something was left."""
        self.out.mkdir(parents=True, exist_ok=True)
        self.say(f"{self.machine['device']}, {self.machine['precision']}")
        before = set(self.out.iterdir())
        self.speed()

        ready = now()
        waiting = [name for name in CONTENDERS if not self.file(name).exists()]
        if waiting:
            objects = self.objects()
            views = replace(self.recipe.world, train_objects=objects)
            self.recipe = replace(self.recipe, world=views)
            costs, probing = self.costs(waiting)
            plan = self.plan(costs, probing, now() - ready)
            for name, cost in costs.items():
                self.contender(name, plan["steps"], cost.of(plan["steps"]) + probing)

        done = set(self.out.iterdir()) - before - {self.file("plan")}
        self.say(f"done: {', '.join(sorted(path.stem for path in done)) or 'nothing'}")
        for reason in self.left_out:
            self.say(f"left out: {reason}")
        return int(bool(self.left_out) and not done)

    def speed(self) -> None:
        """Run the benchmark of a step, in a process of its own, which frees the GPU."""
        if self.file("speed").exists():
            return
        limit = min(SPEED, self.left / 3)
        seqjepa = [sys.executable, "-m", "seqjepa.cli", "speed", "step", "--device", self.device]
        command = [*seqjepa, "--rounds", str(self.setting.rounds), "--json"]
        try:
            found = subprocess.run(command, check=True, capture_output=True, timeout=limit)
        except subprocess.TimeoutExpired:
            self.left_out.append(f"speed: not done after {limit:.0f} s")
        except subprocess.CalledProcessError as error:
            self.left_out.append(f"speed: {error.stderr.decode().strip()}")
        else:
            write_atomically(self.file("speed"), found.stdout)
            self.say("speed: the benchmark of a step is done")

    def objects(self) -> int:
        """Return the number of training objects, after a look at the speed of rendering."""
        config, seconds = self.recipe.world, seconds_of_a_view(self.recipe.world)
        tests = (len(world.SPLITS) - 1) * config.test_objects
        self.say(f"rendering: {1e6 * seconds:.0f} µs a view")

        # The second call renders the same objects again, if it is on a fresh machine.
        if self.file("plan").exists():
            return int(self.read("plan")["train_objects"])
        affordable = int(RENDERING / (seconds * config.views)) - tests
        # Two views a sequence make the largest batches, of different objects.
        batch = self.recipe.train.batch_size * self.recipe.train.num_views // 2
        return max(batch, min(config.train_objects, affordable))

    def costs(self, names: Sequence[str]) -> tuple[dict[str, Cost], float]:
        """Return what training each contender costs, and the seconds that its probes take."""
        began = now()
        # All runs are on the same world, so it is built, verified and moved to the device once.
        world.Config.build = functools.cache(world.Config.build)
        self.recipe.world.build().to(find_device(self.device)).keep_views("train")
        self.say(f"views: rendered, verified and moved in {now() - began:.0f} s")

        costs, probing = dict[str, Cost](), 0.0
        for name in names:
            with tempfile.TemporaryDirectory() as folder:
                costs[name] = self.measure(name, Path(folder) / name)
                # Probing costs much the same for all: the first one is measured.
                if not probing:
                    probing = self.probing(Path(folder) / name)
            self.say(
                f"{name}: {1e3 * costs[name].step:.1f} ms a step, {costs[name].once:.1f} s once"
            )
        self.say(f"probes: {probing:.0f} s for each contender")
        return costs, probing

    def measure(self, name: str, folder: Path) -> Cost:
        """Return what training a contender costs, after a few steps."""
        began, third = now(), MEASURED // 3
        self.train(name, folder, MEASURED, log_every=third)
        first, *_, last = [line["time"]["seconds"] for line in metrics(folder)]
        step = (last - first) / (MEASURED - third)
        return Cost(max(0.0, now() - began - MEASURED * step), step)

    def probing(self, folder: Path) -> float:
        """Return the seconds that converged probes will take, after a short go."""
        short = replace(self.recipe.evaluate, max_steps=min(400, self.recipe.evaluate.max_steps))
        found = evaluate(folder, config=short, progress=False, device=self.device, quick=True)
        seconds = seconds_of(folder)
        learning = sum(value for name, value in seconds.items() if name.endswith("probes"))

        # The mean of logits comes from the probe of one view.
        steps = {(record["task"], record["input"]): record["steps"] for record in found["records"]}
        taken = sum(count for (_, source), count in steps.items() if source != "logits")
        most = self.recipe.evaluate.max_steps * (len(steps) - 1)
        return sum(seconds.values()) - learning + learning / taken * min(PROBE_STEPS, most)

    def plan(self, costs: Mapping[str, Cost], probing: float, spent: float) -> dict[str, Any]:
        """Return the plan of both calls; the first one makes it, and writes it down.

        Args:
            costs: of the contenders.
            probing: seconds of each contender's probes.
            spent: seconds on views and measuring, which the second call will spend again.
        """
        if self.file("plan").exists():
            return self.read("plan")
        rooms = (PLANNED * self.left, PLANNED * (self.budget - spent))
        steps = most_steps(list(costs.values()), probing, *rooms)
        steps = min(self.setting.most, max(self.setting.least, steps))

        train = self.recipe.train
        plan = {
            "steps": steps,
            "views": steps * train.batch_size * train.num_views,
            "train_objects": self.recipe.world.train_objects,
            "budget": self.budget,
            "probing": probing,
            "costs": {name: asdict(cost) for name, cost in costs.items()},
            "machine": self.machine,
        }
        write_atomically(self.file("plan"), json_bytes(plan))
        self.say(f"plan: {plan['views']:,} views each, in {steps:,} steps")
        return plan

    def contender(self, name: str, steps: int, seconds: float) -> None:
        """Train, probe and keep a contender, if its estimated seconds are left."""
        if seconds > self.left:
            self.left_out.append(
                f"{name}: needs {seconds:.0f} s, {max(0, self.left):.0f} s are left"
            )
            return
        self.say(f"{name}: {steps:,} steps, about {seconds:.0f} s")
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / name
            try:
                self.train(name, folder, steps, self.recipe.train.log_every)
                results = evaluate(folder, progress=False, device=self.device, quick=True)
            except SeqJepaError as error:
                # The others are worth having all the same.
                self.left_out.append(f"{name}: {error}")
                return

            lines = metrics(folder)
            curves = {key: [round(line[key], 4) for line in lines] for key in CURVES}
            kept = {"curves": curves, "training": lines[-1]["time"]}
            write_atomically(self.file(name), json_bytes(results | kept))

    def train(self, name: str, folder: Path, steps: int, log_every: int) -> None:
        """Train a contender, with its views on the device."""
        found = contender(self.recipe, name)
        lengths = replace(found.train, steps=steps, log_every=log_every, checkpoint_every=steps)
        train(
            replace(found, train=lengths), folder, device=self.device, quiet=True, keep_views=True
        )

    @property
    def left(self) -> float:
        """Seconds that are left of the budget."""
        return self.budget - (now() - self.began)

    def file(self, name: str) -> Path:
        return self.out / f"{name}.json"

    def read(self, name: str) -> dict[str, Any]:
        return json.loads(self.file(name).read_text())

    def say(self, text: str) -> None:
        """Print a line with the seconds since the beginning."""
        print(f"{now() - self.began:5.0f} s  {text}", flush=True)


def seconds_of_a_view(config: world.Config) -> float:
    """Return the seconds that a view takes, from the ray caster to the verified file."""
    few = replace(config, train_objects=1, test_objects=1)
    more = replace(few, train_objects=min(RENDERED, config.train_objects))
    with scratch():
        few.build()  # compiles
        began = now()
        more.build()
        return (now() - began) / ((more.train_objects + len(world.SPLITS) - 1) * config.views)


def most_steps(costs: Sequence[Cost], probing: float, first: float, second: float) -> int:
    """Return the most steps with which all contenders fit into two calls, in their order.

    Args:
        costs: of the contenders.
        probing: seconds of each contender's probes.
        first, second: seconds of each call.
    """
    most = 0.0
    for cut in range(len(costs) + 1):
        calls = [(first, costs[:cut]), (second, costs[cut:])]
        # What is left after all that is done once is for steps.
        fits = [
            (room - sum(cost.once + probing for cost in part)) / sum(cost.step for cost in part)
            for room, part in calls
            if part
        ]
        most = max(most, min(fits))
    return int(most)


def metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the records of a run's log."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


if __name__ == "__main__":
    sys.exit(main())
