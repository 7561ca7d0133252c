"""The log: one line an event on stdout, to be read by people or, as JSON, by programs."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Literal

from service.observability.request_log import request_id

LogFormat = Literal["text", "json"]

_CONTROL = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


class _Lines(logging.Formatter):
    """What both forms share: the moment, the request, and fields beside the message."""

    def moment(self, record: logging.LogRecord) -> str:
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        fields: dict[str, Any] = getattr(record, "fields", {})
        return {name: value for name, value in fields.items() if value is not None}


class TextLines(_Lines):
    """`MOMENT LEVEL [REQUEST] MESSAGE name=value ...`; a stack, where there is one, on indented lines below."""

    def format(self, record: logging.LogRecord) -> str:
        """One event."""
        id = request_id.get()
        # A control character in a client's text could start a line that looks like another event.
        message = record.getMessage().translate(_CONTROL)
        beside = "".join(
            f" {name}={str(value).translate(_CONTROL)}"
            for name, value in self.fields(record).items()
            if name not in ("method", "path", "status")
        )
        line = f"{self.moment(record)} {record.levelname}{f' [{id}]' if id else ''} {message}{beside}"
        if record.exc_info:
            # Its last line is an error's message, which may quote what a client sent.
            stack = self.formatException(record.exc_info).split("\n")
            line += "".join(f"\n  {part.translate(_CONTROL)}" for part in stack)
        return line


class JsonLines(_Lines):
    """One JSON object a line: time, level, logger, message, request_id, the fields, and `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """One event."""
        event = {
            "time": self.moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
            **self.fields(record),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in event.items() if value is not None}, default=str)


def logging_config(form: LogFormat) -> dict[str, Any]:
    """For `logging.config.dictConfig`: everything of ours from INFO, of others from WARNING."""
    lines = {"text": TextLines, "json": JsonLines}[form]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": lines}},
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "formatter": "lines",
                "stream": "ext://sys.stdout",
            }
        },
        "root": {"level": "WARNING", "handlers": ["stdout"]},
        "loggers": {
            **{name: {"level": "INFO"} for name in ("service", "retrieval", "indexes")},
            # The parser of forms warns of every malformed one; the client is told, and the log is not theirs to fill.
            "python_multipart": {"level": "ERROR"},
        },
    }
