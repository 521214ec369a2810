"""ReplicationControllers, ReplicaSets, Deployments, DaemonSets, StatefulSets, pod templates, revisions."""

from __future__ import annotations

from typing import Any

from apiserver.validation.field import IMMUTABLE, Errors, Object
from apiserver.validation.objectmeta import (
    LABEL,
    SUBDOMAIN,
    shown_selector,
    validate_annotations,
    validate_metadata,
    validate_metadata_update,
    validate_selector,
)
from apiserver.validation.pods.spec import validate_pod_spec
from apiserver.validation.rules import Rules, update_only
from machinery.meta import names
from machinery.meta.selectors import SelectorError, label_selector_from_dict, label_selector_from_map

_MISMATCH = "`selector` does not match template `labels`"


def validate_template(errors: Errors, path: str, template: Object) -> None:
    """Labels, annotations and the pod's spec. Ephemeral containers are no part of a template."""
    meta, spec = template.get("metadata") or {}, template.get("spec") or {}
    errors.label_values(path + ".labels", meta.get("labels"))
    if meta.get("annotations"):
        validate_annotations(errors, path + ".annotations", meta["annotations"])
    validate_pod_spec(errors, path + ".spec", spec, meta, in_template=True)
    if spec.get("ephemeralContainers"):
        errors.forbidden(path + ".spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def _shown_labels(labels: dict[str, str] | None) -> Any:
    return None if labels is None else dict(sorted(labels.items()))


def _check_restart(errors: Errors, path: str, spec: Object, kind: str = "") -> None:
    policy = spec.get("restartPolicy") or ""
    if policy != "Always":
        errors.not_supported(path + ".restartPolicy", policy, ("Always",))
    if spec.get("activeDeadlineSeconds") is not None:
        errors.forbidden(path + ".activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported")


def validate_replicated_template(errors: Errors, template: Object, selector: Any, kind: str) -> None:
    """The template of a controller that keeps pods running: its labels must match what is selected."""
    labels = (template.get("metadata") or {}).get("labels")
    if not selector.empty and not selector.matches(labels):
        errors.invalid("spec.template.metadata.labels", _shown_labels(labels), _MISMATCH)
    validate_template(errors, "spec.template", template)
    _check_restart(errors, "spec.template.spec", template.get("spec") or {}, kind)


def _selector(errors: Errors, spec: Object, kind: str) -> Any:
    raw = spec.get("selector")
    if raw is None:
        errors.required("spec.selector")
    else:
        validate_selector(errors, "spec.selector", raw)
        if not raw.get("matchLabels") and not raw.get("matchExpressions"):
            errors.invalid("spec.selector", {}, f"empty selector is invalid for {kind}")
    selector = strict_selector(raw)
    if selector is None:
        errors.invalid("spec.selector", shown_selector(raw), "invalid label selector")
    return selector


def strict_selector(raw: Object | None) -> Any:
    """The selector, or None when its labels are no labels."""
    trial = Errors()
    validate_selector(trial, "", raw)
    if trial:
        return None
    try:
        return label_selector_from_dict(raw)
    except SelectorError:
        return None


def create_replication_controller(errors: Errors, controller: Object) -> None:
    validate_metadata(errors, controller, True, SUBDOMAIN)
    _replication_controller_spec(errors, controller)


def _replication_controller_spec(errors: Errors, controller: Object) -> None:
    spec = controller.get("spec") or {}
    errors.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    selector = spec.get("selector") or {}
    if not selector:
        errors.required("spec.selector")
    errors.not_negative("spec.replicas", spec.get("replicas"))
    template = spec.get("template")
    if template is None:
        errors.required("spec.template")
        return
    labels = (template.get("metadata") or {}).get("labels")
    if selector and not label_selector_from_map(selector).matches(labels):
        errors.invalid("spec.template.metadata.labels", _shown_labels(labels), _MISMATCH)
    validate_template(errors, "spec.template", template)
    _check_restart(errors, "spec.template.spec", template.get("spec") or {}, "ReplicationController")


def create_replica_set(errors: Errors, replicas: Object) -> None:
    validate_metadata(errors, replicas, True, SUBDOMAIN)
    _replica_set_spec(errors, replicas)


def _replica_set_spec(errors: Errors, replicas: Object) -> None:
    spec = replicas.get("spec") or {}
    errors.not_negative("spec.replicas", spec.get("replicas"))
    errors.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    selector = _selector(errors, spec, "deployment")
    if selector is not None:
        validate_replicated_template(errors, spec.get("template") or {}, selector, "ReplicaSet")


def create_deployment(errors: Errors, deployment: Object) -> None:
    validate_metadata(errors, deployment, True, SUBDOMAIN)
    _deployment_spec(errors, deployment)


def _deployment_spec(errors: Errors, deployment: Object) -> None:
    spec = deployment.get("spec") or {}
    errors.not_negative("spec.replicas", spec.get("replicas"))
    selector = _selector(errors, spec, "deployment")
    if selector is not None:
        validate_replicated_template(errors, spec.get("template") or {}, selector, "ReplicaSet")
    _deployment_strategy(errors, spec.get("strategy") or {})
    errors.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    errors.not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None:
        errors.not_negative("spec.progressDeadlineSeconds", deadline)
        if deadline <= (spec.get("minReadySeconds") or 0):
            errors.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _deployment_strategy(errors: Errors, strategy: Object) -> None:
    kind, rolling = strategy.get("type") or "", strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            errors.forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif kind == "RollingUpdate":
        if rolling is None:
            errors.required("spec.strategy.rollingUpdate", "this should be defaulted and never be nil")
        else:
            validate_rolling_update(errors, "spec.strategy.rollingUpdate", rolling, both_zero=False)
    else:
        errors.not_supported("spec.strategy", {"Type": kind, "RollingUpdate": _shown_rolling(rolling)},
                             ("Recreate", "RollingUpdate"))


def _shown_rolling(rolling: Object | None) -> Any:
    return None if rolling is None else {
        "MaxUnavailable": rolling.get("maxUnavailable"), "MaxSurge": rolling.get("maxSurge")}


def validate_int_or_percent(errors: Errors, path: str, value: Any) -> None:
    if isinstance(value, str):
        errors.invalid_all(path, value, names.percent(value))
    else:
        errors.not_negative(path, value or 0)


def _not_more_than_all(errors: Errors, path: str, value: Any) -> None:
    if isinstance(value, str) and value.endswith("%") and value[:-1].isdigit() and int(value[:-1]) > 100:
        errors.invalid(path, value, "must not be greater than 100%")


def as_number(value: Any) -> int:
    if isinstance(value, str):
        return int(value[:-1]) if value.endswith("%") and value[:-1].lstrip("-").isdigit() else 0
    return int(value or 0)


def validate_rolling_update(errors: Errors, path: str, rolling: Object, both_zero: bool) -> None:
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    validate_int_or_percent(errors, path + ".maxUnavailable", unavailable)
    validate_int_or_percent(errors, path + ".maxSurge", surge)
    if as_number(unavailable) == 0 and as_number(surge) == 0:
        errors.invalid(path + ".maxUnavailable", unavailable if unavailable is not None else 0,
                       "may not be 0 when `maxSurge` is 0")
    _not_more_than_all(errors, path + ".maxUnavailable", unavailable)


def create_daemon_set(errors: Errors, daemons: Object) -> None:
    validate_metadata(errors, daemons, True, SUBDOMAIN)
    _daemon_set_spec(errors, daemons)


def _daemon_set_spec(errors: Errors, daemons: Object) -> None:
    spec = daemons.get("spec") or {}
    raw = spec.get("selector")
    validate_selector(errors, "spec.selector", raw)
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels")
    selector = strict_selector(raw)
    if selector is not None and not selector.matches(labels):
        errors.invalid("spec.template.metadata.labels", _shown_labels(labels), _MISMATCH)
    if raw is not None and not raw.get("matchLabels") and not raw.get("matchExpressions"):
        errors.invalid("spec.selector", {}, "empty selector is invalid for daemonset")
    validate_template(errors, "spec.template", template)
    _check_restart(errors, "spec.template.spec", template.get("spec") or {}, "DaemonSet")
    errors.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    _daemon_strategy(errors, spec.get("updateStrategy") or {})
    errors.not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))


