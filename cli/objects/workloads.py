"""From a workload's name to its pods: `deploy/web`, `svc/web`, `job/once`, or a pod itself."""

from __future__ import annotations

from typing import Any

from cli.errors import CommandError
from cli.objects.resources import Resource
from cli.objects.session import Session
from cli.objects.targets import Target

Object = dict[str, Any]


def parse_workload(word: str) -> Target:
    """`TYPE/NAME`; a bare name is a pod's."""
    types, slash, name = word.partition("/")
    return Target(types, name) if slash else Target("pods", word)


async def fetch_target(session: Session, target: Target) -> tuple[Resource, Object]:
    resource = (await session.resources()).find(target.types)
    assert target.name is not None
    namespace = session.namespace if resource.namespaced else None
    return resource, await session.client.get(resource.gv, resource.plural, target.name, namespace=namespace)


def selector_of(obj: Object) -> str:
    """As a query. Pure."""
    spec = obj.get("spec") or {}
    selector = spec.get("selector") or {}
    labels: dict[str, str]
    expressions: list[dict[str, Any]]
    if obj["kind"] in ("Service", "ReplicationController"):
        labels, expressions = selector, []
    else:
        labels, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    if not labels and not expressions:
        raise CommandError(f"error: {obj['kind'].lower()}/{obj['metadata']['name']} selects no pods")
    parts = [f"{key}={value}" for key, value in sorted(labels.items())]
    for expression in expressions:
        key, operator = expression["key"], expression["operator"]
        values = ",".join(expression.get("values") or ())
        parts.append({"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key,
                      "DoesNotExist": f"!{key}"}[operator])  # fmt: skip
    return ",".join(parts)


async def pods_of(session: Session, word: str) -> list[Object]:
    """All pods of a workload, the best first: running and ready before others, then the oldest."""
    resource, obj = await fetch_target(session, parse_workload(word))
    if resource.kind == "Pod":
        return [obj]
    found = await session.client.list("v1", "pods", namespace=session.namespace, label_selector=selector_of(obj))
    if not found["items"]:
        raise CommandError(f"error: {resource.label}/{obj['metadata']['name']} has no pods")
    return sorted(found["items"], key=preference)


def preference(pod: Object) -> tuple[bool, bool, bool, str, str]:
    status = pod.get("status") or {}
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    running = status.get("phase") == "Running"
    leaving = "deletionTimestamp" in pod["metadata"]
    return leaving, not running, not ready, pod["metadata"].get("creationTimestamp") or "", pod["metadata"]["name"]


def choose_container(pod: Object, name: str) -> tuple[str, bool]:
    """The container, and whether it was chosen among several without being named."""
    spec = pod["spec"]
    keys = ("initContainers", "containers", "ephemeralContainers")
    everything = [c["name"] for key in keys for c in spec.get(key) or ()]
    if name:
        if name not in everything:
            raise CommandError(f"error: container {name} not found in pod {pod['metadata']['name']}; "
                               f"it has: {', '.join(everything)}")  # fmt: skip
        return name, False
    wanted = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    if wanted in everything:
        return str(wanted), False
    return spec["containers"][0]["name"], len(spec["containers"]) > 1
