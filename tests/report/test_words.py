"""Large counts and times in words."""

from seqjepa.report.words import duration


def test_a_time_is_in_the_unit_that_people_would_use() -> None:
    hour = 3600.0
    times = [0.4, 119, 120, 7199, 7200, 48 * hour, 48.6 * hour, 812 * hour, 71.8 * hour]
    assert [duration(seconds) for seconds in times] == [
        "0 seconds",
        "119 seconds",
        "2 minutes",
        "120 minutes",
        "2.0 hours",
        "48.0 hours",
        "2 days 1 h",
        "33 days 20 h",
        "3 days 0 h",
    ]
