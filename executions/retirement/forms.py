"""The wizard's forms, read strictly: a forged form is refused by the name of its field."""

from collections.abc import Mapping

from django import forms
from django.utils.translation import gettext_lazy as _

from executions.models.retirement import CallerKind
from executions.retirement.outside import NotAName, Outside
from executions.text.visible import shortened

# The fields for a reason take this many characters (``_why.html``).
LONGEST_WHY = 500


def why_of(values: Mapping[str, str]) -> str:
    """The reason that a form gives for its act, in the operator's own words; empty without one.

    No act fails because of its reason: a longer one is cut, and invisible characters are written
    as their code points.
    """
    return shortened(values.get("why", "").strip(), LONGEST_WHY)


class ConfirmedName(forms.Form):
    """The job's name as the operator typed it, and the fingerprint of the job that they saw.

    ``accepted`` is ticked if the job cannot be put back as it is.
    """

    LONGEST = 2_000

    accepted = forms.BooleanField(required=False)
    typed = forms.CharField(required=False, strip=False, max_length=LONGEST)
    fingerprint = forms.RegexField("[0-9a-f]{32}", max_length=32)

    @classmethod
    def as_sent(cls, values: Mapping[str, str]) -> dict[str, str]:
        """The fields as sent, to be sent again. A value that is too long is invalid anyway."""
        sent = {name: values.get(name, "") for name in cls.base_fields}
        short = {name: value for name, value in sent.items() if len(value) <= cls.LONGEST}
        return {**short, "why": why_of(values)}


class OutsideSchedule(forms.Form):
    """A schedule outside the database. Once valid, ``outside`` holds it."""

    KINDS = (CallerKind.CRON, CallerKind.SYSTEMD, CallerKind.CRONJOB)

    kind = forms.ChoiceField(choices=[(kind.value, kind.label) for kind in KINDS])
    name = forms.CharField(required=False, max_length=255)
    namespace = forms.CharField(required=False, max_length=255)

    outside: Outside

    def clean(self) -> dict[str, object]:
        """Raises nothing. An invalid name becomes an error of the form."""
        values = super().clean() or {}
        if self.errors:
            return values
        namespace = values["namespace"] or "default"
        try:
            self.outside = Outside(values["kind"], values["name"], namespace)
        except NotAName as error:
            missing = _("Give the name of it, as “%(kind)s” knows it.") % {"kind": values["kind"]}
            self.add_error(error.field, str(error) if values[error.field] else missing)
        return values
