# SPDX-License-Identifier: Apache-2.0
"""millrace dead list, show, replay: what is said of records that nobody could understand, and how they come to their end after all."""

import base64
import json

import pytest

from support.codec import encode
from support.ports import HOST, free_port
from support.waiting import eventually


@pytest.fixture(scope="module")
def started(shared_by_file):
    stack = shared_by_file.stack
    stack.setup()
    stack.scheduler()
    stack.scripted_worker(libs=["test_activities"], slots=4)
    stack.cli("execute", "-t", "noop")  # recovery is over, partitions are assigned


@pytest.fixture
def world(shared, started):
    return shared


def dead(world, *args, **options):
    return world.stack.cli("dead", *args, **options)


def letters(world, *args, **flags):
    """What `list --json` prints, of other tests too."""
    return [json.loads(line) for line in dead(world, "list", *args, json=True, **flags).stdout.splitlines()]


def name_of(letter):
    return f"{letter['partition']}:{letter['offset']}"


def record_at(world, topic, place):
    (record,) = [each for each in world.kafka.read_all(topic) if f"{each.topic}:{each.partition}:{each.offset}" == place]
    return record


def die(world, value, key, **publish):
    """Publishes what cannot be understood; returns its letter and the letter's name."""
    place = world.kafka.publish("default", value, key=key, **publish)
    letter = eventually(
        lambda: [each for each in letters(world) if (each.get("from_partition"), each.get("from_offset")) == place[1:]],
        15,
        f"{key} is a dead letter",
    )[0]
    return letter, name_of(letter)


def bad(key=None, **more):
    ids = {} if key is None else {"activity_id": key}
    return {"activity_type": "noop", **ids, "input": {"for": "ever"}, "colour": "red", **more}


def test_list_tells_place_time_reason_and_origin_newest_last(world):
    first, _ = die(world, bad("l1"), "l1")
    second, name = die(world, bad("l2"), "l2")

    assert first["topic"] == world.kafka.topic("dead") and first["from_topic"] == world.kafka.topic("tasks.default")
    assert (first["key"], first["replayed"]) == ("l1", False) and "colour" in first["reason"]
    assert first["at_ms"] <= second["at_ms"] and first["value_bytes"] == len(json.dumps(bad("l1")))
    assert [each["key"] for each in letters(world) if each.get("key") in ("l1", "l2")] == ["l1", "l2"]
    newest = dead(world, "list", limit=1)
    line = newest.stdout.rstrip("\n").split("\t")
    origin = f"{second['from_topic']}:{second['from_partition']}:{second['from_offset']}"
    assert (line[0], line[2:]) == (name, ["waiting", origin, "l2", second["reason"]])
    assert line[1].endswith("Z") and "--limit 1" in newest.stderr
    assert letters(world, reason="no such reason") == [] and letters(world, topic="tasks.other") == []
    assert second in letters(world, reason="colour", topic="tasks.default")
    assert second in letters(world, topic=second["from_topic"], state="waiting") and second not in letters(world, state="replayed")


def test_show_prints_headers_and_the_value_as_text_as_hex_or_raw(world):
    text, name = die(world, bad("s1"), "s1", headers={"trace": "t-1", "raw": b"\xff\x00"})
    shown = json.loads(dead(world, "show", name, json=True).stdout)
    assert {field: shown[field] for field in text} == text
    assert json.loads(shown["value"]) == bad("s1")
    assert {"name": "trace", "value": "t-1"} in shown["headers"] and {"name": "raw", "value_base64": "/wA="} in shown["headers"]
    assert {"name": "millrace-reason", "value": text["reason"]} in shown["headers"]
    page = dead(world, "show", name).stdout
    assert text["reason"] in page and "header     trace = t-1" in page and json.dumps(bad("s1")) in page

    value = b"\xc3\x01not a known schema"
    _, name = die(world, value, b"\xff")
    shown = json.loads(dead(world, "show", name, json=True).stdout)
    assert base64.b64decode(shown["value_base64"]) == value and shown["key_base64"] == "/w=="
    assert "00000000  c3 01 6e 6f 74 20 61" in (page := dead(world, "show", name).stdout) and "..not a known sc\n" in page
    _, name = die(world, "no task", "s3")
    assert dead(world, "show", name, "--value").stdout == "no task"


def test_replay_of_a_mended_value_keeps_task_key_record_key_and_the_users_headers(world, tmp_path):
    _, name = die(world, bad("m1", workflow_id="w"), "any", headers={"trace": "t-2"})
    mended = tmp_path / "task.json"
    mended.write_text(json.dumps({field: value for field, value in bad("m1", workflow_id="w").items() if field != "colour"}))

    answer = json.loads(dead(world, "replay", name, set_value=f"@{mended}", json=True).stdout)

    assert answer["task_key"] == "w/m1"
    result = eventually(
        lambda: [each for each in world.kafka.results().of("w/m1") if each["status"] == "COMPLETED"], 15, "the mended task completes"
    )[0]
    assert result["run_id"] == answer["replayed_as"]
    record = record_at(world, "tasks.default", answer["replayed_as"])
    assert (record.key, record.headers, record.value) == (b"any", {"trace": b"t-2"}, mended.read_bytes())