def update_daemon_set(errors: Errors, daemons: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, daemons, old)
    if subresource == "status":
        return
    was, now = (old.get("spec") or {}).get("selector"), (daemons.get("spec") or {}).get("selector")
    if now != was:
        errors.invalid("spec.selector", shown_selector(now), IMMUTABLE)
    _daemon_set_spec(errors, daemons)


def _daemon_strategy(errors: Errors, strategy: Object) -> None:
    kind, rolling = strategy.get("type") or "", strategy.get("rollingUpdate")
    where = "spec.updateStrategy.rollingUpdate"
    if kind == "OnDelete":
        return
    if kind != "RollingUpdate":
        errors.not_supported("spec.updateStrategy", {"Type": kind, "RollingUpdate": _shown_rolling(rolling)},
                             ("RollingUpdate", "OnDelete"))
        return
    if rolling is None:
        errors.required(where)
        return
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    validate_int_or_percent(errors, where + ".maxUnavailable", unavailable)
    validate_int_or_percent(errors, where + ".maxSurge", surge)
    _not_more_than_all(errors, where + ".maxUnavailable", unavailable)
    _not_more_than_all(errors, where + ".maxSurge", surge)
    if as_number(unavailable) == 0 and as_number(surge) == 0:
        errors.required(where + ".maxUnavailable", "cannot be 0 when maxSurge is 0")
    elif as_number(unavailable) and as_number(surge):
        errors.invalid(where + ".maxSurge", surge, "may not be set when maxUnavailable is non-zero")


