"""The pages of step-up without a browser: asked once, answered here alone, and back to what was being done."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import BrowserSession, SignIn
from audit.models import Event
from devices.models import Device
from tests.conftest import Person
from tests.test_pages import Browser

pytestmark = pytest.mark.django_db


def stale(person: Person) -> Browser:
    """The person's browser, signed in with the app more than five minutes ago."""
    browser = Browser().password(person)
    if str(person.app.uuid) not in browser.at:
        browser.go(f"/sign-in/{browser.at.split('/')[2]}/{person.app.uuid}/")
    browser.send(code=person.code())
    assert browser.at == "/account/"
    grow_old()
    return browser


def grow_old() -> None:
    """Every proof is older than five minutes, and the code of this moment was not used yet."""
    BrowserSession.objects.exclude(person=None).update(auth_time=timezone.now() - timedelta(seconds=301))
    Device.objects.filter(kind="totp").update(counter=-1)


def page_of(device: Device) -> str:
    return f"/account/devices/{device.uuid}/"


def value_of(browser: Browser, name: str) -> str:
    """What stands in the field."""
    field = re.search(rf'<input[^>]* name="{name}"[^>]*>', browser.text)
    found = re.search(r'value="([^"]*)"', field.group()) if field else None
    return found.group(1) if found else ""


def test_a_stale_proof_is_confirmed_and_leads_back(alice: Person) -> None:
    browser = stale(alice)
    cookie = browser.client.cookies["session"].value
    browser.go("/account/devices/add/totp/")
    assert re.fullmatch(f"/confirm/[0-9a-f-]+/{alice.app.uuid}/", browser.at)
    assert "<h1>Confirm it is you</h1>" in browser.text and "You are signed in as alice." in browser.text
    assert "Use another way" in browser.text
    browser.send(code=alice.code())
    assert browser.at == "/account/devices/add/totp/" and "Confirmed." in browser.text
    assert browser.client.cookies["session"].value != cookie
    assert BrowserSession.objects.filter(person=alice.user).count() == 1
    assert browser.go("/account/devices/add/totp/").at == "/account/devices/add/totp/", "not asked twice"
    assert "Confirmed." not in browser.text, "said once"
    old = Client()
    old.cookies["session"] = cookie
    assert old.get("/account/").headers["Location"].startswith("/sign-in/")


def test_looking_again_begins_no_second_step_up(alice: Person) -> None:
    browser = stale(alice)
    places = {browser.go("/confirm/?next=/account/password/").at for _ in range(3)}
    assert len(places) == 1 and SignIn.objects.filter(purpose="step_up").count() == 1
    browser.go("/confirm/?next=/account/")
    SignIn.objects.update(expires_at=timezone.now() + timedelta(seconds=90))
    browser.go("/confirm/?next=/account/")
    assert SignIn.objects.filter(purpose="step_up").count() == 3, "another page, and one that is nearly over"


def test_who_signed_in_a_moment_ago_is_not_asked(alice: Person) -> None:
    browser = Browser().sign_in(alice)
    assert browser.go("/account/devices/add/totp/").at == "/account/devices/add/totp/"
    assert browser.go("/confirm/?next=/account/devices/").at == "/account/devices/"
    assert browser.go("/confirm/").at == "/account/"
    assert not SignIn.objects.filter(purpose="step_up").exists()


def test_who_asks_for_more_than_was_proven_is_asked_and_never_in_circles(alice: Person) -> None:
    browser = Browser().sign_in(alice)
    for query in ("acr=phr", "max_age=0", "acr=phrh&max_age=60"):
        assert browser.go(f"/confirm/?next=/account/devices/&{query}").at.endswith(f"/{alice.app.uuid}/"), query
    for query in ("acr=nonsense", "max_age=-1", "max_age=" + "9" * 30, "acr=aal1", "max_age=%00"):
        assert browser.go(f"/confirm/?next=/account/devices/&{query}").at == "/account/devices/", query


