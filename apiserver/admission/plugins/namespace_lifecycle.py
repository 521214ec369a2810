"""Nothing is created in a namespace that is not there or on its way out, and a few namespaces never go."""

from __future__ import annotations

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.plugin import Plugin, refuse
from apiserver.registry.interface import ObjectReader
from machinery.meta.errors import not_found

IMMORTAL = frozenset({"default", "kube-system", "kube-public"})

# Questions about a namespace may be asked before it is there.
_EXEMPT = frozenset({("authorization.k8s.io", "localsubjectaccessreviews")})


class NamespaceLifecycle(Plugin):
    name = "NamespaceLifecycle"
    operations = frozenset({"CREATE", "UPDATE", "DELETE"})
    subresources = None

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader

    async def admit(self, request: AdmissionRequest) -> None:
        if (request.group, request.resource) == ("", "namespaces"):
            if request.operation == "DELETE" and request.name in IMMORTAL:
                raise refuse(request, "this namespace may not be deleted")
            return
        namespace = request.namespace
        if not namespace or request.operation == "DELETE" or (request.group, request.resource) in _EXEMPT:
            return
        # Memory may be a moment behind: before a refusal the store is asked.
        present = self._reader.get("", "namespaces", "", namespace) or await self._reader.get_fresh(
            "", "namespaces", "", namespace
        )
        if present is None:
            raise not_found("", "namespaces", namespace)
        if request.operation == "CREATE" and (present.get("status") or {}).get("phase") == "Terminating":
            error = refuse(
                request, f"unable to create new content in namespace {namespace} because it is being terminated"
            )
            assert error.details is not None
            error.details["causes"] = [
                {
                    "reason": "NamespaceTerminating",
                    "message": f"namespace {namespace} is being terminated",
                    "field": "metadata.namespace",
                }
            ]
            raise error
