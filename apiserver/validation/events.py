"""Events of both groups, in the form of the core group in which they are stored."""

from __future__ import annotations

from apiserver.validation.field import Errors, Object
from apiserver.validation.objectmeta import PATH_SEGMENT, validate_metadata
from apiserver.validation.rules import Rules


def create(errors: Errors, event: Object) -> None:
    involved = event.get("involvedObject") or event.get("regarding") or {}
    namespace = (event.get("metadata") or {}).get("namespace") or ""
    given = involved.get("namespace") or ""
    if not given:
        # Objects without a namespace have their events in the default one.
        if namespace not in ("default", "kube-system"):
            errors.invalid("involvedObject.namespace", given, "does not match event.namespace")
    elif given != namespace:
        errors.invalid("involvedObject.namespace", given, "does not match event.namespace")
    if not errors:
        validate_metadata(errors, event, True, PATH_SEGMENT, core=False)


def update(errors: Errors, event: Object, old: Object, subresource: str) -> None:
    create(errors, event)


RULES = {("", "Event"): Rules(create, update), ("events.k8s.io", "Event"): Rules(create, update)}
