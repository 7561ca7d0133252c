"""The two forms of the log."""

from __future__ import annotations

import json
import logging
import logging.config
from datetime import UTC, datetime

import pytest

from service.observability.logs import JsonLines, TextLines, logging_config
from service.observability.request_log import request_id


def record(message: str, *values: object, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("service.access", logging.INFO, __file__, 1, message, values, None)
    made.fields = fields
    return made


def test_json_is_one_object_a_line_whatever_is_in_it() -> None:
    token = request_id.set("seven")
    try:
        nasty = 'a\n{"level": "ERROR"}\u2028\x1b[31m"'
        line = JsonLines().format(record("%s left", nasty, path=nasty, status=200, key=None, ms=1.5))
    finally:
        request_id.reset(token)
    assert len(line.splitlines()) == 1
    event = json.loads(line)
    assert event["message"] == f"{nasty} left"
    assert (event["request_id"], event["level"], event["logger"]) == ("seven", "INFO", "service.access")
    assert (event["path"], event["status"], event["ms"]) == (nasty, 200, 1.5)
    assert "key" not in event
    age = datetime.now(UTC) - datetime.fromisoformat(event["time"])
    assert 0 <= age.total_seconds() < 60


def test_text_is_one_line_whatever_is_in_it() -> None:
    line = TextLines().format(record("%s left", "a\nERROR b\x1b[31m\u2028c", client="1.2.3.4\nx", status=200))
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    assert "a\\nERROR b\\x1b[31m" in line
    assert "client=1.2.3.4\\nx" in line


@pytest.mark.parametrize("form", [TextLines(), JsonLines()])
def test_a_failure_brings_its_stack(form: logging.Formatter) -> None:
    try:
        raise ValueError("the cause")
    except ValueError as error:
        failed = record("failed")
        failed.exc_info = (ValueError, error, error.__traceback__)
    text = form.format(failed)
    assert "test_a_failure_brings_its_stack" in text
    assert "the cause" in text


def test_the_message_of_an_error_forges_no_line() -> None:
    error = ValueError("a\n2026-05-04T09:12:33.123+00:00 INFO PUT /v1/items/b 201\x1b[31m")
    failed = record("failed")
    failed.exc_info = (ValueError, error, None)
    first, *stack = TextLines().format(failed).splitlines()
    assert first.endswith("failed")
    assert all(line.startswith("  ") and "\x1b" not in line for line in stack)


def test_the_configuration_is_one_that_logging_takes(capsys: pytest.CaptureFixture[str]) -> None:
    root, ours = logging.getLogger(), logging.getLogger("service")
    before = (root.handlers[:], root.level, ours.level)
    try:
        logging.config.dictConfig(logging_config("json"))
        logging.getLogger("service.app").info("told")
        logging.getLogger("some.library").info("not told")
        logging.getLogger("some.library").warning("told too")
        logging.getLogger("python_multipart.multipart").warning("not told")
    finally:
        root.handlers[:], root.level = before[0], before[1]
        ours.setLevel(before[2])
    messages = [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()]
    assert messages == ["told", "told too"]
