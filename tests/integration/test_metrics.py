# SPDX-License-Identifier: Apache-2.0
"""G3: /metrics of worker and scheduler say exactly what was done, whatever dies; /healthz and /readyz say how they are."""

import json
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from support.metrics import Values, families, get
from support.ports import HOST, free_port
from support.processes import children_of
from support.stack import ROOT, await_ready
from support.waiting import eventually

FAST = {"initial_interval_ms": 20, "backoff_coefficient": 1.0}
ENDED = "millrace_activity_attempts_ended_total"


def task(key, plan=None, activity_type="scripted", **fields):
    return {"activity_type": activity_type, "activity_id": key, "input": plan or {}, **fields}


def run(kafka, keys, plan=None, **fields):
    kafka.publish_all("default", [task(key, plan, **fields) for key in keys])
    return kafka.results().await_keys(keys)


def end_of(kafka, key):
    return kafka.results().await_one(key)["status"]


@pytest.fixture
def pair(stack):
    """A scheduler and a worker that are ready."""
    stack.setup()
    scheduler = stack.scheduler(http=True)
    worker = stack.scripted_worker(http=True, grace="300ms", libs=["test_activities"])
    await_ready(worker)
    await_ready(scheduler)
    return worker, scheduler


def loop_of(worker):
    """The process that owns Kafka and Redis: librdkafka's threads tell it from the others."""
    return max(children_of([worker.pid], levels=1), key=lambda pid: len(os.listdir(f"/proc/{pid}/task")))


# The text


def test_prometheus_own_parser_accepts_the_pages_of_both_programs(kafka, stack):
    stack.setup()
    scheduler = stack.scheduler(http=True)
    odd = 'say "x"\\y\u00e9'
    worker = stack.scripted_worker(odd, http=True)
    await_ready(worker)
    run(kafka, ["odd"], activity_type=odd)

    values = eventually(lambda: _completed(worker, 1), 5, "counted")
    assert values.by(ENDED, "activity_type") == {odd: 1}
    for process in (worker, scheduler):
        for name, family in families(process).items():
            assert family.documentation.endswith("."), name
            assert family.type in ("counter", "gauge", "histogram"), name
            assert name.startswith(("millrace_", "process_")), name
            for sample in family.samples:
                if sample.name.endswith("_count"):
                    labels = {**sample.labels, "le": "+Inf"}
                    assert [s.value for s in family.samples if s.labels == labels] == [sample.value]


def _completed(worker, n):
    values = Values(worker)
    assert values(ENDED, outcome="completed") == n
    return values


def test_prometheus_linter_finds_nothing(pair):
    promtool = _promtool()
    for process in pair:
        page = get(process, "/metrics").text
        lint = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True, timeout=30)
        assert (lint.returncode, lint.stdout + lint.stderr) == (0, "")


def _promtool():
    for folder in os.environ["PATH"].split(os.pathsep):
        if os.access(f"{folder}/promtool", os.X_OK):
            return f"{folder}/promtool"
    pytest.skip("there is no promtool (package prometheus): tests/run installs it")


def test_the_table_of_the_documentation_is_what_the_programs_show(pair):
    made = subprocess.run([sys.executable, ROOT / "docs/metrics.py"], check=True, capture_output=True, text=True).stdout
    assert (ROOT / "docs/metrics.md").read_text() == made, "stale: docs/metrics.py > docs/metrics.md"
    shown = {(line.split()[2], line.split()[3]) for p in pair for line in get(p, "/metrics").text.splitlines() if "# TYPE" in line}
    assert set(re.findall(r"^\| `(\w+)` \| (\w+) \|", made, re.MULTILINE)) == shown


def test_the_commands_of_the_page_print_what_it_says(stack):
    page = (ROOT / "docs/metrics.md").read_text()
    commands, printed = re.search(r"```\n(millrace-scheduler .*?)```\n.*?```text\n(.*?)```", page, re.DOTALL).groups()
    for port in (9464, 9465):
        commands = commands.replace(f":{port}", f":{free_port()}")
    stack.setup()
    path = f"{stack.build.program('millrace-worker').parent}:{os.environ['PATH']}"
    script = "trap 'kill $(jobs -p); wait' EXIT\n" + commands
    assert stack.run("/bin/bash", "-c", script, env={"PATH": path}).stdout == printed


# Alert rules and dashboard


