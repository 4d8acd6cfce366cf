# SPDX-License-Identifier: Apache-2.0
"""/metrics, /healthz and /readyz of a daemon that was started with http=True, read as Prometheus reads them."""

import collections
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Page = collections.namedtuple("Page", "status content_type text")


def get(process, path):
    """Page of any status."""
    try:
        with urllib.request.urlopen(process.url + path, timeout=5) as answer:
            return Page(answer.status, answer.headers["Content-Type"], answer.read().decode())
    except urllib.error.HTTPError as refusal:
        return Page(refusal.code, refusal.headers["Content-Type"], refusal.read().decode())
    except urllib.error.URLError as error:  # it starts, or ends
        raise AssertionError(f"{process!r} does not answer: {error}") from error


def families(process):
    """{name: family}; the name of a counter family is without _total, as the parser has it."""
    page = get(process, "/metrics")
    assert (page.status, page.content_type) == (200, CONTENT_TYPE)
    found = list(text_string_to_metric_families(page.text))
    assert len({family.name for family in found}) == len(found), "a family comes twice"
    return {family.name: family for family in found}


class Values:
    """The values of one scrape: values("millrace_claims_total", answer="run"). Labels that are not named are summed up."""

    def __init__(self, process):
        self.samples = [sample for family in families(process).values() for sample in family.samples]
        keys = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in self.samples]
        assert len(set(keys)) == len(keys), "a series comes twice"

    def __call__(self, name, **labels):
        found = [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]
        assert found, f"no series {name} {labels}"
        return sum(found)

    def by(self, name, label):
        """{value of the label: sum}, without zeros."""
        sums = collections.Counter()
        for sample in self.samples:
            if sample.name == name:
                sums[sample.labels[label]] += sample.value
        return {key: value for key, value in sums.items() if value}
