"""`seqjepa data check|pack|render|saliency`: one module per action."""

import importlib
import pkgutil

from seqjepa.commands.options import choose


def main(arguments: list[str]) -> None:
    """Run the action that is named first."""
    # A new action is a new module, and nothing else.
    actions = [module.name for module in pkgutil.iter_modules(__path__)]
    action, rest = choose("action", arguments, actions, prog="seqjepa data")
    importlib.import_module(f"{__name__}.{action}").main(rest)
