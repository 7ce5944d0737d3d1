"""Signing in, signing in again, and the users' pages for administrators."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm, AuthenticationForm, UserChangeForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.urls import URLPattern, URLResolver, reverse_lazy
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from executions.accounts.confirmation import (
    confirm,
    confirmation_required,
    take_waiting_act,
    waiting_act,
)
from executions.accounts.roles import ADMINISTRATOR, RoleNeeded
from executions.pages.wizard.views import carry_on


class SignIn(LoginView):
    """The login page. A new sign-in also counts as the password for the next ten minutes."""

    redirect_authenticated_user = True

    def get_success_url(self) -> str:
        """The wanted page, unless it is this page or the sign-out."""
        wanted = super().get_success_url()
        ways_in_and_out = {resolve_url("login"), resolve_url("logout")}
        return (
            self.get_default_redirect_url() if urlsplit(wanted).path in ways_in_and_out else wanted
        )

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_valid(form)
        confirm(self.request)
        return response


class ChangePassword(PasswordChangeView):
    success_url = reverse_lazy("overview")


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_again(request: HttpRequest) -> HttpResponseBase:
    """Ask for the password of the signed-in user, and of nobody else.

    The act that waits for it is carried out if this page has named it.
    """
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if not url_has_allowed_host_and_scheme(wanted, {request.get_host()}, request.is_secure()):
        wanted = str(reverse_lazy("overview"))
    token = request.POST.get("act") or request.GET.get("act") or ""
    wrong = False
    if request.method == "POST":
        assert isinstance(request.user, User)  # noqa: S101  the middleware lets nobody else in
        if request.user.check_password(request.POST.get("password", "")):
            confirm(request)
            return _go_on(request, token, wanted)
        wrong = True
    context = {"next": wanted, "wrong": wrong, "token": token}
    context["act"] = waiting_act(request, token)
    return render(request, "registration/confirm.html", context, status=403 if wrong else 200)


def _go_on(request: HttpRequest, token: str, wanted: str) -> HttpResponseBase:
    """Continue with the waiting act, or else with the wanted page."""
    act = take_waiting_act(request, token)
    if act is not None:
        return carry_on(request, act)
    if token:
        messages.warning(
            request,
            _("Nothing was changed: what you sent has expired. Send it again."),
        )
    return redirect(wanted)


class AccountsSite(admin.AdminSite):
    """Django's own admin with users and their roles, and nothing else."""

    site_header = _("Multica Admin accounts")
    site_title = _("Accounts")
    index_title = _("Users and their roles")
    site_url = reverse_lazy("overview")  # type: ignore[assignment]  # becomes text when it is shown
    enable_nav_sidebar = False

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and getattr(request.user, "is_superuser", False))

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Ask for the password again: everything under ``/accounts/`` changes who may do what."""
        guarded = super().admin_view(view, cacheable)
        confirmed = confirmation_required(guarded)

        def allowed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not self.has_permission(request):
                raise RoleNeeded(ADMINISTRATOR)
            return confirmed(request, *args, **kwargs)

        return allowed

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Without a login and logout of its own: ours is the only way in.

        Also without the page that leads to a user's page on the site, because there is none.
        """
        unwanted = {"login", "logout", "password_change", "password_change_done", "view_on_site"}
        return [url for url in super().get_urls() if getattr(url, "name", None) not in unwanted]


def last_administrator_among(users: QuerySet[User]) -> User | None:
    """The one of these users who is the last administrator able to sign in; None if nobody is.

    Locks the administrators until the transaction ends, so that two who demote or delete each other
    do so one after the other.
    """
    administrators = User.objects.select_for_update().filter(is_superuser=True, is_active=True)
    able = {user.pk: user for user in administrators.order_by("pk") if user.has_usable_password()}
    going = [able.pop(pk) for pk in users.values_list("pk", flat=True) if pk in able]
    return going[0] if going and not able else None


def _refusal(user: User) -> str:
    return _(
        "%(user)s is the last administrator, and nobody could manage accounts any more."
        " Make somebody else an administrator first."
    ) % {"user": user.get_username()}


# Generic for the type checker only: Django's classes cannot be subscripted at run time.
if TYPE_CHECKING:
    _UserAdmin = UserAdmin[User]
    _UserChangeForm = UserChangeForm[User]
    _AdminPasswordChangeForm = AdminPasswordChangeForm[User]
else:
    _UserAdmin = UserAdmin
    _UserChangeForm = UserChangeForm
    _AdminPasswordChangeForm = AdminPasswordChangeForm


class AccountForm(_UserChangeForm):
    """Refuses to demote or deactivate the last administrator."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not (cleaned.get("is_superuser") and cleaned.get("is_active")):
            last = last_administrator_among(User.objects.filter(pk=self.instance.pk))
            if last:
                raise ValidationError(_refusal(last))
        return cleaned


class PasswordForm(_AdminPasswordChangeForm):
    """Refuses to remove the last administrator's password."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("set_usable_password") is False:
            last = last_administrator_among(User.objects.filter(pk=self.user.pk))
            if last:
                self.add_error("usable_password", _refusal(last))
        return cleaned


class AccountAdmin(_UserAdmin):
    """A user has a name, an address and roles, and may be an administrator; nothing finer."""

    form = AccountForm
    change_password_form = PasswordForm
    list_display = ("username", "email", "roles", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser", "groups")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("email",)}),
        (_("Roles"), {"fields": ("is_active", "is_superuser", "groups")}),
    )
    filter_horizontal = ()

    @admin.display(description=_("Roles"))
    def roles(self, user: User) -> str:
        """The groups of a user, so that the list shows accounts without a role."""
        return ", ".join(sorted(group.name for group in user.groups.all()))

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Validate the form once more if somebody took the name meanwhile.

        It then finds the name itself, and says so beside the field.
        """
        try:
            with transaction.atomic():
                return super().changeform_view(request, *args, **kwargs)
        except IntegrityError:
            return super().changeform_view(request, *args, **kwargs)

    # The locks of a check must hold until the checked change is made.
    @transaction.atomic
    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page asks here before it deletes several users."""
        return super().changelist_view(request, *args, **kwargs)

    @transaction.atomic
    def user_change_password(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().user_change_password(request, *args, **kwargs)

    @transaction.atomic
    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, Any]:
        """What a deletion would also remove, and what forbids it, before and after the button."""
        gone, counts, lacking, protected = super().get_deleted_objects(objs, request)
        pks = [user.pk for user in objs]
        last = last_administrator_among(User.objects.filter(pk__in=pks))
        return gone, counts, lacking, [*protected, _refusal(last)] if last else protected


accounts = AccountsSite(name="admin")
accounts.register(User, AccountAdmin)
