"""Structured logs, one line a decision, to standard error: ``time level component message key=value…`` or JSON."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog


def configure(component: str, *, level: str = "info", format_: Literal["text", "json"] = "text") -> None:
    """Set up structlog for this process. ``level`` is debug, info, warning or error."""
    number = getattr(logging, level.upper(), logging.INFO)
    renderer: structlog.types.Processor
    if format_ == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=0, sort_keys=False,
            exception_formatter=structlog.dev.plain_traceback,  # rich's would print local variables: secrets among them
        )

    def add_component(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        event.setdefault("component", component)
        return event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            add_component,
            structlog.processors.format_exc_info if format_ == "json" else _keep,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr, force=True)


def _keep(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    return event
