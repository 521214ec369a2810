"""A whole pod, and the little that may change once it exists."""

from __future__ import annotations

import copy
import re
from collections import OrderedDict
from hashlib import blake2b
from typing import Any

import orjson

from apiserver.validation.differences import struct_difference
from apiserver.validation.field import Errors, Object
from apiserver.validation.objectmeta import validate_metadata, validate_metadata_update
from apiserver.validation.pods.spec import validate_pod_spec
from apiserver.validation.rules import Rules

_CHANGEABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)")


def create(errors: Errors, pod: Object) -> None:
    spec = pod.get("spec") or {}
    _validate_pod(errors, pod, spec)
    if spec.get("ephemeralContainers"):
        errors.forbidden("spec.ephemeralContainers", "cannot be set on create")
    if spec.get("nodeName") and spec.get("schedulingGates"):
        errors.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")


#: Digests of specs that were found good. Pods come in series (a ReplicaSet's differ in nothing), and the verdict on a
#: spec depends on its bytes alone, except where an ephemeral volume's claim takes the pod's name.
_good_specs: OrderedDict[bytes, None] = OrderedDict()
_REMEMBERED = 1024


def _validate_pod(errors: Errors, pod: Object, spec: Object) -> None:
    validate_metadata(errors, pod, True)
    if any(volume.get("ephemeral") is not None for volume in spec.get("volumes") or ()):
        validate_pod_spec(errors, "spec", spec, pod.get("metadata"))
        return
    digest = blake2b(_comparable(orjson.dumps(spec)), digest_size=16).digest()
    if digest in _good_specs:
        _good_specs.move_to_end(digest)
        return
    before = len(errors)
    validate_pod_spec(errors, "spec", spec, pod.get("metadata"))
    if len(errors) == before:
        _good_specs[digest] = None
        if len(_good_specs) > _REMEMBERED:
            _good_specs.popitem(last=False)


_GENERATED = re.compile(rb'"kube-api-access-([bcdfghjklmnpqrstvwxz2456789]{5})"')


def _comparable(spec: bytes) -> bytes:
    """The bytes of a spec without the random part in the name of its token volume, which makes the pods of a series
    differ. Only a name that is the same wherever it stands: two such names may be told apart by validation."""
    names = set(_GENERATED.findall(spec))
    return _GENERATED.sub(b'"kube-api-access"', spec) if len(names) == 1 else spec


def update(errors: Errors, pod: Object, old: Object, subresource: str) -> None:
    if subresource == "status":
        validate_metadata_update(errors, pod, old)
        _validate_status(errors, pod, old)
        return
    spec, before = pod.get("spec") or {}, old.get("spec") or {}
    validate_metadata_update(errors, pod, old)
    _validate_pod(errors, pod, spec)
    if subresource == "ephemeralcontainers":
        _validate_ephemeral_update(errors, spec, before)
        return
    if subresource == "resize":
        return
    stop = False
    for kind in ("containers", "initContainers"):
        new, was = spec.get(kind) or [], before.get(kind) or []
        if len(new) != len(was):
            errors.forbidden(f"spec.{kind}", "pod updates may not add or remove containers")
            stop = True
    if stop:
        return
    for kind in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(kind) or ()):
            if not (container.get("image") or "").strip():
                errors.required(f"spec.{kind}[{i}].image")
    _validate_deadline(errors, spec, before)
    _validate_tolerations(errors, spec.get("tolerations") or [], before.get("tolerations") or [])
    _validate_gates(errors, spec, before)
    munged = _munge(spec, before)
    if munged != before:
        shown = struct_difference("PodSpec", before, munged)
        if shown:  # two spellings of one spec are no change
            errors.forbidden("spec", f"{_CHANGEABLE}\n{shown}")


def _validate_deadline(errors: Errors, spec: Object, before: Object) -> None:
    new, was = spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    if new is not None:
        if not 0 <= new <= 2147483647:
            errors.invalid("spec.activeDeadlineSeconds", new, "must be between 0 and 2147483647, inclusive")
        elif was is not None and was < new:
            errors.invalid("spec.activeDeadlineSeconds", new, "must be less than or equal to previous value")
    elif was is not None:
        errors.invalid("spec.activeDeadlineSeconds", new, "must not update from a positive integer to nil value")


def _validate_tolerations(errors: Errors, new: list[Object], was: list[Object]) -> None:
    def key(toleration: Object) -> Any:
        return {name: value for name, value in toleration.items() if name != "tolerationSeconds"}

    kept = [key(toleration) for toleration in new]
    if any(key(toleration) not in kept for toleration in was):
        errors.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")


def _validate_gates(errors: Errors, spec: Object, before: Object) -> None:
    was = {gate.get("name") for gate in before.get("schedulingGates") or ()}
    added = [gate.get("name") for gate in spec.get("schedulingGates") or () if gate.get("name") not in was]
    if added:
        errors.forbidden("spec.schedulingGates", "only deletion is allowed, but found new scheduling gate "
                                                 + ", ".join(f"'{name}'" for name in added))


def _munge(spec: Object, before: Object) -> Object:
    """The new spec with everything that may change put back: what then differs may not."""
    munged = copy.copy(spec)
    for kind in ("containers", "initContainers"):
        if kind in munged:
            munged[kind] = [{**container, "image": was.get("image")} for container, was
                            in zip(munged[kind] or (), before.get(kind) or (), strict=False)]
    for name in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        munged.pop(name, None)
        if name in before:
            munged[name] = before[name]
    was_grace = before.get("terminationGracePeriodSeconds")
    if was_grace is not None and was_grace < 0 and munged.get("terminationGracePeriodSeconds") == 1:
        munged["terminationGracePeriodSeconds"] = was_grace
    return munged


def _validate_ephemeral_update(errors: Errors, spec: Object, before: Object) -> None:
    new = {container.get("name"): container for container in spec.get("ephemeralContainers") or ()}
    for was in before.get("ephemeralContainers") or ():
        name = was.get("name")
        if name not in new:
            errors.forbidden("spec.ephemeralContainers",
                             f"existing ephemeral containers \"{name}\" may not be removed\n")
        elif new[name] != was:
            errors.forbidden("spec.ephemeralContainers",
                             f"existing ephemeral containers \"{name}\" may not be changed\n")


def _validate_status(errors: Errors, pod: Object, old: Object) -> None:
    status, before = pod.get("status") or {}, old.get("status") or {}
    nominated = status.get("nominatedNodeName") or ""
    if nominated:
        from machinery.meta import names

        errors.invalid_all("status.nominatedNodeName", nominated, names.dns1123_subdomain(nominated))
    spec = old.get("spec") or {}
    never = spec.get("restartPolicy") == "Never"
    # Sidecars, and containers with a policy or rules of their own, may start again in a pod that never restarts.
    free = {entry.get("name") for key in ("initContainers", "containers") for entry in spec.get(key) or ()
            if entry.get("restartPolicyRules") or entry.get("restartPolicy") in ("Always", "OnFailure")}
    for kind in ("containerStatuses", "initContainerStatuses"):
        if not never:
            continue
        now = {entry.get("name"): entry for entry in status.get(kind) or ()}
        for i, entry in enumerate(before.get(kind) or ()):
            ended = (entry.get("state") or {}).get("terminated")
            if ended and entry.get("name") in free:
                continue
            if ended and entry.get("name") in now and not (now[entry["name"]].get("state") or {}).get("terminated"):
                errors.forbidden(f"status.{kind}[{i}].state", "may not be transitioned to non-terminated state")


RULES = {("", "Pod"): Rules(create, update)}
