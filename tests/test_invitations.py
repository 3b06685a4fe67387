"""Invitations: made by an administrator, looked at by anybody's mail scanner, used once, after the password, for one device."""

import json
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pyotp
import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts import enrolment, invitations, notices, prune, signin
from accounts.invitations import Made
from accounts.models import BrowserSession, Invitation, SignIn, User
from audit.models import Event
from devices.lifecycle import State
from devices.models import Device
from mfa_site import client as facts
from mfa_site import logs
from mfa_site.errors import Reason, Refused
from tests import dump
from tests.conftest import Api, Person, code_of, make_person, make_token
from tests.post_office import post_office
from tests.soft_key import SoftKey
from tests.test_admin import browser as browser_of
from tests.test_admin import change, post, user_form
from tests.test_pages import Browser

pytestmark = pytest.mark.django_db

DESK = facts.Client("192.0.2.3", "", "a-request-id")
ALL = ["fido2", "totp"]


@pytest.fixture
def admin(db: None) -> Person:
    return make_person("totp", username="admin", is_staff=True, is_superuser=True)


def make(person: Person, admin: Person, *kinds: str, **more: Any) -> Made:
    return invitations.make(person.user, kinds or ALL, DESK, timezone.now(), actor=admin.user.uuid, **more)


def link(made: Made) -> str:
    """The path of the link."""
    return made.url.removeprefix("http://localhost:8000")


def follow(made: Made, browser: Browser | None = None) -> Browser:
    """The link, and "Continue"."""
    browser = (browser or Browser()).go(link(made))
    found = re.search('name="code" value="([^"]+)"', browser.text)
    assert found, browser.text
    return browser.send("/enrol/", code=found.group(1))


def invited(made: Made, person: Person) -> Browser:
    """The link and the password."""
    return follow(made).send("/enrol/password/", password=person.password)


def shown_key(browser: Browser) -> pyotp.TOTP:
    """The app with the key of the page."""
    found = re.search('class="key">(.*?)</bdi>', browser.text)
    assert found, browser.text
    return pyotp.TOTP(re.sub("<[^>]+>| ", "", found.group(1)))


def enrol_app(browser: Browser) -> Browser:
    """From the choice to the end, with an authenticator app."""
    browser.go(browser.at + "totp/")
    return browser.send(code=shown_key(browser).now())


def state_of(made: Made) -> str:
    return Invitation.objects.get(pk=made.invitation.pk).state(timezone.now())


def reason_of(call: Any) -> Reason:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.reason


# ---- making one ------------------------------------------------------------------------------------------------------


def test_it_has_two_secrets_and_a_day(alice: Person, admin: Person) -> None:
    made = make(alice, admin)
    assert re.fullmatch("http://localhost:8000/enrol/[A-Za-z0-9_-]{22}/", made.url), "128 bits"
    assert re.fullmatch("[0-9a-hjkmnp-tv-z]{5}-[0-9a-hjkmnp-tv-z]{5}", made.code), "50 bits"
    assert made.invitation.expires_at - made.invitation.created_at == timedelta(hours=24)
    assert state_of(made) == "sent"


def test_a_new_one_withdraws_the_old(alice: Person, admin: Person) -> None:
    old, new = make(alice, admin), make(alice, admin)
    assert (state_of(old), state_of(new)) == ("withdrawn", "sent")
    assert Browser().go(link(old)).status == 404 and Browser().go(link(new)).status == 200


@pytest.mark.parametrize("kinds", [[], ["recovery"], ["temporary"], ["app"], ["totp", "totp"], [1], [None], [["totp"]], [{}]])
def test_kinds_that_nobody_can_enrol_are_refused(alice: Person, admin: Person, kinds: list[Any]) -> None:
    api = Api(Api().sign_in(admin)["access_token"])
    answer = api.post(f"admin/users/{alice.user.uuid}/invitations", {"kinds": kinds})
    assert code_of(answer) == (400, "malformed") and not Invitation.objects.exists()


def test_a_kind_that_is_off_is_refused(alice: Person, admin: Person, settings: Any) -> None:
    settings.KINDS_OFF = frozenset({"totp"})
    assert reason_of(lambda: make(alice, admin, "totp")) is Reason.MALFORMED


