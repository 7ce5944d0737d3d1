"""PURE: why an alarm did not get through, as a sentence without any secret."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.alarms.receivers import REFUSED, STATUS, UNREACHED, UNUSABLE
from executions.text.sentences import Sentence, say

_SENTENCES: dict[str, Promise] = {
    UNUSABLE: _("Its address in ALERT_URLS is none that apprise knows: correct it."),
    UNREACHED: _("It could not be reached: check that it runs, and the way to it."),
    REFUSED: _("It did not take the message: check its address, its token and its log."),
}


def why(problem: str) -> Sentence:
    word, _space, status = problem.partition(" ")
    if word != STATUS:
        return say(_SENTENCES.get(problem, _SENTENCES[REFUSED]))
    if status.startswith("3"):
        return say(
            _(
                "It answered with a redirect (%(status)s), which is not followed: put the address"
                " that it leads to into ALERT_URLS."
            ),
            status=status,
        )
    return say(
        _("It answered with the status %(status)s: check its address, its token and its log."),
        status=status,
    )