NAME = re.compile(r"\b(?:millrace|process)_[a-z_]+\b(?!\()")
FOREIGN = {"up"}  # Prometheus' own


def shown_by(pair):
    """The names of all series that there may be."""
    names = set(FOREIGN)
    for process in pair:
        for line in get(process, "/metrics").text.splitlines():
            if line.startswith("# TYPE"):
                _, _, name, kind = line.split()
                names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


def dashboards():
    return {path.name: json.loads(path.read_text()) for path in (ROOT / "deploy/grafana/dashboards").glob("*.json")}


def queries(dashboard):
    """The expressions of its panels and of its variables."""
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len(found) > 30
    return found + [variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]


def test_alerts_and_dashboards_use_metrics_that_there_are(pair):
    there = shown_by(pair)
    alerts = (ROOT / "deploy/prometheus/alerts.yml").read_text()
    expressions = re.findall(r"^ +expr: (.*(?:\n {10}.*)*)", alerts, re.MULTILINE)
    assert len(expressions) == alerts.count("- alert: ") > 10
    for expression in expressions + [query for dashboard in dashboards().values() for query in queries(dashboard)]:
        used = set(NAME.findall(expression)) or {"up"} & set(re.findall(r"\bup\b", expression))
        assert used and used <= there, (expression, used - there)


