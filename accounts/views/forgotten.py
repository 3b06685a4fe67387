"""The pages of a forgotten password: ask for a link, choose a new password with it."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts import forgotten
from accounts.forms import NewPasswordForm, UsernameForm
from accounts.views.frame import refuse_in_form
from mfa_site.client import client
from mfa_site.errors import Refused


@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: HttpRequest) -> HttpResponse:
    """Which account? What follows is the same for every name."""
    form, status = UsernameForm(request.POST if request.method == "POST" else None), 200
    if request.method == "POST" and settings.HAS_MAIL:
        status = 400
        if form.is_valid():
            try:
                forgotten.ask(form.cleaned_data["username"], client(request), timezone.now())
                return redirect(f"{reverse('password-forgotten')}?sent=1")
            except Refused as refused:
                status = refuse_in_form(form, refused)
    on_console = settings.EMAIL_BACKEND.endswith(".console.EmailBackend")
    context = {"form": form, "sent": "sent" in request.GET, "minutes": forgotten.LIFE.seconds // 60, "on_console": on_console}
    return render(request, "accounts/password_forgotten.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def choose(request: HttpRequest, code: str = "") -> HttpResponse:
    """The link from the mail: looking at it uses up nothing (mail scanners look too), the new password does."""
    code = request.POST.get("code", code)
    try:
        response = choose_page(request, code)
    except Refused:
        response = render(request, "accounts/password_link_over.html", status=404)
    # Not even our own static files hear of the code. `no-referrer` would also take the Origin from the form's POST.
    response["Referrer-Policy"] = "strict-origin"
    return response


def choose_page(request: HttpRequest, code: str) -> HttpResponse:
    """The form for a new password, and on to the sign-in when there is one; Refused where the link is not good."""
    now = timezone.now()
    link = forgotten.by_code(code, now)
    form, status = NewPasswordForm(link.user, request.POST if request.method == "POST" else None), 200
    if request.method == "POST":
        if form.is_valid():
            forgotten.choose(link, form.cleaned_data["new"], client(request), now)
            return redirect(f"{reverse('sign-in')}?password_changed=1")
        status = 400
    return render(request, "accounts/password_choose.html", {"form": form, "code": code, "person": link.user}, status=status)
