"""The page on which one's own password is changed."""

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import rotate_token
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import passwords
from accounts.api.own import person
from accounts.forms import PasswordForm
from accounts.sessions import session_of
from accounts.views.frame import say, signed_in_page
from accounts.words import sentence
from mfa_site.client import client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import STEP_UP, check, needs


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in_page
@needs(**STEP_UP)
def password(request: HttpRequest) -> HttpResponse:
    """The present password, then the new one; all other sessions end, this one stays."""
    user = person(request)
    form = PasswordForm(user, request.POST or None)
    status = 400 if request.method == "POST" else 200
    if request.method == "POST" and form.is_valid():
        try:
            return changed(request, form)
        except Refused as refused:
            if refused.reason is Reason.TOO_MANY_ATTEMPTS:
                form.add_error(None, sentence(refused))
            elif refused.reason is Reason.BAD_CREDENTIALS:
                form.add_error("current", _("That is not the password you have now."))
            else:
                raise
            status = refused.reason.status
    return render(request, "accounts/password.html", {"form": form}, status=status)


def changed(request: HttpRequest, form: PasswordForm) -> HttpResponse:
    """The password is the new one, and this session has new values of everything that could have leaked."""
    sid, now, caller, session = check(request).sid, timezone.now(), client(request), session_of(request)
    passwords.prove(form.user, form.cleaned_data["current"], sid, caller, now)
    passwords.change(form.user, form.cleaned_data["new"], sid, lambda: session.rotate(sid, now), caller, now)
    rotate_token(request)
    say(request, _("Your password is changed, and you are signed out everywhere else."))
    return redirect("account")


def well_known(request: HttpRequest) -> HttpResponse:
    """`/.well-known/change-password`: where password managers send people (W3C, A Well-Known URL for Changing Passwords)."""
    return redirect("password")
