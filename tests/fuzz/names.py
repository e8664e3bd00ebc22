"""Names that people give to files, folders and classes, and that programs stumble over."""

from hypothesis import strategies as st

ODD = (
    "plain", "with space", "träin", "日本語", "[red]", "[/bold]", "$\\alpha$", "Ca$$h", "a%sb",
    "{curly}", "semi;colon", "comma,name", "quote'", "hash#1", "-dash", "UPPER", "a.b.npy", "1e5",
    "None", "é", "🙂", "x" * 100,
)  # fmt: skip
NAMES = st.sampled_from(ODD)
