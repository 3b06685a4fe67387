"""The pages for who was invited to enrol a device: the link or the typed code, then the password; the rest is signing in."""

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts import invitations
from accounts.forms import InvitationCodeForm, InvitedForm
from accounts.models import Invitation
from accounts.sessions import session_of
from accounts.views.answer import retry_after
from accounts.views.frame import refuse_in_form
from accounts.views.sign_in import password_page
from mfa_site.client import client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import proof_of


@require_http_methods(["GET", "HEAD", "POST"])
def enter(request: HttpRequest, code: str = "") -> HttpResponse:
    """The link, or a field for the typed code. Looking changes nothing (mail scanners look too); "Continue" goes on."""
    try:
        response = opened(request, code) if request.method == "POST" else looked_at(request, code)
    except Refused as refused:
        response = refused_page(request, refused)
    # Not even our own static files hear of the code. `no-referrer` would also take the Origin from the form's POST.
    response["Referrer-Policy"] = "strict-origin"
    return response


def looked_at(request: HttpRequest, code: str) -> HttpResponse:
    """The page to go on from; a typed code in the address opens nothing, since nobody counts looks."""
    if not code:
        return render(request, "accounts/invitation_code.html", {"form": InvitationCodeForm()})
    invitation = for_this_browser(request, invitations.by_link(code, timezone.now()))
    return render(request, "accounts/invitation.html", {"invitation": invitation, "code": code})


def opened(request: HttpRequest, code: str) -> HttpResponse:
    """The browser keeps which invitation it is, never its code, and goes on to the password."""
    form, now, caller = (
        InvitationCodeForm(request.POST if "code" in request.POST else {"code": code}),
        timezone.now(),
        client(request),
    )
    if not form.is_valid():
        return render(request, "accounts/invitation_code.html", {"form": form}, status=400)
    try:
        invitation = for_this_browser(request, invitations.by_either(form.cleaned_data["code"], caller, now))
    except Refused as refused:
        if refused.reason in (Reason.INVITATION_OVER, Reason.INVITATION_OF_ANOTHER):
            raise
        status, again = refuse_in_form(form, refused), {"form": form}
        return retry_after(render(request, "accounts/invitation_code.html", again, status=status), refused)
    invitations.opened(invitation, caller, now)
    session_of(request).keep(caller, now, invitation=str(invitation.uuid))
    return redirect("invitation-password")


@require_http_methods(["GET", "HEAD", "POST"])
def password(request: HttpRequest) -> HttpResponse:
    """The password of the person who was invited, in the browser that opened the invitation."""
    get_token(request)
    kept = session_of(request).get("invitation")
    if kept is None:
        return redirect("invitation-code")
    try:
        invitation = for_this_browser(request, invitations.by_uuid(kept, timezone.now()))
    except Refused as refused:
        return refused_page(request, refused)
    form = InvitedForm(invitation.person, request.POST or None)
    return password_page(request, form, "accounts/invitation_password.html", {"person": invitation.person}, invitation)


def for_this_browser(request: HttpRequest, invitation: Invitation) -> Invitation:
    """The invitation; Refused INVITATION_OF_ANOTHER where somebody else is signed in here."""
    proof = proof_of(request)
    if proof is not None and proof.person != invitation.person.uuid:
        raise Refused(Reason.INVITATION_OF_ANOTHER)
    return invitation


def refused_page(request: HttpRequest, refused: Refused) -> HttpResponse:
    """What is wrong with the invitation, and what to do."""
    if refused.reason is Reason.INVITATION_OF_ANOTHER:
        return render(request, "accounts/invitation_other.html", {"person": request.user}, status=refused.reason.status)
    return render(request, "accounts/invitation_over.html", status=404)
