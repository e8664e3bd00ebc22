"""Rendering many meshes in several processes. Workers import this module and no torch."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqjepa.errors import DataError
from seqjepa.reading.archives import Files
from seqjepa.render.kernels import Bytes
from seqjepa.render.meshes.collection import MeshFile
from seqjepa.render.meshes.load import load_mesh
from seqjepa.render.meshes.picture import is_seen, render_mesh


@dataclass(frozen=True)
class Task:
    """A mesh and how to draw it: its latents [V, 7] and S, pixels per side."""

    model: MeshFile
    latents: npt.NDArray[np.float32]
    image_size: int


def draw(task: Task) -> Bytes | str:
    """Return views [V, S, S, 3] of a mesh, or the reason why there are none."""
    turn, where = task.model.turn, f"{task.model.source}/{task.model.name}"
    try:
        own = None if turn is None else np.array(turn)
        mesh = load_mesh(_open(task.model.source), task.model.name, own)
        views = render_mesh(mesh, task.latents, task.image_size)
    except DataError as error:
        return str(error)
    except MemoryError:
        return f"{where} is too large for the memory. Simplify it or leave it out"
    if not is_seen(views, task.latents):
        why = "clear" if not mesh.opaque else "too thin for them"
        return f"{where} changes no pixel of its pictures: it is {why}. Repair it or leave it out"
    return views


def draw_all(tasks: Sequence[Task], processes: int) -> Iterator[Bytes | str]:
    """Yield what `draw` returns for each task, in their order.

    Raises:
        DataError: if a process dies, most likely for want of memory.
    """
    if processes == 1:
        yield from map(draw, tasks)
        return

    # Only a few tasks are ahead of the one that is asked for: views take much memory.
    waiting = deque[tuple[Task, Future[Bytes | str]]]()
    left = iter(tasks)
    # Windows only spawns.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    with ProcessPoolExecutor(processes, context, initializer=_follow) as pool:
        try:
            while True:
                while len(waiting) < 2 * processes and (task := next(left, None)) is not None:
                    waiting.append((task, pool.submit(draw, task)))
                if not waiting:
                    return

                # It stays in line until it is done, so that the error below can name it.
                drawn = waiting[0][1].result()
                waiting.popleft()
                yield drawn
        except BrokenProcessPool as error:
            near = ", ".join(task.model.file for task, _ in waiting)
            raise DataError(
                f"a process died while drawing one of {near}. Out of memory? Use fewer --processes"
            ) from error


@lru_cache(maxsize=4)
def _open(path: Path) -> Files:
    return Files(path)


def _follow() -> None:
    """End this worker when its parent is killed; otherwise it would wait for work for ever."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
