"""UMAP compiles for seconds: maps of these tests are two columns of the features."""

import pytest

from seqjepa.explore import bank


@pytest.fixture(autouse=True)
def quick_map(monkeypatch):
    monkeypatch.setattr(bank, "umap", lambda features: features[:, :2])
