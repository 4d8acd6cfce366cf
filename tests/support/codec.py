# SPDX-License-Identifier: Apache-2.0
"""Values of records: plain JSON, or Avro single-object encoding with the schemas of this repository (read by fastavro)."""

import functools
import io
import json
from pathlib import Path

import fastavro
from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
MARK = b"\xc3\x01"


@functools.cache
def schema(name):
    """schemas/NAME.avsc, parsed."""
    return load_schema(str(SCHEMAS / f"{name}.avsc"))


def fingerprint_of(parsed):
    """CRC-64-AVRO, the 8 bytes as they stand on the wire."""
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(parsed), "CRC-64-AVRO"))


@functools.cache
def _known_schemas():
    files = sorted(SCHEMAS.rglob("*.avsc"))
    return {fingerprint_of(parsed): parsed for parsed in (load_schema(str(file)) for file in files)}


def encode(name, fields):
    """fields as an Avro single object of schemas/NAME.avsc."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, schema(name), fields)
    return MARK + fingerprint_of(schema(name)) + body.getvalue()


def decode(value):
    """The fields of a value in either encoding; Avro's absent (null) fields are left out, as in JSON."""
    if value[:1] == b"{":
        return json.loads(value)
    assert value[:2] == MARK, f"neither JSON nor an Avro single object: {value[:40]!r}"
    parsed = _known_schemas().get(value[2:10])
    assert parsed is not None, f"no schema under schemas/ has the fingerprint {value[2:10].hex()}"
    body = io.BytesIO(value[10:])
    fields = fastavro.schemaless_reader(body, parsed, None)
    assert not body.read(1), "bytes behind the end of an Avro object"
    return _without_nulls(fields)


def _without_nulls(fields):
    if isinstance(fields, dict):
        return {name: _without_nulls(value) for name, value in fields.items() if value is not None}
    return fields
