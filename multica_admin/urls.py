"""Every address of the dashboard."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LogoutView
from django.urls import include, path, re_path
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

from executions.accounts.roles import for_any_account
from executions.pages import accounts, monitors, probes, sign_in

urlpatterns = [
    path("", include("executions.urls")),
    path("login/", sign_in.SignIn.as_view(), name="login"),
    path("logout/", for_any_account(LogoutView.as_view()), name="logout"),
    path(
        "logout/everywhere/", for_any_account(sign_in.sign_out_everywhere), name="logout_everywhere"
    ),
    path("confirm/", sign_in.sign_in_again, name="confirm"),
    # People choose their language before they sign in.
    path("language/", login_not_required(require_POST(set_language)), name="set_language"),
    path("password/", for_any_account(sign_in.ChangePassword.as_view()), name="password_change"),
    path("accounts/", accounts.accounts.urls),
    # Monitors ask with or without a slash, and not all of them follow a redirect.
    re_path(r"^healthz/?$", probes.healthz, name="healthz"),
    re_path(r"^livez/?$", probes.livez, name="livez"),
    re_path(r"^readyz/?$", probes.readyz, name="readyz"),
    re_path(r"^status/?$", monitors.status, name="status"),
    re_path(r"^metrics/?$", monitors.metrics, name="metrics"),
]
# What nobody configured adds no address, and its libraries are not even imported.
if settings.WAYS.beyond_password:
    from executions.pages import ways_in

    urlpatterns += ways_in.urls(settings.WAYS)

handler400 = "executions.pages.problems.bad_request"
handler403 = "executions.pages.problems.permission_denied"
handler404 = "executions.pages.problems.not_found"
handler500 = "executions.pages.problems.server_error"
