"""A PUT or an apply that turns out to create needs the right to create as well: it was authorized for update or patch.

Like the guard against escalation this is not a plugin that can be switched off, but it sees the write at the moment
when it is known to be a creation.
"""

from __future__ import annotations

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.plugin import Plugin
from apiserver.auth.authorization import forbidden_error
from apiserver.auth.interface import Attributes, Authorizer

_UPDATES = frozenset({"UpdateOptions", "PatchOptions"})


class CreateOnUpdate(Plugin):
    name = "CreateOnUpdate"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def admit(self, request: AdmissionRequest) -> None:
        if request.options.get("kind") not in _UPDATES:
            return
        attributes = Attributes(
            user=request.user, verb="create", path="", is_resource=True, api_group=request.group,
            api_version=request.version, resource=request.resource, namespace=request.namespace, name=request.name,
        )  # fmt: skip
        decision = self._authorizer.authorize(attributes)
        if not decision.allowed:
            raise forbidden_error(attributes, decision.reason)