def test_nobody_invites_himself_nor_a_disabled_person(alice: Person, admin: Person) -> None:
    assert reason_of(lambda: make(admin, admin)) is Reason.NOT_PERMITTED
    User.objects.filter(pk=alice.user.pk).update(is_active=False)
    assert reason_of(lambda: make(alice, admin)) is Reason.WRONG_STATE


def test_over_the_api(alice: Person, admin: Person) -> None:
    api = Api(Api().sign_in(admin)["access_token"])
    answer = api.post(f"admin/users/{alice.user.uuid}/invitations", {"kinds": ["totp"], "ask_surviving_factor": False})
    assert answer.status_code == 201 and set(answer.json()) == {"url", "code", "expires_at"}
    row = Invitation.objects.get()
    assert (row.kinds, row.ask_surviving_factor, row.made_by) == (["totp"], False, admin.user.uuid)
    assert Browser().go(answer.json()["url"]).status == 200


def test_helpdesk_invites_people_but_not_administrators(alice: Person, admin: Person) -> None:
    desk = make_person("totp", is_staff=True)
    desk.user.groups.set(Group.objects.filter(name="Helpdesk"))
    api = Api(Api().sign_in(desk)["access_token"])
    assert api.post(f"admin/users/{alice.user.uuid}/invitations", {"kinds": ["totp"]}).status_code == 201
    for person in (admin, desk):
        answer = api.post(f"admin/users/{person.user.uuid}/invitations", {"kinds": ["totp"]})
        assert code_of(answer) == (403, "not_permitted")


def test_by_command(alice: Person) -> None:
    out = StringIO()
    call_command("invite", "ALICE", "--kind", "totp", "--no-ask-surviving-factor", "--json", stdout=out)
    told = json.loads(out.getvalue())
    row = Invitation.objects.get()
    assert told["username"] == "alice" and row.kinds == ["totp"] and not row.ask_surviving_factor
    assert Browser().go(told["url"]).status == 200
    call_command("invite", "alice", stdout=out)
    assert told["code"] not in out.getvalue().splitlines()[-2] and "works once" in out.getvalue()
    for wrong in (("nobody",), ("alice", "--kind", "recovery")):
        with pytest.raises(CommandError):
            call_command("invite", *wrong)


# ---- looking at it ---------------------------------------------------------------------------------------------------


def test_a_mail_scanner_uses_nothing_up(alice: Person, admin: Person) -> None:
    made = make(alice, admin, "totp", ask_surviving_factor=False)
    for method in ("head", "get", "get", "get", "options", "put", "delete"):
        answer = getattr(Client(), method)(link(made))
        assert "session" not in answer.cookies
    assert state_of(made) == "sent" and not BrowserSession.objects.exists()
    assert enrol_app(invited(made, alice)).at == "/account/" and state_of(made) == "done"


def test_the_pages_say_nothing_of_the_code_to_others(alice: Person, admin: Person) -> None:
    made = make(alice, admin)
    answer = Client().get(link(made))
    assert answer["Referrer-Policy"] == "strict-origin" and "no-store" in answer["Cache-Control"]
    assert "alice" not in answer.content.decode(), "whose it is says nothing before it is opened"
    browser = follow(made)
    assert browser.at == "/enrol/password/" and "alice" in browser.text
    for secret in (link(made).split("/")[2], made.code):
        assert secret not in browser.text
        assert secret not in json.dumps(list(BrowserSession.objects.values()), default=str)


@pytest.mark.parametrize("code", ["x", "x" * 22, "%00", "..", "a/b", "%F0%9F%92%A9", "x" * 5000, "%ED%A0%80"])
def test_a_link_that_is_none(alice: Person, code: str) -> None:
    assert Client().get(f"/enrol/{code}/").status_code == 404
    assert Client().post(f"/enrol/{code}/").status_code in (400, 401, 404)


