"""``/healthz``, ``/livez``, ``/readyz``: named checks, one verdict.

The names are upstream's, because monitors exclude and ask for checks by name. Each stands for the part of this server
that does the same work: what upstream starts in a hook is here done before, during or after the bootstrap, so a hook's
check passes from that point on.
"""

from __future__ import annotations

from dataclasses import dataclass

from apiserver.server.context import RequestContext
from apiserver.server.responses import Reply, plain_not_found, text_reply

BASE = ("ping", "log")
STORE = ("etcd",)
CACHES = (
    "start-apiserver-admission-initializer", "generic-apiserver-start-informers",
    "priority-and-fairness-config-consumer", "priority-and-fairness-filter", "storage-object-count-tracker-hook",
    "start-apiextensions-informers", "start-apiextensions-controllers", "crd-informer-synced",
)  # fmt: skip
BOOTSTRAP = (
    "start-system-namespaces-controller", "peer-endpoint-reconciler-controller",
    "start-cluster-authentication-info-controller", "start-kube-apiserver-identity-lease-controller",
    "start-kube-apiserver-identity-lease-garbage-collector", "storage-readiness",
    "start-legacy-token-tracking-controller", "start-service-ip-repair-controllers", "rbac/bootstrap-roles",
    "scheduling/bootstrap-system-priority-classes", "priority-and-fairness-config-producer", "bootstrap-controller",
    "start-kubernetes-service-cidr-controller", "aggregator-reload-proxy-client-cert",
    "start-kube-aggregator-informers",
    "apiservice-status-local-available-controller", "apiservice-status-remote-available-controller",
    "apiservice-registration-controller", "apiservice-discovery-controller", "kube-apiserver-autoregistration",
)  # fmt: skip
DOCUMENTS = ("apiservice-openapi-controller", "apiservice-openapiv3-controller")

HOOK = "poststarthook/"


@dataclass(slots=True)
class Health:
    """What the server knows of itself; set by who runs it."""

    store_ok: bool = False
    caches_ok: bool = False
    bootstrapped: bool = False
    shutting_down: bool = False

    def checks(self, endpoint: str) -> dict[str, bool]:
        """Name -> passes, in the order in which they are shown."""
        checks = dict.fromkeys(BASE, True)
        if endpoint != "readyz":
            checks["loopback-serving-certificate"] = True
        checks["etcd"] = self.store_ok
        if endpoint == "readyz":
            checks["etcd-readiness"] = self.store_ok
            checks["informer-sync"] = self.caches_ok
        checks.update(dict.fromkeys((HOOK + name for name in CACHES), self.caches_ok))
        checks.update(dict.fromkeys((HOOK + name for name in BOOTSTRAP), self.bootstrapped))
        checks["autoregister-completion"] = self.bootstrapped
        checks.update(dict.fromkeys((HOOK + name for name in DOCUMENTS), self.bootstrapped))
        if endpoint == "readyz":
            checks["shutdown"] = not self.shutting_down
        return checks

    def paths(self) -> list[str]:
        found = []
        for endpoint in ("healthz", "livez", "readyz"):
            found.append(f"/{endpoint}")
            found += [f"/{endpoint}/{name}" for name in self.checks(endpoint)]
        return found

    def answer(self, context: RequestContext, path: str) -> Reply:
        endpoint, _, name = path[1:].partition("/")
        checks = self.checks(endpoint)
        if name:
            if name not in checks:
                return plain_not_found()
            return text_reply("ok") if checks[name] else text_reply(f"internal server error: {name} failed\n", 500)
        excluded = frozenset(context.query.getall("exclude", []))
        failed = [each for each, ok in checks.items() if not ok and each not in excluded]
        if not failed and "verbose" not in context.query:
            return text_reply("ok")
        text = "".join(_line(each, ok, each in excluded) for each, ok in checks.items())
        if failed:
            return text_reply(f"{text}{endpoint} check failed\n", 500)
        return text_reply(f"{text}{endpoint} check passed\n")


def _line(name: str, ok: bool, excluded: bool) -> str:
    if excluded:
        return f"[+]{name} excluded: ok\n"
    return f"[+]{name} ok\n" if ok else f"[-]{name} failed: reason withheld\n"