def create_stateful_set(errors: Errors, sets: Object) -> None:
    validate_metadata(errors, sets, True, LABEL)
    _stateful_set_spec(errors, sets)


def _stateful_set_spec(errors: Errors, sets: Object, claims_too: bool = True) -> None:
    from apiserver.validation.volumes import validate_claim_spec

    spec = sets.get("spec") or {}
    policy = spec.get("podManagementPolicy") or ""
    if not policy:
        errors.required("spec.podManagementPolicy")
    elif policy not in ("OrderedReady", "Parallel"):
        errors.invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")
    _stateful_strategy(errors, spec.get("updateStrategy") or {})
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for field in ("whenDeleted", "whenScaled"):
        value = retention.get(field)
        if value is not None and value not in ("Retain", "Delete"):
            errors.not_supported(f"spec.persistentVolumeClaimRetentionPolicy.{field}", value, ("Retain", "Delete"))
    errors.not_negative("spec.replicas", spec.get("replicas"))
    errors.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    ordinals = spec.get("ordinals")
    if ordinals is not None:
        errors.not_negative("spec.ordinals.start", ordinals.get("start"))
    raw = spec.get("selector")
    if raw is None:
        errors.required("spec.selector")
    else:
        validate_selector(errors, "spec.selector", raw)
        if not raw.get("matchLabels") and not raw.get("matchExpressions"):
            errors.invalid("spec.selector", {}, "empty selector is invalid for statefulset")
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels")
    selector = strict_selector(raw)
    if selector is None:
        errors.invalid("spec.selector", shown_selector(raw), "")
    elif not selector.empty:
        if not selector.matches(labels):
            errors.invalid("spec.template.metadata.labels", _shown_labels(labels), _MISMATCH)
        errors.label_values("spec.template.labels", labels)
    # Claims are volumes of the pod under their own name.
    claims = {(claim.get("metadata") or {}).get("name") or "" for claim in spec.get("volumeClaimTemplates") or ()}
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in sorted(claims)]
    pod_spec = template.get("spec") or {}
    whole = {**template, "spec": {**pod_spec, "volumes": (pod_spec.get("volumes") or []) + volumes}}
    for i, claim in enumerate((spec.get("volumeClaimTemplates") or ()) if claims_too else ()):
        validate_claim_spec(errors, f"spec.volumeClaimTemplates[{i}].spec", claim.get("spec") or {})
    validate_template(errors, "spec.template", whole)
    pod = template.get("spec") or {}
    if pod.get("restartPolicy") != "Always":
        errors.not_supported("spec.template.spec.restartPolicy", pod.get("restartPolicy") or "", ("Always",))
    if pod.get("activeDeadlineSeconds") is not None:
        errors.forbidden(
            "spec.template.spec.activeDeadlineSeconds", "activeDeadlineSeconds in StatefulSet is not Supported"
        )
    name = spec.get("serviceName") or ""
    if name:
        errors.invalid_all("spec.serviceName", name, names.dns1123_label(name))


