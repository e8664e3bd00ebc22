"""`seqjepa speed render`: P5, the compiled ray caster against its kernels as plain Python."""

import hashlib
import json
import os
import subprocess
import sys
import time
from functools import partial

import numpy as np

from seqjepa.render.raycast import Bytes
from seqjepa.render.scene import render_latents, sample_latents
from seqjepa.render.solids import CLASSES, make_objects
from seqjepa.speed.figure import Amount, Figure
from seqjepa.speed.timing import alternate

PIXELS = 64
VIEWS = 16  # of an object, as in the cache
CORES = 2  # of the idle machine that the promise is about; CPU time shows how fast that would be


def figures(rounds: int = 5, number: int = 512, plain_number: int = 4) -> list[Figure]:
    """Measure P5: pictures per second of the CPU and of the clock, and their equality.

    They must be the same bit for bit however they are made.
    """
    draw(1)  # compiles
    all_cores, one_core = partial(draw, number), partial(draw, number, threads=1)
    cpu = number / alternate(all_cores, one_core, rounds)[0]
    seconds, seconds_alone = alternate(all_cores, one_core, rounds, time.perf_counter)
    wall, wall_alone = number / seconds, number / seconds_alone

    # The same pictures on all cores, on one, in a larger batch and without the compiler.
    plain, plain_digest = plain_python(plain_number)
    few, alone = draw(plain_number), draw(plain_number, threads=1)
    digests = {digest(few), digest(alone), digest(draw(number)[:plain_number]), plain_digest}

    unit = f"images per {CORES} core-seconds"
    return [
        Figure(
            promise="P5",
            what=f"rendering, {PIXELS} px, {CORES} cores",
            value=Amount(cpu / plain, "x"),
            ours=Amount(CORES * cpu, unit),
            least=2500,
            about="ours",
            plain=Amount(CORES * plain, unit, "(kernels not compiled)"),
        ),
        Figure(
            promise="P5",
            what="rendering, wall time, as busy as it is",
            value=Amount(wall / wall_alone, "x"),
            ours=Amount(wall, "images/s", f"on {os.cpu_count()} cores"),
            plain=Amount(wall_alone, "images/s", "on one thread"),
        ),
        Figure(
            promise="P5",
            what="pictures that differ, made in four ways",
            value=Amount(len(digests) - 1, "of 3"),
            ours=Amount(plain_number, "pictures", "on all cores, on one, in a larger batch"),
            most=0,
            plain=Amount(plain_number, "pictures", "not compiled"),
        ),
    ]


def draw(number: int, threads: int | None = None) -> Bytes:
    """Draw the first pictures [number, S, S, 3] of a list that never changes.

    There are VIEWS of each object in turn.
    """
    place = np.arange(number) // VIEWS
    owners = np.arange(place[-1] + 1)
    objects = make_objects(owners % len(CLASSES), owners)

    # Drawn one by one, so that the first ones do not depend on their number.
    rng = np.random.default_rng(0)
    latents = np.concatenate([sample_latents(rng, 1) for _ in range(number)])
    return render_latents(objects, place, latents, PIXELS, threads)


def digest(pictures: Bytes) -> str:
    """Return the SHA-256 of every bit."""
    return hashlib.sha256(pictures.tobytes()).hexdigest()


def plain_python(number: int) -> tuple[float, str]:
    """Return pictures per core-second without the compiler, and the digest of the pictures."""
    # numba reads the variable on import, so it takes another process.
    code = "from seqjepa.speed import render; render.print_time(int(__import__('sys').argv[1]))"
    command = [sys.executable, "-W", "ignore", "-c", code, str(number)]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, env=environment, check=True, capture_output=True)
    result = json.loads(done.stdout)
    return number / result["seconds"], result["digest"]


def print_time(number: int) -> None:
    """Draw on one thread, and print the CPU time taken and the digest as JSON."""
    began = time.process_time()
    pictures = draw(number, threads=1)
    seconds = time.process_time() - began
    sys.stdout.write(json.dumps({"seconds": seconds, "digest": digest(pictures)}))
