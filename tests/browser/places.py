"""Every page of the service in every state that looks different, and how a person gets there."""

import re
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts import demo, forgotten
from accounts.activity import SENTENCES
from accounts.models import BrowserSession
from audit.events import record
from devices.lifecycle import State
from devices.models import DISABLE_AT, PAUSE_AT, Device, Kind, RecoveryCode
from grants import refresh
from mfa_site import limits
from mfa_site.client import Client
from tests.browser import code_places, desk_acts_places, desk_invitation_places, desk_key_places, desk_people_places
from tests.browser.steps import (
    add_key,
    choose,
    enrol_key,
    enter_code,
    expect_signed_in,
    give_password,
    grow_old,
    sign_in_with_code,
    sign_out,
    use_key,
)
from tests.browser.virtual_key import UsbKey
from tests.conftest import Person, make_person

Place = Callable[[Page], None]
PLACES: dict[str, Place] = {}

LONG_NAME = "The spare key with the blue lanyard in the second drawer at home"


def place(go: Place) -> Place:
    """The function brings a page there; its name is the place's."""
    PLACES[go.__name__] = go
    return go


def alice() -> Person:
    """She has an authenticator app."""
    return make_person("totp", username="alice", name="Alice Example")


def signed_in(page: Page) -> Person:
    """Alice, with the app."""
    person = alice()
    sign_in_with_code(page, person)
    return person


def with_key(page: Page) -> Person:
    """Alice, who has added a key that stays plugged in."""
    person = signed_in(page)
    UsbKey(page).plug_in()
    enrol_key(page)
    return person


def at_the_key(page: Page) -> Person:
    """Alice, asked for her key."""
    person = with_key(page)
    sign_out(page)
    give_password(page, person)
    choose(page, "Security key")
    return person


def before_the_first_device(page: Page) -> None:
    """Nora, who has no device."""
    give_password(page, make_person(username="nora", name="Nora New"))


# ---- name and password ---------------------------------------------------------------------------------------------


@place
def sign_in(page: Page) -> None:
    page.goto("/sign-in/")


@place
def sign_in_left_empty(page: Page) -> None:
    page.goto("/sign-in/")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Enter your password.")).to_be_visible()


@place
def sign_in_refused(page: Page) -> None:
    give_password(page, alice(), password="not-the-password")
    expect(page.get_by_role("alert")).to_be_visible()


@place
def sign_in_while_signed_in(page: Page) -> None:
    signed_in(page)
    page.goto("/sign-in/")


@place
def sign_in_too_often(page: Page) -> None:
    person = alice()
    for _ in range(limits.DELAY_AT + 1):
        give_password(page, person, password="not-the-password")
    expect(page.get_by_role("alert")).to_contain_text("Too many tries.")


@place
def signed_out(page: Page) -> None:
    signed_in(page)
    sign_out(page)


# ---- a forgotten password ------------------------------------------------------------------------------------------


def at_the_link(page: Page) -> Person:
    """Alice, with the link from her mail."""
    person = alice()
    page.goto(f"/password/reset/{forgotten.new_code(person.user, timezone.now())}/")
    return person


@place
def password_forgotten(page: Page) -> None:
    page.goto("/password/forgotten/")


@place
def password_forgotten_left_empty(page: Page) -> None:
    page.goto("/password/forgotten/")
    page.get_by_role("button", name="Send me a link").click()
    expect(page.get_by_text("Enter your username.")).to_be_visible()


@place
def password_forgotten_sent(page: Page) -> None:
    page.goto("/sign-in/")
    page.get_by_role("link", name="Forgotten your password?").click()
    page.get_by_label("Username").fill("alice")
    page.get_by_role("button", name="Send me a link").click()
    expect(page.get_by_role("status")).to_have_text("Look into your mailbox.")


@place
def password_choose(page: Page) -> None:
    at_the_link(page)
    expect(page.get_by_label("New password", exact=True)).to_be_visible()


@place
def password_choose_too_short(page: Page) -> None:
    at_the_link(page)
    page.get_by_label("New password", exact=True).fill("short")
    page.get_by_role("button", name="Change password").click()
    expect(page.locator(".wrong").first).to_be_visible()


