"""Our own record of signing in: how often somebody has guessed. `accounts/` has the rules."""

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
