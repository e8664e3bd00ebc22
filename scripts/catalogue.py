"""The fault catalogue: what happens to a run, what is promised then, and the tests that try it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A row of the fault catalogue.

    Attributes:
        fault: what happens.
        promise: what holds then.
        tests: beginnings of the names of its tests.
    """

    fault: str
    promise: str
    tests: tuple[str, ...]


def faults(file: str, *tests: str) -> tuple[str, ...]:
    """Return beginnings of tests in a file of tests/faults; all of it if none is named."""
    name = f"tests/faults/test_{file}.py::"
    return tuple(f"{name}test_{test}" for test in tests) or (name,)


SAME_BITS = "resumed, it ends in the same bits"
CLEAR = "one message before training, nothing written"
CATALOGUE = (
    Row(
        "killed at random moments, 30 times",
        f"{SAME_BITS}; at most one checkpoint interval is done again",
        faults("kill", "killed_30", "killed_as"),
    ),
    Row("killed inside a save", f"{SAME_BITS}, no litter", faults("kill", "killed_inside")),
    Row("SIGTERM, SIGINT, SIGINT twice", "the state is saved", faults("signals")),
    Row(
        "disk full",
        "the checkpoint before stays whole; a full disk for the log alone is a warning",
        faults("run_dirs", "a_full_disk", "a_disk_full"),
    ),
    Row(
        "run folder unusable, in use, or another run's",
        "refused with the reason; nothing is overwritten",
        (
            *faults("run_dirs", "a_file", "a_folder", "missing", "the_second", "another"),
            *faults("run_dirs", "a_finished"),
        ),
    ),
    Row(
        "checkpoint cut, flipped, incomplete, of a later version",
        "found; resuming falls back to the newest whole one and says so",
        faults("damage", "resume", "without", "a_newer"),
    ),
    Row(
        "malicious pickle",
        "refused; no code runs from a file",
        (*faults("damage", "a_pickle"), "tests/test_no_code", "tests/reading/test_pickles"),
    ),
    Row(
        "checkpoint of another architecture",
        "all keys that differ are listed",
        faults("damage", "a_checkpoint"),
    ),
    Row("cut at every step", SAME_BITS, faults("resume")),
    Row("changed data", "refused on resume, warned of in evaluation", faults("changed_data")),
    Row(
        "NaN or infinity in pixels or gradients, on one rank",
        "ends before weights move; the state before is saved",
        (*faults("divergence", "the_state"), *faults("ranks", "a_nan")),
    ),
    Row(
        "collapse",
        "reported within 200 steps; healthy runs never are",
        faults("divergence", "collapse", "a_healthy"),
    ),
    Row("target encoder", "follows its recurrence in double precision", faults("target")),
    Row("wrong options, odd sizes of data", CLEAR, faults("bad_input")),
    Row(
        "bad images, latents, split files",
        CLEAR,
        (
            *faults("images", "bad", "odd", "data_check"),
            *faults("threediebench", "what", "commands", "options", "empty", "unusual"),
        ),
    ),
    Row(
        "dangerous archives",
        "read member by member, bounded, nothing unpacked",
        ("tests/reading/test_archives",),
    ),
    Row(
        "cache or pack killed while built, a byte flipped",
        "goes on; the byte is found before it is used",
        (*faults("images", "a_"), *faults("threediebench", "a_"), "tests/store/test_cache"),
    ),
    Row(
        "ranks killed, stalled, missing, unlike",
        "all end within the time-out; fewer or more ranks go on in the same order",
        (
            *faults("ranks", "ranks", "interrupted", "three", "a_rank", "a_stalled", "what"),
            *faults("ranks", "torchrun"),
        ),
    ),
    Row("evaluating twice", "the same numbers; the run is unchanged", faults("evaluation")),
    Row("secrets in the environment", "none gets into a run folder", faults("run_dirs", "nothing")),
)
