"""The pages without a browser: forms, redirects, cookies, tabs."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import BrowserSession, SignIn
from devices.models import Device
from tests.conftest import Api, Person

pytestmark = pytest.mark.django_db


class Browser:
    """A browser without JavaScript that takes the CSRF field from the page it is on."""

    def __init__(self) -> None:
        self.client, self.at, self.text, self.status = Client(enforce_csrf_checks=True), "", "", 0

    def go(self, path: str, **extra: Any) -> "Browser":
        return self._landed(self.client.get(path, follow=True, **extra), path)

    def send(self, path: str = "", **fields: str) -> "Browser":
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.text)
        data = {"csrfmiddlewaretoken": token.group(1) if token else "", **fields}
        return self._landed(self.client.post(path or self.at, data, follow=True), path or self.at)

    def _landed(self, response: Any, path: str) -> "Browser":
        self.at = response.redirect_chain[-1][0] if response.redirect_chain else path
        self.text, self.status, self.response = response.content.decode(), response.status_code, response
        return self

    def password(self, person: Person, next_path: str = "") -> "Browser":
        self.go("/sign-in/" + (f"?next={next_path}" if next_path else ""))
        return self.send("/sign-in/", username=person.user.username, password=person.password, next=next_path)

    def sign_in(self, person: Person, next_path: str = "") -> "Browser":
        self.password(person, next_path)
        return self.send(code=person.code())


def test_password_and_code_open_the_account_and_sign_out_closes_it(alice: Person) -> None:
    browser = Browser().sign_in(alice)
    assert browser.at == "/account/" and "Hello" in browser.text
    browser.send("/sign-out/")
    assert browser.at == "/sign-in/?signed_out=1" and "You are signed out." in browser.text
    assert browser.go("/account/").at == "/sign-in/?next=%2Faccount%2F"
    assert BrowserSession.objects.get(person=alice.user).ended_for == "signed_out"


def test_signing_out_clears_what_the_browser_kept(alice: Person) -> None:
    browser = Browser().sign_in(alice)
    answer = browser.client.post("/sign-out/", headers={"X-CSRFToken": browser.client.cookies["csrftoken"].value})
    assert answer["Clear-Site-Data"] == '"cache", "storage"'
    assert answer.cookies["session"].value == "" and answer.cookies["session"]["max-age"] == 0


def test_the_cookie_changes_at_the_password_and_at_the_end_and_old_values_are_dead(alice: Person) -> None:
    browser = Browser().password(alice)
    before = browser.client.cookies["session"].value
    browser.send(code=alice.code())
    after = browser.client.cookies["session"].value
    assert before != after
    old = Client()
    old.cookies["session"] = before
    assert old.get("/account/").status_code == 302
    assert not BrowserSession.objects.filter(value_hash__in=(before, after)).exists(), "only hashes are stored"


def test_looking_at_pages_leaves_nothing_behind() -> None:
    browser = Browser()
    for path in ("/sign-in/", "/account/", "/", "/account/devices/"):
        browser.go(path)
    assert not BrowserSession.objects.exists() and "session" not in browser.client.cookies


def test_a_wrong_password_keeps_the_name_and_drops_the_password(alice: Person) -> None:
    browser = Browser().go("/sign-in/").send("/sign-in/", username="alice", password="not-the-password")
    assert browser.status == 401
    assert "That name and password do not go together" in browser.text
    assert 'value="alice"' in browser.text and "not-the-password" not in browser.text
    assert "<title>Error:" in browser.text


def test_a_wrong_code_says_what_to_do(alice: Person) -> None:
    browser = Browser().password(alice)
    assert "shows a different code" in browser.send(code=alice.wrong_code()).text
    assert browser.status == 401
    assert "The code has 6 digits. You entered 5 digits." in browser.send(code="12345").text
    assert "Use only the digits" in browser.send(code="abcdef").text
    assert "touching a YubiKey" in browser.send(code="c" * 44).text
    assert browser.send(code="").status == 400
    assert browser.send(code=alice.code()).at == "/account/"


def test_after_five_wrong_codes_one_starts_again_and_the_device_rests(alice: Person) -> None:
    browser = Browser().password(alice)
    for _ in range(5):
        browser.send(code=alice.wrong_code())
    assert "Start again" in browser.text and "It works again in 30 seconds" in browser.text
    browser.password(alice)
    assert "No device can be used now" in browser.text
    assert re.search("“Authenticator app” rests for [0-9]+ seconds", browser.text)
    assert "works again in" in browser.go(f"/sign-in/{SignIn.objects.latest('id').uuid}/{alice.app.uuid}/").text


def test_a_used_code_says_so(alice: Person) -> None:
    code = alice.code()
    Browser().password(alice).send(code=code)
    assert "already used" in Browser().password(alice).send(code=code).text


@pytest.mark.parametrize(
    "evil",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "\\\\evil",
        "http:evil",
        "/sign-out/",
        "/sign-in/x",
        "/\n/evil",
        "a" * 600,
        "/" + "a" * 600,
    ],
)
def test_next_stays_on_this_site(alice: Person, evil: str) -> None:
    browser = Browser().go("/sign-in/")
    browser.send("/sign-in/", username="alice", password=alice.password, next=evil)
    assert browser.send(code=alice.code()).at == "/account/"


def test_next_leads_back_to_where_one_wanted_to_go(alice: Person) -> None:
    browser = Browser().go("/account/devices/")
    assert browser.at == "/sign-in/?next=%2Faccount%2Fdevices%2F"
    assert Browser().sign_in(alice, "/account/devices/").at == "/account/devices/"


def test_a_bearer_means_nothing_on_pages(alice: Person) -> None:
    token = Api().sign_in(alice)["access_token"]
    client = Client(headers={"Authorization": f"Bearer {token}"})
    for path in ("/account/", "/account/devices/add/totp/"):
        assert client.get(path).headers["Location"].startswith("/sign-in/")
    assert Device.objects.count() == 1, "no enrolment was begun"


def test_only_the_browser_that_began_a_sign_in_can_go_on(alice: Person, mallory: Person) -> None:
    Browser().password(alice)
    uuid = SignIn.objects.get().uuid
    for browser in (Browser(), Browser().password(mallory)):
        for path in (f"/sign-in/{uuid}/", f"/sign-in/{uuid}/methods/", f"/sign-in/{uuid}/{alice.app.uuid}/"):
            assert "Start again" in browser.go(path).text
        answer = browser.client.post(f"/sign-in/{uuid}/{alice.app.uuid}/", {"code": alice.code()})
        assert answer.status_code in (401, 403)
    assert BrowserSession.objects.exclude(person=None).count() == 0


def test_another_persons_device_in_the_address_is_not_found(alice: Person, mallory: Person) -> None:
    browser = Browser().password(mallory)
    uuid = SignIn.objects.get().uuid
    assert browser.go(f"/sign-in/{uuid}/{alice.app.uuid}/").status == 404
    browser.go(f"/sign-in/{uuid}/{mallory.app.uuid}/")
    assert browser.send(f"/sign-in/{uuid}/{alice.app.uuid}/", code=alice.code()).status == 404


def test_every_form_needs_its_csrf_field(alice: Person) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post("/sign-in/", {"username": "alice", "password": alice.password}).status_code == 403
    assert not SignIn.objects.exists()


def test_a_tab_that_comes_late_carries_on(alice: Person) -> None:
    browser = Browser().password(alice)
    first = browser.at
    browser.send(code=alice.code())
    assert browser.go(first).at == "/account/"


def test_cancel_ends_the_sign_in(alice: Person) -> None:
    browser = Browser().password(alice)
    uuid = SignIn.objects.get().uuid
    assert browser.send(f"/sign-in/{uuid}/cancel/").at == "/sign-in/"
    assert "Start again" in browser.go(f"/sign-in/{uuid}/").text


def test_the_device_used_last_in_this_browser_is_offered_first(person: Any) -> None:
    owner = person("totp", "fido2")
    browser = Browser().password(owner)
    assert str(owner.key.uuid) in browser.at, "the strongest first"
    assert browser.text.count("Use another way") == 1
    uuid = SignIn.objects.get().uuid
    browser.go(f"/sign-in/{uuid}/{owner.app.uuid}/").send(code=owner.code())
    assert browser.at == "/account/"
    browser.send("/sign-out/")
    assert str(owner.app.uuid) in browser.password(owner).at, "the remembered first"


def test_a_first_device_is_enrolled_in_pages(nora: Person) -> None:
    browser = Browser().password(nora)
    assert browser.at.endswith("/enrol/") and "Set up a second factor" in browser.text
    browser.go(browser.at + "totp/")
    assert browser.text.count("<svg") == 1 and "QR code for your authenticator app" in browser.text
    secret = Device.objects.get().seed
    assert "different code" in browser.send(code="000000").text
    assert Device.objects.get().seed == secret, "the same QR after a typing error"
    from devices.kinds import totp

    assert browser.send(code=totp.code_now(Device.objects.get(), timezone.now())).at == "/account/"


def test_devices_are_listed_renamed_and_removed(person: Any) -> None:
    owner = person("totp", "fido2")
    browser = Browser().password(owner)
    browser.go(f"/sign-in/{SignIn.objects.get().uuid}/{owner.app.uuid}/").send(code=owner.code())
    assert "Security key" in browser.go("/account/devices/").text
    page = f"/account/devices/{owner.key.uuid}/"
    assert "is now called “Blue key”" in browser.go(page).send(page, action="rename", name=" Blue key ").text
    assert browser.go(page).send(page, action="rename", name="").status == 400
    assert browser.go(page).send(page, action="nonsense").status == 400
    assert "was removed" in browser.go(page).send(page, action="remove").text
    page = f"/account/devices/{owner.app.uuid}/"
    browser.go(page).send(page, action="remove")
    assert browser.status == 409 and "Add another way to sign in before you remove this one" in browser.text


def test_removing_the_device_that_opened_the_session_signs_out(person: Any) -> None:
    owner = person("totp", "totp")
    browser = Browser().password(owner)
    used = Device.objects.get(uuid=UUID(browser.at.split("/")[3]))
    code = owner.code() if used == owner.app else str(owner.apps[1][1].now())
    browser.send(code=code)
    page = f"/account/devices/{used.uuid}/"
    assert "this signs you out" in browser.go(page).text
    assert browser.send(page, action="remove").at.startswith("/sign-in/")
    assert browser.go("/account/").at.startswith("/sign-in/")


def test_removing_a_device_ends_what_it_opened_elsewhere(person: Any) -> None:
    owner = person("totp", "fido2")
    elsewhere = Api()
    elsewhere.take_csrf()
    handle = elsewhere.start(owner)
    assertion = owner.soft_key.get(elsewhere.challenge(handle, owner.key))
    assert elsewhere.answer(handle, owner.key, assertion, grant="session").status_code == 200
    browser = Browser().password(owner)
    browser.go(f"/sign-in/{browser.at.split('/')[2]}/{owner.app.uuid}/").send(code=owner.code())
    browser.go(f"/account/devices/{owner.key.uuid}/").send(action="remove")
    assert BrowserSession.objects.get(device=owner.key).ended_for == "device_removed"
    assert elsewhere.get("me").status_code == 401


@pytest.mark.parametrize("what", ["idle", "old", "person", "device", "ended"])
def test_a_session_ends_with_its_time_its_person_and_its_device(alice: Person, what: str) -> None:
    browser, now = Browser().sign_in(alice), timezone.now()
    if what == "person":
        alice.user.is_active = False
        alice.user.save()
    elif what == "device":
        Device.objects.update(state="lost")
    else:
        BrowserSession.objects.update(
            **{"idle": {"last_seen_at": now - timedelta(minutes=30)}, "old": {"expires_at": now}, "ended": {"ended_at": now}}[
                what
            ]
        )
    assert browser.go("/account/").at.startswith("/sign-in/")


def test_secret_pages_are_never_stored_and_every_page_has_its_headers(alice: Person) -> None:
    browser = Browser().sign_in(alice)
    for path in ("/sign-in/", "/account/", "/account/devices/add/totp/", "/nothing-here/", "/demo/"):
        response = browser.go(path).response
        assert response["Cache-Control"] == "no-store", path
        policy = response["Content-Security-Policy"]
        assert "unsafe" not in policy and "frame-ancestors 'none'" in policy and "script-src 'self'" in policy
        assert response["X-Content-Type-Options"] == "nosniff" and response["X-Frame-Options"] == "DENY"
        assert "<style" not in browser.text and " style=" not in browser.text and " onclick" not in browser.text


def test_an_error_page_has_a_number_to_quote_and_a_way_on() -> None:
    browser = Browser().go("/nothing-here/")
    assert browser.status == 404
    assert browser.response["X-Request-ID"] in browser.text and "Go to the start" in browser.text


@pytest.mark.parametrize(("path", "method"), [("/sign-out/", "get"), ("/sign-in/", "put"), ("/account/", "post")])
def test_a_method_that_does_not_work_says_so_on_a_page(alice: Person, path: str, method: str) -> None:
    answer = getattr(Browser().sign_in(alice).client, method)(path)
    assert answer.status_code in (403, 405)
    assert "<h1>" in answer.content.decode()


def test_an_address_without_its_slash_is_found(client: Client) -> None:
    assert client.get("/sign-in").headers["Location"] == "/sign-in/"


def test_after_five_wrong_codes_the_picture_is_a_new_one_and_says_so(alice: Person) -> None:
    browser = Browser().sign_in(alice, "/account/devices/add/totp/")
    seed = Device.objects.latest("id").seed
    assert "Scan the picture again" not in browser.send("/account/devices/add/totp/", code="").text
    for _ in range(4):
        assert "Scan the picture again" not in browser.send("/account/devices/add/totp/", code="000000").text
    assert "Scan the picture again" in browser.send("/account/devices/add/totp/", code="000000").text
    assert Device.objects.latest("id").seed != seed


def test_a_tab_overtaken_by_another_kind_gets_a_new_picture(nora: Person) -> None:
    browser = Browser().password(nora)
    page = browser.at + "totp/"
    browser.go(page)
    browser.go(page.replace("totp", "fido2"))
    assert "another tab was faster" in browser.go(page.replace("totp", "fido2")).send(page, code="123456").text
    assert "Scan the picture again" in browser.text


def test_the_demo_page_shows_codes_only_in_debug_and_demo(settings: Any, client: Client) -> None:
    from accounts import demo

    demo.seed(timezone.now())
    assert "alice-demo-password" in client.get("/demo/").content.decode()
    settings.LOCAL = False
    assert client.get("/demo/").status_code == 404
