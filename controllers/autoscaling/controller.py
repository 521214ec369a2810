"""The HorizontalPodAutoscaler controller: every fifteen seconds reads usage and sets a scale.

Metrics of pods' resources come from ``metrics.k8s.io``. Custom and external metrics need an adapter API; an autoscaler
that asks for those is told so in its conditions.
"""

from __future__ import annotations

from typing import Any

from controllers.autoscaling import plan as pl
from controllers.autoscaling.behavior import REMEMBERED, Memory, allow
from controllers.autoscaling.replicas import NoMetrics, Proposal, propose
from controllers.context import Context
from controllers.discovery import Discovered, fetch_discovery
from machinery.client.rest import resource_path
from machinery.meta.errors import ApiError
from machinery.meta.objects import format_time, labels_of, object_key
from machinery.meta.selectors import parse_label_selector
from machinery.runtime.controller import Controller

Object = dict[str, Any]
AUTOSCALING = "autoscaling/v2"
METRICS = "metrics.k8s.io/v1beta1"
PERIOD_SECONDS = 15.0


class Unmeasured(Exception):
    """A metric could not be had: (reason, message) for ScalingActive."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class HorizontalAutoscaler(Controller):
    name = "horizontal-pod-autoscaler"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.client, self.clock = context.client_for("horizontal-pod-autoscaler"), context.clock
        self.recorder = context.recorder("horizontal-pod-autoscaler")
        self.scalers = context.informers.informer(AUTOSCALING, "horizontalpodautoscalers")
        self.pods = context.pods()
        self._discovered = Discovered(())
        self._memory: dict[str, Memory] = {}
        self.scalers.add_handler(on_add=self._look_later, on_update=self._updated,
                                 on_delete=lambda hpa: self._memory.pop(hpa["metadata"]["uid"], None))  # fmt: skip

    async def wait_synced(self) -> None:
        await self.scalers.wait_synced()
        await self.pods.wait_synced()

    def _updated(self, old: Object, new: Object) -> None:
        if old["spec"] != new["spec"]:
            self._look_later(new)

    def _look_later(self, hpa: Object) -> None:
        """The first look comes a period after creation: metrics of what was just made say nothing yet."""
        self.queue.add_after(object_key(hpa), PERIOD_SECONDS)

    async def sync(self, key: str) -> str | None:
        hpa = self.scalers.get(key)
        if hpa is None:
            return None
        self.queue.add_after(key, PERIOD_SECONDS)
        now, status = self.clock.now(), dict(hpa.get("status") or {})
        status["observedGeneration"] = hpa["metadata"].get("generation")
        status.setdefault("desiredReplicas", 0)
        try:
            path, scale = await self._fetch_scale(hpa)
        except (ApiError, LookupError) as error:
            self.recorder.event(hpa, "Warning", "FailedGetScale", str(error))
            message = f"the HPA controller was unable to get the target's current scale: {error}"
            await self._write(hpa, pl.with_condition(status, "AbleToScale", "False", "FailedGetScale", message, now))
            return None
        status = pl.with_condition(status, "AbleToScale", "True", "SucceededGetScale",
                                   "the HPA controller was able to get the target's current scale", now)  # fmt: skip
        current = int((scale.get("spec") or {}).get("replicas") or 0)
        status["currentReplicas"] = int((scale.get("status") or {}).get("replicas") or 0)
        if current == 0 and int(hpa["spec"].get("minReplicas") or 1) != 0:
            status["desiredReplicas"] = 0
            message = "scaling is disabled since the replica count of the target is zero"
            await self._write(hpa, pl.with_condition(status, "ScalingActive", "False", "ScalingDisabled", message, now))
            return None
        return await self._rescale(hpa, status, path, scale, current)

    async def _rescale(self, hpa: Object, status: Object, path: str, scale: Object, current: int) -> str | None:
        now = self.clock.now()
        minimum, maximum = int(hpa["spec"].get("minReplicas") or 1), int(hpa["spec"]["maxReplicas"])
        reason = ""
        if current > maximum or current < minimum:
            wanted = maximum if current > maximum else minimum
            bound = "above Spec.MaxReplicas" if current > maximum else "below Spec.MinReplicas"
            reason = f"Current number of replicas {bound}"
        else:
            try:
                wished, shown, metric = await self._measure(hpa, scale, current)
            except Unmeasured as error:
                self.recorder.event(hpa, "Warning", error.reason, str(error))
                message = f"the HPA was unable to compute the replica count: {error}"
                status["desiredReplicas"] = current
                await self._write(hpa, pl.with_condition(status, "ScalingActive", "False", error.reason, message, now))
                return None
            status["currentMetrics"] = shown
            message = f"the HPA was able to successfully calculate a replica count from {metric}"
            status = pl.with_condition(status, "ScalingActive", "True", "ValidMetricFound", message, now)
            wanted, status = self._within_bounds(hpa, status, current, wished)
            reason = f"{metric} above target" if wanted > current else "All metrics below target"
        status["desiredReplicas"] = wanted
        if wanted == current:
            await self._write(hpa, status)
            return None
        spec = {**(scale.get("spec") or {}), "replicas": wanted}
        await self.client.request("PUT", path, body={**scale, "spec": spec})
        self._memory_of(hpa).changes.append((now, wanted - current))
        self.recorder.event(hpa, "Normal", "SuccessfulRescale", f"New size: {wanted}; reason: {reason}")
        status["lastScaleTime"] = format_time(now)
        message = f"the HPA controller was able to update the target scale to {wanted}"
        await self._write(hpa, pl.with_condition(status, "AbleToScale", "True", "SucceededRescale", message, now))
        return f"scaled from {current} to {wanted}"

    def _within_bounds(self, hpa: Object, status: Object, current: int, wished: int) -> tuple[int, Object]:
        now, memory = self.clock.now(), self._memory_of(hpa)
        memory.forget_before(now - REMEMBERED)
        if not memory.recommendations:
            memory.recommendations.append((now, current))
        memory.recommendations.append((now, wished))
        allowed = allow(hpa, current, wished, memory, now)
        if allowed.stabilized:
            status = pl.with_condition(status, "AbleToScale", "True", "ScaleDownStabilized",
                "recent recommendations were higher than current one, applying the highest recent recommendation",
                now)  # fmt: skip
        else:
            status = pl.with_condition(status, "AbleToScale", "True", "ReadyForNewScale",
                                       "recommended size matches current size", now)  # fmt: skip
        limited, reason = ("True", allowed.limited) if allowed.limited else ("False", "DesiredWithinRange")
        return allowed.replicas, pl.with_condition(status, "ScalingLimited", limited, reason, allowed.message, now)

    def _memory_of(self, hpa: Object) -> Memory:
        return self._memory.setdefault(hpa["metadata"]["uid"], Memory())

    async def _measure(self, hpa: Object, scale: Object, current: int) -> tuple[int, list[Object], str]:
        """(the largest wish of all metrics, their status, the metric that wishes it)."""
        selector = (scale.get("status") or {}).get("selector") or ""
        if not selector:
            raise Unmeasured("InvalidSelector", "the HPA target's scale is missing a selector")
        pods = [
            pod for pod in self.pods.by_index("namespace", hpa["metadata"]["namespace"])
            if parse_label_selector(selector).matches(labels_of(pod))
        ]  # fmt: skip
        best: tuple[int, str] | None = None
        shown: list[Object] = []
        problem: Unmeasured | None = None
        for metric in hpa["spec"].get("metrics") or ():
            try:
                proposal = await self._propose(hpa, metric, pods, selector, current)
            except Unmeasured as error:
                problem = problem or error
                continue
            shown.append(pl.metric_status(metric, proposal))
            if best is None or proposal.replicas > best[0]:
                best = (proposal.replicas, pl.describe(metric, proposal))
        if best is None or (problem is not None and best[0] < current):
            # With a metric missing nobody knows whether shrinking is safe.
            raise problem or Unmeasured("FailedGetResourceMetric", "no metrics are specified")
        return best[0], shown, best[1]

    async def _propose(
        self, hpa: Object, metric: Object, pods: list[Object], selector: str, current: int
    ) -> Proposal:
        kind = metric["type"]
        if kind not in ("Resource", "ContainerResource"):
            raise Unmeasured(f"FailedGet{kind}Metric", f"no API serves metrics of type {kind} in this cluster")
        source = metric["resource" if kind == "Resource" else "containerResource"]
        reason, resource = f"FailedGet{kind}Metric", source["name"]
        try:
            answer = await self.client.list(
                METRICS, "pods", namespace=hpa["metadata"]["namespace"], label_selector=selector
            )
            metrics = {item["metadata"]["name"]: item for item in answer["items"]}
            usages = pl.pod_usages(pods, metrics, resource, source.get("container"), self.clock.now())
            return propose(usages, current, pl.target_of(source))
        except ApiError as error:
            why = f"unable to get metrics for resource {resource}: unable to fetch metrics from resource metrics API"
            raise Unmeasured(reason, f"failed to get {resource} utilization: {why}: {error}") from error
        except (NoMetrics, LookupError) as error:
            raise Unmeasured(reason, f"failed to get {resource} utilization: {error}") from error

    async def _fetch_scale(self, hpa: Object) -> tuple[str, Object]:
        target, namespace = hpa["spec"]["scaleTargetRef"], hpa["metadata"]["namespace"]
        api_version = target.get("apiVersion") or "v1"
        resource = self._discovered.by_kind(api_version, target["kind"])
        if resource is None:
            self._discovered = await fetch_discovery(self.client)
            resource = self._discovered.by_kind(api_version, target["kind"])
        if resource is None:
            raise LookupError(f'no matches for kind "{target["kind"]}" in group "{api_version.rpartition("/")[0]}"')
        path = resource_path(resource.gv, resource.plural, namespace, target["name"], "scale")
        return path, (await self.client.request("GET", path)).json()

    async def _write(self, hpa: Object, status: Object) -> None:
        if status != (hpa.get("status") or {}):
            await self.client.update(
                AUTOSCALING, "horizontalpodautoscalers", {**hpa, "status": status}, subresource="status"
            )


def build(context: Context) -> list[Controller]:
    return [HorizontalAutoscaler(context)]
