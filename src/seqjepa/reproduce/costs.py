"""Tables 5 and 6: hours of training, and operations of a forward pass."""

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from seqjepa.model import build_method
from seqjepa.recipes import recipe
from seqjepa.reproduce import published
from seqjepa.reproduce.layout import GFLOPS, HOURS, Cell, Line, Run, Table, Where
from seqjepa.reproduce.runs import baseline, ours
from seqjepa.worlds.base import WorldSpec

DATA = "threediebench"
ENCODER = "encoder"  # the task of counting the encoder alone


def count_gflops(where: Where) -> float:
    """Return the GFLOPs of a forward pass of the paper's nets, a multiply-add as one.

    Counted are matrix products and convolutions of one sequence.

    Args:
        where: of a cell of table 6: its task is the side of a view in pixels, and perhaps
            `ENCODER`.
    """
    side = int(where.tasks[0])
    # The recipe has ImageNet's stem, and actions are those of 3DIEBench.
    experiment = recipe("shapes")()
    spec = experiment.world.outline()
    assert isinstance(spec, WorldSpec)
    method = build_method(experiment, spec).eval()
    views = torch.zeros(1, where.views, 3, side, side)
    actions = torch.zeros(1, where.views - 1, spec.actions.action_dim)

    # Only PyTorch's plain attention is made of products that are counted on a CPU, and eval mode
    # has a path of its own that is none.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as flops:
            features = method.encoder(views)
            if ENCODER not in where.tasks:
                method.aggregate(features, actions)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    return float(flops.get_total_flops()) / 2e9


def _table5() -> Table:
    first = baseline(DATA, "SimCLR")
    lines = []
    for label, hours in published.TABLE5.items():
        is_ours = label.startswith("seq-JEPA")
        run: Run = ours(DATA, int(label[-1])) if is_ours else baseline(DATA, label)
        where, ratio = Where(part=HOURS), round(hours / published.TABLE5["SimCLR"], 2)
        lines.append(Line(label, (Cell(run, where, hours), Cell(run, where, ratio, over=first))))
    notes = (
        "The published hours are of an A100, 1,000 epochs at 128 px and batch 512; ours are of "
        "training alone on the machine that made the run.",
        "The published ratios are worked out from the published hours.",
    )
    heads = ("hours", "by those of SimCLR")
    return Table("table5", "Hours of training", "method", heads, tuple(lines), notes)


def _table6() -> Table:
    lines = []
    for side, numbers in published.TABLE6.items():
        places = [Where((str(side), ENCODER), part=GFLOPS)]
        places += [Where((str(side),), views=m, part=GFLOPS) for m in (1, 2, 3, 4, 8)]
        lines.append(Line.of(f"{side} px", None, places, numbers))

    heads = ("encoder, one view", *(f"z_AGG of {m}" for m in (1, 2, 3, 4, 8)))
    notes = ("Counted for the paper's nets at every scale: ResNet-18, three layers of 640.",)
    title = "GFLOPs of a forward pass, a multiply-add as one"
    return Table("table6", title, "views", heads, tuple(lines), notes)


TABLES = (_table5(), _table6())
