"""The way in when all others fail: a code for one sign-in, which only a command makes.

It exists while password sign-in is off. Nothing is stored: the code ends with its ten minutes, and
with the account's next sign-in, because Django's own tokens are made from the last one.
"""

from django.contrib.auth.models import User
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import transaction
from django.utils import timezone
from django.utils.http import base36_to_int, int_to_base36

# The actions of the audit.
MADE_CODE = "make a sign-in code"
SIGNED_IN_ONCE = "sign in once"


class OnceTokens(PasswordResetTokenGenerator):
    """``PASSWORD_RESET_TIMEOUT`` bounds how long one is good for."""

    key_salt = "executions.accounts.ways.once"


_tokens = OnceTokens()


def make_once_code(user: User) -> str:
    return f"{int_to_base36(user.pk)}-{_tokens.make_token(user)}"


def redeem_once_code(code: str) -> User | None:
    """The active account of this code, which is used up then; None if it is not good."""
    number, _dash, token = code.strip().partition("-")
    try:
        pk = base36_to_int(number)
    except ValueError:
        return None
    with transaction.atomic():
        user = User.objects.select_for_update().filter(pk=pk, is_active=True).first()
        if user is None or not _tokens.check_token(user, token):
            return None
        user.last_login = timezone.now()
        user.save(update_fields=["last_login"])
        return user