def test_strangers_sign_in_which_will_do(alice: Person) -> None:
    browser = Browser().go("/confirm/?next=/account/devices/add/")
    assert browser.at == "/sign-in/?next=%2Faccount%2Fdevices%2Fadd%2F"
    assert Browser().go(f"/confirm/{alice.user.uuid}/{alice.app.uuid}/").at == "/sign-in/"
    half = Browser().password(alice)
    assert half.go("/confirm/?next=/account/").at.startswith("/sign-in/?next")
    assert not SignIn.objects.filter(purpose="step_up").exists()


EVIL = ["https://evil.example/", "//evil.example", "/\\evil.example", "/sign-out/", "/confirm/?next=/", "/" + "a" * 600]


@pytest.mark.parametrize("evil", EVIL)
def test_next_stays_on_this_site(alice: Person, evil: str) -> None:
    browser = stale(alice)
    browser.client.get("/confirm/", {"next": evil})
    step_up = SignIn.objects.get(purpose="step_up")
    assert step_up.next == ""
    assert browser.go(f"/confirm/{step_up.uuid}/").send(code=alice.code()).at == "/account/"


# ---- what was typed --------------------------------------------------------------------------------------------------


def test_the_name_that_was_typed_is_still_there_and_one_press_finishes(alice: Person) -> None:
    browser, page = stale(alice), page_of(alice.app)
    browser.go(page)
    browser.send(page, action="rename", name='My "old" phone', password="a-secret", code="123456", response="{}")
    assert browser.at.startswith("/confirm/")
    [kept] = BrowserSession.objects.values_list("data", flat=True)
    assert kept["typed"]["fields"] == {"action": "rename", "name": 'My "old" phone'}
    assert "a-secret" not in str(kept) and "123456" not in str(kept)
    browser.send(code=alice.code())
    assert browser.at == page and "select the button once more" in browser.text
    assert value_of(browser, "name") == "My &quot;old&quot; phone"
    assert re.search(r"<button[^>]* autofocus>Rename", browser.text)
    assert "is now called “My &quot;old&quot; phone”" in browser.send(page, action="rename", name='My "old" phone').text
    grow_old()
    assert value_of(browser.go(page), "name") == "My &quot;old&quot; phone", "the device's own name, not what was kept"


def test_the_action_that_was_chosen_is_open(person: Any) -> None:
    owner = person("totp", "fido2")
    browser, page = stale(owner), page_of(owner.key)
    browser.go(page).send(page, action="remove")
    browser.go(f"/confirm/{browser.at.split('/')[2]}/{owner.app.uuid}/").send(code=owner.code())
    assert browser.at == page and "<details open>" in browser.text
    assert re.search(r"<button[^>]* autofocus>Remove", browser.text)
    assert "was removed" in browser.send(page, action="remove").text


def test_what_was_typed_is_for_that_page_and_once(person: Any) -> None:
    owner = person("totp", "fido2")
    browser = stale(owner)
    browser.go(page_of(owner.app)).send(page_of(owner.app), action="rename", name="Typed")
    assert value_of(browser.go(page_of(owner.key)), "name") == "Security key"
    assert value_of(browser.go(page_of(owner.app)), "name") == "Typed"
    assert value_of(browser.go(page_of(owner.app)), "name") == "Authenticator app"


def test_what_was_typed_is_forgotten_after_a_while(alice: Person) -> None:
    browser = stale(alice)
    browser.go(page_of(alice.app)).send(page_of(alice.app), action="rename", name="Typed")
    row = BrowserSession.objects.get()
    row.data["typed"]["until"] -= 601
    row.save()
    assert value_of(browser.go(page_of(alice.app)), "name") == "Authenticator app"


