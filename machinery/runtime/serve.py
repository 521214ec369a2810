"""The small HTTP server every component has: ``/healthz``, ``/livez``, ``/readyz``, ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

Check = Callable[[], str | None]


class HealthServer:
    """``checks`` maps a name to a function that returns None when well, or what is wrong."""

    def __init__(
        self, checks: Mapping[str, Check] | None = None, *, registry: CollectorRegistry = REGISTRY
    ) -> None:
        self._checks = dict(checks or {})
        self._registry = registry
        self._runner: web.AppRunner | None = None

    async def start(self, port: int, bind: str = "127.0.0.1") -> int:
        """Listen; port 0 picks one. Returns the port."""
        app = web.Application()
        for path in ("/healthz", "/livez", "/readyz"):
            app.router.add_get(path, self._health)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, bind, port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        results = {name: check() for name, check in self._checks.items()}
        bad = {name: what for name, what in results.items() if what}
        if not bad and "verbose" not in request.query:
            return web.Response(text="ok")
        lines = [f"[-]{name} failed: {results[name]}" if name in bad else f"[+]{name} ok" for name in results]
        verdict = f"{request.path.strip('/')} check {'failed' if bad else 'passed'}"
        return web.Response(text="\n".join([*lines, verdict, ""]), status=500 if bad else 200)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