@place
def password_choose_not_the_same(page: Page) -> None:
    at_the_link(page)
    page.get_by_label("New password", exact=True).fill("quiet river seven lamps")
    page.get_by_label("New password once more").fill("quiet river seven lambs")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("The two are not the same.")).to_be_visible()


@place
def password_link_over(page: Page) -> None:
    page.goto("/password/reset/no-such-code/")
    expect(page.get_by_role("heading", level=1)).to_have_text("This link is over")


@place
def password_chosen(page: Page) -> None:
    at_the_link(page)
    for label in ("New password", "New password once more"):
        page.get_by_label(label, exact=True).fill("quiet river seven lamps")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("status")).to_have_text("Password changed. Sign in.")


def rest(device: Device) -> None:
    """As after several wrong answers."""
    Device.objects.filter(pk=device.pk).update(paused_until=timezone.now() + timedelta(minutes=5))


# ---- the second step -----------------------------------------------------------------------------------------------


@place
def code(page: Page) -> None:
    give_password(page, alice())
    expect(page.get_by_label("Code", exact=True)).to_be_visible()


@place
def code_wrong(page: Page) -> None:
    person = alice()
    give_password(page, person)
    enter_code(page, person.wrong_code())
    expect(page.get_by_role("alert")).to_be_visible()


@place
def code_too_often(page: Page) -> None:
    person = alice()
    Device.objects.filter(pk=person.app.pk).update(failures=4)
    give_password(page, person)
    enter_code(page, person.wrong_code())
    expect(page.get_by_role("alert")).to_be_visible()


@place
def code_wrong_all_the_time(page: Page) -> None:
    person = alice()
    give_password(page, person)
    for _ in range(PAUSE_AT):
        enter_code(page, person.wrong_code())
    expect(page.get_by_role("link", name="Start again")).to_be_visible()


@place
def key(page: Page) -> None:
    at_the_key(page)


@place
def key_waiting(page: Page) -> None:
    at_the_key(page)
    page.evaluate("() => { navigator.credentials.get = () => new Promise(() => {}); }")
    use_key(page)
    expect(page.get_by_role("status")).to_be_visible()


@place
def key_silent(page: Page) -> None:
    at_the_key(page)
    page.evaluate("""() => {
      const no = () => new DOMException("", "NotAllowedError");
      navigator.credentials.get = () => new Promise((_, refuse) => setTimeout(() => refuse(no()), 1100));
    }""")
    use_key(page)
    expect(page.get_by_role("alert")).to_be_visible()


@place
def key_wrong(page: Page) -> None:
    at_the_key(page)
    page.evaluate("""() => {
      const form = document.querySelector("[data-webauthn]");
      form.elements.response.value = "{}";
      form.submit();
    }""")
    expect(page.get_by_role("alert")).to_be_visible()


@place
def methods(page: Page) -> None:
    at_the_key(page)
    page.get_by_role("link", name="Use another way").click()
    expect(page.get_by_role("listitem")).to_have_count(2)


@place
def methods_only_one(page: Page) -> None:
    give_password(page, alice())
    page.get_by_role("link", name="Use another way").click()
    expect(page.get_by_text("There is no other way now.")).to_be_visible()


@place
def methods_while_one_rests(page: Page) -> None:
    person = make_person("totp", "recovery", username="alice")
    rest(person.app)
    give_password(page, person)
    expect(page.get_by_text("rests for 5 minutes")).to_be_visible()


@place
def methods_none(page: Page) -> None:
    person = alice()
    Device.objects.filter(pk=person.app.pk).update(state=State.SUSPENDED)
    give_password(page, person)
    expect(page.get_by_text("No device can be used now")).to_be_visible()


@place
def over(page: Page) -> None:
    page.goto("/sign-in/00000000-0000-4000-8000-000000000000/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Start again")


# ---- confirming that it is still you ---------------------------------------------------------------------------------


@place
def confirm(page: Page) -> None:
    signed_in(page)
    grow_old()
    page.goto("/account/devices/add/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm it is you")


@place
def confirm_wrong(page: Page) -> None:
    person = signed_in(page)
    grow_old()
    page.goto("/account/devices/add/")
    enter_code(page, person.wrong_code())
    expect(page.get_by_role("alert")).to_be_visible()