@pytest.mark.parametrize("name", ["", "\0", "a\0b", "\n", "n" * 60_000, "\ud800".encode(errors="surrogatepass")])
def test_odd_input_is_cut_or_dropped(alice: Person, name: Any) -> None:
    browser = stale(alice)
    browser.go(page_of(alice.app)).send(page_of(alice.app), action="rename", name=name)
    assert browser.at.startswith("/confirm/") and browser.status == 200
    fields = BrowserSession.objects.get().data["typed"]["fields"]
    name = fields.get("name", "")
    assert fields["action"] == "rename" and len(name) <= 200 and name.isprintable()
    assert browser.send(code=alice.code()).status == 200


def test_a_forged_form_keeps_nothing(alice: Person) -> None:
    browser = stale(alice)
    assert browser.client.post(page_of(alice.app), {"action": "rename", "name": "Forged"}).status_code == 403
    assert "typed" not in BrowserSession.objects.get().data


# ---- ways on, ways out -----------------------------------------------------------------------------------------------


def test_another_way_is_used(person: Any) -> None:
    owner = person("totp", "fido2", "totp")
    browser = stale(owner)
    browser.go("/confirm/?next=/account/devices/add/")
    methods = re.search(r'href="(/confirm/[^"]+/methods/)"', browser.text)
    assert methods
    browser.go(methods.group(1))
    assert "How do you want to confirm it is you?" in browser.text and browser.text.count('<a class="card"') == 3
    browser.go(f"/confirm/{browser.at.split('/')[2]}/{owner.key.uuid}/")
    options = re.search(r'<script id="webauthn-options" type="application/json">(.*?)</script>', browser.text)
    assert options
    assertion = owner.soft_key.get(json.loads(options.group(1)))
    assert browser.send(response=json.dumps(assertion)).at == "/account/devices/add/"
    assert BrowserSession.objects.get(person=owner.user).acr == "phr"


def test_a_wrong_code_says_so_and_the_fifth_ends_it(alice: Person) -> None:
    browser = stale(alice)
    browser.go("/account/devices/add/")
    for _ in range(4):
        assert "shows a different code" in browser.send(code=alice.wrong_code()).text
        assert "<h1>Confirm it is you</h1>" in browser.text
    browser.send(code=alice.wrong_code())
    assert browser.status == 429 and "It works again in 30 seconds" in browser.text
    assert 'href="/confirm/?next=%2Faccount%2Fdevices%2Fadd%2F"' in browser.text
    browser.go("/confirm/?next=/account/devices/add/")
    assert "No device can be used now" in browser.text
    assert re.search("“Authenticator app” rests for [0-9]+ seconds", browser.text)
    assert browser.go("/account/").at == "/account/", "still signed in"


def test_cancel_leads_back_to_the_form_with_its_input_or_to_the_account(alice: Person) -> None:
    browser = stale(alice)
    browser.go("/account/devices/add/")
    assert browser.send(f"/confirm/{browser.at.split('/')[2]}/cancel/").at == "/account/"
    page = page_of(alice.app)
    browser.go(page).send(page, action="rename", name="Typed")
    assert browser.send(f"/confirm/{browser.at.split('/')[2]}/cancel/").at == page
    assert value_of(browser, "name") == "Typed" and "Confirmed" not in browser.text
    assert Event.objects.filter(act="sign_in_cancelled").count() == 2


def test_a_tab_that_comes_late_carries_on(alice: Person) -> None:
    browser = stale(alice)
    browser.go("/account/devices/add/")
    first = browser.at
    browser.send(code=alice.code())
    assert browser.go(first).at == "/account/devices/add/"


def test_a_double_click_leads_on_all_the_same(alice: Person) -> None:
    browser = stale(alice)
    page = browser.go("/account/devices/add/").at
    before, code = browser.client.cookies["session"].value, alice.code()
    browser.send(code=code)
    after = browser.client.cookies["session"].value
    browser.client.cookies["session"] = before
    token = browser.client.cookies["csrftoken"].value
    second = browser.client.post(page, {"code": code, "csrfmiddlewaretoken": token})
    assert second.headers["Location"] == page and "session" not in second.cookies
    browser.client.cookies["session"] = after
    assert browser.go(page).at == "/account/devices/add/"
    alice.app.refresh_from_db()
    assert alice.app.failures == 0


