"""Whether a container that ended starts again, and when.

The back-off needs no memory of the agent: each container carries the step it was started with, so a restarted agent
waits exactly as long as the old one would have. Step 0 restarts at once, step k waits 10 s·2^(k-1) up to five minutes;
a container that ran for ten minutes begins again at step 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from kubelet.observed import Container
from kubelet.podspec import ContainerSpec, Pod, container_hash, describe_pod, restart_policy

BACKOFF_BASE_SECONDS = 10.0
BACKOFF_CAP_SECONDS = 300.0
BACKOFF_RESET_SECONDS = 600.0
START_ERROR = "StartError"


def should_restart(pod: Pod, spec: ContainerSpec, ended: Container) -> bool:
    """By the container's own rules and policy, else the pod's."""
    if was_interrupted(ended):
        return True
    if ended.hash and ended.hash != container_hash(spec):
        return True
    for rule in spec.get("restartPolicyRules") or ():
        if matches_rule(rule, ended.exit_code):
            return bool(rule.get("action") == "Restart")
    policy = str(spec.get("restartPolicy") or restart_policy(pod))
    if policy == "Always":
        return True
    return policy == "OnFailure" and ended.exit_code != 0


def was_interrupted(ended: Container) -> bool:
    """Its start was broken off because the agent that asked for it died: it never ran, and that counts for nothing."""
    broken_off = any(words in ended.message for words in ("context canceled", "signal: killed"))
    return ended.is_exited and ended.reason == START_ERROR and broken_off


def matches_rule(rule: dict[str, object], exit_code: int) -> bool:
    codes = rule.get("exitCodes")
    if not isinstance(codes, dict):
        return False
    listed = exit_code in (codes.get("values") or ())
    return listed if codes.get("operator") == "In" else not listed


@dataclass(frozen=True, slots=True)
class Restart:
    """``at`` is when the container may start again, with ``step`` as its step."""

    at: float
    step: int
    delay_seconds: float


def next_restart(ended: Container) -> Restart:
    step = ended.backoff_step
    if ended.started_at and ended.finished_at - ended.started_at >= BACKOFF_RESET_SECONDS:
        step = 0
    delay = 0.0 if step == 0 else min(BACKOFF_BASE_SECONDS * 2 ** min(step - 1, 16), BACKOFF_CAP_SECONDS)
    return Restart(at=ended.finished_at + delay, step=step + 1, delay_seconds=delay)


def backoff_message(pod: Pod, name: str, delay_seconds: float) -> str:
    return f"back-off {format_duration(delay_seconds)} restarting failed container={name} pod={describe_pod(pod)}"


def format_duration(seconds: float) -> str:
    """As Go prints a duration of whole seconds: ``10s``, ``2m40s``, ``5m0s``, ``1h0m0s``."""
    total = int(seconds)
    hours, minutes, rest = total // 3600, total // 60 % 60, total % 60
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