@place
def confirm_by_key(page: Page) -> None:
    with_key(page)
    grow_old()
    page.goto("/account/devices/add/")
    choose(page, "Security key")
    expect(page.get_by_role("button", name="Use my security key")).to_be_enabled()


@place
def confirm_methods(page: Page) -> None:
    confirm_by_key(page)
    page.get_by_role("link", name="Use another way").click()
    expect(page.get_by_role("listitem")).to_have_count(2)


@place
def confirm_none(page: Page) -> None:
    person = signed_in(page)
    grow_old()
    rest(person.app)
    page.goto("/account/devices/add/")
    expect(page.get_by_text("rests for 5 minutes")).to_be_visible()


@place
def confirm_over(page: Page) -> None:
    signed_in(page)
    page.goto("/confirm/00000000-0000-4000-8000-000000000000/")
    expect(page.get_by_role("link", name="Try again")).to_be_visible()


@place
def confirmed(page: Page) -> None:
    person = signed_in(page)
    page.goto("/account/devices/add/totp/")
    grow_old()
    page.reload()
    enter_code(page, person.code())
    expect(page.get_by_role("status")).to_have_text("Confirmed.")


@place
def confirmed_with_what_was_typed(page: Page) -> None:
    person = signed_in(page)
    page.goto(f"/account/devices/{person.app.uuid}/")
    grow_old()
    page.get_by_label("Name").fill("Blue phone")
    page.get_by_role("button", name="Rename").click()
    enter_code(page, person.code())
    expect(page.get_by_role("status")).to_contain_text("still here")


# ---- the first device ----------------------------------------------------------------------------------------------


@place
def first_device(page: Page) -> None:
    before_the_first_device(page)
    expect(page.get_by_role("listitem")).to_have_count(7)


@place
def first_app(page: Page) -> None:
    before_the_first_device(page)
    page.get_by_role("link", name="Authenticator app").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()


@place
def first_key(page: Page) -> None:
    before_the_first_device(page)
    page.get_by_role("link", name="Security key").click()
    expect(page.get_by_role("button", name="Add security key")).to_be_visible()


# ---- one's own pages -----------------------------------------------------------------------------------------------


@place
def home(page: Page) -> None:
    with_key(page)
    page.goto("/account/")


@place
def home_with_one_device(page: Page) -> None:
    signed_in(page)


@place
def devices(page: Page) -> None:
    person = with_key(page)
    Device.objects.filter(pk=person.app.pk).update(name=LONG_NAME)
    rest(person.app)
    page.goto("/account/devices/")


@place
def devices_in_every_state(page: Page) -> None:
    person = with_codes(page)
    for state in (State.ACTIVE, State.SUSPENDED, State.LOST):
        other, _clear = demo.new_device(person.user, Kind.TOTP, timezone.now())
        other.state, other.name = state, f"A phone: {state}"
        other.save(force_insert=True)
    Device.objects.filter(name="A phone: active").update(failures=DISABLE_AT)
    page.goto("/account/devices/")
    expect(page.get_by_text("Switched off")).to_be_visible()


def elsewhere(person: Person) -> None:
    """They have signed in elsewhere too: with a phone, and with something that calls itself at length, and not at all."""
    names = (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1",
        "a-program-with-a-name-as-long-as-they-come/1",
        "",
    )
    first = BrowserSession.objects.get(person=person.user)
    for number, name in enumerate(names):
        at = timezone.now() - timedelta(minutes=3**number)
        BrowserSession.objects.create(
            value_hash=str(number),
            person=person.user,
            device=person.app,
            address="2001:db8:85a3:1234:5678:8a2e:370:7334",
            user_agent=name,
            created_at=at,
            last_seen_at=at,
            expires_at=first.expires_at,
        )


def with_sessions(page: Page) -> Person:
    """Alice, who has signed in elsewhere too."""
    person = with_key(page)
    Device.objects.filter(pk=person.app.pk).update(name=LONG_NAME)
    elsewhere(person)
    page.goto("/account/sessions/")
    return person


@place
def sessions(page: Page) -> None:
    with_sessions(page)