def test_replay_sends_the_very_bytes_once_the_cause_is_mended(world):
    """As after an update of the workers: this version understands what an older one has put aside."""
    value = b' {"activity_id" : "u1",\n "input":1.50, "activity_type":"noop"}'
    origin = {"millrace-topic": world.kafka.topic("tasks.default"), "millrace-partition": "2", "millrace-offset": "7"}
    headers = {"trace": "t-3", "millrace-reason": "unknown field input", **origin}
    letter = world.kafka.produce("dead", value, key="some key", headers=headers)

    sent = dead(world, "replay", f"{letter.partition}:{letter.offset}")

    assert sent.stderr == "millrace dead replay: sent 1 letter\n"
    assert sent.stdout.rstrip("\n").split("\t")[2] == "u1"
    assert world.kafka.results().await_one("u1")["status"] == "COMPLETED"
    (record,) = [each for each in world.kafka.read_all("tasks.default") if each.key == b"some key"]
    assert (record.partition, record.value, record.headers) == (2, value, {"trace": b"t-3"})


def test_what_was_replayed_is_noted_and_not_sent_again_unless_asked(world):
    letter, name = die(world, bad(), "r1")
    sent = dead(world, "replay", name)
    assert "colour" in sent.stderr and "--set-value" in sent.stderr  # nothing was mended: it will be a letter again
    place, sent_as, key = sent.stdout.split("\t")
    assert (place, key) == (name, "-\n")

    (noted,) = [each for each in letters(world, state="replayed") if name_of(each) == name]
    assert noted["replayed_as"] == sent_as and noted["replayed_at_ms"] >= letter["at_ms"]
    assert f"replayed   as {sent_as}" in dead(world, "show", name).stdout
    end = world.kafka.ends("tasks.default")
    again = dead(world, "replay", name, check=False)
    assert again.rc == 2 and "replayed already" in again.stderr and "--again" in again.stderr
    assert world.kafka.ends("tasks.default") == end
    assert dead(world, "replay", name, "--again").stdout.split("\t")[1] != sent_as
    # The note itself is no letter.
    (note,) = [each for each in world.kafka.dead() if each.header("millrace-replayed-as") == sent_as]
    assert (note.value, note.partition, note.header("millrace-replayed")) == (None, letter["partition"], name)
    refused = dead(world, "show", f"{note.partition}:{note.offset}", check=False)
    assert refused.rc == 2 and "the note of a replay" in refused.stderr


def test_a_task_without_ids_gets_key_and_run_of_its_new_place(world):
    _, name = die(world, bad(), "n1")
    answer = json.loads(dead(world, "replay", name, json=True, set_value='{"activity_type":"noop"}').stdout)
    result = world.kafka.results().await_one(answer["replayed_as"])
    assert (result["status"], result["run_id"], answer["task_key"]) == ("COMPLETED", answer["replayed_as"], answer["replayed_as"])


def test_the_headers_of_a_later_attempt_stay_unless_it_is_sent_as_new(world):
    later = {"millrace-key": "h1", "millrace-run": "run-1", "millrace-attempt": "3"}
    _, name = die(world, bad("h1"), "h1", headers=later)
    good = json.dumps({"activity_type": "noop", "activity_id": "h1"})

    kept = json.loads(dead(world, "replay", name, json=True, set_value=good).stdout)
    fresh = json.loads(dead(world, "replay", name, "--again", "--as-new", json=True, set_value=good).stdout)

    kept, fresh = (record_at(world, "tasks.default", answer["replayed_as"]) for answer in (kept, fresh))
    assert {header: value.decode() for header, value in kept.headers.items()} == later
    assert fresh.headers == {}


def test_all_sends_those_that_fit_and_were_never_replayed(world):
    names = [die(world, bad(f"a{number}"), f"a{number}")[1] for number in range(3)]
    other = die(world, "no task at all", "a9")[1]
    flags = {"reason": "field colour", "topic": "tasks.default"}

    told = dead(world, "replay", "--all", check=False, **flags)
    few = dead(world, "replay", "--all", "--yes", check=False, limit=1, **flags)
    sent = dead(world, "replay", "--all", "--yes", **flags).stdout

    assert told.rc == 2 and "add --yes" in told.stderr and few.rc == 2 and "nothing was sent" in few.stderr
    answered = {line.split("\t")[0] for line in sent.splitlines()}
    assert set(names) <= answered and other not in answered
    replayed = {name_of(each) for each in letters(world, state="replayed")}
    assert answered <= replayed and other not in replayed