@pytest.mark.parametrize(
    "path", ["/enrol//{}/", "/Enrol/{}", "/enrol/%20{}/", "Not Found: /enrol/a'{}", "/enrol/{}/more", "//enrol/{}"]
)
def test_a_mangled_link_is_not_in_the_log_either(path: str) -> None:
    code = "c0dec0dec0dec0dec0deA9"
    assert code not in logs.without_codes(None, "", {"event": f"Not Found: {path.format(code)}"})["event"]
    kept = "Not Found: /sign-in/5a1b3c5d-0000-4000-8000-00000000000a/enrol/totp/"
    assert logs.without_codes(None, "", {"event": kept})["event"] == kept


# ---- using it --------------------------------------------------------------------------------------------------------


def test_link_password_device(alice: Person, admin: Person) -> None:
    made = make(alice, admin, ask_surviving_factor=False)
    browser = follow(made)
    assert state_of(made) == "opened" and browser.at == "/enrol/password/"
    browser.send("/enrol/password/", password=alice.password)
    assert "Add a device" in browser.text and "A token from your organisation" in browser.text
    assert browser.go("/account/").at.startswith("/sign-in/"), "nobody is signed in by it yet"
    browser.go(f"/sign-in/{SignIn.objects.get().uuid}/enrol/")
    assert enrol_app(browser).at == "/account/"
    assert state_of(made) == "done" and Device.of(alice.user.pk, timezone.now()).count() == 2
    used = Event.objects.get(act="invitation_used")
    assert used.person == alice.user.uuid and used.about == {"invitation": str(made.invitation.uuid)}


@pytest.mark.parametrize("typed", [str, str.upper, lambda code: code.replace("-", " "), lambda code: f" {code} "])
def test_the_typed_code_opens_it_too(alice: Person, admin: Person, typed: Any) -> None:
    made = make(alice, admin, ask_surviving_factor=False)
    browser = Browser().go("/enrol/").send(code=typed(made.code))
    assert browser.at == "/enrol/password/"
    assert enrol_app(browser.send(password=alice.password)).at == "/account/"


def test_a_typed_code_in_the_address_opens_nothing(alice: Person, admin: Person) -> None:
    made = make(alice, admin)
    for code in (made.code, made.code.replace("-", "")):
        assert Browser().go(f"/enrol/{code}/").status == 404, "nobody counts looks"


def test_it_can_be_opened_again_until_it_is_used(alice: Person, admin: Person) -> None:
    made = make(alice, admin, ask_surviving_factor=False)
    left_alone = invited(made, alice).go("/sign-in/")
    assert left_alone.status == 200
    assert enrol_app(invited(made, alice)).at == "/account/"
    assert Event.objects.filter(act="invitation_opened").count() == 1
    again = Browser().go(link(made))
    assert again.status == 404 and "This invitation is over" in again.text
    assert Browser().go("/enrol/").send(code=made.code).status == 401


def test_two_browsers_that_are_half_way_enrol_one_device(alice: Person, admin: Person) -> None:
    made = make(alice, admin, ask_surviving_factor=False)
    first, second = (invited(made, alice) for _ in range(2))
    second.go(second.at + "totp/")
    code = shown_key(second).now()
    assert enrol_app(first).at == "/account/"
    second.send(code=code)
    assert second.status == 401 and "This invitation is over" in second.text
    assert Device.of(alice.user.pk, timezone.now()).count() == 2
    assert second.go("/account/").at.startswith("/sign-in/")


