# SPDX-License-Identifier: Apache-2.0
"""The golden vectors under schemas/golden: records as their fields, as plain JSON and as Avro bytes, made with fastavro.

`python3 golden.py` writes them anew. schemas/README.md describes the files."""

import io
import json
from pathlib import Path

import fastavro
from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
FILES = {"task": "task", "result": "result", "control": "control", "journal": "journal", "history": "attempt_history"}


def schema(kind):
    return load_schema(str(SCHEMAS / f"{FILES[kind]}.avsc"))


def fingerprint_of(parsed):
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(parsed), "CRC-64-AVRO"))


def avro(kind, fields):
    """The single-object encoding."""
    parsed, body = schema(kind), io.BytesIO()
    fastavro.schemaless_writer(body, parsed, fields)
    return b"\xc3\x01" + fingerprint_of(parsed) + body.getvalue()


def fields_of(kind, value):
    """The fields of an Avro value."""
    parsed, body = schema(kind), io.BytesIO(value[10:])
    assert value[:10] == b"\xc3\x01" + fingerprint_of(parsed)
    fields = fastavro.schemaless_reader(body, parsed, None)
    assert not body.read()
    return fields


ROOT_CAUSE = {"type": "Errno", "message": "connection refused", "details": b"errno 111", "details_content_type": "text/plain"}
CAUSE = {"type": "IoError", "message": "no answer", "cause": ROOT_CAUSE}
FAILURE = {
    "type": "CardDeclined", "message": "Karte abgelehnt: “insufficient funds” ✗", "non_retryable": True, "benign": True,
    "next_retry_delay_ms": 2500, "details": b'{"code":51}', "details_content_type": "application/json", "cause": CAUSE,
}
FAILURE_JSON = {
    "type": "CardDeclined", "message": "Karte abgelehnt: “insufficient funds” ✗", "non_retryable": True, "benign": True,
    "next_retry_delay_ms": 2500, "details": {"code": 51},
    "cause": {
        "type": "IoError", "message": "no answer", "non_retryable": False,
        "cause": {
            "type": "Errno", "message": "connection refused", "non_retryable": False, "details_base64": "ZXJybm8gMTEx",
            "details_content_type": "text/plain",
        },
    },
}
TIMEOUT = {"type": "Timeout:Heartbeat", "message": "activity resize timeout", "timeout_type": "HEARTBEAT"}
ATTEMPTS = [
    {"attempt": 1, "started_at_ms": 1700000000100, "failed_at_ms": 1700000000200, "failure": FAILURE},
    {"attempt": 2, "failed_at_ms": 1700000005000, "failure": TIMEOUT},
]

