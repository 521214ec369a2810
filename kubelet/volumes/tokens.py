"""Service-account tokens for pods: asked for once, renewed when four fifths of their life are over."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kubelet.podspec import Pod, pod_name, pod_namespace, pod_uid
from machinery.client import Client
from machinery.meta.objects import parse_time
from machinery.runtime.clock import SYSTEM_CLOCK, Clock

RENEW_AFTER = 0.8
MAX_AGE_SECONDS = 24 * 3600.0
JITTER_SECONDS = 10.0


@dataclass(slots=True)
class _Token:
    text: str
    renew_at: float


class TokenSource:
    def __init__(self, client: Client, *, clock: Clock = SYSTEM_CLOCK, rng: random.Random | None = None) -> None:
        self._client, self._clock = client, clock
        self._rng = rng or random.Random()
        self._tokens: dict[tuple[str, str, int], _Token] = {}

    async def get(self, pod: Pod, audience: str, seconds: int) -> str:
        """A token bound to the pod. An old one serves on while the API server cannot be asked."""
        key = (pod_uid(pod), audience, seconds)
        known = self._tokens.get(key)
        now = self._clock.now().timestamp()
        if known is not None and now < known.renew_at:
            return known.text
        answer = await self._client.create(
            "v1", "serviceaccounts", token_request(pod, audience, seconds), namespace=pod_namespace(pod),
            name=pod["spec"].get("serviceAccountName") or "default", subresource="token",
        )  # fmt: skip
        status = answer["status"]
        expires = parse_time(status["expirationTimestamp"]).timestamp()
        age = min((expires - now) * RENEW_AFTER, MAX_AGE_SECONDS) - self._rng.uniform(0, JITTER_SECONDS)
        self._tokens[key] = _Token(status["token"], now + age)
        return str(status["token"])

    def next_renewal(self, uid: str) -> float | None:
        """When the first of a pod's tokens must be renewed."""
        times = [token.renew_at for key, token in self._tokens.items() if key[0] == uid]
        return min(times) if times else None

    def forget(self, uid: str) -> None:
        for key in [key for key in self._tokens if key[0] == uid]:
            del self._tokens[key]


def token_request(pod: Pod, audience: str, seconds: int) -> dict[str, object]:
    return {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": [audience] if audience else [],
            "expirationSeconds": seconds,
            "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": pod_name(pod), "uid": pod_uid(pod)},
        },
    }
