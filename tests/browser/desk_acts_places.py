"""The pages on which administrators act on devices, in every state that looks different; `places` knows them too."""

from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import Page, expect

from devices.models import DISABLE_AT, Device
from tests.authenticators import Button
from tests.browser.steps import sign_in_with_code
from tests.conftest import Person, make_person, make_token


def at_the_desk(page: Page) -> Person:
    """An administrator is signed in; Ada has a token and an app."""
    admin = make_person("totp", username="admin", name="Admin", is_staff=True, is_superuser=True)
    sign_in_with_code(page, admin)
    return make_person("totp", "hardware_totp", username="ada", name="Ada Example")


def token_in_hand() -> Button:
    """A token in stock."""
    held = make_token("hotp", serial="AB-1234567", model="Model T with a display and a button")
    assert isinstance(held, Button)
    return held


def go(page: Page, person: Person, act: str) -> None:
    """The page of the act on Ada's token."""
    page.goto(f"/admin/devices/{person.held['hardware_totp'].device.uuid}/{act}/")


def desk_front_page(page: Page) -> None:
    at_the_desk(page)
    page.goto("/admin/")
    expect(page.get_by_role("link", name="Hand out a token")).to_be_visible()


def hand_out(page: Page) -> None:
    at_the_desk(page)
    page.goto("/admin/hand-out/")
    expect(page.get_by_label("Serial")).to_be_focused()


def hand_out_unknown_serial(page: Page) -> None:
    hand_out(page)
    page.keyboard.type("XY-1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("There is no token")


def hand_out_scanned(page: Page) -> None:
    hand_out(page)
    token_in_hand()
    page.keyboard.type("ab-1234567")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Person")).to_be_focused()


def hand_out_several_people(page: Page) -> None:
    hand_out_scanned(page)
    make_person(username="bert", name="Bert Example")
    page.keyboard.type("Example")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Who is it?")).to_be_visible()


def hand_out_nobody(page: Page) -> None:
    hand_out_scanned(page)
    page.keyboard.type("zoe")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Nobody active")


def hand_out_to_somebody(page: Page) -> None:
    hand_out_scanned(page)
    page.keyboard.type("ada")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Code, if you want to check it")).to_be_focused()


def hand_out_wrong_code(page: Page) -> None:
    hand_out_to_somebody(page)
    page.keyboard.type("000000")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("It was counted")


def receipt(page: Page) -> None:
    hand_out_to_somebody(page)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Date and signature")).to_be_visible()


def whose_token(page: Page) -> None:
    at_the_desk(page)
    token_in_hand()
    page.goto("/admin/whose-token/")
    expect(page.get_by_label("Next code")).to_be_visible()


def whose_token_found(page: Page) -> None:
    at_the_desk(page)
    held = token_in_hand()
    page.goto("/admin/whose-token/")
    page.get_by_label("Among").select_option(f"model:{held.device.model}")
    page.get_by_label("Code:", exact=True).fill(held.next())
    page.get_by_role("button", name="Find by its code").click()
    expect(page.get_by_role("status")).to_contain_text("AB-1234567")


def whose_token_not_found(page: Page) -> None:
    whose_token(page)
    page.get_by_label("Code:", exact=True).fill("12")
    page.get_by_role("button", name="Find by its code").click()
    expect(page.get_by_role("alert")).to_be_visible()


def report_lost(page: Page) -> None:
    go(page, at_the_desk(page), "lost")
    expect(page.get_by_label("Issue a temporary code")).to_be_visible()


def report_lost_without_a_reason(page: Page) -> None:
    report_lost(page)
    page.get_by_label("Issue a temporary code").check()
    page.get_by_role("button", name="Report it").click()
    expect(page.get_by_text("A code needs a reason.")).to_be_visible()


def lost_with_a_code(page: Page) -> None:
    report_lost(page)
    page.get_by_label("Stolen").check()
    page.get_by_label("I saw an identity card").check()
    page.get_by_label("Why:").fill("Bag stolen on the train")
    page.get_by_label("Issue a temporary code").check()
    page.get_by_role("button", name="Report it").click()
    expect(page.locator(".secret")).to_be_visible()


def issue_temporary_code(page: Page) -> None:
    ada = at_the_desk(page)
    page.goto(f"/admin/people/{ada.user.uuid}/temporary-code/")
    expect(page.get_by_role("button", name="Issue a code")).to_be_visible()


def issue_temporary_code_left_empty(page: Page) -> None:
    issue_temporary_code(page)
    page.get_by_role("button", name="Issue a code").click()
    expect(page.get_by_text("how you made sure")).to_be_visible()


def suspend_device(page: Page) -> None:
    go(page, at_the_desk(page), "suspend")


def suspended_device(page: Page) -> None:
    suspend_device(page)
    page.get_by_label("Until:").fill((timezone.now() + timedelta(days=4)).date().isoformat())
    page.get_by_role("button", name="Suspend").click()
    expect(page.get_by_text("Suspended until").first).to_be_visible()


def resume_not_possible(page: Page) -> None:
    go(page, at_the_desk(page), "resume")
    expect(page.get_by_text("That is not possible")).to_be_visible()


def unlock_switched_off(page: Page) -> None:
    ada = at_the_desk(page)
    Device.objects.filter(pk=ada.held["hardware_totp"].device.pk).update(failures=DISABLE_AT)
    go(page, ada, "unlock")
    page.get_by_role("button", name="Unlock").click()
    expect(page.get_by_role("alert")).to_contain_text("only binding it anew helps")


def retire_device(page: Page) -> None:
    go(page, at_the_desk(page), "retire")


def take_token_back(page: Page) -> None:
    go(page, at_the_desk(page), "take-back")


def line_up(page: Page) -> None:
    go(page, at_the_desk(page), "resync")


def line_up_wrong(page: Page) -> None:
    line_up(page)
    page.get_by_label("Code:", exact=True).fill("000000")
    page.get_by_label("Next code").fill("000000")
    page.get_by_role("button", name="Line it up").click()
    expect(page.get_by_role("alert")).to_contain_text("follow each other")


def many_devices(page: Page) -> None:
    at_the_desk(page)
    page.goto("/admin/devices/device/")
    others = page.locator("#result_list tr").filter(has_not_text="admin")
    for box in others.locator("input[name=_selected_action]").all():
        box.check()
    page.locator("select[name=action]").select_option("report_lost")
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_text("devices are chosen.")).to_be_visible()


def many_devices_done(page: Page) -> None:
    token_in_hand()
    many_devices(page)
    page.get_by_label("Forgotten").check()
    page.get_by_role("button", name="Report lost").click()
    expect(page.get_by_text("Skipped: AB-")).to_be_visible()


PLACES = (
    *(desk_front_page, hand_out, hand_out_unknown_serial, hand_out_scanned, hand_out_several_people, hand_out_nobody),
    *(hand_out_to_somebody, hand_out_wrong_code, receipt, whose_token, whose_token_found, whose_token_not_found),
    *(report_lost, report_lost_without_a_reason, lost_with_a_code, issue_temporary_code, issue_temporary_code_left_empty),
    *(suspend_device, suspended_device, resume_not_possible, unlock_switched_off, retire_device, take_token_back),
    *(line_up, line_up_wrong, many_devices, many_devices_done),
)
