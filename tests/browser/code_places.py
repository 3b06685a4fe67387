"""The pages of every kind of code, in every state that looks different; `places` knows them too."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts import temporary
from audit.events import OPERATOR
from devices.models import Device
from mfa_site.client import Client
from tests.authenticators import Button, Clock
from tests.browser.steps import enter_code, expect_signed_in, give_password, sign_in_with_code
from tests.conftest import Person, make_person, make_token


def owner_of(page: Page, kind: str) -> Person:
    """Somebody with one device of this kind, after the password."""
    person = make_person(kind, username=kind)
    give_password(page, person)
    return person


def code_of_a_button(page: Page) -> None:
    owner_of(page, "hardware_hotp")
    expect(page.get_by_text("Press the button of")).to_be_visible()


def code_out_of_step(page: Page) -> None:
    person = owner_of(page, "hardware_hotp")
    enter_code(page, person.held["hardware_hotp"].at(40))
    expect(page.get_by_role("alert")).to_contain_text("pressed many times")
    expect(page.get_by_label("Next code")).to_be_visible()


def code_that_is_not_accepted(page: Page) -> None:
    owner_of(page, "hardware_totp")
    page.get_by_text("It shows a code and that is not accepted?").click()
    expect(page.get_by_role("button", name="Line it up")).to_be_visible()


def code_of_a_wrong_clock(page: Page) -> None:
    person = owner_of(page, "totp")
    enter_code(page, person.code(-20))
    expect(page.get_by_role("alert")).to_contain_text("behind")


def code_by_message(page: Page) -> None:
    owner_of(page, "sms")
    expect(page.get_by_text("We sent a code to +49")).to_be_visible()


def code_by_message_too_soon(page: Page) -> None:
    owner_of(page, "sms")
    page.get_by_role("button", name="Send another code").click()
    expect(page.get_by_role("alert")).to_contain_text("another code in")


def code_by_message_wrong(page: Page) -> None:
    owner_of(page, "sms")
    enter_code(page, "000000")
    expect(page.get_by_role("alert")).to_contain_text("not the code that went to")


def code_not_sent(page: Page) -> None:
    person = owner_of(page, "sms")
    Device.objects.filter(user=person.user).update(unsent=1, sent_at=None)
    page.reload()
    expect(page.get_by_text("could not be sent")).to_be_visible()


def code_by_mail(page: Page) -> None:
    owner_of(page, "email")
    expect(page.get_by_text("We sent a code to p•••@example.org")).to_be_visible()


def touch(page: Page) -> None:
    owner_of(page, "yubiotp")
    expect(page.get_by_role("heading", name="Touch your YubiKey")).to_be_visible()


def touch_in_another_field(page: Page) -> None:
    person = make_person("totp", username="ada")
    give_password(page, person)
    enter_code(page, "cccccccccccb" + "c" * 32)
    expect(page.get_by_role("alert")).to_contain_text("YubiKey")


def with_temporary_code(page: Page) -> tuple[Person, str]:
    """Ada, whose token is at home, with the code of an administrator, after the password."""
    ada = make_person("totp", username="ada")
    who, now = Client("", "", ""), timezone.now()
    _row, code = temporary.issue(ada.user, "The token is at home.", who, now, actor=OPERATOR, uses=2)
    give_password(page, ada)
    page.get_by_role("link", name="Use another way").click()
    page.get_by_role("link", name="Temporary code").click()
    return ada, code


def temporary_code(page: Page) -> None:
    with_temporary_code(page)
    expect(page.get_by_role("heading", name="Enter your temporary code")).to_be_visible()


def temporary_code_used(page: Page) -> None:
    _ada, code = with_temporary_code(page)
    enter_code(page, code)
    expect(page.get_by_role("heading", name="You used a temporary code")).to_be_visible()


def home_after_a_temporary_code(page: Page) -> None:
    temporary_code_used(page)
    page.get_by_role("link", name="Not now, go on").click()
    expect(page.get_by_text("lets you see your account and add a device")).to_be_visible()


def nothing_stronger(page: Page) -> None:
    ada, code = with_temporary_code(page)
    enter_code(page, code)
    ada.app.move("lost")  # type: ignore[arg-type]
    page.goto("/account/password/")
    page.goto("/confirm/?next=/account/password/")
    expect(page.get_by_role("heading", name="This takes a stronger device")).to_be_visible()


def signed_in(page: Page) -> Person:
    """Ada, with an app."""
    ada = make_person("totp", username="ada")
    sign_in_with_code(page, ada)
    return ada


def add_choice(page: Page) -> None:
    signed_in(page)
    page.goto("/account/devices/add/")
    expect(page.get_by_role("link", name="A token from your organisation")).to_be_visible()


def add_button(page: Page) -> None:
    signed_in(page)
    page.goto("/account/devices/add/hotp/")
    page.get_by_text("Or type it in").click()


def add_phone(page: Page) -> None:
    signed_in(page)
    page.goto("/account/devices/add/sms/")


def add_phone_refused(page: Page) -> None:
    add_phone(page)
    page.get_by_label("Phone number").fill("+49 30 123456")
    page.get_by_role("button", name="Send a code").click()
    expect(page.get_by_text("not the number of a mobile phone")).to_be_visible()


def add_phone_code(page: Page) -> None:
    add_phone(page)
    page.get_by_label("Phone number").fill("+49 1512 3456789")
    page.get_by_role("button", name="Send a code").click()
    expect(page.get_by_text("We sent a code to +49 ••• 89")).to_be_visible()


def add_mail(page: Page) -> None:
    signed_in(page)
    page.goto("/account/devices/add/email/")


def add_hardware(page: Page) -> None:
    signed_in(page)
    page.goto("/account/devices/add/serial/")


def add_hardware_refused(page: Page) -> None:
    add_hardware(page)
    page.get_by_label("Serial number").fill("NONE-1")
    page.get_by_label("Code", exact=True).fill("123456")
    page.get_by_label("Next code").fill("234567")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_contain_text("do not go together")


def device_of_hardware(page: Page) -> None:
    person = make_person("hardware_totp", username="erin")
    row = person.held["hardware_totp"].device
    Device.objects.filter(pk=row.pk).update(model="Model C200", drift=-3, valid_until="2099-01-01T00:00:00Z")
    held = person.held["hardware_totp"]
    assert isinstance(held, Clock)
    held.ahead = -3
    give_password(page, person)
    enter_code(page, held.next())
    expect_signed_in(page)
    page.goto(f"/account/devices/{row.uuid}/")
    page.get_by_text("Its codes are not accepted?").click()
    expect(page.get_by_text("About 2 minutes behind")).to_be_visible()


def device_that_gets_messages(page: Page) -> None:
    person = signed_in(page)
    row = make_token("sms", person.user).device
    page.goto(f"/account/devices/{row.uuid}/")
    expect(page.get_by_text("Sent to")).to_be_visible()


def demo_with_every_kind(page: Page) -> None:
    from django.core.management import call_command

    call_command("seed_demo", verbosity=0)
    page.goto("/demo/")
    expect(page.get_by_text("Demo token with a button")).to_be_visible()


def first_hardware(page: Page) -> None:
    give_password(page, make_person(username="nora"))
    page.get_by_role("link", name="A token from your organisation").click()
    page.get_by_label("Serial number").fill("NONE-1")
    page.get_by_label("Code", exact=True).fill("000000")
    page.get_by_label("Next code").fill("000001")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_contain_text("do not go together")


def add_button_out_of_step(page: Page) -> None:
    signed_in(page)
    page.goto("/account/devices/add/hotp/")
    enter_code(page, Button(Device.objects.get(kind="hotp")).at(40))
    expect(page.get_by_label("Next code")).to_be_visible()


def add_yubikey(page: Page) -> None:
    signed_in(page)
    page.goto("/account/devices/add/yubiotp/")
    enter_code(page, "123456")
    expect(page.get_by_role("alert")).to_contain_text("not what a YubiKey types")


def methods_of_every_kind(page: Page) -> None:
    person = make_person("totp", "hotp", "hardware_totp", "yubiotp", "sms", "email", "recovery", "temporary", username="ada")
    give_password(page, person)
    page.get_by_role("link", name="Use another way").click()
    expect(page.get_by_role("listitem")).to_have_count(8)


def devices_of_every_kind(page: Page) -> None:
    person = signed_in(page)
    for kind in ("hotp", "hardware_totp", "hardware_hotp", "yubiotp", "sms", "email"):
        make_token(kind, person.user)
    over, early, *_others = Device.objects.exclude(serial="")
    Device.objects.filter(pk=over.pk).update(valid_until=timezone.now())
    Device.objects.filter(pk=early.pk).update(valid_from=timezone.now() + timedelta(days=9))
    page.goto("/account/devices/")
    expect(page.get_by_text("Not valid yet")).to_be_visible()


def at_a_token(page: Page, says: str, **columns: Any) -> None:
    """The page of a hardware token of Ada's, with these columns, and what it says."""
    row = make_token("hardware_hotp", signed_in(page).user).device
    Device.objects.filter(pk=row.pk).update(**columns)
    page.goto(f"/account/devices/{row.uuid}/")
    expect(page.get_by_text(says)).to_be_visible()


