"""Signing in, signing in again, and the users' pages for administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import URLPattern, URLResolver, reverse_lazy
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from executions.confirmation import confirm, confirmation_required


class SignIn(LoginView):
    """The login page; whoever has just signed in need not do it again for ten minutes."""

    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_valid(form)
        confirm(self.request)
        return response


class ChangePassword(PasswordChangeView):
    success_url = reverse_lazy("overview")


@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def sign_in_again(request: HttpRequest) -> HttpResponse:
    """Ask for the password of whoever is signed in, and of nobody else."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if not url_has_allowed_host_and_scheme(wanted, {request.get_host()}, request.is_secure()):
        wanted = str(reverse_lazy("overview"))
    wrong = False
    if request.method == "POST":
        assert isinstance(request.user, User)  # noqa: S101  the middleware lets nobody else in
        if request.user.check_password(request.POST.get("password", "")):
            confirm(request)
            return redirect(wanted)
        wrong = True
    context = {"next": wanted, "wrong": wrong}
    return render(request, "registration/confirm.html", context, status=403 if wrong else 200)


class AccountsSite(admin.AdminSite):
    """Django's own admin with users and their roles and nothing but that."""

    site_header = _("Multica Admin accounts")
    site_title = _("Accounts")
    index_title = _("Users and their roles")
    site_url = reverse_lazy("overview")  # type: ignore[assignment]
    enable_nav_sidebar = False

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and getattr(request.user, "is_superuser", False))

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Everything under ``/accounts/`` changes who may do what: sign in again for it."""
        guarded = super().admin_view(view, cacheable)
        confirmed = confirmation_required(guarded)

        def allowed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not self.has_permission(request):
                raise PermissionDenied(_("Accounts are for administrators."))
            return confirmed(request, *args, **kwargs)

        return allowed

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Without a login and logout of its own: there is one way in, and it is ours."""
        ours = {"login", "logout", "password_change", "password_change_done"}
        return [url for url in super().get_urls() if getattr(url, "name", None) not in ours]


# Generic for the type checker only: Django's class cannot be subscripted when it runs.
if TYPE_CHECKING:
    _UserAdmin = UserAdmin[User]
else:
    _UserAdmin = UserAdmin


class AccountAdmin(_UserAdmin):
    """A user has a name, an address, roles, and may be an administrator; nothing finer."""

    list_display = ("username", "email", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser", "groups")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("email",)}),
        (_("Roles"), {"fields": ("is_active", "is_superuser", "groups")}),
    )
    filter_horizontal = ()


accounts = AccountsSite(name="admin")
accounts.register(User, AccountAdmin)
