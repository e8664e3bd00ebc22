"""One thread per process: the tests are small, and many processes run side by side."""

import os

import pytest
import torch

torch.set_num_threads(1)

# The fault catalogue kills, forks and fills disks as only Unix can.
collect_ignore = ["faults"] if os.name == "nt" else []
# Modules whose tests fork, kill or link; elsewhere single tests are marked.
POSIX = {
    "test_cache.py",
    "test_cached.py",
    "test_collection.py",
    "test_export_meshes.py",
    "test_files.py",
    "test_folder.py",
    "test_readme.py",
    "test_saliency_maps.py",
    "test_scripts.py",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs Unix elsewhere."""
    for item in items:
        if item.path.name in POSIX:
            item.add_marker(pytest.mark.posix)
        if os.name == "nt" and item.get_closest_marker("posix"):
            item.add_marker(pytest.mark.skip(reason="needs signals, forks or permissions of Unix"))
