"""The users' pages for administrators: Django's own admin, with users and their roles only."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, URLResolver, reverse_lazy
from django.utils.translation import gettext_lazy as _

from executions.accounts.confirmation import confirmation_required
from executions.accounts.roles import ADMINISTRATOR, RoleNeeded
from executions.accounts.ways.people import can_sign_in


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
    able = {user.pk: user for user in administrators.order_by("pk") if can_sign_in(user)}
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
    """Refuses to demote or deactivate the last administrator, and an address of two accounts."""

    def clean_email(self) -> str:
        address = str(self.cleaned_data.get("email") or "")
        others = User.objects.filter(email__iexact=address).exclude(pk=self.instance.pk)
        if address and "email" in self.changed_data and others.exists():
            raise ValidationError(
                _("Another account has this address. A code by mail would fit both, or neither.")
            )
        return address

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
