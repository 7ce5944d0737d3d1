"""Signing in, signing in again, and another password of one's own."""

from itertools import chain
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.core.exceptions import ValidationError
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from executions.accounts import sessions
from executions.accounts.confirmation import confirm
from executions.accounts.devices import known_device, remember_device
from executions.accounts.guessing import CONFIRM, SIGN_IN, GuessRefused, password_guess
from executions.accounts.requests import SignedInRequest, client_address
from executions.accounts.ways.session import PASSWORD, remember_way, way_of
from executions.pages.going_on import go_on, wanted_page, what_waits
from executions.pages.other_ways import no_passwords, offered, prove_again, too_early


class SignInForm(AuthenticationForm):
    """Counts the guess before the password is checked."""

    request: HttpRequest  # the view always gives it

    def clean(self) -> dict[str, Any]:
        if not (self.cleaned_data.get("username") and self.cleaned_data.get("password")):
            return super().clean()
        name = self.cleaned_data["username"]
        device = known_device(self.request, name)
        with password_guess(SIGN_IN, name, client_address(self.request), device):
            return super().clean()


class SignIn(LoginView):
    """The login page. A new sign-in also counts as the password for the next ten minutes."""

    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_success_url(self) -> str:
        return wanted_page(self.request)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        return context | offered(context["next"])

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not settings.WAYS.password:
            return no_passwords(request)
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_valid(form)
        remember_way(self.request, PASSWORD)
        remember_device(self.request, response, form.get_user())
        confirm(self.request)
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        return _with_its_status(super().form_invalid(form), form)


class OwnPasswordForm(PasswordChangeForm):
    """Asks for the present password, which can be guessed here as well."""

    def __init__(self, *args: Any, address: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._address = address

    def clean_old_password(self) -> str:
        with password_guess(CONFIRM, self.user.get_username(), self._address):
            return super().clean_old_password()


class ChangePassword(PasswordChangeView):
    form_class = OwnPasswordForm
    success_url = reverse_lazy("overview")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.WAYS.password:
            return no_passwords(request)
        return super().dispatch(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"address": client_address(self.request)}

    def form_valid(self, form: Any) -> HttpResponse:
        """The other sessions end with the old password. Without their rows, nobody asks again."""
        response = super().form_valid(form)
        remember_device(self.request, response, form.user)
        sessions.end_all(form.user, but=self.request.session.session_key)
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        return _with_its_status(super().form_invalid(form), form)


@require_POST
def sign_out_everywhere(request: SignedInRequest) -> HttpResponse:
    """End every session of the account, this one too."""
    sessions.end_all(request.user)
    logout(request)
    messages.success(request, _("You are signed out everywhere."))
    return redirect("login")


def _with_its_status(response: HttpResponse, form: BaseForm) -> HttpResponse:
    """The answer of a form, which says if its guess was refused."""
    for error in chain.from_iterable(form.errors.as_data().values()):
        if isinstance(error, GuessRefused):
            return too_early(response, error)
    return response


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_again(request: SignedInRequest) -> HttpResponseBase:
    """Ask for the password of the signed-in user, or for what they signed in with instead.

    The act that waits for it is carried out if this page has named it.
    """
    way = way_of(request)
    if way != PASSWORD:
        return prove_again(request, way)
    context = what_waits(request)
    if request.method != "POST":
        return _ask_again(request, context)
    try:
        _check_password(request)
    except GuessRefused as refused:
        answer = _ask_again(request, {**context, "problem": refused.message})
        return too_early(answer, refused)
    except ValidationError as wrong:
        return _ask_again(request, {**context, "problem": wrong.message}, status=403)
    confirm(request)
    return go_on(request, context["token"], context["next"])


def _ask_again(request: HttpRequest, context: dict[str, Any], status: int = 200) -> HttpResponse:
    return render(request, "registration/confirm.html", context, status=status)


def _check_password(request: SignedInRequest) -> None:
    """Let the right password pass.

    Raises:
        ValidationError: it is wrong, or may not be checked now (`GuessRefused`).
    """
    user = request.user
    with password_guess(CONFIRM, user.get_username(), client_address(request)):
        if not user.check_password(request.POST.get("password", "")):
            raise ValidationError(
                _("That is not the password of this account. Nothing was changed.")
            )
