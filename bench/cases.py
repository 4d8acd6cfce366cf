# SPDX-License-Identifier: Apache-2.0
"""What bench/run measures, in order: each case adds its figures to the report."""

from support.stack import Stack

from meters import Topic, run_json
from millrace import INPUT_BYTES, PARTITIONS, Case


def is_wanted(name, options):
    if name == "million-waiting":
        return options.million or (options.only and options.only == name)
    return options.only in name or name in ("warm-up", "pipe")


def make_raw_topics(lab, prefix):
    stack = Stack(lab.build, lab.processes, lab.broker.address, "redis://127.0.0.1:1/0", prefix)
    stack.setup(partitions=PARTITIONS)
    return prefix + "tasks.default", prefix + "results"


def record_bytes(lab, encoding="avro"):
    """The size of the value that the client library publishes for one task of the bench."""
    with Case(lab) as case:
        case.submit(1, encoding=encoding)
        topic = Topic(lab.broker.address, case.prefix + "tasks.default")
        (value,) = topic.values()
        topic.close()
        return len(value)


def raw(lab, prefix, n, size):
    source, target = make_raw_topics(lab, prefix)
    address = lab.broker.address
    produced = run_json([lab.program("raw_pipe"), "produce", address, source, n, size])
    copied = run_json([lab.program("raw_pipe"), "copy", address, source, target, n, prefix + "copier"])
    return produced, copied


def warm_up(lab, report):
    """The broker's code gets compiled before anything counts."""
    lab.sizes = {encoding: record_bytes(lab, encoding) for encoding in ("avro", "json")}
    raw(lab, "bench.warm.", lab.options.tasks, lab.sizes["avro"])


def pipe(lab, report):
    produced, copied = raw(lab, "bench.raw.", lab.options.tasks * 3, lab.sizes["avro"])
    report.rate("pipe", f"raw librdkafka, consume to produce, {lab.sizes['avro']} B", copied["per_s"], {"worker": copied["cpu_us"]})
    report.rate("produce", f"raw librdkafka, produce, {lab.sizes['avro']} B", produced["per_s"], {"client": produced["cpu_us"]})


def drain(lab, report, key, label, n, aof, **as_worker):
    with Case(lab, aof) as case:
        figures = case.drain(n, **as_worker)
    report.rate(key, label, figures["per_s"], figures["cpu_us"])


def drain_thread_off(lab, report):
    drain(lab, report, "thread-off", "Millrace drain, thread, AOF off", lab.options.tasks, "off", isolation="thread")


def drain_thread_everysec(lab, report):
    drain(lab, report, "thread-everysec", "Millrace drain, thread, AOF everysec", lab.options.tasks, "everysec", isolation="thread")


def drain_process_off(lab, report):
    drain(lab, report, "process-off", "Millrace drain, process, AOF off", lab.options.tasks, "off", isolation="process")


def drain_process_everysec(lab, report):
    label = "Millrace drain, process, AOF everysec"
    drain(lab, report, "process-everysec", label, lab.options.tasks, "everysec", isolation="process")


ALL = [
    warm_up,
    pipe,
    drain_thread_off,
    drain_thread_everysec,
    drain_process_off,
    drain_process_everysec,
]
