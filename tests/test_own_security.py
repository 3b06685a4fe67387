"""One's own security: a lost device, a changed password, what happened, a device tried out."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import activity, mails, own_devices, passwords, signin
from accounts.models import BrowserSession, SignIn, User
from audit.events import record
from audit.models import Event
from desk import event_words
from devices.models import Device
from grants.models import RefreshFamily
from mfa_site.client import Client as Caller
from mfa_site.errors import Reason, Refused
from tests.conftest import Api, Person, code_of, make_person
from tests.test_grants import refresh
from tests.test_pages import Browser

pytestmark = pytest.mark.django_db

HERE = Caller("192.0.2.1", "", "request-1")
NEW = "four new words here"


def acts() -> list[str]:
    return list(Event.objects.order_by("id").values_list("act", flat=True))


def by_key(person: Person, grant: str) -> tuple[Api, dict[str, Any]]:
    """Signed in with the key: the client, and what it got."""
    api = Api()
    if grant == "session":
        api.take_csrf()
    handle = api.start(person)
    answer = api.answer(handle, person.key, person.soft_key.get(api.challenge(handle, person.key)), grant=grant)
    assert answer.status_code == 200, answer.content
    return api, answer.json()


# ---- a lost device -------------------------------------------------------------------------------------------------


def test_what_a_lost_device_opened_has_ended_at_once(person: Any) -> None:
    owner = person("totp", "fido2")
    browser, _me = by_key(owner, "session")
    _api, pair = by_key(owner, "token")
    program = Api(pair["access_token"])
    other = Api(Api().sign_in(owner)["access_token"])

    answer = other.post(f"devices/{owner.key.uuid}/lost")
    assert (answer.status_code, answer.json()["state"], answer.json()["usable"]) == (200, "lost", False)
    assert code_of(browser.get("me")) == (401, "not_signed_in")
    assert code_of(program.call("PATCH", f"devices/{owner.app.uuid}", {"name": "x"})) == (401, "not_signed_in")
    assert refresh(pair["refresh_token"]).json()["error"] == "invalid_grant"
    assert BrowserSession.objects.get(device=owner.key).ended_for == "device_lost"
    assert RefreshFamily.objects.get(device=owner.key.uuid).ended_for == "device_lost"
    assert other.get("me").status_code == 200, "what another device opened goes on"
    assert acts()[-1] == "device_lost"


def test_the_last_device_can_be_lost_and_opens_no_first_enrolment(alice: Person) -> None:
    api = Api(Api().sign_in(alice)["access_token"])
    assert api.post(f"devices/{alice.app.uuid}/lost").status_code == 200
    assert code_of(api.post(f"devices/{alice.app.uuid}/lost")) == (401, "not_signed_in"), "it had opened this very family"
    again = Api().post("sign-ins", {"username": "alice", "password": alice.password}).json()
    assert (again["state"], again["devices"]) == ("waiting", [])
    assert code_of(Api().post("sign-ins/enrol", {"sign_in": again["sign_in"], "kind": "totp"})) == (409, "wrong_state")


def test_with_a_stale_proof_only_a_device_that_nothing_else_could_confirm_is_lost(person: Any) -> None:
    """Whoever lost the only one could never confirm."""
    owner = person("totp", "fido2")
    api = Api()
    api.take_csrf()
    api.sign_in(owner, grant="session")
    BrowserSession.objects.update(auth_time=timezone.now() - timedelta(minutes=6))
    path = f"/account/devices/{owner.app.uuid}/"
    form = {"action": "lose", "csrfmiddlewaretoken": api.csrf}
    assert code_of(api.post(f"devices/{owner.app.uuid}/lost")) == (401, "step_up_needed")
    assert api.client.post(path, form)["Location"].startswith("/confirm/")
    # Whoever holds a stolen session can make another device rest or be switched off: that does not open it.
    Device.objects.filter(pk=owner.key.pk).update(failures=50, paused_until=timezone.now() + timedelta(minutes=5))
    assert code_of(api.post(f"devices/{owner.app.uuid}/lost")) == (401, "step_up_needed")
    Device.objects.filter(pk=owner.key.pk).update(state="suspended")
    assert api.client.post(path, {**form, "action": "remove"})["Location"].startswith("/confirm/")
    assert api.client.post(path, form)["Location"].startswith("/sign-in/")
    assert Device.objects.get(pk=owner.app.pk).state == "lost"


def test_a_sign_in_that_waits_for_a_lost_device_cannot_be_finished(person: Any) -> None:
    owner = person("totp", "fido2")
    thief = Api()
    handle = thief.start(owner)
    options = thief.challenge(handle, owner.key)
    Api(Api().sign_in(owner)["access_token"]).post(f"devices/{owner.key.uuid}/lost")
    assert code_of(thief.answer(handle, owner.key, owner.soft_key.get(options))) == (409, "device_not_usable")


def test_losing_it_once_more_changes_nothing(person: Any) -> None:
    owner = person("totp", "fido2")
    api = Api(Api().sign_in(owner)["access_token"])
    for _ in range(2):
        answer = api.client.generic(
            "POST", f"/api/v1/devices/{owner.key.uuid}/lost", headers={"Authorization": f"Bearer {api.bearer}"}
        )
        assert answer.status_code == 200, "without a body too"
    assert acts().count("device_lost") == 1
    assert api.get(f"devices/{owner.key.uuid}").json()["state"] == "lost"
    assert api.call("DELETE", f"devices/{owner.key.uuid}").status_code == 204
    assert code_of(api.post(f"devices/{owner.key.uuid}/lost")) == (404, "not_found"), "a removed one is gone"


def test_the_page_says_what_losing_does_and_signs_out(alice: Person) -> None:
    browser, page = Browser().sign_in(alice), f"/account/devices/{alice.app.uuid}/"
    text = browser.go(page).text
    assert "It is the only device you can sign in with. Report it all the same" in text
    assert "It opened this session, so this signs you out." in text
    assert "is reported lost" in browser.send(page, action="lose").text
    assert browser.at == "/sign-in/?signed_out=lost"
    assert browser.go("/account/").at.startswith("/sign-in/")


def test_another_device_is_lost_and_can_only_be_removed_afterwards(person: Any) -> None:
    owner = person("totp", "fido2")
    browser = Browser().password(owner)
    browser.go(f"/sign-in/{browser.at.split('/')[2]}/{owner.app.uuid}/").send(code=owner.code())
    page = f"/account/devices/{owner.key.uuid}/"
    browser.go(page).send(page, action="lose")
    assert browser.at == page and "Found it? Remove it here, then add it anew." in browser.text
    assert "Report it lost" not in browser.text
    assert "was removed" in browser.send(page, action="remove").text


@pytest.mark.django_db(transaction=True)
def test_two_removals_at_once_leave_one_device() -> None:
    for _ in range(3):
        owner = make_person("totp", "totp")
        rows = [row for row, _app in owner.apps]

        def remove(row: Device) -> Reason | None:
            try:
                own_devices.remove(Device.objects.select_related("user").get(pk=row.pk), HERE, timezone.now())
            except Refused as refused:
                return refused.reason
            finally:
                connection.close()
            return None

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(remove, rows), key=str) == [None, Reason.LAST_DEVICE]
        assert Device.objects.filter(user=owner.user, state="active").count() == 1


# ---- another password ----------------------------------------------------------------------------------------------


def change(browser: Browser, current: str, new: str = NEW, again: str = "") -> Browser:
    browser.go("/account/password/")
    return browser.send("/account/password/", current=current, new=new, again=again or new)


def test_a_changed_password_ends_everything_else_and_keeps_this_session(alice: Person) -> None:
    browser = Browser().sign_in(alice)
    before = browser.client.cookies["session"].value
    Device.objects.update(counter=-1)
    elsewhere = Browser().sign_in(alice)
    Device.objects.update(counter=-1)
    pair = Api().sign_in(alice)
    waiting = Api()
    handle = waiting.start(alice)

    assert "Your password is changed" in change(browser, alice.password).text
    assert browser.at == "/account/" and browser.go("/account/devices/").at == "/account/devices/"
    assert browser.client.cookies["session"].value != before
    old = Client()
    old.cookies["session"] = before
    assert old.get("/account/").status_code == 302, "a value that leaked before is dead"
    assert elsewhere.go("/account/").at.startswith("/sign-in/")
    assert refresh(pair["refresh_token"]).json()["error"] == "invalid_grant"
    unsafe = Api(pair["access_token"]).call("PATCH", f"devices/{alice.app.uuid}", {"name": "x"})
    assert code_of(unsafe) == (401, "not_signed_in")
    assert code_of(waiting.answer(handle, alice.app, alice.code(1))) == (401, "sign_in_over")
    assert acts()[-1] != "signed_in" and "password_changed" in acts()
    assert Api().post("sign-ins", {"username": "alice", "password": alice.password}).status_code == 401
    assert Api().post("sign-ins", {"username": "alice", "password": NEW}).status_code == 201


def test_a_wrong_current_password_changes_nothing_and_is_written_down(alice: Person) -> None:
    browser = Browser().sign_in(alice)
    assert "That is not the password you have now" in change(browser, "not-the-password").text
    assert browser.status == 401 and NEW not in browser.text and "not-the-password" not in browser.text
    event = Event.objects.latest("id")
    assert (event.act, event.person, event.reason) == ("password_refused", alice.user.uuid, "BAD_CREDENTIALS")
    alice.user.refresh_from_db()
    assert alice.user.check_password(alice.password)


def test_wrong_current_passwords_are_counted(alice: Person) -> None:
    browser = Browser().sign_in(alice)
    for _ in range(5):
        assert change(browser, "not-the-password").status == 401
    assert change(browser, alice.password).status == 429 and "Too many tries" in browser.text
    assert "password_changed" not in acts()


@pytest.mark.parametrize(
    ("new", "again", "says"),
    [
        ("short12", "", "Use at least 8 characters"),
        ("password1", "", "too common"),
        ("example.org", "", "too similar to the e-mail"),
        (NEW, "four other words", "The two are not the same"),
        ("a-long-enough-password", "", "That is the password you have now"),
        ("", "", "Enter a new password."),
        ("x" * 1025, "", "Use at most 1024 characters."),
        ("nul\0nul\0nul", "", "Null characters are not allowed"),
    ],
)
def test_what_a_new_password_must_be(alice: Person, new: str, again: str, says: str) -> None:
    browser = change(Browser().sign_in(alice), alice.password, new, again)
    assert browser.status == 400 and says in browser.text and "<title>Error:" in browser.text
    assert "password_changed" not in acts()


def test_eight_characters_do_where_a_device_is_asked_for_too_and_fifteen_where_not(alice: Person, nora: Person) -> None:
    assert passwords.shortest(alice.user) == 8 and passwords.shortest(nora.user) == 15 and passwords.shortest(User()) == 15
    Device.objects.update(state="lost")
    assert passwords.shortest(alice.user) == 8, "a first enrolment never comes back"


def test_changing_needs_a_fresh_proof(alice: Person) -> None:
    browser = Browser().sign_in(alice)
    BrowserSession.objects.update(auth_time=timezone.now() - timedelta(minutes=6))
    assert not browser.go("/account/password/").at.startswith("/account/")


def test_password_managers_know_whose_password_and_how_long(alice: Person) -> None:
    text = Browser().sign_in(alice).go("/account/password/").text
    assert 'autocomplete="username"' in text and 'value="alice"' in text
    assert text.count('autocomplete="new-password"') == 2 and text.count('passwordrules="minlength: 8;"') == 2
    answer = Client().get("/.well-known/change-password")
    assert (answer.status_code, answer["Location"]) == (302, "/account/password/")


def test_a_password_hashed_anew_leaves_open_sign_ins_alone(alice: Person) -> None:
    class Weaker(Argon2PasswordHasher):
        time_cost, memory_cost, parallelism = 1, 8, 1

    old = Weaker().encode(alice.password, "a-salt-of-ours")
    User.objects.update(password=old)
    user = User.objects.get()
    waiting = SignIn.objects.create(
        purpose="sign_in", state="waiting", user=user, methods=["pwd"], password_mark=user.password_mark(),
        handle_hash="x", created_at=timezone.now(), expires_at=timezone.now() + timedelta(minutes=5),
    )  # fmt: skip
    Api().start(alice)
    assert User.objects.get().password != old, "hashed anew at the sign-in"
    assert signin.by_uuid(waiting.uuid, SignIn.Purpose.SIGN_IN, None, timezone.now())


def test_hashing_anew_does_not_undo_a_change_at_the_same_moment(alice: Person) -> None:
    stale = User.objects.get()
    User.objects.update(password=make_password(NEW))
    stale._hash_anew(alice.password)
    assert User.objects.get().check_password(NEW)


def test_of_two_changes_at_once_one_wins(alice: Person) -> None:
    Browser().sign_in(alice)
    one, other = User.objects.get(), User.objects.get()
    sid = BrowserSession.objects.get(person=alice.user).uuid
    passwords.change(one, NEW, sid, lambda: None, HERE, timezone.now())
    with pytest.raises(Refused):
        passwords.change(other, "another new password", sid, lambda: None, HERE, timezone.now())
    assert User.objects.get().check_password(NEW)


# ---- what happened -------------------------------------------------------------------------------------------------


def test_activity_tells_ones_own_events_and_nobody_elses(alice: Person, mallory: Person) -> None:
    browser = Browser()
    browser.client.defaults |= {"HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
    browser.sign_in(alice)
    other = Browser().sign_in(mallory)
    text = browser.go("/account/activity/").text
    assert "Signed in with “Authenticator app”" in text and "Firefox on Linux" in text and "127.0.0.1" in text
    assert text.count("Signed in with") == 1
    assert "Firefox" not in other.go("/account/activity/").text
    assert "What happened last" in browser.go("/account/").text and "Signed in with “Authenticator app”" in browser.text


def test_activity_is_paged_and_takes_no_nonsense(alice: Person) -> None:
    browser = Browser().sign_in(alice)
    for number in range(activity.PAGE + 5):
        record("signed_out" if number else "an_act_of_100%_news", client=HERE, person=alice.user.uuid)
    text = browser.go("/account/activity/").text
    assert text.count('<li class="card">') == activity.PAGE
    older = re.search(r'href="(\?before=[0-9]+)"', text)
    assert older and "An act of 100% news" in browser.go("/account/activity/" + older.group(1)).text
    assert "Older" not in browser.text and "Newest" in browser.text
    for nonsense in ("0", "-1", "x", "9" * 19, "%00", "1%0A"):
        assert browser.go("/account/activity/?before=" + nonsense).status == 404


def test_activity_says_what_an_administrator_did_and_bears_erased_data(alice: Person, mallory: Person) -> None:
    browser = Browser().sign_in(alice)
    record("person_changed", client=HERE, actor=mallory.user.uuid, person=alice.user.uuid)
    Event.objects.update(personal=None)
    text = browser.go("/account/activity/").text
    assert "by an administrator" in text and "192.0.2.1" not in text and "mallory" not in text


def test_every_act_has_its_words() -> None:
    root = Path(__file__).resolve().parent.parent
    sources = [path for app in ("accounts", "desk", "devices", "audit") for path in (root / app).rglob("*.py")]
    written = {act for path in sources for act in re.findall(r'record\(\s*"(\w+)"', path.read_text(encoding="utf-8"))}
    assert len(written) > 15 and set(mails.TOLD) <= set(activity.SENTENCES)
    assert written <= set(activity.SENTENCES) | set(event_words.SENTENCES), "some only administrators read"
