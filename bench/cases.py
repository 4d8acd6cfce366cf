# SPDX-License-Identifier: Apache-2.0
"""What bench/run measures, in order: each case adds its figures to the report."""

import json
import time

from support.stack import Stack
from support.waiting import eventually

import peers
from meters import BenchError, Topic, rss_mb, run_json, spread
from millrace import INPUT_BYTES, PARTITIONS, Case

PER_S = 1000  # of the latencies
PROGRAM = "/bin/true"


def is_wanted(name, options):
    if name == "million-waiting":
        return options.million
    return name in ("warm-up", "pipe") or options.only in name


def median_of(lab, measure):
    """The median run by `per_s`, and the range."""
    runs = sorted((measure() for _ in range(lab.options.repeat)), key=lambda run: run["per_s"])
    return {**runs[len(runs) // 2], "least": runs[0]["per_s"], "most": runs[-1]["per_s"]}


# The limits


def make_raw_topics(lab, number):
    prefix = f"bench.raw{number}."
    stack = Stack(lab.build, lab.processes, lab.broker.address, "redis://127.0.0.1:1/0", prefix)
    stack.setup(partitions=PARTITIONS)
    return prefix + "tasks.default", prefix + "results"


def record_bytes(lab, encoding):
    """The size of the value that the client library publishes for one task of the bench."""
    with Case(lab) as case:
        case.submit(1, encoding=encoding)
        topic = Topic(lab.broker.address, case.prefix + "tasks.default")
        (value,) = topic.values()
        topic.close()
        return len(value)


def raw(lab, n, size):
    lab.raw_runs += 1
    source, target = make_raw_topics(lab, lab.raw_runs)
    address = lab.broker.address
    produced = run_json([lab.program("raw_pipe"), "produce", address, source, n, size])
    copied = run_json([lab.program("raw_pipe"), "copy", address, source, target, n, source])
    return produced, copied


def warm_up(lab, report):
    """The broker's code gets compiled before anything counts."""
    lab.sizes = {encoding: record_bytes(lab, encoding) for encoding in ("avro", "json")}
    raw(lab, lab.options.tasks * 2, lab.sizes["avro"])
    with Case(lab) as case:
        case.drain(lab.options.tasks)


def pipe(lab, report):
    size = lab.sizes["avro"]
    runs = [raw(lab, lab.options.tasks * 4, size) for _ in range(lab.options.repeat)]
    copied = iter([run[1] for run in runs])
    produced = iter([run[0] for run in runs])
    report.rate("pipe", f"raw librdkafka: consume → produce, {size} B", median_of(lab, lambda: next(copied)), "worker")
    report.rate("produce", f"raw librdkafka: produce, {size} B", median_of(lab, lambda: next(produced)), "client")


def submit(lab, report):
    n = lab.options.tasks * 2
    for encoding in ("avro", "json"):

        def measure():
            with Case(lab) as case:
                return case.submit(n, encoding=encoding)

        label = f"Millrace: submit by the client library, {encoding.upper() if encoding == 'json' else 'Avro'}"
        report.rate(f"submit-{encoding}", f"{label}, {lab.sizes[encoding]} B", median_of(lab, measure), "client")
    size = lab.sizes["json"]
    report.rate("produce-json", f"raw librdkafka: produce, {size} B", median_of(lab, lambda: raw(lab, n, size)[0]), "client")


# Drains


def drain(lab, report, key, label, n, aof, **as_worker):
    def measure():
        with Case(lab, aof) as case:
            return case.drain(n, **as_worker)

    report.rate(key, f"Millrace: drain, {label}, AOF {aof}", median_of(lab, measure))


def drain_thread_off(lab, report):
    drain(lab, report, "thread-off", "threads", lab.options.tasks, "off", isolation="thread")


def drain_thread_everysec(lab, report):
    drain(lab, report, "thread-everysec", "threads", lab.options.tasks, "everysec", isolation="thread")


def drain_process_off(lab, report):
    drain(lab, report, "process-off", "processes", lab.options.tasks, "off", isolation="process")


def drain_process_everysec(lab, report):
    drain(lab, report, "process-everysec", "processes", lab.options.tasks, "everysec", isolation="process")


def drain_exec(lab, report):
    n = max(500, lab.options.tasks // 60)
    drain(lab, report, "exec", f"exec of {PROGRAM}", n, "everysec", isolation="process", execs={"noop": PROGRAM}, slots=2)
    for loops in (1, 2):
        figures = median_of(lab, lambda: run_json([lab.program("spawn_loop"), PROGRAM, n, loops]))
        report.rate(f"spawn-{loops}", f"bare vfork, exec, wait of {PROGRAM}, {loops} at once", figures, "loop")


def peer_bullmq(lab, report):
    n = max(2000, lab.options.tasks // 8)

    def measure():
        with peers.Bullmq(lab) as bullmq:
            return bullmq.drain(n)

    report.rate("bullmq", "BullMQ: drain, 1 process, concurrency 100, AOF everysec", median_of(lab, measure))


def peer_beanstalkd(lab, report):
    n = lab.options.tasks
    for key, label, workers, depth in (
        ("beanstalkd", "4 workers, 1 in flight each", 4, 1),
        ("beanstalkd-pipelined", "2 workers, 64 in flight each", 2, 64),
    ):
        figures = median_of(lab, lambda: peers.drain_beanstalkd(lab, n, workers, depth))
        report.rate(key, f"beanstalkd: drain (no results), {label}", figures)


# Latency


def echo(lab, seconds, warm_up_s):
    lab.raw_runs += 1
    there, back = make_raw_topics(lab, lab.raw_runs)
    return run_json([lab.program("raw_echo"), lab.broker.address, there, back, lab.sizes["avro"], PER_S, seconds, warm_up_s])


def latency(lab, report):
    # The broker compiles its paths meanwhile: with 5 s the p99 was higher than with 15 s.
    seconds, warm_up_s = (2, 2) if lab.options.quick else (10, 15)
    for isolation, label in (("process", "processes"), ("thread", "threads")):
        with Case(lab, "everysec") as case:
            figures = case.latency(PER_S, seconds, warm_up_s, isolation=isolation, slots=4)
        report.latency(f"latency-{isolation}", f"Millrace: submit → result, {PER_S:,}/s, {label}, AOF everysec", figures)
    report.latency("latency-raw", f"raw librdkafka: there and back, {PER_S:,}/s", echo(lab, seconds, warm_up_s))
    with peers.Bullmq(lab) as bullmq:
        figures = bullmq.latency(PER_S, seconds, warm_up_s)
    report.latency("latency-bullmq", f"BullMQ: add → completed event, {PER_S:,}/s, AOF everysec", figures)


def retry_lateness(lab, report):
    n, interval_ms = 1000, 1000
    log = lab.folder / "retries.log"
    with Case(lab, "everysec", env={"MILLRACE_TEST_LOG": str(log)}) as case:
        worker = case.ready_worker(isolation="process", slots=8)
        case.submit(n, 'log_start={"fail":true}', attempts=2, retry_ms=interval_ms, per_s=n // 3)
        case.results.await_count(n, 30, worker)
    moments = {}
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        moments[entry["key"], entry["attempt"], entry["event"]] = entry["mono_us"]
    keys = {key for key, _, _ in moments}
    late = [(moments[key, 2, "start"] - moments[key, 1, "end"]) / 1000 - interval_ms for key in keys]
    if len(late) != n:
        raise BenchError(f"{len(late)} of {n} tasks were tried again")
    if min(late) < 0:
        raise BenchError(f"a retry came {-min(late):.3f} ms early")
    report.latency("retry", f"Millrace: lateness of {n:,} retries within 3 s, processes, AOF everysec", spread(late))


# Timers


SINGLES, SINGLES_MS = 300, 6000
BURST, BURST_MS = 10000, 1000
FORGET = 100000  # journal records that push others out of the scheduler's memory


def fire(case, n, spread_ms, behind=0):
    """n timers due within spread_ms; how late their attempts are appended to the queue."""
    figures = run_json([case.lab.program("timers"), case.lab.broker.address, case.prefix, "fire", n, spread_ms, behind])
    if figures["early"]:
        raise BenchError(f"{figures['early']} of {n} timers fired early")
    return figures


def fire_both(case, report, key, among, behind=0):
    singles = f"Millrace: lateness of {SINGLES} timers, one each {SINGLES_MS // SINGLES} ms{among}"
    burst = f"Millrace: lateness of {BURST:,} timers due within {BURST_MS // 1000} s{among}"
    report.latency(f"timer-{key}", singles, fire(case, SINGLES, SINGLES_MS, behind))
    report.latency(f"timers-{key}", burst, fire(case, BURST, BURST_MS, behind))


def timers(lab, report):
    pending = lab.options.tasks * 5 // 2
    with Case(lab) as case:

        def write():
            run_json([lab.program("timers"), lab.broker.address, case.prefix, "wait", pending])

        case.scheduler.wait_for_log("shard recovered shard=15 ", limit_s=20)
        fire(case, BURST, BURST_MS)  # the queue is new
        fire_both(case, report, "few", "")
        each = bytes_of(case, pending, lambda: backing_off(case) >= pending, write, limit_s=120)
        report.number("bytes-timer", f"Redis bytes of one of {pending:,} pending timers", each, "{:,.0f} B")
        fire_both(case, report, "many", f", among {pending:,}, written {FORGET:,} records before", behind=FORGET)


# Memory


def input_of(fields):
    """A JSON object of the size of the other inputs."""
    pad = INPUT_BYTES - len(json.dumps({**fields, "pad": ""}, separators=(",", ":")))
    return json.dumps({**fields, "pad": "x" * pad}, separators=(",", ":"))


def bytes_of(case, n, reached, submit, limit_s=60):
    """Redis memory of n tasks that have reached a state, by used_memory without the buffers of connections."""

    def used():
        memory = case.redis.client.info("memory")
        return memory["used_memory"] - memory["mem_clients_normal"]

    before = used()
    submit()
    eventually(reached, limit_s=limit_s, what=f"{n} tasks are where they shall be")
    return (used() - before) / n


def backing_off(case):
    """How many tasks are in the shards' sorted sets of backoffs."""
    client = case.redis.client
    return sum(client.zcard(key) for key in client.scan_iter(match="*}b", count=10000))


def measure_bytes(lab, n, activity, reached, slots=2, **as_submit):
    with Case(lab) as case:
        case.ready_worker(isolation="thread", slots=slots)
        empty = case.redis.client.dbsize()
        return bytes_of(
            case,
            n,
            lambda: reached(case) >= n + (empty if reached is keys else 0),
            lambda: case.submit(n, activity, **as_submit),
        )


def keys(case):
    return case.redis.client.dbsize()


def memory_redis(lab, report):
    n = max(1000, lab.options.tasks // 10)
    sleeping, failing = input_of({"ms": 600000}), input_of({"type": "Down", "message": "not now"})
    figures = {
        "queued": 0,
        "running": measure_bytes(lab, 1000, f"sleep_ms={sleeping}", keys, slots=1000),
        "backing-off": measure_bytes(lab, n, f"fail={failing}", backing_off, retry_ms=3600000),
        "finished": measure_bytes(lab, n, "noop", lambda case: case.results.count()),
    }
    for state, figure in figures.items():
        label = f"Redis bytes of a task that is {state.replace('-', ' ')} ({INPUT_BYTES} B of input)"
        report.number(f"bytes-{state}", label, figure, "{:,.0f} B")


def million_waiting(lab, report):
    with Case(lab) as case:
        case.submit(1000000, 'sleep_ms={"ms":600000}')
        worker = case.worker(isolation="process", slots=2)
        most = {"worker": 0.0, "scheduler": 0.0}
        give_up_at = time.monotonic() + 20
        while time.monotonic() < give_up_at:
            most["worker"] = max(most["worker"], rss_mb(worker.pid))
            most["scheduler"] = max(most["scheduler"], rss_mb(case.scheduler.pid))
            time.sleep(0.5)
        if case.redis.client.dbsize() == 0:
            raise BenchError("nothing was claimed")
    for who, mb in most.items():
        report.number(f"rss-{who}", f"Millrace: memory of the {who} with 1,000,000 tasks waiting", mb, "{:.1f} MB")


ALL = [
    warm_up,
    pipe,
    submit,
    drain_thread_off,
    drain_thread_everysec,
    drain_process_off,
    drain_process_everysec,
    drain_exec,
    peer_bullmq,
    peer_beanstalkd,
    latency,
    retry_lateness,
    timers,
    memory_redis,
    million_waiting,
]