@place
def sessions_only_this(page: Page) -> None:
    signed_in(page)
    page.get_by_role("link", name="Sessions", exact=True).click()
    expect(page.get_by_text("This one")).to_be_visible()


@place
def session_ended(page: Page) -> None:
    with_sessions(page)
    page.get_by_role("button", name="Safari on iPhone").click()
    expect(page.get_by_role("status")).to_be_visible()


@place
def session_of_a_program(page: Page) -> None:
    person = signed_in(page)
    refresh.start(
        sid=uuid4(),
        person=person.user.uuid,
        device=person.app.uuid,
        amr=["pwd", "otp", "mfa"],
        acr="aal2",
        staff=False,
        client=Client("192.0.2.1", "backup/2.1", "request-1"),
        now=timezone.now(),
    )
    page.goto("/account/sessions/")
    expect(page.get_by_text("A program")).to_be_visible()


@place
def sessions_ended(page: Page) -> None:
    with_sessions(page)
    page.get_by_role("button", name="End all others").click()
    expect(page.get_by_role("status")).to_have_text("3 other sessions were ended.")


@place
def session_over_already(page: Page) -> None:
    with_sessions(page)
    BrowserSession.objects.filter(value_hash__in="012").update(ended_at=timezone.now())
    page.get_by_role("button", name="Safari on iPhone").click()
    expect(page.get_by_role("alert")).to_be_visible()


@place
def device(page: Page) -> None:
    with_key(page)
    page.reload()
    page.get_by_text("Remove this device").click()


@place
def device_ready(page: Page) -> None:
    with_key(page)


@place
def device_without_name(page: Page) -> None:
    with_key(page)
    page.get_by_label("Name").fill("")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_text("Give the device a name.")).to_be_visible()


@place
def device_that_is_the_last(page: Page) -> None:
    signed_in(page)
    page.goto("/account/devices/")
    page.get_by_role("link", name="Authenticator app").click()
    page.get_by_text("Remove this device").click()
    expect(page.get_by_text("Add another way")).to_be_visible()


@place
def device_to_report_lost(page: Page) -> None:
    signed_in(page)
    page.goto("/account/devices/")
    page.get_by_role("link", name="Authenticator app").click()
    page.get_by_text("I lost this device").click()
    expect(page.get_by_role("button", name="Report it lost")).to_be_visible()


@place
def device_lost(page: Page) -> None:
    with_key(page)
    page.get_by_text("I lost this device").click()
    page.get_by_role("button", name="Report it lost").click()
    expect(page.get_by_role("status")).to_contain_text("is reported lost")


@place
def device_lost_and_signed_out(page: Page) -> None:
    device_to_report_lost(page)
    page.get_by_role("button", name="Report it lost").click()
    expect(page.get_by_role("status")).to_contain_text("is reported lost")


@place
def tried_by_code(page: Page) -> None:
    signed_in(page)
    grow_old()
    page.goto("/account/devices/")
    page.get_by_role("link", name="Authenticator app").click()
    page.get_by_role("button", name="Test this device").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Test this device")


@place
def tried_by_code_wrong(page: Page) -> None:
    person = signed_in(page)
    page.goto(f"/account/devices/{person.app.uuid}/")
    page.get_by_role("button", name="Test this device").click()
    enter_code(page, person.wrong_code())
    expect(page.get_by_role("alert")).to_be_visible()


@place
def tried_too_often(page: Page) -> None:
    person = signed_in(page)
    Device.objects.filter(pk=person.app.pk).update(failures=4)
    page.goto(f"/account/devices/{person.app.uuid}/")
    page.get_by_role("button", name="Test this device").click()
    enter_code(page, person.wrong_code())
    expect(page.get_by_text("works again in 30 seconds")).to_be_visible()


@place
def tried_by_key(page: Page) -> None:
    with_key(page)
    page.get_by_role("button", name="Test this device").click()
    expect(page.get_by_role("button", name="Use my security key")).to_be_enabled()


@place
def tried_and_works(page: Page) -> None:
    tried_by_key(page)
    use_key(page)
    expect(page.get_by_role("status")).to_contain_text("It works.")


