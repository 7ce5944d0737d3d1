"""PURE: what the product's own words mean, for docs/guide/glossary.md and for the pages.

A page explains a word with ``{% term "watermark" %}``. It says nothing of findings or gates: those
have explanations of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import fill

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from executions.text.sentences import apart, listed

Meaning = str | Promise


@dataclass(frozen=True)
class Term:
    """A word with its meaning. Code and templates know it by its English ``name``."""

    name: str
    meaning: Meaning

    @property
    def label(self) -> str:
        """The word in the reader's language."""
        return gettext(self.name)


@dataclass(frozen=True)
class Entry:
    """Terms that belong together. ``note`` is for those who write texts."""

    terms: tuple[Term, ...]
    note: Meaning

    @property
    def first(self) -> Term:
        """The term by which a page names the entry."""
        return self.terms[0]


def _entry(*terms: Term, note: Meaning = "") -> Entry:
    return Entry(terms, note)


GLOSSARY: tuple[Entry, ...] = (
    _entry(Term("job", _("registered recurring work")), Term("spec", _("its settings"))),
    _entry(
        Term(
            "plan",
            _(
                "one run of a job that is expected: the rollup has one every five minutes, "
                "and one of all runners runs it"
            ),
        ),
        Term("plan_time", _("the canonical UTC bucket of a plan")),
        note=_("Never “scheduled at”"),
    ),
    _entry(
        Term(
            "scope",
            _(
                "what a plan is for, as kind/id; a lease locks one scope. The rollup has one,"
                " global/global"
            ),
        )
    ),
    _entry(Term("execution", _("one row: job, scope, plan_time"))),
    _entry(Term("attempt", _("a try of one plan, counted from 1"))),
    _entry(
        Term(
            "runner",
            _(
                "a process that runs plans: a replica of Multica's backend, or one of this "
                "installation"
            ),
        ),
        note=_("Never “worker”"),
    ),
    _entry(Term("tick", _("one planning pass of a runner"))),
    _entry(Term("claim", _("trying to win a plan: WON, RETRIED, STOLEN, or CONFLICT"))),
    _entry(
        Term(
            "lease",
            _("the right to run a plan for a limited time, so that no other runner begins it"),
        ),
        Term("lease_token", _("the proof of a lease, new with each claim")),
    ),
    _entry(
        Term("heartbeat", _("extends a lease while its run goes on")),
        Term("stale", _("said of a run whose lease has ended without an outcome")),
    ),
    _entry(
        Term("steal", _("take over a stale lease")), Term("sweep", _("close a stale row as FAILED"))
    ),
    _entry(Term("lease lost", _("a guarded write hit no row: another runner has the plan"))),
    _entry(Term("finish", _("the write of an execution's outcome"))),
    _entry(
        Term("watermark", _("the time up to which usage is rolled up")),
        Term("watermark lag", _("now minus the watermark (5 to 11 minutes are normal)")),
    ),
    _entry(Term("last-run age", _("now minus the end of the last run")), note=_("Not the lag")),
    _entry(
        Term("kept", _("said of a plan whose execution succeeded")),
        Term("missing", _("said of a plan that no runner began")),
    ),
    _entry(
        Term("finding", _("a thing that is wrong or worth knowing, with its evidence")),
        Term("verdict", _("the sum of all findings")),
    ),
    _entry(Term("folded", _("shown under the finding that explains it"))),
    _entry(Term("gate", _("one condition of a retirement, passed or refused with a reason"))),
    _entry(
        Term(
            "schedule",
            _("what calls the rollup from outside: a pg_cron job, cron, a timer, a CronJob"),
        )
    ),
    _entry(
        Term("retire", _("the wizard's goal")),
        Term("unschedule", _("pg_cron's call")),
        Term("undo", _("scheduling it again as it was")),
    ),
    _entry(Term("trial", _("the job is paused while three plans are watched"))),
    _entry(
        Term(
            "direct connection",
            _("a connection without a pooler in between, so its locks and settings are ours"),
        )
    ),
)
ENTRIES: Mapping[str, Entry] = {entry.first.name: entry for entry in GLOSSARY}


def markdown() -> str:
    """The whole of docs/guide/glossary.md, in the language of the moment."""
    intro = gettext("The interface, the code and the SQL use the same words.")
    source = gettext(
        "`manage.py explain --glossary` prints this page from the same source as the pages, so edit"
        " `executions/text/glossary.py`."
    )
    rows = "\n".join(f"| {_words(one)} | {_meaning(one)} |" for one in GLOSSARY)
    title, word, meaning = gettext("Glossary"), gettext("word"), gettext("meaning")
    heads = f"| {word} | {meaning} |\n| --- | --- |"
    told = fill(f"{intro} {source}", 100, break_on_hyphens=False, break_long_words=False)
    return f"# {title}\n\n{told}\n\n{heads}\n{rows}\n"


def _words(entry: Entry) -> str:
    """The words; in another language each with its English name, which code and SQL have."""
    return str(listed(_word(term) for term in entry.terms))


def _word(term: Term) -> str:
    if term.label == term.name:
        return term.name
    return gettext("%(word)s (%(english)s)") % {"word": term.label, "english": term.name}


def _meaning(entry: Entry) -> str:
    said = str(apart(term.meaning for term in entry.terms))
    values = {"said": said, "note": entry.note}
    return gettext("%(said)s. %(note)s") % values if entry.note else said