@pytest.mark.parametrize("when", ["before", "after the link", "after the password", "after the choice"])
@pytest.mark.parametrize("end", ["expired", "withdrawn", "replaced", "disabled"])
def test_not_after_its_end(alice: Person, admin: Person, when: str, end: str) -> None:
    made = make(alice, admin, ask_surviving_factor=False)
    browser, code = Browser(), ""
    if when != "before":
        follow(made, browser)
    if when in ("after the password", "after the choice"):
        browser.send(password=alice.password)
    if when == "after the choice":
        code = shown_key(browser.go(browser.at + "totp/")).now()
    if end == "expired":
        Invitation.objects.update(expires_at=timezone.now())
    elif end == "withdrawn":
        invitations.withdraw(made.invitation, DESK, timezone.now(), actor=admin.user.uuid)
    elif end == "replaced":
        make(alice, admin)
    else:
        User.objects.filter(pk=alice.user.pk).update(is_active=False)
    if when == "before":
        assert browser.go(link(made)).status == 404
        assert browser.go("/enrol/").send(code=made.code).status == 401
    elif when == "after the link":
        browser.send(password=alice.password)
    elif when == "after the password":
        if browser.go(browser.at + "totp/").status == 200:
            browser.send(code=shown_key(browser).now())
    else:
        browser.send(code=code)
    assert "over" in browser.text or browser.status == 401
    assert not Device.of(alice.user.pk, timezone.now()).exclude(pk=alice.app.pk).exists()
    assert browser.go("/account/").at.startswith("/sign-in/")


def test_not_for_other_kinds(alice: Person, admin: Person) -> None:
    browser = invited(make(alice, admin, "fido2", ask_surviving_factor=False), alice)
    assert "Security key" in browser.text and "Authenticator app" not in browser.text
    assert "A token from your organisation" not in browser.text
    at = browser.at
    assert browser.go(at + "totp/").status == 404
    assert browser.go(at + "serial/").status == 404
    ceremony = SignIn.objects.get()
    assert reason_of(lambda: enrolment.begin_first(ceremony, "totp", {}, DESK, timezone.now())) is Reason.MALFORMED


def test_a_token_of_the_stock_only_of_its_kinds(alice: Person, admin: Person) -> None:
    for kind, lands in (("totp", 409), ("hotp", 200)):
        browser = invited(make(alice, admin, "hotp", ask_surviving_factor=False), alice)
        held = make_token(kind)
        code, following = held.two()
        browser.go(browser.at + "serial/").send(serial=held.device.serial, code=code, next_code=following)
        assert browser.status == lands, browser.text
        held.device.refresh_from_db()
        assert held.device.user == (alice.user if lands == 200 else None)


def test_not_for_another_person(alice: Person, mallory: Person, admin: Person) -> None:
    made = make(alice, admin, ask_surviving_factor=False)
    User.objects.filter(pk=mallory.user.pk).update(password=make_password("another-long-password"))
    mallory.password = "another-long-password"
    browser = follow(made).send(username="mallory", password=mallory.password)
    assert browser.status == 401, "whatever name is sent, it is about alice"
    caller, now = DESK, timezone.now()
    request = browser.response.wsgi_request
    assert (
        reason_of(lambda: signin.start(request, "mallory", mallory.password, caller, now, invitation=made.invitation))
        is Reason.INVITATION_OF_ANOTHER
    )


def test_signed_in_as_somebody_else_one_is_told(alice: Person, mallory: Person, admin: Person) -> None:
    made = make(alice, admin)
    browser = Browser().sign_in(mallory).go(link(made))
    assert browser.status == 403 and "is for somebody else" in browser.text and "mallory" in browser.text
    browser.send("/enrol/", code=made.code)
    assert browser.status == 403 and "alice" not in browser.text and state_of(made) == "sent"


def test_signed_in_as_oneself_one_goes_on(alice: Person, admin: Person) -> None:
    made = make(alice, admin, ask_surviving_factor=False)
    browser = Browser().sign_in(alice)
    assert enrol_app(follow(made, browser).send(password=alice.password)).at == "/account/"


def test_a_new_person_uses_one_too(nora: Person, admin: Person) -> None:
    User.objects.filter(pk=nora.user.pk).update(enrol_until=None)
    made = make(nora, admin, "totp")
    assert enrol_app(invited(made, nora)).at == "/account/" and state_of(made) == "done"


def test_an_ordinary_sign_in_knows_nothing_of_it(alice: Person, nora: Person, admin: Person) -> None:
    User.objects.filter(pk=nora.user.pk).update(enrol_until=None)
    for person in (alice, nora):
        make(person, admin, ask_surviving_factor=False)
        Browser().password(person)
        assert SignIn.objects.latest("id").state == "waiting"