@place
def device_removed_and_signed_out(page: Page) -> None:
    person = with_key(page)
    page.goto(f"/account/devices/{person.app.uuid}/")
    page.get_by_text("Remove this device").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Your device was removed")


def at_a_key(page: Page, says: str, **columns: object) -> None:
    """The page of another device of Alice's, a key with these columns, and what it says."""
    person = make_person("totp", "fido2", username="alice", name="Alice Example")
    Device.objects.filter(pk=person.key.pk).update(**columns)
    give_password(page, person)
    choose(page, "Authenticator app")
    enter_code(page, person.code())
    expect_signed_in(page)
    page.goto(f"/account/devices/{person.key.uuid}/")
    expect(page.get_by_text(says)).to_be_visible()


@place
def device_suspended(page: Page) -> None:
    at_a_key(page, "It is suspended", state=State.SUSPENDED)


@place
def device_resting(page: Page) -> None:
    at_a_key(page, "so it rests for a while", failures=5, paused_until=timezone.now() + timedelta(minutes=5))


@place
def device_switched_off(page: Page) -> None:
    at_a_key(page, "After too many wrong answers", failures=DISABLE_AT)


@place
def device_synced(page: Page) -> None:
    at_a_key(page, "In your synced passkeys", backup_eligible=True, backup_state=True, transports=["internal", "hybrid"])


@place
def activity_newest(page: Page) -> None:
    person = signed_in(page)
    for act in SENTENCES:
        record(act, client=Client("192.0.2.1", "curl/8.1", "request-1"), person=person.user.uuid, device=person.app.uuid)
    page.goto("/account/activity/")
    expect(page.get_by_role("link", name="Older")).to_be_visible()


@place
def activity_nothing_more(page: Page) -> None:
    signed_in(page)
    page.goto("/account/activity/?before=1")
    expect(page.get_by_text("Nothing more.")).to_be_visible()


@place
def activity(page: Page) -> None:
    person = signed_in(page)
    for _ in range(25):
        record("signed_out", client=Client("192.0.2.1", "curl/8.1", "request-1"), person=person.user.uuid)
    page.goto("/account/activity/")
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="Newest")).to_be_visible()


@place
def password(page: Page) -> None:
    signed_in(page)
    page.goto("/account/password/")


@place
def password_wrong(page: Page) -> None:
    password(page)
    page.get_by_label("Current password").fill("not-the-password")
    page.get_by_label("New password", exact=True).fill("short")
    page.get_by_label("New password once more").fill("other")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("Use at least 8 characters")).to_be_visible()


@place
def password_refused(page: Page) -> None:
    password(page)
    page.get_by_label("Current password").fill("not-the-password")
    for label in ("New password", "New password once more"):
        page.get_by_label(label, exact=True).fill("quiet river seven lamps")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("That is not the password you have now.")).to_be_visible()


@place
def password_too_often(page: Page) -> None:
    password(page)
    for _ in range(limits.DELAY_AT + 1):
        page.get_by_label("Current password").fill("not-the-password")
        for label in ("New password", "New password once more"):
            page.get_by_label(label, exact=True).fill("quiet river seven lamps")
        page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("alert")).to_contain_text("Too many tries.")


@place
def password_changed(page: Page) -> None:
    person = signed_in(page)
    page.goto("/account/password/")
    page.get_by_label("Current password").fill(person.password)
    page.get_by_label("New password", exact=True).fill("four new words here")
    page.get_by_label("New password once more").fill("four new words here")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("status")).to_contain_text("Your password is changed")


@place
def device_removed(page: Page) -> None:
    with_key(page)
    page.get_by_text("Remove this device").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("was removed")


@place
def add(page: Page) -> None:
    signed_in(page)
    page.goto("/account/devices/add/")


@place
def add_app(page: Page) -> None:
    signed_in(page)
    page.goto("/account/devices/add/totp/")
    page.get_by_text("Or type it in").click()


@place
def add_app_wrong(page: Page) -> None:
    signed_in(page)
    page.goto("/account/devices/add/totp/")
    enter_code(page, "000000")
    expect(page.get_by_role("alert")).to_be_visible()


