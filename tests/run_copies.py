"""Run folders made of another one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path


def copy_run(run_dir: Path, to: Path, change: Callable[[dict], None] = lambda config: None, shift: float = 0) -> Path:
    """A run folder with a changed config and shifted figures."""
    shutil.copytree(run_dir, to)
    config, results = (json.loads((to / name).read_text()) for name in ("config.json", "results.json"))
    change(config)
    for record in results["records"]:
        record["value"] += shift
    (to / "config.json").write_text(json.dumps(config))
    (to / "results.json").write_text(json.dumps(results))
    return to
