"""Which strategy a kind has. A kind that is not listed has the base strategy, or the spec-counting one."""

from __future__ import annotations

from collections.abc import Callable

from apiserver.registry.strategy import SpecStrategy, Strategy
from machinery.api.kinds import Kind

Factory = Callable[[Kind], Strategy]

#: Kinds whose generation counts changes of spec and that need nothing else.
SPEC_KINDS = {
    ("", "replicationcontrollers"), ("", "podtemplates"),
    ("apps", "daemonsets"), ("apps", "deployments"), ("apps", "replicasets"), ("apps", "statefulsets"),
    ("batch", "cronjobs"), ("batch", "jobs"),
    ("networking.k8s.io", "ingresses"), ("networking.k8s.io", "networkpolicies"),
    ("networking.k8s.io", "ingressclasses"), ("policy", "poddisruptionbudgets"),
}  # fmt: skip


def strategy_table() -> Callable[[Kind], Strategy]:
    def find(kind: Kind) -> Strategy:
        return SpecStrategy(kind) if kind.storage_resource in SPEC_KINDS else Strategy(kind)

    return find
