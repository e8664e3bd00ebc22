"""The tiny scale once more, small enough for tests."""

from dataclasses import replace

from seqjepa.reproduce.scales import TINY, Scale

OBJECTS = {"world.train_objects": 64, "world.test_objects": 29, "world.views": 8}


def small() -> Scale:
    """Return a scale of two steps, of nets and worlds that hardly deserve the name."""
    changes = {
        **TINY.changes,
        "train.steps": 2,
        "train.batch_size": 4,
        "encoder.width": 4,
        "evaluate.objects": 64,
        "evaluate.draws": 1,
        "evaluate.max_steps": 2,
    }
    sources = {}
    for name, source in TINY.sources.items():
        own = {key: value for key, value in source.changes.items() if key != "train.batch_size"}
        if name.startswith("threediebench"):
            own |= OBJECTS | {"world.image_size": 16}
        sources[name] = replace(source, changes=own)
    methods = {"context_ssl": {"method.pairs": 4}}
    return replace(TINY, changes=changes, sources=sources, methods=methods)
