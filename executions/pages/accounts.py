"""The users' pages for administrators: Django's own admin, with users and their roles only."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import (
    AdminPasswordChangeForm,
    AdminUserCreationForm,
    ReadOnlyPasswordHashField,
    SetUnusablePasswordMixin,
    UserChangeForm,
)
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Greatest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, URLResolver
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, pgettext_lazy

from executions.accounts.confirmation import confirmation_required
from executions.accounts.roles import (
    ADMINISTRATOR,
    NO_ROLE,
    OPERATOR,
    ROLE_WORDS,
    VIEWER,
    RoleNeeded,
    give_role,
    in_role,
    role_held,
)
from executions.accounts.ways.people import can_sign_in
from executions.text.formatters import moment

ROLES = {
    VIEWER: _("Viewer: sees every page and changes nothing."),
    OPERATOR: _("Operator: also runs the rollup, retires schedules and silences messages."),
    ADMINISTRATOR: _("Administrator: also makes accounts and gives roles."),
    NO_ROLE: _("No role: may sign in, but sees only whom to ask for one."),
}
# Some languages have another word for a role in a database.
_ROLE = pgettext_lazy("of an account", "Role")

# Texts of Django's own pages for which its catalog has no Chinese. Ours goes before it.
gettext_noop("Model name")
gettext_noop("Add link")
gettext_noop("Change or view list link")
gettext_noop("Error:")


class AccountsSite(admin.AdminSite):
    """Django's own admin with users and their roles, and nothing else."""

    index_title = _("Users and their roles")
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
    _AdminUserCreationForm = AdminUserCreationForm[User]
    _AdminPasswordChangeForm = AdminPasswordChangeForm[User]
else:
    _UserAdmin = UserAdmin
    _UserChangeForm = UserChangeForm
    _AdminUserCreationForm = AdminUserCreationForm
    _AdminPasswordChangeForm = AdminPasswordChangeForm


def _role_field() -> forms.ChoiceField:
    return forms.ChoiceField(label=_ROLE, choices=list(ROLES.items()), widget=forms.RadioSelect)


def _sole_address(form: Any) -> str:
    """The address of the form, which no other account may have."""
    address = str(form.cleaned_data.get("email") or "")
    others = User.objects.filter(email__iexact=address).exclude(pk=form.instance.pk)
    if address and "email" in form.changed_data and others.exists():
        raise ValidationError(
            _("Another account has this address. A code by mail would fit both, or neither.")
        )
    return address


class PasswordState(forms.Widget):
    """Whether there is a password, and the way to another one. Nothing of its hash."""

    read_only = True

    def render(self, name: str, value: Any, *_given: Any, **_options: Any) -> SafeString:
        usable = bool(value) and User(password=value).has_usable_password()
        state = _("A password is set.") if usable else _("No password is set.")
        act = _("Set another password") if usable else _("Set a password")
        return format_html('{} <a href="../password/">{}</a>', state, act)

    def id_for_label(self, id_: str) -> str:
        return ""


class NewAccountForm(_AdminUserCreationForm):
    """A role is chosen together with the name, so that no account waits for one unnoticed."""

    role = _role_field()

    def clean_email(self) -> str:
        return _sole_address(self)


class AccountForm(_UserChangeForm):
    """Refuses to demote or deactivate the last administrator, and an address of two accounts."""

    password = ReadOnlyPasswordHashField(label=_("Password"), widget=PasswordState)
    role = _role_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["role"] = role_held(self.instance)

    def clean_email(self) -> str:
        return _sole_address(self)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not (cleaned.get("role") == ADMINISTRATOR and cleaned.get("is_active")):
            last = last_administrator_among(User.objects.filter(pk=self.instance.pk))
            if last:
                raise ValidationError(_refusal(last))
        return cleaned


class PasswordForm(_AdminPasswordChangeForm):
    """Refuses to remove the last administrator's password."""

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        # Django's own text is in English in every language.
        self.usable_password_help_text = format_html(
            '{} <ul id="id_unusable_warning" class="messagelist"><li class="warning">{}</li></ul>',
            SetUnusablePasswordMixin.usable_password_help_text,
            _("If disabled, the current password for this user will be lost."),
        )
        super().__init__(user, *args, **kwargs)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("set_usable_password") is False:
            last = last_administrator_among(User.objects.filter(pk=self.user.pk))
            if last:
                self.add_error("usable_password", _refusal(last))
        return cleaned


class RoleFilter(admin.SimpleListFilter):
    title = pgettext_lazy("of an account", "role")
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(role, str(capfirst(ROLE_WORDS[role]))) for role in ROLES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        role = self.value()
        return in_role(queryset, role) if role in ROLES else queryset


class AccountAdmin(_UserAdmin):
    """An account has a name, an address and one role; nothing finer."""

    form = AccountForm
    add_form = NewAccountForm
    change_password_form = PasswordForm
    list_display = ("username", "role", "seen", "state", "email")
    list_filter = (RoleFilter, "is_active")
    search_fields = ("username", "email")
    readonly_fields = ("seen",)
    fieldsets = (
        (None, {"fields": ("username", "password", "email")}),
        (_ROLE, {"fields": ("role", "is_active")}),
        (_("Use"), {"fields": ("seen",)}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "email", "role")}),
        (_("Password"), {"fields": ("usable_password", "password1", "password2")}),
    )
    filter_horizontal = ()

    @admin.display(description=_ROLE)
    def role(self, user: User) -> str:
        return str(ROLES[role_held(user)])

    @admin.display(description=_("Last seen"), ordering="seen_at")
    def seen(self, user: User) -> str:
        """When the account last used a page or signed in, with the zone of the time.

        On a narrow screen, where no column has a heading, the cell says what it is.
        """
        at = getattr(user, "seen_at", None)
        return format_html(
            '<span class="heading-here">{}</span> {}',
            _("Last seen"),
            moment(at) if at else _("never"),
        )

    @admin.display(description=_("Sign-in"), ordering="is_active")
    def state(self, user: User) -> str:
        return str(_("may sign in") if user.is_active else _("may not sign in"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        users = super().get_queryset(request).prefetch_related("groups")
        # PostgreSQL's greatest() leaves null out.
        return users.annotate(seen_at=Greatest("last_seen__at", "last_login"))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        give_role(form.instance, form.cleaned_data["role"])

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
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The page asks here before it deletes several users."""
        titled = {"title": _("Accounts"), **(extra_context or {})}
        return super().changelist_view(request, titled)

    @transaction.atomic
    def user_change_password(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().user_change_password(request, *args, **kwargs)

    @transaction.atomic
    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, Any]:
        """What a deletion would also remove, and what forbids it, before and after the button."""
        _gone, _counts, lacking, protected = super().get_deleted_objects(objs, request)
        pks = [user.pk for user in objs]
        last = last_administrator_among(User.objects.filter(pk__in=pks))
        # Django would also list rows that only say which role an account has, by their class.
        gone = [str(user) for user in objs]
        counts = {User._meta.verbose_name_plural: len(gone)}
        return gone, counts, lacking, [*protected, _refusal(last)] if last else protected


accounts = AccountsSite(name="admin")
accounts.register(User, AccountAdmin)
