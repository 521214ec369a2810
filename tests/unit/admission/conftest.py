"""A namespace of dictionaries and the built-in chain over it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from apiserver.admission.build import AdmissionOptions, build_chain
from apiserver.admission.chain import AdmissionChain
from apiserver.admission.interface import AdmissionRequest
from apiserver.auth.interface import Attributes, Decision, User
from machinery.meta.objects import deep_copy

Object = dict[str, Any]
ADMIN = User("admin", groups=("system:masters",))

KINDS = {
    "pods": ("", "Pod"), "nodes": ("", "Node"), "namespaces": ("", "Namespace"), "configmaps": ("", "ConfigMap"),
    "services": ("", "Service"), "persistentvolumeclaims": ("", "PersistentVolumeClaim"),
    "serviceaccounts": ("", "ServiceAccount"), "deployments": ("apps", "Deployment"),
    "ingresses": ("networking.k8s.io", "Ingress"), "leases": ("coordination.k8s.io", "Lease"),
    "priorityclasses": ("scheduling.k8s.io", "PriorityClass"),
    "certificatesigningrequests": ("certificates.k8s.io", "CertificateSigningRequest"),
}  # fmt: skip


class FakeCluster:
    """ObjectReader and ObjectWriter over one dictionary; a write may be made to lose its swap."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str, str], Object] = {}
        self.before_write: Callable[[], None] = lambda: None

    def put(self, resource: str, obj: Object, group: str = "") -> Object:
        metadata = obj["metadata"]
        metadata.setdefault("uid", f"uid-{len(self.objects)}")
        self.objects[group, resource, metadata.get("namespace", ""), metadata["name"]] = obj
        return obj

    def get(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        return self.objects.get((group, resource, namespace, name))

    def list(self, group: str, resource: str, namespace: str = "") -> Sequence[Object]:
        return [o for (g, r, n, _), o in self.objects.items() if (g, r) == (group, resource) and namespace in ("", n)]

    async def get_fresh(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        return self.get(group, resource, namespace, name)

    async def update(
        self,
        group: str,
        resource: str,
        namespace: str,
        name: str,
        change: Callable[[Object], Object | None],
        *,
        subresource: str = "",
    ) -> Object:
        self.before_write()
        key = (group, resource, namespace, name)
        self.objects[key] = change(deep_copy(self.objects[key])) or self.objects[key]
        return self.objects[key]


class Granting:
    """An authorizer of a set of (verb, name)."""

    def __init__(self) -> None:
        self.granted: set[tuple[str, str]] = set()

    def authorize(self, attributes: Attributes) -> Decision:
        return Decision(allowed=(attributes.verb, attributes.name) in self.granted)


class Writes:
    """Takes an object through both halves of the chain, as the registry does."""

    def __init__(self, chain: AdmissionChain) -> None:
        self._chain = chain

    async def __call__(
        self,
        resource: str,
        obj: Object | None,
        *,
        old: Object | None = None,
        operation: str = "",
        subresource: str = "",
        user: User = ADMIN,
        name: str = "",
        dry_run: bool = False,
    ) -> AdmissionRequest:
        group, kind = KINDS[resource]
        operation = operation or ("UPDATE" if old is not None else "CREATE")
        metadata = ((obj or old or {}).get("metadata")) or {}
        request = AdmissionRequest(
            operation, group, "v1", resource, kind, subresource, metadata.get("namespace", ""),  # type: ignore[arg-type]
            name or (metadata.get("name", "") if operation != "CREATE" else ""), user, deep_copy(obj), old,
            dry_run=dry_run,
        )  # fmt: skip
        await self._chain.admit(request)
        await self._chain.validate(request)
        return request


@pytest.fixture
def cluster() -> FakeCluster:
    made = FakeCluster()
    made.put("namespaces", {"metadata": {"name": "ns"}, "status": {"phase": "Active"}})
    made.put("serviceaccounts", {"metadata": {"namespace": "ns", "name": "default"}})
    return made


@pytest.fixture
def authorizer() -> Granting:
    return Granting()


@pytest.fixture
def chain(cluster: FakeCluster, authorizer: Granting) -> AdmissionChain:
    options = AdmissionOptions(authorizer, ("https://kubernetes.default.svc",), rng=random.Random(7))
    return build_chain(options, cluster, cluster)  # type: ignore[arg-type]


@pytest.fixture
def write(chain: AdmissionChain) -> Writes:
    return Writes(chain)


@pytest.fixture
def make_pod() -> Callable[..., Object]:
    def make(name: str = "p", *, container: Object | None = None, **spec: Any) -> Object:
        first = {"name": "c", "image": "x", **(container or {})}
        return {"metadata": {"namespace": "ns", "name": name}, "spec": {"containers": [first], **spec}}

    return make
