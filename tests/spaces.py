"""Action spaces for tests."""

from seqjepa.actions import ActionSpace, Group


def differences(width: int) -> ActionSpace:
    """One group of plain differences, so many wide; none for 0."""
    names = tuple(f"p{i}" for i in range(width))
    return ActionSpace(names, (Group(name="p", dims=names),) if width else ())