@place
def add_security_key(page: Page) -> None:
    signed_in(page)
    page.goto("/account/devices/add/fido2/")


@place
def add_security_key_again(page: Page) -> None:
    with_key(page)
    page.goto("/account/devices/add/fido2/")
    add_key(page)
    expect(page.get_by_role("alert")).to_be_visible()


# ---- recovery codes ------------------------------------------------------------------------------------------------


def with_codes(page: Page, spent: int = 0) -> Person:
    """Alice, signed in with the app; so many of her codes are used."""
    person = make_person("totp", "recovery", username="alice", name="Alice Example")
    used = list(RecoveryCode.objects.values_list("pk", flat=True)[:spent])
    RecoveryCode.objects.filter(pk__in=used).update(spent_at=timezone.now())
    sign_in_with_code(page, person)
    return person


@place
def home_with_few_codes(page: Page) -> None:
    with_codes(page, spent=8)
    expect(page.get_by_text("2 recovery codes are left.")).to_be_visible()


@place
def home_with_codes(page: Page) -> None:
    with_codes(page)
    expect(page.get_by_text("10 recovery codes are left.")).to_be_visible()


@place
def home_without_a_device(page: Page) -> None:
    recovery_code_used(page)
    Device.objects.filter(kind=Kind.TOTP).update(state=State.LOST)
    page.goto("/account/")
    expect(page.get_by_text("You have no device to sign in with.")).to_be_visible()


@place
def home_with_no_code_left(page: Page) -> None:
    with_codes(page, spent=10)
    expect(page.get_by_text("No recovery code is left.")).to_be_visible()


@place
def recovery_codes_none(page: Page) -> None:
    signed_in(page)
    page.goto("/account/recovery-codes/")


@place
def recovery_codes_new(page: Page) -> None:
    recovery_codes_none(page)
    page.get_by_role("button", name="Make recovery codes").click()
    expect(page.get_by_role("list").get_by_role("listitem")).to_have_count(10)
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status")).to_be_visible()


@place
def recovery_codes(page: Page) -> None:
    with_codes(page, spent=3)
    page.goto("/account/recovery-codes/")
    page.get_by_text("Make a new set").click()
    expect(page.get_by_role("button", name="Replace my codes")).to_be_visible()


@place
def recovery_codes_few(page: Page) -> None:
    with_codes(page, spent=8)
    page.goto("/account/recovery-codes/")
    expect(page.get_by_text("Only a few are left.")).to_be_visible()


@place
def recovery_codes_to_remove(page: Page) -> None:
    with_codes(page)
    page.goto("/account/recovery-codes/")
    page.get_by_role("link", name="Remove these codes").click()
    expect(page.get_by_text("a test would use one of them up")).to_be_visible()
    page.get_by_text("Remove these codes").click()
    expect(page.get_by_role("button", name="Remove", exact=True)).to_be_visible()


@place
def recovery_codes_used_up(page: Page) -> None:
    with_codes(page, spent=10)
    page.goto("/account/recovery-codes/")
    expect(page.get_by_text("None is left.")).to_be_visible()


@place
def recovery_codes_shown_before(page: Page) -> None:
    recovery_codes_new(page)
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("shown only once")


@place
def recovery_code(page: Page) -> None:
    give_password(page, make_person("totp", "recovery", username="alice"))
    choose(page, "Recovery codes")


@place
def recovery_code_wrong(page: Page) -> None:
    recovery_code(page)
    enter_code(page, "0000-0000-0000-0000")
    expect(page.get_by_role("alert")).to_contain_text("none of your recovery codes")


@place
def recovery_code_spent(page: Page) -> None:
    person = make_person("totp", "recovery", username="alice")
    RecoveryCode.objects.update(spent_at=timezone.now())
    RecoveryCode.objects.filter(pk=RecoveryCode.objects.latest("pk").pk).update(spent_at=None)
    give_password(page, person)
    choose(page, "Recovery codes")
    enter_code(page, person.codes[0])
    expect(page.get_by_role("alert")).to_contain_text("already used")