def test_the_password_is_counted_as_everywhere(alice: Person, admin: Person) -> None:
    browser = follow(make(alice, admin))
    for _ in range(5):
        assert browser.send(password="not-the-password").status == 401
    assert browser.send(password=alice.password).status == 429 and browser.response["Retry-After"]
    assert Browser().password(alice).status == 429


# ---- a device that the person still has ------------------------------------------------------------------------------


def test_a_strong_device_is_asked_for_first(alice: Person, admin: Person) -> None:
    made = make(alice, admin)
    browser = invited(made, alice)
    assert browser.at == f"/sign-in/{SignIn.objects.get().uuid}/{alice.app.uuid}/"
    assert browser.send(code=alice.wrong_code()).status == 401
    browser.send(code=alice.code())
    assert browser.at.endswith("/enrol/") and browser.go("/account/").at.startswith("/sign-in/")
    browser.go(f"/sign-in/{SignIn.objects.get().uuid}/enrol/")
    key = SoftKey()
    browser.go(browser.at + "fido2/")
    options = browser.client.get(browser.at, headers={"Accept": "application/json"}).json()["public_key"]
    browser.send(response=json.dumps(key.create(options)))
    assert browser.at == "/account/" and state_of(made) == "done"
    assert SignIn.objects.get().methods[:2] == ["pwd", "otp"]
    assert Event.objects.filter(act="invitation_vouched", device=alice.app.uuid).exists()


def test_the_answer_of_it_is_used_up(alice: Person, admin: Person) -> None:
    browser = invited(make(alice, admin), alice)
    code = alice.code()
    browser.send(code=code)
    assert code_of(Api().answer(Api().start(alice), alice.app, code)) == (401, "answer_used")


def test_the_first_answer_alone_signs_nobody_in(alice: Person, admin: Person) -> None:
    invited(make(alice, admin), alice)
    ceremony = SignIn.objects.select_related("user").get()
    code, now = alice.code(), timezone.now()
    given = (ceremony, alice.app.uuid, code, lambda passed: passed, DESK, now)
    assert reason_of(lambda: signin.answer(*given)) is Reason.WRONG_STATE


def test_what_was_reported_lost_is_not_asked_for(alice: Person, admin: Person) -> None:
    alice.app.move(State.LOST)
    assert "Add a device" in invited(make(alice, admin), alice).text


def test_what_rests_is_asked_for_still(alice: Person, admin: Person) -> None:
    Device.objects.filter(pk=alice.app.pk).update(failures=5, paused_until=timezone.now() + timedelta(minutes=1))
    browser = invited(make(alice, admin), alice)
    assert "No device can be used now" in browser.text and SignIn.objects.get().state == "waiting"


def test_recovery_codes_vouch_and_weak_codes_do_not(admin: Person) -> None:
    person = make_person("email", "recovery", "temporary")
    browser = invited(make(person, admin, "totp"), person).go(f"/sign-in/{SignIn.objects.get().uuid}/methods/")
    assert "Recovery codes" in browser.text
    assert "Temporary code" not in browser.text and "p•••@example.org" not in browser.text
    for kind in ("email", "temporary"):
        device = person.held[kind].device
        assert browser.go(f"/sign-in/{SignIn.objects.get().uuid}/{device.uuid}/").status == 409
    ceremony = SignIn.objects.select_related("user").get()
    weak = person.held["temporary"]
    given = (ceremony, weak.device.uuid, weak.codes[0], DESK, timezone.now())
    assert reason_of(lambda: invitations.vouch(*given)) is Reason.DEVICE_NOT_USABLE
    weak.device.refresh_from_db()
    assert weak.device.uses_left == 1 and weak.device.failures == 0
    browser.go(f"/sign-in/{ceremony.uuid}/{person.code_set.uuid}/").send(code=person.codes[0])
    assert browser.at.endswith("/enrol/") and enrol_app(browser).at == "/account/"
    assert Event.objects.filter(act="recovery_code_used").count() == 1


def test_with_nothing_but_weak_devices_the_password_is_enough(admin: Person) -> None:
    person = make_person("email")
    assert "Add a device" in invited(make(person, admin, "totp"), person).text


# ---- guesses at typed codes ------------------------------------------------------------------------------------------


