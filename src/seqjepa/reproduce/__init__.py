"""The paper's tables: the runs behind them, and ours beside the published figures."""