# kind: [(name, fields of the Avro record, the same record in JSON or None)]. Fields that are left out have their default.
VECTORS = {
    "task": [
        ("minimal", {"activity_type": "greet"}, {"activity_type": "greet"}),
        (
            "typical",
            {
                "activity_type": "charge_card", "workflow_id": "order-1001", "activity_id": "charge",
                "input": b'{"card":"4242","amount_cents":1999}', "content_type": "application/json", "start_to_close_timeout_ms": 30000,
                "retry_policy": {"maximum_attempts": 5},
            },
            {
                "activity_type": "charge_card", "workflow_id": "order-1001", "activity_id": "charge",
                "input": {"card": "4242", "amount_cents": 1999}, "start_to_close_timeout_ms": 30000, "retry_policy": {"maximum_attempts": 5},
            },
        ),
        (
            "full",
            {
                "activity_type": "größe/ändern", "workflow_id": "a/b%c", "activity_id": "✓", "run_id": "run-1", "input": bytes(range(256)),
                "content_type": "application/octet-stream", "encoding": "zstd", "schedule_to_close_timeout_ms": 3600000,
                "schedule_to_start_timeout_ms": 60000, "start_to_close_timeout_ms": 300000, "heartbeat_timeout_ms": 1,
                "retry_policy": {
                    "initial_interval_ms": 250, "backoff_coefficient": 1.5, "maximum_interval_ms": 3155760000000, "maximum_attempts": 0,
                    "non_retryable_error_types": ["BadInput", "Timeout:StartToClose"],
                },
                "start_delay_ms": 5000, "priority": 1, "fairness_key": "tenant-7", "reply_topic": "orders.replies_1-x",
                "id_reuse_policy": "REJECT_DUPLICATE", "id_conflict_policy": "FAIL", "scheduled_at_ms": 1700000000000,
            },
            {
                "activity_type": "größe/ändern", "workflow_id": "a/b%c", "activity_id": "✓", "run_id": "run-1",
                "input_base64": (
                    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0BBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltc"
                    "XV5fYGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn+AgYKDhIWGh4iJiouMjY6PkJGSk5SVlpeYmZqbnJ2en6ChoqOkpaanqKmqq6ytrq+wsbKztLW2t7i5"
                    "uru8vb6/wMHCw8TFxsfIycrLzM3Oz9DR0tPU1dbX2Nna29zd3t/g4eLj5OXm5+jp6uvs7e7v8PHy8/T19vf4+fr7/P3+/w=="
                ),
                "content_type": "application/octet-stream", "encoding": "zstd", "schedule_to_close_timeout_ms": 3600000,
                "schedule_to_start_timeout_ms": 60000, "start_to_close_timeout_ms": 300000, "heartbeat_timeout_ms": 1,
                "retry_policy": {
                    "initial_interval_ms": 250, "backoff_coefficient": 1.5, "maximum_interval_ms": 3155760000000, "maximum_attempts": 0,
                    "non_retryable_error_types": ["BadInput", "Timeout:StartToClose"],
                },
                "start_delay_ms": 5000, "priority": 1, "fairness_key": "tenant-7", "reply_topic": "orders.replies_1-x",
                "id_reuse_policy": "REJECT_DUPLICATE", "id_conflict_policy": "FAIL", "scheduled_at_ms": 1700000000000,
            },
        ),
    ],
    "result": [
        (
            "raw",
            {
                "task_key": "k", "run_id": "r", "queue": "q", "status": "CANCELED", "attempt": 2, "result": b"\x00\xff",
                "content_type": "image/png", "encoding": "zstd", "retry_state": "CANCEL_REQUESTED", "closed_at_ms": 1, "result_id": "i",
            },
            {
                "task_key": "k", "run_id": "r", "queue": "q", "status": "CANCELED", "attempt": 2, "result_base64": "AP8=",
                "content_type": "image/png", "encoding": "zstd", "retry_state": "CANCEL_REQUESTED", "closed_at_ms": 1, "result_id": "i",
            },
        ),
        (
            "completed",
            {
                "task_key": "order-1001/charge", "workflow_id": "order-1001", "activity_id": "charge", "run_id": "run-1",
                "activity_type": "charge_card", "queue": "default", "status": "COMPLETED", "attempt": 3, "result": b'{"receipt":"r-1"}',
                "content_type": "application/json", "scheduled_at_ms": 1700000000000, "started_at_ms": 1700000003000,
                "closed_at_ms": 1700000003100, "result_id": "0123456789abcdef", "worker": "host-1-77",
            },
            {
                "task_key": "order-1001/charge", "workflow_id": "order-1001", "activity_id": "charge", "run_id": "run-1",
                "activity_type": "charge_card", "queue": "default", "status": "COMPLETED", "attempt": 3, "result": {"receipt": "r-1"},
                "scheduled_at_ms": 1700000000000, "started_at_ms": 1700000003000, "closed_at_ms": 1700000003100,
                "result_id": "0123456789abcdef", "worker": "host-1-77",
            },
        ),
        (
            "failed",
            {
                "task_key": "t:0:17", "run_id": "t:0:17", "activity_type": "charge_card", "queue": "default", "status": "FAILED", "attempt": 1,
                "failure": FAILURE, "retry_state": "NON_RETRYABLE_FAILURE", "last_heartbeat_details": b"50 %",
                "last_heartbeat_details_content_type": "text/plain", "last_heartbeat_details_encoding": "none", "closed_at_ms": 1700000003100,
                "result_id": "r2",
            },
            {
                "task_key": "t:0:17", "run_id": "t:0:17", "activity_type": "charge_card", "queue": "default", "status": "FAILED", "attempt": 1,
                "failure": FAILURE_JSON, "retry_state": "NON_RETRYABLE_FAILURE", "last_heartbeat_details_base64": "NTAgJQ==",
                "last_heartbeat_details_content_type": "text/plain", "last_heartbeat_details_encoding": "none", "closed_at_ms": 1700000003100,
                "result_id": "r2",
            },
        ),
    ],
    "control": [
        (
            "raw",
            {
                "command": "COMPLETE", "task_key": "k", "token": "r.0.2.n", "result": b"\x00\xff", "content_type": "image/png", "encoding": "zstd",
                "details": b"\x01", "details_content_type": "x/y", "details_encoding": "aes",
            },
            {
                "command": "COMPLETE", "task_key": "k", "result_base64": "AP8=", "content_type": "image/png", "encoding": "zstd",
                "details_base64": "AQ==", "details_content_type": "x/y", "details_encoding": "aes", "token": "r.0.2.n",
            },
        ),
        ("cancel", {"command": "CANCEL", "task_key": "order-1001/charge"}, {"command": "CANCEL", "task_key": "order-1001/charge"}),
        (
            "full",
            {
                "command": "FAIL", "task_key": "k", "run_id": "r", "request_id": "q-1", "reason": "gave up", "result": b"1",
                "content_type": "application/json", "failure": FAILURE, "details": b"[7]", "details_content_type": "application/json",
                "token": "r.0.2.n", "options": '{"priority":2}',
            },
            {
                "command": "FAIL", "task_key": "k", "run_id": "r", "request_id": "q-1", "reason": "gave up", "result": 1,
                "failure": FAILURE_JSON, "details": [7], "token": "r.0.2.n", "options": {"priority": 2},
            },
        ),
    ],
    "journal": [
        ("checkpoint", {"kind": "CHECKPOINT", "task_key": "checkpoint", "control_offset": 12345}, None),
        (
            "backoff",
            {
                "kind": "BACKOFF", "task_key": "order-1001/charge", "run_id": "run-1", "epoch": 2, "attempt": 3, "due_at_ms": 1700000009000,
                "cancel_requested": True, "pause_requested": True, "record_id": "millrace.tasks.default:4:99", "topic": "millrace.tasks.default",
                "task": b'{"activity_type":"greet"}', "headers": [{"name": b"trace", "value": b"\x00\xff"}, {"name": b"empty", "value": None}],
                "task_record_key": b"order-1001/charge", "scheduled_at_ms": 1700000000000, "lost": 1, "failures": ATTEMPTS,
                "heartbeat_details": b"{}", "heartbeat_details_content_type": "application/json", "heartbeat_details_encoding": "x",
                "worker": "host-1-77", "nonce": "n-1", "started_at_ms": 1700000008000, "control_offset": 0, "close_at_ms": 1700000060000,
                "heartbeat_timeout_ms": 5000,
            },
            None,
        ),
        (
            "command",
            {
                "kind": "COMMAND", "task_key": "order-1001/charge", "run_id": "run-1", "epoch": 1, "cancel_requested": True,
                "control_offset": 8, "terminate_requested": True, "options": '{"priority":2}', "request_ids": ["q-1", "q-2"],
            },
            None,
        ),
    ],
    "history": [("empty", {"failures": []}, None), ("two", {"failures": ATTEMPTS}, None)],
}


def _printable(value):
    """Bytes as strings of the characters U+0000 to U+00FF, as in Avro's JSON encoding."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {name: _printable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_printable(inner) for inner in value]
    return value


def json_text(record):
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def documents():
    """The text of each golden file by its kind."""
    texts = {}
    for kind, vectors in VECTORS.items():
        entries = []
        for name, fields, record in vectors:
            entry = {"name": name, "fields": _printable(fields), "avro": avro(kind, fields).hex()}
            if record is not None:
                entry["json"] = json_text(record)
            entries.append(entry)
        texts[kind] = json.dumps(entries, indent=1, ensure_ascii=True) + "\n"
    return texts


def path(kind):
    return SCHEMAS / "golden" / f"{kind}.json"


if __name__ == "__main__":
    for kind, text in documents().items():
        path(kind).write_text(text)