def guess(browser: Browser, code: str = "00000-00000") -> int:
    return browser.go("/enrol/").send(code=code).status


def test_guesses_are_counted_for_each_network(alice: Person, admin: Person) -> None:
    made, browser = make(alice, admin), Browser()
    assert browser.go("/enrol/").send(code=made.code).at == "/enrol/password/", "a right one counts nothing"
    for _ in range(invitations.GUESSES):
        assert guess(browser) == 401
    assert guess(browser) == 429 and browser.response["Retry-After"]
    assert guess(browser, made.code) == 429, "a right one is not judged then"
    assert browser.go(link(made)).status == 200, "links work on"


def test_guesses_are_counted_from_everywhere(alice: Person, admin: Person, monkeypatch: Any) -> None:
    monkeypatch.setattr(invitations, "GUESSES_IN_ALL", 3)
    made = make(alice, admin)
    for number in range(4):
        caller, now = facts.Client(f"192.0.2.{number}", "", "r"), timezone.now()
        seen = reason_of(lambda: invitations.by_either("00000-00000", caller, now))  # noqa: B023
    assert seen is Reason.TOO_MANY_ATTEMPTS
    caller = facts.Client("192.0.2.77", "", "r")
    assert reason_of(lambda: invitations.by_either(made.code, caller, timezone.now())) is Reason.TOO_MANY_ATTEMPTS


@pytest.mark.parametrize("code", ["", "abc", "x" * 200, "x" * 201, "\x00", "a\x00" * 11, "é" * 10, "\ud800" * 30])
def test_what_is_no_code(alice: Person, code: str) -> None:
    browser = Browser().go("/enrol/")
    token = browser.client.cookies["csrftoken"].value
    body = ("code=" + "".join(f"%{byte:02x}" for byte in code.encode("utf-8", "surrogatepass"))).encode()
    answer = browser.client.post(
        "/enrol/", body, content_type="application/x-www-form-urlencoded", headers={"X-CSRFToken": token}
    )
    assert answer.status_code in (400, 401, 404), answer.status_code
    assert not BrowserSession.objects.exists()


# ---- the page of the desk --------------------------------------------------------------------------------------------


def at_the_desk(person: Person, admin: Person) -> Browser:
    return Browser().sign_in(admin).go(f"/admin/people/{person.user.uuid}/invite/")


def replaces(browser: Browser) -> str:
    found = re.search('name="replaces" (?:value="([^"]*)")?', browser.text)
    assert found
    return found.group(1) or ""


def test_the_desk_makes_shows_lists_and_withdraws(alice: Person, admin: Person) -> None:
    browser = at_the_desk(alice, admin)
    assert "Authenticator app" in browser.text and "First ask for a device" in browser.text
    browser.send(kinds="totp", ask_surviving_factor="on", replaces=replaces(browser))
    url, code = re.findall('<code class="secret" dir="ltr">([^<]+)</code>', browser.text)
    assert '<svg xmlns="http://www.w3.org/2000/svg"' in browser.text and 'aria-label="QR code of the link"' in browser.text
    row = Invitation.objects.get()
    assert row.kinds == ["totp"] and row.ask_surviving_factor and row.made_by == admin.user.uuid
    assert Browser().go(url).status == 200 and Browser().go("/enrol/").send(code=code).at == "/enrol/password/"
    browser.go(browser.at)
    assert "Opened" in browser.text and code not in browser.text and url not in browser.text
    browser.send(action="withdraw", invitation=str(row.uuid))
    assert "Withdrawn" in browser.text and "is withdrawn" in browser.text and Browser().go(url).status == 404
    browser.send(action="withdraw", invitation=str(row.uuid))
    assert browser.status == 200 and Event.objects.filter(act="invitation_withdrawn").count() == 1


def test_a_reload_makes_no_second_one(alice: Person, admin: Person) -> None:
    browser = at_the_desk(alice, admin)
    form = {"kinds": "totp", "ask_surviving_factor": "on", "replaces": replaces(browser)}
    browser.send(**form)
    assert browser.send(**form).status == 409 and "a moment ago" in browser.text
    assert Invitation.objects.count() == 1
    assert browser.send(kinds="totp", replaces=replaces(browser)).status == 200
    assert not Invitation.objects.latest("id").ask_surviving_factor


