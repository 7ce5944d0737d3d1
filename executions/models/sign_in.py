"""Our own record of who signs in: guesses, sessions and last uses. `accounts/` has the rules."""

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models


class GuessCount(models.Model):
    """How many guesses were begun for one purpose until ``until``, then counted anew.

    ``whose`` is the digest of an account's name or of a client's address, so the table tells
    neither.
    """

    purpose = models.TextField()
    whose = models.TextField()
    guesses = models.IntegerField()
    until = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["purpose", "whose"], name="one_guess_count_each")
        ]
        indexes = [models.Index(fields=["until"], name="guess_count_until")]

    def __str__(self) -> str:
        return f"{self.guesses} guesses ({self.purpose}) until {self.until}"


class AccountSession(AbstractBaseSession):
    """A session of Django's, with the account that is signed in by it; null for nobody.

    It is no foreign key, because a session outlives its account until somebody asks for it.
    """

    account_id = models.IntegerField(null=True, db_index=True)


class LastSeen(models.Model):
    """When an account last used a page, to within a few minutes. A refresh is no use."""

    account = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="last_seen"
    )
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.account} at {self.at}"