def test_every_metric_of_the_dashboard_is_shown_with_a_data_source_that_is_provisioned():
    source = (ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text()
    for dashboard in dashboards().values():
        (variable,) = [v for v in dashboard["templating"]["list"] if v["type"] == "datasource"]
        assert f"uid: {variable['current']['value']}\n" in source
        panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
        assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
        assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_alert_rules_fire_when_they_should():
    for words in (["check", "config", "prometheus.yml"], ["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        argv = [_promtool(), *words]
        answer = subprocess.run(argv, cwd=ROOT / "deploy/prometheus", capture_output=True, text=True, timeout=60)
        assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_queries_of_the_dashboards_are_understood(tmp_path):
    rules = []
    for dashboard in dashboards().values():
        for query in filter(lambda q: not q.startswith("label_values"), queries(dashboard)):
            plain = query.replace("$__rate_interval", "1m").replace("$task_queue", ".*").replace("$activity_type", ".*")
            rules.append({"record": f"query:{len(rules)}", "expr": plain})
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}))  # JSON is YAML
    answer = subprocess.run([_promtool(), "check", "rules", file], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"{len(rules)} rules found" in answer.stdout


# The process


def test_a_process_is_measured_as_itself(pair):
    worker, scheduler = pair
    for process, pid in ((worker, loop_of(worker)), (scheduler, scheduler.pid)):
        values = Values(process)
        stat = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
        pages = int(open(f"/proc/{pid}/statm").read().split()[1])
        boot = int(re.search(r"^btime (\d+)", open("/proc/stat").read(), re.MULTILINE)[1])

        assert abs(values("process_start_time_seconds") - boot - int(stat[19]) / os.sysconf("SC_CLK_TCK")) < 0.1
        assert values("process_resident_memory_bytes") == pytest.approx(pages * os.sysconf("SC_PAGESIZE"), rel=0.2)
        assert values("process_open_fds") == pytest.approx(len(os.listdir(f"/proc/{pid}/fd")), abs=5)
        assert values("process_cpu_seconds_total") <= (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
        assert values("process_max_fds") > 100
        assert values("millrace_build_info", version=_version(process)) == 1


def _version(process):
    answer = subprocess.run([process.argv[0], "--version"], capture_output=True, text=True, timeout=10)
    return answer.stdout.split()[1]


# What was done


@pytest.mark.timeout(120)
def test_after_a_known_load_the_counters_equal_what_was_done(kafka, pair, exec_log):
    worker, scheduler = pair
    done = [f"ok-{i}" for i in range(20)]
    run(kafka, done)
    run(kafka, ["retried-1", "retried-2", "retried-3"], {"fail_attempts": 2}, retry_policy=FAST)
    run(kafka, ["failed-1", "failed-2"], {"fail_attempts": 9, "fail_with": 100})
    run(kafka, ["exhausted"], {"fail_attempts": 9}, retry_policy={**FAST, "maximum_attempts": 3})
    run(kafka, ["late-1", "late-2"], {"sleep_ms": 30000}, start_to_close_timeout_ms=2000, retry_policy={"maximum_attempts": 1})
    run(kafka, ["beating"], {"sleep_ms": 200, "heartbeats": ["half"]}, heartbeat_timeout_ms=20000)
    run(kafka, ["nobody"], activity_type="nobody-has-it", retry_policy={"maximum_attempts": 1})
    _cancel(kafka, exec_log, "canceled-1", "CANCEL")
    _cancel(kafka, exec_log, "canceled-2", "CANCEL")
    _cancel(kafka, exec_log, "terminated", "TERMINATE")
    _cancel_before_its_start(kafka)
    _replay(kafka, done[:4])
    _reject(kafka, done[0])
    _bad_records(kafka)

    by_fate = {"completed": 24, "failed": 12, "timed_out": 2, "canceled": 2, "terminated": 1}
    by_status = {"completed": 24, "failed": 7, "timed_out": 2, "canceled": 2}
    values, of_scheduler = eventually(lambda: _settled(worker, scheduler, by_status), 10, "all is counted")

    assert values.by(ENDED, "outcome") == by_fate
    assert sum(by_fate.values()) == len(exec_log.lines("start")) + 1  # that of a type that the worker does not have
    assert values(ENDED, activity_type="scripted") == 40 and values(ENDED, activity_type="_other") == 1
    assert values("millrace_activity_execution_failed_total") == 14
    assert values("millrace_activity_execution_cancelled_total") == 2
    assert values("millrace_activity_retries_total") == 8
    assert values("millrace_activity_execution_latency_seconds_count") == 41
    assert values("millrace_activity_schedule_to_start_latency_seconds_count") == 41
    assert values("millrace_activity_succeed_endtoend_latency_seconds_count") == 24
    assert values("millrace_unregistered_activity_invocation_total", task_queue="default") == 1
    assert values("millrace_heartbeats_total") == 1
    assert values("millrace_replays_total") == 4
    assert values.by("millrace_claims_total", "answer") == {"run": 41, "finished": 4, "rejected": 1}
    assert values.by("millrace_dead_letters_total", "kind") == {"encoding": 1, "unknown_field": 1, "field": 2}
    assert values("millrace_forwards_total") == values("millrace_releases_total") == 0
    assert values("millrace_worker_start_total") == 1
    assert values("millrace_worker_loop_deaths_total") == values("millrace_worker_lease_losses_total") == 0
    assert values("millrace_worker_task_slots_used") == 0 and values("millrace_worker_task_slots_available") == 8
    assert values("millrace_kafka_errors_total") == values("millrace_redis_errors_total") == 0

    # Two ran into their timeout of 2 s, and one slept for 200 ms.
    assert 4.2 <= values("millrace_activity_execution_latency_seconds_sum") < 60

    values = of_scheduler
    assert values("millrace_scheduler_attempts_dispatched_total") == 8
    assert values("millrace_scheduler_commands_total") == len(kafka.read_all("control"))
    assert values("millrace_scheduler_timer_lateness_seconds_count", kind="backoff") == 8
    assert values("millrace_scheduler_timer_lateness_seconds_sum", kind="backoff") < 8
    assert values("millrace_scheduler_workers") == 1
    assert values("millrace_scheduler_shards", state="ready") == values("millrace_scheduler_shards") == 16


def _settled(worker, scheduler, by_status):
    """Worker and scheduler hear of a terminate at the same time: one of them ends the attempt, and what the other does is stale."""
    values, of_scheduler = Values(worker), Values(scheduler)
    found = values.by("millrace_results_published_total", "status")
    terminated = found.pop("terminated", 0)
    assert found == by_status
    assert terminated + values("millrace_results_stale_total") == 1
    assert terminated + of_scheduler("millrace_scheduler_attempts_ended_total", followed_by="result") == 2
    assert values("millrace_worker_task_slots_used") == values("millrace_worker_tasks_in_hand") == 0
    return values, of_scheduler


def _cancel(kafka, exec_log, key, command):
    kafka.publish("default", task(key, {"sleep_ms": 30000}))
    exec_log.await_event("start", key)
    kafka.control(command, key)
    assert end_of(kafka, key) == {"CANCEL": "CANCELED", "TERMINATE": "TERMINATED"}[command]


def _cancel_before_its_start(kafka):
    """The scheduler ends it: neither an attempt nor a result of the worker."""
    kafka.publish("default", task("delayed", start_delay_ms=600000))
    eventually(lambda: any(r.key == b"delayed" for r in kafka.read_all("journal")), 10, "it waits in the journal")
    kafka.control("CANCEL", "delayed")
    assert end_of(kafka, "delayed") == "CANCELED"


def _replay(kafka, keys):
    before = len(kafka.results().all())
    kafka.publish_all("default", [task(key) for key in keys])
    kafka.results().await_count(before + len(keys))


def _reject(kafka, key):
    kafka.publish("default", task(key, id_reuse_policy="REJECT_DUPLICATE", run_id="another"))
    eventually(lambda: [r for r in kafka.results().of(key) if r.get("failure", {}).get("type") == "DuplicateTask"], 10, "rejected")


def _bad_records(kafka):
    kafka.publish("default", "this is not JSON")
    kafka.publish("default", task("near-miss", max_attempts=3))
    kafka.publish("default", {"activity_type": "scripted", "activity_id": "", "input": 1})
    kafka.publish("default", {"activity_id": "no-type", "input": 1})
    kafka.await_dead(4)
    kafka.results().await_keys(["near-miss", "no-type"])


def test_a_pending_attempt_ends_here_as_pending(kafka, pair, tmp_path):
    worker, _ = pair
    kafka.publish("default", task("asked", {"token_file": str(tmp_path / "token")}, activity_type="actor"))
    eventually(lambda: _pending(worker), 10, "it is pending")
    kafka.control("COMPLETE", "asked", result="yes")
    assert end_of(kafka, "asked") == "COMPLETED"


def _pending(worker):
    assert Values(worker)(ENDED, outcome="pending", activity_type="actor") == 1
    return True


def test_slots_and_the_age_of_what_waits_in_a_worker_are_told(kafka, stack, exec_log):
    stack.setup()
    stack.scheduler()
    worker = stack.scripted_worker(slots=2, http=True)
    kafka.publish_all("default", [task(f"long-{i}", {"sleep_ms": 5000}) for i in range(5)])
    exec_log.await_starts(2)

    def full():
        values = Values(worker)
        assert (values("millrace_worker_task_slots_used"), values("millrace_worker_task_slots_available")) == (2, 0)
        assert values("millrace_worker_tasks_waiting", task_queue="default") == 3
        assert values("millrace_worker_oldest_waiting_seconds", task_queue="default") > 0.5
        return True

    eventually(full, 5, "two run and three wait")


def test_types_beyond_100_share_one_series(kafka, stack):
    stack.setup()
    stack.scheduler()
    names = [f"type-{i:03}" for i in range(105)]
    worker = stack.worker(execs=dict.fromkeys(names, "/bin/true"), http=True)
    for name in (names[0], names[104]):
        run(kafka, [name], activity_type=name)

    values = eventually(lambda: _completed(worker, 2), 5, "counted")
    assert values.by(ENDED, "activity_type") == {"type-000": 1, "_other": 1}
    types = {sample.labels["activity_type"] for sample in values.samples if "activity_type" in sample.labels}
    assert len(types) == 101


# Backlog


def test_the_scheduler_tells_the_backlog_and_its_age_without_any_worker(kafka, stack):
    stack.setup(queues=("default", "idle"))
    scheduler = stack.scheduler(http=True)
    kafka.publish_all("default", [task(f"waits-{i}") for i in range(7)])

    def backlog(n, at_least_s):
        values = Values(scheduler)
        assert values("millrace_task_queue_backlog", task_queue="default") == n
        assert values("millrace_task_queue_oldest_seconds", task_queue="default") >= at_least_s
        assert values("millrace_task_queue_backlog", task_queue="idle") == 0
        assert values("millrace_task_queue_oldest_seconds", task_queue="idle") == 0
        return values

    values = eventually(lambda: backlog(7, 0.2), 15, "seven wait")
    age_s = values("millrace_task_queue_oldest_seconds")
    eventually(lambda: backlog(7, age_s + 1), 15, "they grow older")
    stack.scripted_worker()
    kafka.results().await_count(7)
    values = eventually(lambda: backlog(0, 0), 15, "none waits")
    assert values("millrace_task_queue_oldest_seconds") == 0


def test_timers_that_are_not_due_are_pending(kafka, pair):
    _, scheduler = pair
    kafka.publish_all("default", [task(f"later-{i}", start_delay_ms=600000) for i in range(3)])
    eventually(lambda: Values(scheduler)("millrace_scheduler_timers_pending", kind="backoff") == 3, 15, "three are pending")
    assert Values(scheduler)("millrace_scheduler_timer_lateness_seconds_count") == 0


# What survives


@pytest.mark.timeout(120)
def test_counts_are_neither_lost_nor_doubled_when_the_loop_is_killed(kafka, pair, exec_log):
    worker, _ = pair
    run(kafka, [f"before-{i}" for i in range(10)])
    before = eventually(lambda: _completed(worker, 10), 5, "counted")
    kafka.publish("default", task("running", {"sleep_ms": 30000}, retry_policy=FAST, start_to_close_timeout_ms=60000))
    exec_log.await_event("start", "running")
    os.kill(loop_of(worker), signal.SIGKILL)

    def again():
        values = Values(worker)
        assert (values("millrace_worker_start_total"), values("millrace_worker_loop_deaths_total")) == (2, 1)
        assert values("millrace_activity_attempts_ended_total", outcome="lost") == 1
        return values

    between = eventually(again, 30, "another loop has found the lost attempt")
    assert between(ENDED, outcome="completed") == before(ENDED, outcome="completed")
    kafka.control("TERMINATE", "running")
    assert end_of(kafka, "running") == "TERMINATED"
    run(kafka, [f"after-{i}" for i in range(10)])
    after = eventually(lambda: _completed(worker, 20), 5, "counted")
    assert after("millrace_results_published_total", status="completed") == 20
    assert after(ENDED, outcome="lost") == 1 and after(ENDED, outcome="terminated") == 1
    assert after("process_start_time_seconds") > before("process_start_time_seconds")
    await_ready(worker)


# Health


def is_unready(process, reason):
    page = get(process, "/readyz")
    assert (page.status, page.text.count("\n")) == (503, 1), page
    assert page.text.startswith("not ready: ") and reason in page.text, page
    assert get(process, "/healthz") == (200, "text/plain; charset=utf-8", "ok\n")
    assert Values(process)("millrace_ready") == 0
    return True


def is_ready(process):
    assert get(process, "/readyz")[::2] == (200, "ready\n")
    values = Values(process)
    assert values("millrace_ready") == values("millrace_redis_reachable") == values("millrace_kafka_reachable") == 1
    return True


@pytest.mark.timeout(120)
@pytest.mark.parametrize("harm", ["killed", "frozen"])
def test_without_redis_both_are_alive_and_not_ready_until_it_is_back(pair, redis_server, harm):
    redis_server.kill9() if harm == "killed" else redis_server.pause()
    for process in pair:
        eventually(lambda: is_unready(process, "Redis does not answer"), 15, f"{process.name} misses Redis")
        eventually(lambda: Values(process)("millrace_redis_reachable") == 0, 5, "and says so")
    redis_server.start() if harm == "killed" else redis_server.cont()
    for process in pair:
        eventually(lambda: is_ready(process), 30, f"{process.name} is ready")
        assert Values(process)("millrace_redis_errors_total", kind="unavailable") >= (harm == "killed")


@pytest.mark.timeout(180)
def test_without_kafka_both_are_alive_and_not_ready_until_it_is_back(own_kafka, pair):
    own_kafka.kill9()
    for process in pair:
        eventually(lambda: is_unready(process, "Kafka cannot be reached"), 40, f"{process.name} misses Kafka")
        assert Values(process)("millrace_kafka_errors_total", kind="unavailable") == 1
    own_kafka.start()
    for process in pair:
        eventually(lambda: is_ready(process), 60, f"{process.name} is ready")


def test_a_program_that_starts_without_kafka_says_what_it_waits_for(stack, redis_server):
    stack.brokers = f"{HOST}:{free_port()}"
    for process in (stack.scheduler(http=True), stack.scripted_worker(http=True)):
        eventually(lambda: is_unready(process, "it starts, and waits for Kafka and Redis"), 10, "it waits")


def test_a_worker_without_a_scheduler_is_not_ready(stack):
    stack.setup()
    worker = stack.scripted_worker(http=True)
    eventually(lambda: is_unready(worker, "no scheduler has vouched for all data in Redis yet"), 20, "it waits for a scheduler")
    stack.scheduler()
    eventually(lambda: is_ready(worker), 20, "it is ready")


def test_a_second_worker_without_partitions_is_ready_too(stack):
    stack.setup(partitions=1)
    stack.scheduler()
    for _ in range(2):
        await_ready(stack.scripted_worker(http=True))


def test_a_loop_that_does_not_turn_is_told_as_stuck(pair):
    worker, _ = pair
    loop = loop_of(worker)
    os.kill(loop, signal.SIGSTOP)

    def stuck():
        for path in ("/healthz", "/readyz"):
            page = get(worker, path)
            assert page.status == 503 and re.fullmatch(r"stuck: the loop has not turned for 1\d s\n", page.text), page
        return True

    eventually(stuck, 20, "stuck")
    os.kill(loop, signal.SIGCONT)
    eventually(lambda: is_ready(worker), 30, "it turns again")


def test_a_worker_that_drains_is_not_ready(kafka, stack, exec_log):
    stack.setup()
    stack.scheduler()
    worker = stack.scripted_worker(http=True, grace="20s")
    await_ready(worker)
    kafka.publish("default", task("last", {"sleep_ms": 4000}))
    exec_log.await_event("start", "last")
    worker.sigterm()
    eventually(lambda: is_unready(worker, "it ends"), 10, "it says so")
    assert worker.wait(30) == 0
    assert end_of(kafka, "last") == "COMPLETED"


# Clients


def dial(process):
    host, port = process.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=5)


@pytest.mark.parametrize("which", [0, 1], ids=["worker", "scheduler"])
def test_silent_slow_and_garbage_clients_keep_nobody_waiting(kafka, pair, which):
    silent = [dial(pair[which]) for _ in range(5)]
    slow = dial(pair[which])
    slow.sendall(b"GET /metr")
    for garbage in (b"\x16\x03\x01\x00\xff" * 500, b"\r\n\r\n", b"GET " + b"/" * 20_000, b"GET / HTTP/9.9\r\n\r\n"):
        with dial(pair[which]) as client:
            client.sendall(garbage)

    assert get(pair[which], "/healthz").status == 200
    run(kafka, [f"meanwhile-{i}" for i in range(10)])
    slow.sendall(b"ics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert slow.recv(12) == b"HTTP/1.1 200"
    # The server closes what says nothing, after 10 s.
    assert [client.recv(1) for client in _patient(silent)] == [b""] * 5


def _patient(clients):
    for client in clients:
        client.settimeout(20)
    return clients


def test_only_the_three_pages_are_there_and_only_to_be_read(pair):
    for process in pair:
        assert get(process, "/")[::2] == (404, "there are /metrics, /healthz and /readyz\n")
        with dial(process) as client:
            client.sendall(b"DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 405")


# Addresses


def starts(stack, program, address):
    words = ["-q", "default", "--exec", "a=/bin/true"] if program == "millrace-worker" else []
    return stack.run(stack.build.program(program), *words, "--http", address, check=False, limit_s=20)


@pytest.mark.parametrize("program", ["millrace-worker", "millrace-scheduler"])
def test_a_taken_port_is_told_in_one_line(stack, program):
    with socket.create_server((HOST, 0)) as server:
        address = f"{HOST}:{server.getsockname()[1]}"
        answer = starts(stack, program, address)
    assert answer == (1, "", f"{program}: http: {address} cannot be listened on: Address already in use\n")


@pytest.mark.parametrize("address", ["9090", "127.0.0.1:", "127.0.0.1:70000", "::1:9090", "no.such.host.invalid:9090", "[::1]"])
@pytest.mark.parametrize("program", ["millrace-worker", "millrace-scheduler"])
def test_a_bad_address_is_told_in_one_line_with_what_is_accepted(stack, program, address):
    answer = starts(stack, program, address)
    assert (answer.rc, answer.stdout, answer.stderr.count("\n")) == (2, "", 1), answer
    assert answer.stderr.startswith(f'{program}: http: "{address}"') and "[" in answer.stderr


@pytest.mark.parametrize("address, host", [(":0", HOST), ("[::1]:0", "[::1]"), ("localhost:0", "localhost")])
def test_the_log_names_the_real_port(stack, address, host):
    stack.setup()
    scheduler = stack.scheduler(http=False, flags=["--http", address])
    port = scheduler.wait_for_log(r"HTTP server listens at=http://\S+:(\d+)", 10).group(1)
    scheduler.url = f"http://{host}:{port}"
    assert get(scheduler, "/healthz").status == 200
