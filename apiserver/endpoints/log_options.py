"""Options of a log request: checked, and written anew for the agent. Pure."""

from __future__ import annotations

from multidict import MultiMapping

from apiserver.endpoints.options import is_true, parse_int
from machinery.meta.errors import invalid
from machinery.meta.objects import parse_time

STREAMS = ("All", "Stdout", "Stderr")


def log_query(query: MultiMapping[str], pod: str) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    causes: list[dict[str, str]] = []
    numbers = {name: parse_int(query[name]) for name in ("tailLines", "limitBytes", "sinceSeconds") if query.get(name)}
    tail = numbers.get("tailLines", 0)
    if tail < 0:
        causes.append(_invalid("tailLines", f"Invalid value: {tail}: must be greater than or equal to 0"))
    if "limitBytes" in numbers and numbers["limitBytes"] < 1:
        causes.append(_invalid("limitBytes", f"Invalid value: {numbers['limitBytes']}: must be greater than 0"))
    since_time = query.get("sinceTime", "")
    if "sinceSeconds" in numbers and since_time:
        causes.append(_forbidden("[]", "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"))
    elif "sinceSeconds" in numbers and numbers["sinceSeconds"] < 1:
        causes.append(_invalid("sinceSeconds", f"Invalid value: {numbers['sinceSeconds']}: must be greater than 0"))
    if query.get("stream") and query["stream"] not in STREAMS:
        causes.append(_forbidden("stream", "Forbidden: may not be specified"))
    if causes:
        raise invalid("", "PodLogOptions", pod, causes)
    for name in ("follow", "previous", "timestamps"):
        if is_true(query.get(name)):
            out.append((name, "true"))
    out += [(name, str(value)) for name, value in numbers.items()]
    if since_time and _is_time(since_time):
        out.append(("sinceTime", since_time))
    if query.get("stream"):
        out.append(("stream", query["stream"]))
    return out


def _is_time(text: str) -> bool:
    try:
        parse_time(text)
    except ValueError:
        return False
    return True


def _invalid(field: str, message: str) -> dict[str, str]:
    return {"reason": "FieldValueInvalid", "message": message, "field": field}


def _forbidden(field: str, message: str) -> dict[str, str]:
    return {"reason": "FieldValueForbidden", "message": message, "field": field}
