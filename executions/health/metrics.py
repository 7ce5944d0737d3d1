"""PURE: the gauges of ``/metrics``, made from one assessment (docs/interfaces.md).

A gauge whose fact could not be read is left out, never 0. A reading that is old is told as it was,
with its age. Nothing here asks a database.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from executions.health.assessment import Assessment
from executions.health.facts import Facts, Queue
from executions.health.facts.executions import Executions, runners_of
from executions.health.facts.pg_cron import PgCron
from executions.health.facts.sessions import Lock
from executions.health.figures import age
from executions.health.findings import FindingCode
from executions.health.ledger import Ledger, PlanOutcome
from executions.health.verdict import Level, severities

PREFIX = "multica_admin"

Labels = Mapping[str, str]
Samples = Iterable[tuple[Labels, float | None]]


@dataclass(frozen=True)
class MessageState:
    """The messages of alarms, as our own tables have them.

    ``silences`` are the codes of what is silenced, empty for every message. ``waiting`` has the
    number of alarms that wait, for each receiver that does not take them.
    """

    silences: tuple[str, ...] = ()
    waiting: tuple[int, ...] = ()


@dataclass(frozen=True)
class Scrape:
    """The facts that a process can tell at a scrape.

    ``assessment`` is the last one, and ``age`` its age; None if there is none yet. ``level`` is the
    verdict now: unknown if the assessment is too old. ``url`` is the address that people use.
    ``messages`` is None if our own tables were not read lately.
    """

    version: str
    url: str
    demo: bool
    level: Level
    assessment: Assessment | None = None
    age: timedelta | None = None
    messages: MessageState | None = None


class _Gauges(Collector):
    def __init__(self, told: Scrape) -> None:
        self._told = told

    def collect(self) -> Iterator[GaugeMetricFamily]:
        return gauges(self._told)


def exposition(told: Scrape, accept: str) -> tuple[bytes, str]:
    """The gauges as text, and its content type, in the format that ``accept`` asks for."""
    registry = CollectorRegistry()
    registry.register(_Gauges(told))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def gauges(told: Scrape) -> Iterator[GaugeMetricFamily]:
    """Every gauge that can be told, in the order of docs/interfaces.md."""
    yield _gauge(
        "info",
        "1, with the version of Multica Admin and the address that people use.",
        [({"version": told.version, "url": told.url}, 1)],
    )
    yield _gauge("demo", "Whether what is watched is made-up demo data.", [({}, told.demo)])
    yield _gauge(
        "verdict",
        "1 for the present verdict, 0 for every other; unknown if the reading is too old.",
        [({"level": level}, level is told.level) for level in Level],
    )
    if told.messages is not None:
        yield from _of_messages(told.messages)
    if told.assessment is None or told.age is None:
        return
    yield _gauge(
        "reading_age_seconds",
        "How long ago Multica's database was read; everything below is as it was then.",
        [({}, told.age.total_seconds())],
    )
    yield from _of(told.assessment)


def _of_messages(messages: MessageState) -> Iterator[GaugeMetricFamily]:
    everything = messages.silences.count("")
    yield _gauge(
        "silences",
        "Silences that last: of every message, and of messages about one finding.",
        [
            ({"of": "everything"}, everything),
            ({"of": "finding"}, len(messages.silences) - everything),
        ],
    )
    yield _gauge(
        "finding_silenced",
        "Whether messages about the finding are held back.",
        [({"code": code}, bool(everything) or code in messages.silences) for code in FindingCode],
    )
    yield _gauge(
        "failing_receivers", "Receivers that do not take alarms.", [({}, len(messages.waiting))]
    )
    yield _gauge(
        "undelivered_alarms",
        "Alarms that wait for a receiver, each counted for each receiver.",
        [({}, sum(messages.waiting))],
    )


def _of(assessment: Assessment) -> Iterator[GaugeMetricFamily]:
    facts, figures = assessment.facts, assessment.figures
    yield from _of_findings(assessment)
    if assessment.ledger is not None:
        yield _plans(assessment.ledger)
    ages = [
        ("watermark_lag_seconds", "Now minus the watermark.", figures.watermark_lag_seconds),
        (
            "last_success_age_seconds",
            "How long ago the latest successful run finished.",
            figures.latest_success_age_seconds,
        ),
        (
            "last_plan_age_seconds",
            "Now minus the newest plan that has begun.",
            figures.latest_plan_age_seconds,
        ),
        (
            "last_run_age_seconds",
            "How long ago the rollup last finished, whoever called it.",
            figures.last_run_age_seconds,
        ),
        ("success_streak", "Plans in a row that succeeded, up to now.", figures.success_streak),
    ]
    for name, meaning, value in ages:
        yield from _known(name, meaning, [({}, value)])
    yield from _known(
        "run_duration_seconds",
        "How long the successful runs of the last 24 hours took, by percentile.",
        [
            ({"percentile": percentile}, None if taken is None else taken / 1000)
            for percentile, taken in (("50", figures.p50_ms), ("95", figures.p95_ms))
        ],
    )
    yield from _of_executions(facts)
    yield from _of_surroundings(facts)


def _of_findings(assessment: Assessment) -> Iterator[GaugeMetricFamily]:
    """Every code, also those that are not there. Of several with one code, the worst counts."""
    found = assessment.verdict.findings
    severity_of = severities(found)
    explained = severities(one for finding in found for one in finding.explains)
    # If a basic is unknown, only what cannot be read is known of the findings.
    codes = FindingCode if assessment.ledger is not None else severity_of
    yield _gauge(
        "finding_severity",
        "Each finding: 0 not there, 1 for information, 2 warning, 3 critical.",
        [({"code": code}, severity_of.get(code, 0)) for code in codes],
    )
    yield _gauge(
        "finding_explained",
        "Whether another finding explains it, so that it does not count in the verdict.",
        [({"code": code}, code in explained) for code in codes],
    )


def _plans(ledger: Ledger) -> GaugeMetricFamily:
    return _gauge(
        "plans",
        "The plans of the last 24 hours by what became of them.",
        [
            ({"outcome": outcome}, ledger.counts[outcome])
            for outcome in PlanOutcome
            if outcome is not PlanOutcome.NONE
        ],
    )


def _of_executions(facts: Facts) -> Iterator[GaugeMetricFamily]:
    executions, now = facts.executions, facts.now
    if not isinstance(executions, Executions) or now is None:
        return
    running = sum(row.running and not row.is_stale(now) for row in executions.rows)
    yield _gauge("running", "Runs under a live lease.", [({}, running)])
    yield _gauge(
        "stale", "Runs whose lease is over and that nobody closed.", [({}, len(executions.stale))]
    )
    found, ours = runners_of(executions.rows), facts.own_runners
    if isinstance(ours, frozenset):
        yield _gauge(
            "runners",
            "Runners that won a plan in the last 24 hours: this installation's own, and Multica's.",
            [({"whose": "ours"}, len(found & ours)), ({"whose": "multica"}, len(found - ours))],
        )


def _of_surroundings(facts: Facts) -> Iterator[GaugeMetricFamily]:
    lock, pg_cron, queue = facts.lock, facts.pg_cron, facts.queue
    if isinstance(lock, Lock):
        yield _gauge("lock_holders", "Sessions that hold lock 4246.", [({}, len(lock.holders))])
        yield _gauge("lock_waiters", "Sessions that wait for it.", [({}, len(lock.waiters))])
    if isinstance(pg_cron, PgCron):
        redundant = sum(call.repeats for call in pg_cron.calls)
        yield _gauge(
            "redundant_schedules",
            "Visible pg_cron jobs that only repeat what a runner does.",
            [({}, redundant)],
        )
        yield _gauge(
            "schedules_all_visible",
            "Whether every pg_cron job is visible.",
            [({}, pg_cron.is_whole)],
        )
    if isinstance(queue, Queue) and facts.now is not None:
        yield from _known(
            "dirty_queue_age_seconds",
            "Since when the oldest bucket waits to be summed again; 0 if none waits.",
            [({}, age(facts.now, queue.oldest) if queue.oldest else 0)],
        )


def _known(name: str, meaning: str, samples: Samples) -> Iterator[GaugeMetricFamily]:
    """The gauge with the samples whose values are known; nothing if none is."""
    known = [(labels, value) for labels, value in samples if value is not None]
    if known:
        yield _gauge(name, meaning, known)


def _gauge(name: str, meaning: str, samples: Iterable[tuple[Labels, float]]) -> GaugeMetricFamily:
    listed = list(samples)
    names = list(listed[0][0]) if listed else []
    family = GaugeMetricFamily(f"{PREFIX}_{name}", meaning, labels=names)
    for labels, value in listed:
        family.add_metric([str(labels[one]) for one in names], float(value))
    return family