def test_a_command_that_could_not_be_read_is_replayed_to_control(world):
    world.kafka.publish("default", {"activity_type": "noop", "activity_id": "c1", "start_delay_ms": 600000})
    eventually(lambda: "WAITING" in world.stack.cli("describe", "c1", json=True, check=False).stdout, 15, "c1 waits")
    place = world.kafka.produce("control", {"command": "CANCLE", "task_key": "c1"}, key="c1")
    name = eventually(
        lambda: [name_of(each) for each in letters(world, topic="control") if each["from_offset"] == place.offset],
        15,
        "the command is a dead letter",
    )[0]
    wrong = dead(world, "replay", name, check=False, set_value='{"command":"CANCELS","task_key":"c1"}')
    assert wrong.rc == 2 and "CANCELS" in wrong.stderr
    mended = {"command": "CANCEL", "task_key": "c1", "request_id": "mended"}
    sent = json.loads(dead(world, "replay", name, json=True, set_value=json.dumps(mended)).stdout)
    assert sent["task_key"] == "c1" and sent["replayed_as"].startswith(f"{place.topic}:{place.partition}:")
    assert world.kafka.results().await_one("c1")["status"] == "CANCELED"


def test_avro_letters_are_mended_by_avro(world, tmp_path):
    good = encode("task", {"activity_type": "noop", "activity_id": "v1"})
    _, name = die(world, good + b"!", "v1")
    mended = tmp_path / "task.avro"
    mended.write_bytes(good)
    dead(world, "replay", name, set_value=f"@{mended}")
    eventually(lambda: [each for each in world.kafka.results().of("v1") if each["status"] == "COMPLETED"], 15, "v1 completes")


@pytest.mark.parametrize(
    "args, says",
    [
        (["lst"], "did you mean list"),
        (["replay"], "PARTITION:OFFSET"),
        (["show"], "PARTITION:OFFSET"),
        (["show", "0"], "such as 0:17"),
        (["show", "0:x"], "such as 0:17"),
        (["show", "999:0"], "has the partitions 0 to"),
        (["show", "0:0", "--valu"], "did you mean --value"),
        (["show", "0:0", "--json", "--value"], "goes without --json"),
        (["replay", "0:0", "--yes"], "goes with --all only"),
        (["replay", "0:0", "--all"], "goes without PARTITION:OFFSET"),
        (["replay", "--all", "--set-value", "{}"], "--set-value"),
        (["replay", "0:0", "0:1", "--set-value", "{}"], "goes with one"),
        (["replay", "0:0", "--set-value", "@/no/such/file"], "/no/such/file"),
        (["list", "--state", "waitin"], "waiting"),
        (["list", "--limit", "0"], "--limit"),
    ],
)
def test_wrong_words_are_answered_in_words(world, args, says):
    answer = dead(world, *args, check=False)
    assert answer.rc == 2 and says in answer.stderr and answer.stdout == ""


def test_a_letter_that_cannot_be_mended_so_is_refused_and_nothing_is_sent(world):
    _, name = die(world, bad("x1"), "x1")
    partition = int(name.split(":")[0])
    beyond = f"{partition}:{world.kafka.ends('dead')[partition]}"
    end = world.kafka.ends("tasks.default")

    for value, says in (
        ("{}", "activity_type"),
        ('{"activity_type":"noop","activity_id":"x2"}', "task key is x1"),
        (json.dumps({"activity_type": "noop", "retry_polcy": {}}), "did you mean retry_policy"),
    ):
        answer = dead(world, "replay", name, check=False, set_value=value)
        assert answer.rc == 2 and says in answer.stderr, answer
    answer = dead(world, "replay", name, beyond, check=False)
    assert answer.rc == 2 and beyond in answer.stderr and "there is no such letter" in answer.stderr
    assert world.kafka.ends("tasks.default") == end


def test_a_record_without_an_origin_and_a_cut_one_are_not_replayed(world):
    world.kafka.produce("dead", "stray", key="o1")
    cut = {"millrace-reason": "too long (of its 9 bytes, too many for any topic, the first are kept; its headers are not)"}
    world.kafka.produce("dead", "cut", key="o2", headers={**cut, "millrace-topic": world.kafka.topic("tasks.default")})
    world.kafka.produce("dead", "out", key="o3", headers={"millrace-topic": world.kafka.topic("results")})
    names = {each.get("key"): name_of(each) for each in letters(world)}

    for key, says in (("o1", "where it came from"), ("o2", "only the beginning"), ("o3", "nobody reads")):
        answer = dead(world, "replay", names[key], check=False)
        assert answer.rc == 2 and says in answer.stderr, answer
    answer = dead(world, "replay", "--all", "--yes", check=False, reason="too many for any topic")
    assert (answer.rc, answer.stdout) == (1, "") and "only the beginning" in answer.stderr


def test_every_word_is_helped_and_an_unreachable_broker_is_told(world):
    assert all(word in dead(world, "--help").stdout for word in ("list", "show", "replay"))
    away = f"{HOST}:{free_port()}"
    for args in (["list"], ["show", "0:0"], ["replay", "0:0"]):
        assert "Exit: 0" in dead(world, args[0], "--help").stdout
        answer = dead(world, *args, check=False, brokers=away)
        assert answer.rc == 6 and away in answer.stderr
