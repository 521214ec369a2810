"""Where upstream keeps an object in its store: the key that precondition failures name.

A dry run is refused before the key gets the store's own prefix.
"""

from __future__ import annotations

from machinery.api.kinds import Kind

_PLACES = {
    ("", "services"): "services/specs",
    ("", "endpoints"): "services/endpoints",
    ("", "replicationcontrollers"): "controllers",
    ("", "nodes"): "minions",
    ("networking.k8s.io", "ingresses"): "ingress",
}
_BY_GROUP = ("apiextensions.k8s.io", "apiregistration.k8s.io")


def storage_key(kind: Kind, namespace: str, name: str, *, dry_run: bool) -> str:
    grouped = kind.custom or kind.group in _BY_GROUP
    place = f"{kind.group}/{kind.plural}" if grouped else _PLACES.get((kind.group, kind.plural), kind.plural)
    owner = f"{namespace}/" if namespace else ""
    return f"{'' if dry_run else '/registry'}/{place}/{owner}{name}"
