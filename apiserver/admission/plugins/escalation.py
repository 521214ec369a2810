"""Privilege escalation: writes of roles and bindings give away no more than the writer holds.

Not a plugin that can be switched off, but a plugin in shape: it sees a write at the same moment as the others, after
it is authorized and before it is stored.
"""

from __future__ import annotations

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.plugin import Plugin
from apiserver.auth.bootstrap.policy import GROUP
from apiserver.auth.rbac.escalation import RESOURCES, EscalationGuard


class PrivilegeEscalation(Plugin):
    name = "PrivilegeEscalation"
    resources = frozenset((GROUP, resource) for resource in RESOURCES)
    operations = frozenset({"CREATE", "UPDATE"})

    def __init__(self, guard: EscalationGuard) -> None:
        self._guard = guard

    async def admit(self, request: AdmissionRequest) -> None:
        assert request.obj is not None
        name = request.name if request.operation == "UPDATE" else ""
        self._guard.check(request.user, request.resource, request.namespace, request.obj, request.old, name=name)
