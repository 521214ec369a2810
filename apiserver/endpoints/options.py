"""Query parameters as the option objects that they are: read, then validated in upstream's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from multidict import MultiMapping

from machinery.meta.errors import ApiError, bad_request, invalid

FALSE_WORDS = ("false", "0")
FIELD_VALIDATIONS = ("Ignore", "Strict", "Warn")
PROPAGATION = ("Foreground", "Background", "Orphan")
MAX_MANAGER = 128

Cause = dict[str, Any]


def cause(reason: str, field_path: str, message: str) -> Cause:
    return {"reason": reason, "message": message, "field": field_path}


def is_true(value: str | None) -> bool:
    return value is not None and value.lower() not in FALSE_WORDS


def parse_int(text: str) -> int:
    """As the server of upstream reads a number in a query."""
    try:
        if not text.strip() == text or "_" in text:
            raise ValueError
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


@dataclass(slots=True)
class WriteOptions:
    """Create, update and patch."""

    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = ""
    force: bool | None = None

    @property
    def strictness(self) -> str:
        return self.field_validation or "Warn"


def read_write_options(query: MultiMapping[str], options_kind: str, *, apply: bool = False) -> WriteOptions:
    causes: list[Cause] = []
    dry_run = query.getall("dryRun", [])
    options = WriteOptions(
        field_manager=query.get("fieldManager", ""), field_validation=query.get("fieldValidation", ""),
    )
    if "force" in query:
        options.force = is_true(query["force"])
    if options_kind == "PatchOptions" and not apply and options.force is not None:
        causes.append(cause("FieldValueForbidden", "force", "Forbidden: may not be specified for non-apply patch"))
    if apply and not options.field_manager:
        causes.append(cause("FieldValueRequired", "fieldManager", "Required value: is required for apply patch"))
    causes += _manager_causes(options.field_manager)
    causes += _dry_run_causes(dry_run)
    if options.field_validation not in ("", *FIELD_VALIDATIONS):
        causes.append(cause(
            "FieldValueNotSupported", "fieldValidation",
            f'Unsupported value: "{options.field_validation}": supported values: "", "Ignore", "Strict", "Warn"',
        ))  # fmt: skip
    if causes:
        raise invalid("meta.k8s.io", options_kind, "", causes)
    options.dry_run = "All" in dry_run
    return options


def _dry_run_causes(values: Sequence[str]) -> list[Cause]:
    if all(value == "All" for value in values):
        return []
    shown = "[" + ", ".join(f'"{value}"' for value in values) + "]"
    shown = "[" + ",".join(f'"{value}"' for value in values) + "]"
    return [cause("FieldValueNotSupported", "dryRun", f'Unsupported value: {shown}: supported values: "All"')]


def _manager_causes(manager: str) -> list[Cause]:
    causes = []
    if len(manager) > MAX_MANAGER:
        causes.append(cause("FieldValueTooLong", "fieldManager", f"Too long: may not be more than {MAX_MANAGER} bytes"))
    for at, char in enumerate(manager):
        if not char.isprintable():
            shown = manager.encode("unicode_escape").decode()
            causes.append(cause(
                "FieldValueInvalid", "fieldManager",
                f'Invalid value: "{shown}": invalid character U+{ord(char):04X} (at position {at})',
            ))  # fmt: skip
            break
    return causes


@dataclass(slots=True)
class DeleteOptions:
    grace_period_seconds: int | None = None
    propagation_policy: str = ""
    orphan_dependents: bool | None = None
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False
    ignore_store_read_error: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


def delete_options_from_query(query: MultiMapping[str]) -> DeleteOptions:
    options = DeleteOptions()
    if query.get("gracePeriodSeconds"):
        options.grace_period_seconds = parse_int(query["gracePeriodSeconds"])
    options.propagation_policy = query.get("propagationPolicy", "")
    if "orphanDependents" in query:
        options.orphan_dependents = is_true(query["orphanDependents"])
    _check_delete(options, query.getall("dryRun", []), "propagationPolicy" in query)
    return options


def delete_options_from_body(body: Mapping[str, Any]) -> DeleteOptions:
    preconditions = body.get("preconditions") or {}
    options = DeleteOptions(
        body.get("gracePeriodSeconds"), body.get("propagationPolicy") or "", body.get("orphanDependents"),
        preconditions.get("uid"), preconditions.get("resourceVersion"),
    )  # fmt: skip
    _check_delete(options, body.get("dryRun") or [], body.get("propagationPolicy") is not None)
    return options


def _check_delete(options: DeleteOptions, dry_run: Sequence[str], has_policy: bool) -> None:
    causes: list[Cause] = []
    if options.orphan_dependents is not None and has_policy:
        causes.append(cause(
            "FieldValueInvalid", "propagationPolicy",
            f'Invalid value: "{options.propagation_policy}": '
            "orphanDependents and deletionPropagation cannot be both set",
        ))  # fmt: skip
    if has_policy and options.propagation_policy not in PROPAGATION:
        causes.append(cause(
            "FieldValueNotSupported", "propagationPolicy",
            f'Unsupported value: "{options.propagation_policy}": supported values: "Foreground", "Background", '
            '"Orphan", "nil"',
        ))  # fmt: skip
    causes += _dry_run_causes(dry_run)
    if causes:
        raise invalid("meta.k8s.io", "DeleteOptions", "", causes)
    options.dry_run = "All" in dry_run


@dataclass(slots=True)
class ListOptions:
    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_token: str = ""
    resource_version: str = ""
    match: str = ""
    watch: bool = False
    bookmarks: bool = False
    send_initial_events: bool | None = None
    timeout_seconds: int | None = None


def read_list_options(query: MultiMapping[str], *, watch: bool) -> ListOptions:
    options = ListOptions(watch=watch)
    if not query:
        return options
    options.label_selector = query.get("labelSelector", "")
    options.field_selector = query.get("fieldSelector", "")
    if query.get("limit"):
        options.limit = parse_int(query["limit"])
    options.continue_token = query.get("continue", "")
    options.resource_version = query.get("resourceVersion", "")
    options.match = query.get("resourceVersionMatch", "")
    options.bookmarks = is_true(query.get("allowWatchBookmarks"))
    if "sendInitialEvents" in query:
        options.send_initial_events = is_true(query["sendInitialEvents"])
    if query.get("timeoutSeconds"):
        options.timeout_seconds = parse_int(query["timeoutSeconds"])
    causes = _list_causes(options)
    if causes:
        raise invalid("meta.k8s.io", "ListOptions", "", causes)
    return options


def _list_causes(options: ListOptions) -> list[Cause]:
    return _watch_match_causes(options) if options.watch else _list_match_causes(options)


def _forbidden(field_path: str, text: str) -> Cause:
    return cause("FieldValueForbidden", field_path, f"Forbidden: {text}")


def _list_match_causes(options: ListOptions) -> list[Cause]:
    match, name, causes = options.match, "resourceVersionMatch", []
    if match:
        if not options.resource_version:
            causes.append(_forbidden(name, f"{name} is forbidden unless resourceVersion is provided"))
        if options.continue_token:
            causes.append(_forbidden(name, f"{name} is forbidden when continue is provided"))
        if match not in ("Exact", "NotOlderThan"):
            causes.append(cause(
                "FieldValueNotSupported", name,
                f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""',
            ))  # fmt: skip
        if match == "Exact" and options.resource_version == "0":
            causes.append(_forbidden(name, f'{name} "exact" is forbidden for resourceVersion "0"'))
    if options.send_initial_events is not None:
        causes.append(_forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return causes


def _watch_match_causes(options: ListOptions) -> list[Cause]:
    match, name, causes = options.match, "resourceVersionMatch", []
    initial = options.send_initial_events
    if initial is not None and match != "NotOlderThan":
        causes.append(_forbidden(name, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
    if match:
        if initial is None:
            causes.append(_forbidden(name, f"{name} is forbidden for watch unless sendInitialEvents is provided"))
        if match != "NotOlderThan":
            causes.append(cause(
                "FieldValueNotSupported", name, f'Unsupported value: "{match}": supported values: "NotOlderThan"'
            ))
        if options.continue_token:
            causes.append(_forbidden(name, f"{name} is forbidden when continue is provided"))
    elif options.continue_token:
        causes.append(_forbidden(name, f"{name} is forbidden when continue is provided"))
    return causes


def check_resource_version(text: str) -> int:
    """A resourceVersion in a list. Raises 400."""
    number = parse_uint(text)
    if number is None:
        raise bad_request(f"invalid resource version: {resource_version_complaint(text)}")
    return number


def parse_uint(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def resource_version_complaint(text: str) -> str:
    return f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'


def bad_resource_version(text: str) -> ApiError:
    """In a get or watch a bad version is, to upstream, the server's failure."""
    return ApiError(500, "", resource_version_complaint(text), None)
