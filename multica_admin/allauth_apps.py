"""django-allauth's two apps, whose tables are always there and whose middleware is not.

The middleware would run for every page. `executions.pages.ways_in` does its work for the few
addresses that need it.
"""

from allauth.account.apps import AccountConfig
from allauth.socialaccount.apps import SocialAccountConfig


class Accounts(AccountConfig):
    def ready(self) -> None:
        """Without the check that the middleware is in the settings."""


class SocialAccounts(SocialAccountConfig):
    def ready(self) -> None:
        """Without looking for providers: `settings.WAYS` names them."""
