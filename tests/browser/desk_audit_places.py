"""The pages of the audit and the dashboard in every state that looks different; `places` knows them too."""

from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts import census
from audit import seals, tally
from audit.events import OPERATOR, record
from audit.models import Tally
from devices.models import Kind
from mfa_site.client import Client
from tests.browser.steps import sign_in_with_code
from tests.conftest import Person, make_person, make_token

HERE = Client("2001:db8:1234:5678:9abc:def0:1234:5678", "Firefox/140.0 (X11; Linux)", "request-1")


def auditor(page: Page) -> Person:
    """Signed in, with something that happened: to Ada, by administrators, and refused."""
    ada = make_person("totp", username="ada")
    token = make_token("hardware_hotp", ada.user).device
    person = make_person("totp", username="vera", is_staff=True, is_superuser=True)
    record("device_handed_out", client=HERE, person=ada.user.uuid, actor=person.user.uuid, device=token.uuid, kind="hotp")
    record("answer_refused", client=HERE, person=ada.user.uuid, device=token.uuid, reason="CODE_WRONG", kind="hotp")
    record("tokens_imported", client=Client("", "", ""), actor=OPERATOR, count=3)
    seals.seal(timezone.now())
    sign_in_with_code(page, person)
    return person


def audit(page: Page) -> None:
    auditor(page)
    page.goto("/admin/")
    page.get_by_role("link", name="Audit", exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Audit")
    expect(page.get_by_text("was handed out")).to_be_visible()


def audit_found(page: Page) -> None:
    audit(page)
    page.get_by_label("Person").fill("ada")
    page.get_by_label("Result").fill("refused")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("code wrong")).to_be_visible()
    expect(page.get_by_text("was handed out")).to_have_count(0)


def audit_wrong_filter(page: Page) -> None:
    audit(page)
    page.get_by_label("Since").fill("yesterday")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("Enter a date")).to_be_visible()
    expect(page.get_by_label("Since")).to_have_value("yesterday")


def audit_nothing(page: Page) -> None:
    auditor(page)
    page.goto("/admin/audit/?act=no_such_act")
    expect(page.get_by_text("No events here.")).to_be_visible()


def audit_older(page: Page) -> None:
    ada = auditor(page)
    for _ in range(60):
        record("device_tested", client=HERE, person=ada.user.uuid)
    page.goto("/admin/audit/?person=vera")
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="Newest")).to_be_visible()


def audit_export(page: Page) -> None:
    audit_found(page)
    page.get_by_role("link", name="Export these events").click()
    expect(page.get_by_text("All events that fit:")).to_be_visible()


def audit_export_refused(page: Page) -> None:
    auditor(page)
    page.goto("/admin/audit/export/?device=NONE")
    expect(page.get_by_role("alert")).to_contain_text("no device with that serial")


def audit_event(page: Page) -> None:
    audit(page)
    page.locator(".desk-events tbody th a").first.click()
    expect(page.get_by_role("heading", name="View event")).to_be_visible()


def audit_mine(page: Page) -> None:
    auditor(page)
    page.goto("/admin/audit/mine/")
    expect(page.get_by_text("was handed out")).to_be_visible()


def dashboard_empty(page: Page) -> None:
    auditor(page)
    page.goto("/admin/dashboard/")
    expect(page.get_by_text("Nothing yet.").first).to_be_visible()


def dashboard(page: Page) -> None:
    auditor(page)
    for kind in ("fido2", "hotp", "yubiotp", "sms", "email", "recovery"):
        make_person("totp", kind)
    for days in (-1, 20, 50, 500):
        make_token("hotp", valid_until=timezone.now() + timedelta(days=days))
    now = timezone.now()
    for day in range(30):
        census.count(now - timedelta(days=day))
    rows = [("signed_in", kind, "", 40 + 7 * place) for place, kind in enumerate(Kind.values)]
    rows += [("sign_in_refused", "totp", "", 6), ("sign_in_cancelled", "", "", 9), ("code_not_sent", "sms", "NOT_SENT", 3)]
    rows += [("answer_refused", "totp", why, 20) for why in ("CODE_WRONG", "CODE_OUT_OF_SYNC", "ANSWER_USED")]
    Tally.objects.bulk_create(
        Tally(day=(now - timedelta(days=day)).date(), act=act, kind=kind, reason=reason, events=number * (day % 5 + 1))
        for day in range(1, 30)
        for act, kind, reason, number in rows
    )
    tally.count(now)
    page.goto("/admin/")
    page.get_by_role("link", name="Dashboard").click()
    expect(page.get_by_role("img", name="Adoption")).to_be_visible()


def dashboard_numbers(page: Page) -> None:
    dashboard(page)
    for summary in page.get_by_text("The numbers").all():
        summary.click()
    expect(page.get_by_role("table").first).to_be_visible()


PLACES = [
    audit,
    audit_found,
    audit_wrong_filter,
    audit_nothing,
    audit_older,
    audit_export,
    audit_export_refused,
    audit_event,
    audit_mine,
    dashboard_empty,
    dashboard,
    dashboard_numbers,
]
