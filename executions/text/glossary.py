"""PURE: what the product's own words mean, for docs/glossary.md and for the pages.

A page explains a word with ``{% term "watermark" %}``. It says nothing of findings or gates: those
have explanations of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import fill

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

Meaning = str | Promise


@dataclass(frozen=True)
class Entry:
    """Words that belong together, each with its meaning. ``note`` is for those who write texts."""

    meanings: Mapping[str, Meaning]
    note: Meaning = ""

    @property
    def word(self) -> str:
        """The first word, by which a page names the entry."""
        return next(iter(self.meanings))


GLOSSARY: tuple[Entry, ...] = (
    Entry(
        {
            "job": gettext_lazy("registered recurring work"),
            "spec": gettext_lazy("its settings"),
        }
    ),
    Entry(
        {
            "plan": gettext_lazy(
                "one run of a job that is expected: the rollup has one every five minutes, and one"
                " of all runners runs it"
            ),
            "plan_time": gettext_lazy("the canonical UTC bucket of a plan"),
        },
        gettext_lazy("Never “scheduled at”"),
    ),
    Entry(
        {
            "scope": gettext_lazy(
                "what a plan is for, as kind/id; a lease locks one scope. The rollup has one,"
                " global/global"
            ),
        }
    ),
    Entry({"execution": gettext_lazy("one row: job, scope, plan_time")}),
    Entry({"attempt": gettext_lazy("a try of one plan, counted from 1")}),
    Entry(
        {
            "runner": gettext_lazy(
                "a process that runs plans: a replica of Multica's backend, or one of this"
                " installation"
            ),
        },
        gettext_lazy("Never “worker”"),
    ),
    Entry({"tick": gettext_lazy("one planning pass of a runner")}),
    Entry({"claim": gettext_lazy("trying to win a plan: WON, RETRIED, STOLEN, or CONFLICT")}),
    Entry(
        {
            "lease": gettext_lazy(
                "the right to run a plan for a limited time, so that no other runner begins it"
            ),
            "lease_token": gettext_lazy("the proof of a lease, new with each claim"),
        }
    ),
    Entry(
        {
            "heartbeat": gettext_lazy("extends a lease while its run goes on"),
            "stale": gettext_lazy("said of a run whose lease has ended without an outcome"),
        }
    ),
    Entry(
        {
            "steal": gettext_lazy("take over a stale lease"),
            "sweep": gettext_lazy("close a stale row as FAILED"),
        }
    ),
    Entry({"lease lost": gettext_lazy("a guarded write hit no row: another runner has the plan")}),
    Entry({"finish": gettext_lazy("the write of an execution's outcome")}),
    Entry(
        {
            "watermark": gettext_lazy("the time up to which usage is rolled up"),
            "watermark lag": gettext_lazy("now minus the watermark (5 to 11 minutes are normal)"),
        }
    ),
    Entry(
        {"last-run age": gettext_lazy("now minus the end of the last run")},
        gettext_lazy("Not the lag"),
    ),
    Entry(
        {
            "kept": gettext_lazy("said of a plan whose execution succeeded"),
            "missing": gettext_lazy("said of a plan that no runner began"),
        }
    ),
    Entry(
        {
            "finding": gettext_lazy("a thing that is wrong or worth knowing, with its evidence"),
            "verdict": gettext_lazy("the sum of all findings"),
        }
    ),
    Entry({"folded": gettext_lazy("shown under the finding that explains it")}),
    Entry(
        {
            "gate": gettext_lazy("one condition of a retirement, passed or refused with a reason"),
        }
    ),
    Entry(
        {
            "schedule": gettext_lazy(
                "what calls the rollup from outside: a pg_cron job, cron, a timer, a CronJob"
            ),
        }
    ),
    Entry(
        {
            "retire": gettext_lazy("the wizard's goal"),
            "unschedule": gettext_lazy("pg_cron's call"),
            "undo": gettext_lazy("scheduling it again as it was"),
        }
    ),
    Entry({"trial": gettext_lazy("the job is paused while three plans are watched")}),
    Entry(
        {
            "direct connection": gettext_lazy(
                "a connection without a pooler in between, so its locks and settings are ours"
            ),
        }
    ),
)
ENTRIES: Mapping[str, Entry] = {entry.word: entry for entry in GLOSSARY}


def markdown() -> str:
    """The whole of docs/glossary.md."""
    intro = _("The interface, the code and the SQL use the same words.")
    source = _(
        "`manage.py explain --glossary` prints this page from the same source as the pages, so edit"
        " `executions/text/glossary.py`."
    )
    rows = "\n".join(f"| {', '.join(one.meanings)} | {_meaning(one)} |" for one in GLOSSARY)
    heads = f"| {_('word')} | {_('meaning')} |\n| --- | --- |"
    told = fill(f"{intro} {source}", 100, break_on_hyphens=False)
    return f"# {_('Glossary')}\n\n{told}\n\n{heads}\n{rows}\n"


def _meaning(entry: Entry) -> str:
    said = "; ".join(str(meaning) for meaning in entry.meanings.values())
    return f"{said}. {entry.note}" if entry.note else said
