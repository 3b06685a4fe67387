"""Step-up in pages: "confirm it is you". The pages of the device are those of the sign-in (`accounts.views.sign_in`)."""

import re
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import policy, rules, step_up
from accounts.api.own import person
from accounts.models import SignIn
from accounts.sessions import session_of
from accounts.signin import Passed
from accounts.views.frame import has_typed, safe_next, say
from mfa_site.client import client
from mfa_site.errors import Refused
from mfa_site.proof import ACR, STEP_UP, Needed, check, proof_of


@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """A step-up is begun, or nothing is asked where the proof will do; strangers sign in, which will do too."""
    next_path = safe_next(request.GET.get("next", ""))
    proof = proof_of(request)
    if proof is None:
        return redirect(f"{reverse('sign-in')}?{urlencode({'next': next_path})}")
    try:
        check(request, **needed(request))
    except Refused as refused:
        if refused.facts["acr"] != policy.WEAK == proof.acr and not can_do_better(request):
            return nothing_stronger(request)
        now = timezone.now()
        # A look writes nothing where the step-up for the same page is there already.
        ceremony = step_up.in_progress(proof, next_path, now)
        if ceremony is None:
            ceremony, _handle = step_up.begin(person(request), proof, client(request), now, next_path)
        return redirect("confirm-second-step", ceremony.uuid)
    return redirect(next_path or "account")


def can_do_better(request: HttpRequest) -> bool:
    """Whether a device or a recovery code of the person is worth more than the code that they signed in with."""
    return bool(policy.strong_of(rules.in_use(person(request).pk)))


def nothing_stronger(request: HttpRequest) -> HttpResponse:
    """What was wanted takes a stronger device than the person has: add one first."""
    context = {"title": _("This takes a stronger device"), "why": ""}
    context["sentence"] = _(
        "You signed in with a code that opens only what it takes to add a device. Add one, then sign in with it."
    )
    context |= {"button": _("Add a device"), "on": reverse("add-device")}
    if policy.has_strong(person(request)):  # switched off: then a weak code adds nothing
        context["sentence"] = _("Your stronger device was switched off. Ask your administrator for a temporary code.")
        context |= {"button": _("Your account"), "on": reverse("account")}
    return render(request, "accounts/over.html", context, status=403)


def needed(request: HttpRequest) -> Needed:
    """What the page that led here asks for, where that is not the usual; the page itself looks at the proof again."""
    acr, max_age = request.GET.get("acr", ""), request.GET.get("max_age", "")
    return {
        "acr": acr if acr in ACR else STEP_UP["acr"],
        "max_age": int(max_age) if re.fullmatch("[0-9]{1,6}", max_age) else STEP_UP["max_age"],
    }


def passed(request: HttpRequest, proven: Passed) -> None:
    """This browser's session stands for the new proof, under a new cookie value."""
    session_of(request).step_up(proven, timezone.now())


def confirmed(request: HttpRequest, ceremony: SignIn) -> None:
    """The next page says so, and what is still to do there."""
    if has_typed(request, ceremony.next):
        say(request, _("Confirmed. What you entered is still here; select the button once more."))
    elif ceremony.next == reverse("password"):
        say(request, _("Confirmed. Now your passwords; those typed before were not kept."))
    else:
        say(request, _("Confirmed."))


def back(request: HttpRequest, ceremony: SignIn) -> HttpResponse:
    """After a cancel: to the form that was being filled in; the account where a mere look would ask for a proof again."""
    return redirect(ceremony.next if has_typed(request, ceremony.next) else "account")


def again(next_path: str) -> str:
    """Where one more step-up begins."""
    return f"{reverse('confirm')}?{urlencode({'next': next_path})}"


def over(request: HttpRequest, uuid: UUID, why: str) -> HttpResponse:
    """A step-up that is over: on to what it was for if another tab finished it, else why, and "try again"."""
    proof = proof_of(request)
    if proof is None:
        # A second click comes with the cookie of before; by the time it looks again, its browser has the new one.
        return redirect(request.path if request.method == "POST" else "sign-in")
    ceremony = SignIn.objects.filter(uuid=uuid, purpose=SignIn.Purpose.STEP_UP, started_by=proof.sid).first()
    next_path = ceremony.next if ceremony else ""
    if ceremony and ceremony.state == SignIn.State.FINISHED:
        return redirect(next_path or "account")
    context = {
        "title": _("Confirm it is you"),
        "why": why,
        "sentence": _("This confirmation is over. You are still signed in."),
    }
    context |= {"button": _("Try again"), "on": again(next_path)}
    return render(request, "accounts/over.html", context, status=401)