@place
def recovery_code_used_one_of_the_last(page: Page) -> None:
    person = make_person("totp", "recovery", username="alice")
    others = RecoveryCode.objects.order_by("pk").values_list("pk", flat=True)[1:8]
    RecoveryCode.objects.filter(pk__in=list(others)).update(spent_at=timezone.now())
    give_password(page, person)
    choose(page, "Recovery codes")
    enter_code(page, person.codes[0])
    expect(page.get_by_text("That is not much.")).to_be_visible()


@place
def recovery_code_used(page: Page) -> None:
    person = make_person("totp", "recovery", username="alice")
    give_password(page, person)
    choose(page, "Recovery codes")
    enter_code(page, person.codes[0])
    expect(page.get_by_role("heading", level=1)).to_have_text("You used a recovery code")


# ---- the administrators' site --------------------------------------------------------------------------------------


def administrator(page: Page) -> Person:
    """Signed in, with somebody to look at."""
    make_person("totp", "fido2", username="bob", name="Bob Example")
    person = make_person("totp", username="admin", name="Admin", is_staff=True, is_superuser=True)
    sign_in_with_code(page, person)
    return person


@place
def admin(page: Page) -> None:
    administrator(page)
    page.get_by_role("link", name="Administration").click()
    expect(page.get_by_role("heading", name="People and devices")).to_be_visible()


@place
def admin_people(page: Page) -> None:
    administrator(page)
    page.goto("/admin/accounts/user/")


@place
def admin_person(page: Page) -> None:
    administrator(page)
    page.goto("/admin/accounts/user/?q=bob")
    page.get_by_role("link", name="bob").click()
    expect(page.get_by_label("E-mail")).to_be_visible()


@place
def admin_device(page: Page) -> None:
    administrator(page)
    page.goto("/admin/devices/device/")
    page.get_by_role("link", name="Security key").click()
    expect(page.get_by_role("heading", name="View device")).to_be_visible()


@place
def admin_events(page: Page) -> None:
    administrator(page)
    page.goto("/admin/audit/event/")


@place
def admin_event(page: Page) -> None:
    admin_events(page)
    page.locator("#result_list tbody th a").first.click()
    expect(page.get_by_role("heading", name="View event")).to_be_visible()


@place
def admin_devices(page: Page) -> None:
    administrator(page)
    page.goto("/admin/devices/device/")


@place
def admin_sessions(page: Page) -> None:
    administrator(page)
    page.goto("/admin/accounts/browsersession/")


@place
def admin_sign_ins(page: Page) -> None:
    administrator(page)
    page.goto("/admin/accounts/signin/")


@place
def admin_notices(page: Page) -> None:
    administrator(page)
    page.goto("/admin/accounts/notice/")


@place
def admin_families(page: Page) -> None:
    administrator(page)
    page.goto("/admin/grants/refreshfamily/")


@place
def admin_signing_keys(page: Page) -> None:
    administrator(page)
    page.goto("/admin/grants/signingkey/")


@place
def admin_history(page: Page) -> None:
    admin_person(page)
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Change history")


@place
def not_for_everybody(page: Page) -> None:
    signed_in(page)
    page.goto("/admin/")
    expect(page.get_by_role("heading", level=1)).to_have_text("That is for administrators")


# ---- the rest ------------------------------------------------------------------------------------------------------


@place
def demo_people(page: Page) -> None:
    demo.seed(timezone.now())
    page.goto("/demo/")
    expect(page.get_by_role("heading", name=re.compile("alice"))).to_be_visible()


@place
def no_such_page(page: Page) -> None:
    page.goto("/no-such-page/")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")


@place
def form_too_old(page: Page) -> None:
    page.goto("/sign-in/")
    page.context.clear_cookies()
    page.get_by_label("Username").fill("alice")
    page.get_by_label("Password").fill("whatever-it-is")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("This form is too old")


PLACES |= {go.__name__: go for go in (*code_places.PLACES, *desk_people_places.PLACES)}
PLACES |= {go.__name__: go for go in (*code_places.PLACES, *desk_acts_places.PLACES)}
PLACES |= {go.__name__: go for go in (*code_places.PLACES, *desk_key_places.PLACES)}
PLACES |= {go.__name__: go for go in code_places.PLACES}
PLACES |= {go.__name__: go for go in desk_invitation_places.PLACES}