def test_two_tabs_lead_each_to_its_own(alice: Person) -> None:
    browser = stale(alice)
    tabs = [browser.go(path).at for path in ("/account/devices/add/", "/account/devices/add/totp/")]
    browser.go(tabs[0]).send(code=alice.code(-1))
    assert browser.at == "/account/devices/add/"
    assert browser.go(tabs[1]).send(code=alice.code()).at == "/account/devices/add/totp/"


def test_only_the_session_that_began_it_sees_and_answers_it(alice: Person, mallory: Person) -> None:
    stale(alice).go("/account/devices/add/")
    uuid = SignIn.objects.get(purpose="step_up").uuid
    for other in (Browser(), Browser().password(mallory), stale(mallory), stale(alice)):
        for path in (f"/confirm/{uuid}/", f"/confirm/{uuid}/methods/", f"/confirm/{uuid}/{alice.app.uuid}/"):
            other.go(path)
            assert "Authenticator app" not in other.text and (other.at == "/sign-in/" or "Try again" in other.text)
        other.go("/sign-in/").send(f"/confirm/{uuid}/{alice.app.uuid}/", code=alice.code())
        other.go("/sign-in/").send(f"/confirm/{uuid}/cancel/")
    assert SignIn.objects.get(uuid=uuid).state == "waiting"
    assert Event.objects.filter(act="stepped_up").count() == 0


def test_a_step_up_is_no_sign_in_and_a_sign_in_no_step_up(alice: Person) -> None:
    browser = stale(alice)
    browser.go("/account/devices/add/")
    step_up = browser.at.split("/")[2]
    assert browser.go(f"/sign-in/{step_up}/{alice.app.uuid}/").at == "/account/"
    browser.go("/sign-in/").send("/sign-in/", username="alice", password=alice.password)
    sign_in = browser.at.split("/")[2]
    assert "Try again" in browser.go(f"/confirm/{sign_in}/{alice.app.uuid}/").text


def test_another_persons_device_in_the_address_is_not_found(alice: Person, mallory: Person) -> None:
    browser = stale(alice)
    browser.go("/account/devices/add/")
    path = f"/confirm/{browser.at.split('/')[2]}/{mallory.app.uuid}/"
    assert browser.send(path, code=mallory.code()).status == 404
    assert browser.go(path).status == 404


@pytest.mark.parametrize("change", ["password", "disabled", "ended", "lost", "expired"])
def test_what_changed_meanwhile_refuses_it(alice: Person, change: str) -> None:
    browser, now = stale(alice), timezone.now()
    browser.go("/account/devices/add/")
    if change in ("password", "disabled"):
        alice.user.is_active = change != "disabled"
        alice.user.set_password("another-long-password")
        alice.user.save()
    elif change == "expired":
        SignIn.objects.update(expires_at=now)
    elif change == "lost":
        Device.objects.update(state="lost")
    else:
        BrowserSession.objects.update(ended_at=now)
    browser.send(code=alice.code())
    stays = change in ("password", "expired")
    assert ("Try again" in browser.text) if stays else (browser.at == "/sign-in/")
    assert not Event.objects.filter(act="stepped_up").exists()


def test_a_post_in_the_administration_is_confirmed_too(person: Any) -> None:
    root = person("totp", is_staff=True, is_superuser=True)
    browser = stale(root)
    page = f"/admin/accounts/user/{root.user.pk}/change/"
    browser.go(page).send(page, name="Root", email="")
    assert browser.at.startswith("/confirm/")
    assert browser.send(code=root.code()).at == page
