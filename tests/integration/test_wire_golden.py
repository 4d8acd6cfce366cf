# SPDX-License-Identifier: Apache-2.0
"""What the programs read and write, byte for byte, against another Avro implementation (fastavro)."""

import json
import subprocess

import fastavro.schema
import pytest

from support import golden

VECTORS = [pytest.param(kind, *vector, id=f"{kind}-{vector[0]}") for kind, vectors in golden.VECTORS.items() for vector in vectors]
IN_JSON = [vector for vector in VECTORS if vector.values[3] is not None]


@pytest.fixture
def wire_dump(build):
    """Runs tests/support/wire_dump: a value in, the same record in the named encoding out."""
    program = build.program("wire_dump")

    def convert(kind, encoding, value):
        run = subprocess.run([program, kind, encoding], input=value, capture_output=True, check=False, timeout=10)
        assert run.returncode == 0, run.stderr.decode()
        return run.stdout

    return convert


@pytest.mark.parametrize("kind", golden.VECTORS)
def test_the_golden_files_are_what_fastavro_writes(kind):
    assert golden.path(kind).read_text() == golden.documents()[kind]


@pytest.mark.parametrize("kind", golden.VECTORS)
def test_the_newest_schema_is_frozen_in_the_history(kind):
    newest = golden.SCHEMAS / f"{golden.FILES[kind]}.avsc"
    frozen = {path.read_text() for path in (golden.SCHEMAS / "history").glob(f"*/{newest.name}")}
    assert newest.read_text() in frozen


@pytest.mark.parametrize("kind, name, fields, record", VECTORS)
def test_avro_is_read_and_written_byte_for_byte(wire_dump, kind, name, fields, record):
    value = golden.avro(kind, fields)
    assert wire_dump(kind, "avro", value) == value


@pytest.mark.parametrize("kind, name, fields, record", IN_JSON)
def test_json_says_the_same_as_avro(wire_dump, kind, name, fields, record):
    assert wire_dump(kind, "avro", golden.json_text(record).encode()) == golden.avro(kind, fields)


@pytest.mark.parametrize("kind, name, fields, record", IN_JSON)
def test_avro_becomes_json(wire_dump, kind, name, fields, record):
    assert json.loads(wire_dump(kind, "json", golden.avro(kind, fields))) == record


@pytest.mark.parametrize("kind, name, fields, record", IN_JSON)
def test_json_is_written_as_it_was_read(wire_dump, kind, name, fields, record):
    text = golden.json_text(record)
    assert wire_dump(kind, "json", text.encode()).decode() == text


def test_every_field_of_every_schema_is_in_a_vector():
    for kind, vectors in golden.VECTORS.items():
        names = {field["name"] for field in golden.schema(kind)["fields"]}
        assert names == {name for _, fields, _ in vectors for name in fields}, kind


def test_the_fingerprint_is_that_of_the_specification():
    # The vectors of the Avro specification's test suite (share/test/data/schema-tests.txt).
    parsed = fastavro.schema.parse_schema("int")
    assert golden.fingerprint_of(parsed)[::-1].hex() == "7275d51a3f395c8f"
