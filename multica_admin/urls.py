"""Every address of the dashboard."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import include, path, re_path

from executions.accounts import for_any_account
from executions.views import accounts, overview, probes

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("verdict/", overview.verdict, name="verdict"),
    path("", include("executions.urls")),
    path("login/", accounts.SignIn.as_view(), name="login"),
    path("logout/", for_any_account(LogoutView.as_view()), name="logout"),
    path("confirm/", accounts.sign_in_again, name="confirm"),
    path("password/", for_any_account(accounts.ChangePassword.as_view()), name="password_change"),
    path("accounts/", accounts.accounts.urls),
    # Machines ask with a slash or without one, and not all of them follow a redirect.
    re_path(r"^healthz/?$", probes.healthz, name="healthz"),
    re_path(r"^livez/?$", probes.livez, name="livez"),
    re_path(r"^readyz/?$", probes.readyz, name="readyz"),
]

handler400 = "executions.views.problems.bad_request"
handler403 = "executions.views.problems.permission_denied"
handler404 = "executions.views.problems.not_found"
handler500 = "executions.views.problems.server_error"
