"""The strategy of each kind. One small file a group of kinds; ``StrategyTable`` finds it."""

from apiserver.registry.strategies.table import StrategyTable

__all__ = ["StrategyTable"]