def _stateful_strategy(errors: Errors, strategy: Object) -> None:
    kind, rolling = strategy.get("type") or "", strategy.get("rollingUpdate")
    where = "spec.updateStrategy"
    if not kind:
        errors.required(where)
    elif kind == "OnDelete":
        if rolling is not None:
            shown = {"Partition": rolling.get("partition") or 0, "MaxUnavailable": rolling.get("maxUnavailable")}
            errors.invalid(where + ".rollingUpdate", shown, "only allowed for updateStrategy 'RollingUpdate'")
    elif kind == "RollingUpdate":
        if rolling is not None:
            errors.not_negative(where + ".rollingUpdate.partition", rolling.get("partition"))
            unavailable = rolling.get("maxUnavailable")
            if unavailable is not None:
                validate_int_or_percent(errors, where + ".rollingUpdate.maxUnavailable", unavailable)
                if as_number(unavailable) == 0:
                    errors.invalid(where + ".rollingUpdate.maxUnavailable", unavailable, "cannot be 0")
                _not_more_than_all(errors, where + ".rollingUpdate.maxUnavailable", unavailable)
    else:
        errors.invalid(where, {"Type": kind, "RollingUpdate": None if rolling is None else {
            "Partition": rolling.get("partition") or 0, "MaxUnavailable": rolling.get("maxUnavailable")}},
            "must be 'RollingUpdate' or 'OnDelete'")


_STATEFUL_CHANGEABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds")


def update_stateful_set(errors: Errors, sets: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, sets, old)
    if subresource == "status":
        _replica_status(
            errors, sets, ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
        )
        return
    _stateful_set_spec(errors, sets, claims_too=False)
    spec, before = sets.get("spec") or {}, old.get("spec") or {}
    if {k: v for k, v in spec.items() if k not in _STATEFUL_CHANGEABLE} \
            != {k: v for k, v in before.items() if k not in _STATEFUL_CHANGEABLE}:
        errors.forbidden("spec", "updates to statefulset spec for fields other than 'replicas', 'ordinals', "
                                 "'template', 'updateStrategy', 'revisionHistoryLimit', "
                                 "'persistentVolumeClaimRetentionPolicy' and "
                                 "'minReadySeconds' are forbidden")


def _replica_status(errors: Errors, obj: Object, fields: tuple[str, ...]) -> None:
    status = obj.get("status") or {}
    for field in (*fields, "observedGeneration"):
        errors.not_negative(f"status.{field}", status.get(field))
    errors.not_negative("status.collisionCount", status.get("collisionCount"))
    total = status.get("replicas") or 0
    for field in fields[1:]:
        if (status.get(field) or 0) > total:
            errors.invalid(f"status.{field}", status.get(field) or 0, "cannot be greater than status.replicas")
    if "availableReplicas" in fields and (status.get("availableReplicas") or 0) > (status.get("readyReplicas") or 0):
        errors.invalid("status.availableReplicas", status["availableReplicas"], "cannot be greater than readyReplicas")


def _updates(create: Any, spec: Any, status: tuple[str, ...], selector: bool = True) -> Rules:
    """Rules of controllers whose selector never changes."""

    def update(errors: Errors, obj: Object, old: Object, subresource: str) -> None:
        validate_metadata_update(errors, obj, old)
        if subresource == "status":
            _replica_status(errors, obj, status)
            return
        spec(errors, obj)
        if selector:
            was, now = (old.get("spec") or {}).get("selector"), (obj.get("spec") or {}).get("selector")
            if now != was:
                errors.invalid("spec.selector", shown_selector(now), IMMUTABLE)

    return Rules(create, update)


def create_template(errors: Errors, template: Object) -> None:
    validate_metadata(errors, template, True)
    _template_only(errors, template)


def _template_only(errors: Errors, template: Object) -> None:
    validate_template(errors, "template", template.get("template") or {})


def create_revision(errors: Errors, revision: Object) -> None:
    validate_metadata(errors, revision, True)
    data = revision.get("data")
    if data is None:
        errors.required("data", "data is mandatory")
    elif not isinstance(data, dict):
        errors.required("data", "data must be a valid JSON object")
    _revision_number(errors, revision)


def _revision_number(errors: Errors, revision: Object) -> None:
    errors.not_negative("revision", revision.get("revision"))


_REPLICAS = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas")

RULES = {
    ("", "ReplicationController"): update_only(create_replication_controller, _replication_controller_spec),
    ("", "PodTemplate"): update_only(create_template, _template_only),
    ("apps", "ReplicaSet"): _updates(create_replica_set, _replica_set_spec, _REPLICAS),
    ("apps", "Deployment"): _updates(
        create_deployment, _deployment_spec, ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")),
    ("apps", "DaemonSet"): Rules(create_daemon_set, update_daemon_set),
    ("apps", "StatefulSet"): Rules(create_stateful_set, update_stateful_set),
    ("apps", "ControllerRevision"): update_only(create_revision, _revision_number, immutable=("data",)),
}
