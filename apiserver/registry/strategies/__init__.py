"""The strategy of each kind. One small file a group of kinds; ``for_kind`` finds it."""

from apiserver.registry.strategies.table import strategy_table

__all__ = ["strategy_table"]
