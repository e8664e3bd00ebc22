"""Large counts and times in words."""


def amount(count: float) -> str:
    """Return a large count in words, such as `1.02 million`."""
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if count >= size:
            return f"{count / size:.3g} {word}"
    return f"{count:,.0f}"


def duration(seconds: float) -> str:
    """Return a time in the unit that people would use."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    if seconds < 7200:
        return f"{seconds / 60:.0f} minutes"
    if seconds <= 48 * 3600:
        return f"{seconds / 3600:.1f} hours"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} days {hours} h"