def device_over(page: Page) -> None:
    at_a_token(page, "nobody can sign in with it any more", valid_until=timezone.now())
    page.get_by_text("Remove this device").click()
    expect(page.get_by_text("hand it in")).to_be_visible()


def device_too_early(page: Page) -> None:
    at_a_token(page, "Not valid yet", valid_from=timezone.now() + timedelta(days=9))


def device_not_tried(page: Page) -> None:
    at_a_token(page, "Not tried yet", state="assigned")


def device_out_of_step(page: Page) -> None:
    at_a_token(page, "Ready")
    page.get_by_text("Its codes are not accepted?").click()
    page.get_by_label("First code").fill("000000")
    page.get_by_label("Next code").fill("000000")
    page.get_by_role("button", name="Line it up").click()
    expect(page.get_by_role("alert")).to_contain_text("follow each other")


def device_that_is_a_temporary_code(page: Page) -> None:
    person = make_person("totp", "temporary", username="ada")
    sign_in_with_code(page, person)
    page.goto("/account/devices/")
    page.get_by_role("link", name="Temporary code").click()
    page.get_by_text("Remove this code").click()
    expect(page.get_by_text("Uses left")).to_be_visible()


def tried_by_message(page: Page) -> None:
    row = make_token("sms", signed_in(page).user).device
    page.goto(f"/account/devices/{row.uuid}/")
    page.get_by_role("button", name="Test this device").click()
    expect(page.get_by_text("We sent a code to +49")).to_be_visible()


def message_too_soon_for_another_sign_in(page: Page) -> None:
    person = owner_of(page, "sms")
    give_password(page, person)
    expect(page.get_by_text("a moment ago for another sign-in")).to_be_visible()


PLACES = [
    code_of_a_button,
    code_out_of_step,
    code_that_is_not_accepted,
    code_of_a_wrong_clock,
    code_by_message,
    code_by_message_too_soon,
    code_by_message_wrong,
    code_not_sent,
    code_by_mail,
    touch,
    touch_in_another_field,
    temporary_code,
    temporary_code_used,
    home_after_a_temporary_code,
    nothing_stronger,
    add_choice,
    add_button,
    add_phone,
    add_phone_refused,
    add_phone_code,
    add_mail,
    add_hardware,
    add_hardware_refused,
    device_of_hardware,
    device_that_gets_messages,
    demo_with_every_kind,
    first_hardware,
    add_button_out_of_step,
    add_yubikey,
    methods_of_every_kind,
    devices_of_every_kind,
    device_over,
    device_too_early,
    device_not_tried,
    device_out_of_step,
    device_that_is_a_temporary_code,
    tried_by_message,
    message_too_soon_for_another_sign_in,
]
