"""How events print, in both of their groups. The two forms differ in names only, so each value has two addresses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from machinery.api.printers.cells import name_of
from machinery.api.printers.columns import NAME_DOC, Cells, Column, Printer, wide
from machinery.api.printers.durations import UNKNOWN, since

Object = dict[str, Any]


def _event_row(event: Object, now: datetime) -> Cells:
    involved = event.get("involvedObject") or event.get("regarding") or {}
    source = event.get("source") or event.get("deprecatedSource") or {}
    series = event.get("series") or {}
    first = since(event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp"), now)
    if first == UNKNOWN:
        first = since(event.get("eventTime"), now)
    last = since(event.get("lastTimestamp") or event.get("deprecatedLastTimestamp"), now)
    if last == UNKNOWN:
        last = first
    count = event.get("count") or event.get("deprecatedCount") or 0
    if event.get("series") is not None:
        last = since(series.get("lastObservedTime"), now)
        count = series.get("count", 0)
    kind, name = str(involved.get("kind", "")).lower(), involved.get("name")
    component = source.get("component") or event.get("reportingComponent") or event.get("reportingController") or ""
    instance = source.get("host") or event.get("reportingInstance")
    return [
        last, event.get("type", ""), event.get("reason", ""), f"{kind}/{name}" if name else kind,
        involved.get("fieldPath", ""), f"{component}, {instance}" if instance else component,
        str(event.get("message") or event.get("note") or "").strip(), first, count or 1, name_of(event),
    ]  # fmt: skip


_EVENT = "core.v1.Event."
_PRINTER = Printer(
    (
        Column("Last Seen", doc=_EVENT + "lastTimestamp"), Column("Type", doc=_EVENT + "type"),
        Column("Reason", doc=_EVENT + "reason"), Column("Object", doc=_EVENT + "involvedObject"),
        wide("Subobject", doc="core.v1.ObjectReference.fieldPath"), wide("Source", doc=_EVENT + "source"),
        Column("Message", doc=_EVENT + "message"), wide("First Seen", doc=_EVENT + "firstTimestamp"),
        wide("Count", doc=_EVENT + "count"), Column("Name", format="name", priority=1, doc=NAME_DOC),
    ),
    _event_row,
)  # fmt: skip

PRINTERS = {("v1", "Event"): _PRINTER, ("events.k8s.io/v1", "Event"): _PRINTER}
