"""`seqjepa speed render`: P5, the compiled ray caster against the same kernels as plain Python."""

import hashlib
import json
import os
import subprocess
import sys
import time

import numpy as np

from seqjepa.render.raycast import Bytes
from seqjepa.render.scene import render_latents, sample_latents
from seqjepa.render.solids import CLASSES, make_objects
from seqjepa.speed.figure import Amount, Figure
from seqjepa.speed.timing import alternate

PIXELS = 64
VIEWS = 16  # of an object, as in the cache
CORES = (
    2  # the promise is about an idle machine with so many; CPU time tells how fast that would be
)


def figures(rounds: int = 5, number: int = 512, plain_number: int = 4) -> list[Figure]:
    """P5: pictures per second of the CPU and of the clock, and whether they are the same bit for
    bit however they are made.
    """
    draw(1)  # compiles
    all_cores, one_core = (lambda: draw(number)), (lambda: draw(number, threads=1))
    cpu = number / alternate(all_cores, one_core, rounds)[0]
    wall, wall_alone = (
        number / seconds for seconds in alternate(all_cores, one_core, rounds, time.perf_counter)
    )
    plain, plain_digest = plain_python(plain_number)
    digests = [
        digest(draw(plain_number)),
        digest(draw(plain_number, threads=1)),
        digest(draw(number)[:plain_number]),
        plain_digest,
    ]
    return [
        Figure(
            promise="P5",
            what=f"rendering, {PIXELS} px, {CORES} cores",
            value=Amount(cpu / plain, "x"),
            ours=Amount(CORES * cpu, f"images per {CORES} core-seconds"),
            least=2500,
            about="ours",
            plain=Amount(
                CORES * plain, f"images per {CORES} core-seconds", "(kernels not compiled)"
            ),
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
            value=Amount(len(set(digests)) - 1, "of 3"),
            ours=Amount(plain_number, "pictures", "on all cores, on one, in a larger batch"),
            most=0,
            plain=Amount(plain_number, "pictures", "not compiled"),
        ),
    ]


def draw(number: int, threads: int | None = None) -> Bytes:
    """The first so many pictures [number, S, S, 3] of a list that never changes, VIEWS of each
    object in turn.
    """
    place = np.arange(number) // VIEWS
    owners = np.arange(place[-1] + 1)
    rng = np.random.default_rng(0)
    latents = np.concatenate([sample_latents(rng, 1) for _ in range(number)])
    return render_latents(
        make_objects(owners % len(CLASSES), owners), place, latents, PIXELS, threads
    )


def digest(pictures: Bytes) -> str:
    """Of every bit."""
    return hashlib.sha256(pictures.tobytes()).hexdigest()


def plain_python(number: int) -> tuple[float, str]:
    """Pictures per core-second without the compiler, and the digest of the pictures."""
    code = "from seqjepa.speed import render; render.tell(int(__import__('sys').argv[1]))"
    command = [sys.executable, "-W", "ignore", "-c", code, str(number)]
    said = json.loads(
        subprocess.run(
            command, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, check=True, capture_output=True
        ).stdout
    )
    return number / said["seconds"], said["digest"]


def tell(number: int) -> None:
    """Draw on one thread, and print the CPU time taken and the digest as JSON."""
    began = time.process_time()
    pictures = draw(number, threads=1)
    sys.stdout.write(
        json.dumps({"seconds": time.process_time() - began, "digest": digest(pictures)})
    )