def test_the_desk_says_when_there_is_nothing_to_ask_for(nora: Person, admin: Person) -> None:
    browser = at_the_desk(nora, admin)
    assert "will be enough" in browser.text and "First ask for a device" not in browser.text
    browser.send(kinds="totp", replaces="")
    assert Invitation.objects.get().ask_surviving_factor, "of what she may have by then"


@pytest.mark.parametrize("kinds", ["", "recovery", "x" * 1000, "\x00"])
def test_the_desk_refuses_other_kinds(alice: Person, admin: Person, kinds: str) -> None:
    browser = at_the_desk(alice, admin)
    assert browser.send(kinds=kinds, replaces="").status == 400 and not Invitation.objects.exists()


@pytest.mark.parametrize("which", ["", "x", "\x00", "5a1b3c5d-0000-4000-8000-000000000000"])
def test_the_desk_withdraws_only_what_is_there(alice: Person, admin: Person, which: str) -> None:
    make(alice, admin)
    assert at_the_desk(alice, admin).send(action="withdraw", invitation=which).status == 404
    assert not Invitation.objects.exclude(withdrawn_at=None).exists()


def test_the_desk_invites_nobody_who_is_disabled_higher_or_oneself(alice: Person, admin: Person) -> None:
    desk = make_person("totp", is_staff=True)
    desk.user.groups.set(Group.objects.filter(name="Helpdesk"))
    for person in (admin, desk):
        assert at_the_desk(person, desk).status == 403
        Device.objects.update(counter=-1)
    assert at_the_desk(admin, admin).send(kinds="totp", replaces="").status == 403
    Device.objects.update(counter=-1)
    User.objects.filter(pk=alice.user.pk).update(is_active=False)
    browser = at_the_desk(alice, admin)
    assert "is disabled" in browser.text
    browser.send("", kinds="totp", replaces="")
    assert not Invitation.objects.exists()


# ---- who is told, and what is kept -----------------------------------------------------------------------------------


def test_the_person_is_told_and_no_secret_is_kept(alice: Person, admin: Person, settings: Any) -> None:
    with dump.logged() as lines, post_office(settings) as office:
        made = make(alice, admin, ask_surviving_factor=False)
        Client().get(link(made) + "more")
        Client().put(link(made))
        Browser().go("/enrol/").send(code=made.code)
        enrol_app(invited(made, alice))
        notices.send_due(timezone.now())
    told = Event.objects.get(act="invitation_made")
    assert (told.person, told.actor) == (alice.user.uuid, admin.user.uuid)
    assert told.about["kinds"] == ALL and told.about["ask_surviving_factor"] is False
    assert office.subjects[0] == "MFA Site: you were invited to add a device"
    assert "MFA Site: a device was added" in office.subjects
    secrets = dump.Secrets()
    for form in (link(made).split("/")[2], made.code, made.code.replace("-", ""), made.code.upper()):
        secrets.add("invitation", form)
    everything = dump.tables() + dump.cached() + lines.getvalue() + "\n".join(office.texts)
    assert "invitation_made" in everything and "/enrol/…" in everything and secrets.found(everything) == []
    assert secrets.found(f"for alice: {made.code}"), "it would be found"


def test_it_is_forgotten_a_day_after_its_end_with_its_sign_ins(alice: Person, admin: Person) -> None:
    made = make(alice, admin)
    invited(made, alice)
    assert prune.everything(timezone.now() + timedelta(hours=47))["invitations"] == 0
    assert prune.everything(timezone.now() + timedelta(hours=49))["invitations"] == 1
    assert not SignIn.objects.exists()


def test_disabling_the_person_withdraws_it(alice: Person, admin: Person) -> None:
    made = make(alice, admin)
    form = user_form(alice.user)
    form.pop("is_active")
    assert post(browser_of(admin), change(alice.user), **form).status_code == 302
    assert state_of(made) == "withdrawn"
