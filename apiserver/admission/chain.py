"""The chain: every plugin in its order, and a place before the last for those that are configured at run time.

The order of the built-in plugins is fixed, because some see what others did (tolerations of a runtime class come after
the default ones); quota is last, because it counts what is really going to be stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.admission.interface import AdmissionPlugin, AdmissionRequest


class AdmissionChain:
    """Itself a plugin, so that the registry needs to know one only."""

    name = "AdmissionChain"

    def __init__(self, plugins: Sequence[AdmissionPlugin], last: Sequence[AdmissionPlugin] = ()) -> None:
        self._builtin = tuple(plugins)
        self._last = tuple(last)
        self._dynamic: tuple[AdmissionPlugin, ...] = ()
        # (operation, group, resource, subresource) -> the built-in plugins that handle it
        self._plans: dict[
            tuple[str, str, str, str], tuple[tuple[AdmissionPlugin, ...], tuple[AdmissionPlugin, ...]]
        ] = {}

    @property
    def plugins(self) -> tuple[AdmissionPlugin, ...]:
        return (*self._builtin, *self._dynamic, *self._last)

    def set_dynamic(self, plugins: Sequence[AdmissionPlugin]) -> None:
        """Policies and webhooks: after the built-in plugins, before quota; asked for every write."""
        self._dynamic = tuple(plugins)

    def handles(self, request: AdmissionRequest) -> bool:
        first, last = self._plan(request)
        return bool(first or last or self._dynamic)

    async def admit(self, request: AdmissionRequest) -> None:
        await self._admit_once(request)
        if request.reinvocation.again:
            request.reinvocation.round = 1
            await self._admit_once(request)

    async def _admit_once(self, request: AdmissionRequest) -> None:
        first, last = self._plan(request)
        for plugin in first:
            await plugin.admit(request)
        for plugin in self._dynamic:
            if plugin.handles(request):
                await plugin.admit(request)
        for plugin in last:
            await plugin.admit(request)

    async def validate(self, request: AdmissionRequest) -> None:
        first, last = self._plan(request)
        for plugin in first:
            await plugin.validate(request)
        for plugin in self._dynamic:
            if plugin.handles(request):
                await plugin.validate(request)
        for plugin in last:
            await plugin.validate(request)

    def _plan(self, request: AdmissionRequest) -> tuple[tuple[AdmissionPlugin, ...], tuple[AdmissionPlugin, ...]]:
        key = (request.operation, request.group, request.resource, request.subresource)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) > 10_000:  # resources can be defined at run time
                self._plans.clear()
            plan = self._plans[key] = (
                tuple(plugin for plugin in self._builtin if plugin.handles(request)),
                tuple(plugin for plugin in self._last if plugin.handles(request)),
            )
        return plan
