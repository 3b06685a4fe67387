"""What administrators do with devices: lost, suspended, resumed, retired …; over the API, on pages, in bulk, by command."""

import json
import re
from datetime import timedelta
from io import StringIO
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Group
from django.core import mail
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from accounts import notices, out_of_use
from accounts.models import BrowserSession, User
from audit.models import Event
from devices.lifecycle import State
from devices.models import DISABLE_AT, Device
from grants.models import RefreshFamily
from tests.conftest import Api, Person, code_of, make_person, make_token
from tests.test_admin import browser, post
from tests.test_desk_api import desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(db: None) -> Person:
    return make_person("totp", username="admin", is_staff=True, is_superuser=True)


def now_of(row: Device) -> Device:
    found: Device = Device.objects.get(pk=row.pk)
    return found


def opened_by(person: Person) -> tuple[int, int]:
    """Its living browser sessions and refresh families."""
    sessions = BrowserSession.objects.filter(person=person.user, ended_at=None)
    return sessions.count(), RefreshFamily.objects.filter(person=person.user.uuid, ended_at=None).count()


def signed_in_twice(person: Person) -> None:
    browser(person)
    Device.objects.filter(user=person.user, kind="totp").update(counter=-1)
    Api().sign_in(person)
    Device.objects.filter(user=person.user, kind="totp").update(counter=-1)
    assert opened_by(person) == (1, 1)


# ---- over the API --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["lost", "stolen", "broken", "forgotten"])
def test_lost_and_what_is_like_it_end_everything_and_found_again_is_resumed(admin: Person, reason: str) -> None:
    ada, api = make_person("totp", username="ada"), desk(admin)
    signed_in_twice(ada)
    said = api.post(f"admin/devices/{ada.app.uuid}/lost", {"reason": reason})
    state = "suspended" if reason == "forgotten" else "lost"
    assert said.status_code == 200 and said.json()["state"] == state and said.json()["usable"] is False
    assert opened_by(ada) == (0, 0)
    event = Event.objects.filter(device=ada.app.uuid).latest("id")
    assert event.act == ("device_lost" if state == "lost" else "device_suspended_at_desk")
    assert (event.person, event.actor, event.about["loss"]) == (ada.user.uuid, admin.user.uuid, reason)
    notices.send_due(timezone.now())
    assert [sent.to for sent in mail.outbox if "lost" in sent.subject or "suspended" in sent.subject] == [["p@example.org"]]
    handle = Api().start(ada)
    assert code_of(Api().answer(handle, ada.app, ada.code()))[0] in (404, 409)
    assert code_of(api.post(f"admin/devices/{ada.app.uuid}/lost", {"reason": reason})) == ((409, "wrong_state")), (
        "it is out of use already"
    )
    again = api.post(f"admin/devices/{ada.app.uuid}/resume")
    assert (again.status_code, again.json()["state"], again.json()["suspended_until"]) == (200, "active", None)
    assert opened_by(ada) == (0, 0), "what it had opened stays ended"
    Api().sign_in(ada)
    assert code_of(api.post(f"admin/devices/{ada.app.uuid}/resume")) == (409, "wrong_state")


def test_what_was_forgotten_comes_back_by_itself_when_its_time_has_come(admin: Person) -> None:
    ada, api, now = make_person("totp", username="ada"), desk(admin), timezone.now()
    until = (now + timedelta(hours=2)).isoformat()
    said = api.post(f"admin/devices/{ada.app.uuid}/lost", {"reason": "forgotten", "until": until}).json()
    assert said["suspended_until"] == (now + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert out_of_use.come_back(now + timedelta(minutes=119)) == 0
    assert now_of(ada.app).state == State.SUSPENDED
    assert out_of_use.come_back(now + timedelta(minutes=121)) == 1
    assert out_of_use.come_back(now + timedelta(minutes=121)) == 0
    assert (now_of(ada.app).state, now_of(ada.app).suspended_until) == (State.ACTIVE, None)
    event = Event.objects.get(act="device_resumed")
    assert event.about["due"] is True and event.person == ada.user.uuid and event.actor != ada.user.uuid
    api.post(f"admin/devices/{ada.app.uuid}/suspend", {"until": until})
    api.post(f"admin/devices/{ada.app.uuid}/lost", {"reason": "stolen"})
    assert out_of_use.come_back(now + timedelta(days=9)) == 0, "what was stolen meanwhile stays away"
    api.post(f"admin/devices/{ada.app.uuid}/resume")
    assert api.post(f"admin/devices/{ada.app.uuid}/suspend").json()["suspended_until"] is None
    assert out_of_use.come_back(now + timedelta(days=999)) == 0, "without a date somebody resumes it"


@pytest.mark.parametrize(
    "body",
    [
        {"reason": "mislaid"},
        {"reason": 1},
        {},
        {"reason": "lost", "until": "2099-01-01T00:00:00Z"},
        *(
            {"reason": "forgotten", "until": until}
            for until in (
                *("", "tomorrow", "2026-12-24", "2026-12-24T08:00:00", "20261224T080000Z", "2026-13-01T00:00:00Z"),
                *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2020-01-01T00:00:00Z", "９026-12-24T08:00:00Z"),
            )
        ),
    ],
)
def test_a_loss_out_of_bounds_is_malformed_and_changes_nothing(admin: Person, body: dict[str, Any]) -> None:
    ada = make_person("totp", username="ada")
    assert code_of(desk(admin).post(f"admin/devices/{ada.app.uuid}/lost", body)) == (400, "malformed")
    assert now_of(ada.app).state == State.ACTIVE


def test_a_token_that_was_never_tried_is_resumed_as_such(admin: Person) -> None:
    ada, api = make_person("recovery", username="ada"), desk(admin)
    held = make_token("hotp", serial="AB-1")
    api.post(f"admin/devices/{held.device.uuid}/assign", {"user": str(ada.user.uuid)})
    assert code_of(api.post(f"admin/devices/{held.device.uuid}/suspend")) == (409, "wrong_state")
    assert api.post(f"admin/devices/{held.device.uuid}/lost", {"reason": "lost"}).status_code == 200
    assert api.post(f"admin/devices/{held.device.uuid}/resume").json()["state"] == "assigned"
    assert Api().answer(Api().start(ada), held.device, held.next()).status_code == 200


def test_an_enrolment_that_was_never_confirmed_is_nothing_to_act_on(admin: Person) -> None:
    ada, api = make_person("totp", username="ada"), desk(admin)
    begun = Api(Api().sign_in(ada)["access_token"]).post("devices", {"kind": "totp"}).json()["device"]["uuid"]
    for act, body in (("lost", {"reason": "lost"}), ("suspend", {}), ("resume", {}), ("unlock", {}), ("retire", {})):
        assert code_of(api.post(f"admin/devices/{begun}/{act}", body)) == (404, "not_found"), act
    row, client = Device.objects.get(uuid=begun), browser_of(admin)
    for name in ("suspend", "report_lost", "resume", "retire"):
        bulk(client, name, [row], loss="lost")
    assert now_of(row).state == State.ASSIGNED


def test_unlocking_ends_a_pause_and_never_a_device_that_is_switched_off(admin: Person) -> None:
    ada, api = make_person("totp", username="ada"), desk(admin)
    path = f"admin/devices/{ada.app.uuid}/unlock"
    assert code_of(api.post(path)) == (409, "wrong_state"), "there is nothing to unlock"
    Device.objects.filter(pk=ada.app.pk).update(failures=9, paused_until=timezone.now() + timedelta(minutes=9))
    assert code_of(Api().answer(Api().start(ada), ada.app, ada.code())) == (429, "too_many_attempts")
    assert api.post(path).json()["usable"] is True
    assert Api().answer(Api().start(ada), ada.app, ada.code()).status_code == 200
    assert Event.objects.get(act="device_unlocked").actor == admin.user.uuid
    Device.objects.filter(pk=ada.app.pk).update(failures=DISABLE_AT)
    assert code_of(api.post(path)) == (409, "wrong_state")
    assert now_of(ada.app).failures == DISABLE_AT


def test_binding_a_token_anew_makes_one_work_that_was_switched_off(admin: Person) -> None:
    ada, api = make_person("hardware_hotp", "recovery", username="ada"), desk(admin)
    held = ada.held["hardware_hotp"]
    Device.objects.filter(pk=held.device.pk).update(failures=DISABLE_AT)
    assert api.post(f"admin/devices/{held.device.uuid}/unassign").status_code == 200
    assert api.post(f"admin/devices/{held.device.uuid}/assign", {"user": str(ada.user.uuid)}).status_code == 200
    assert Api().answer(Api().start(ada), held.device, held.next()).status_code == 200


def test_what_is_retired_is_gone_with_its_key(admin: Person) -> None:
    ada, api = make_person("totp", "fido2", username="ada"), desk(admin)
    signed_in_twice(ada)
    assert api.post(f"admin/devices/{ada.app.uuid}/retire").json()["state"] == "retired"
    assert (now_of(ada.app).secret, opened_by(ada)) == ("", (0, 0))
    for act, body in (("resume", {}), ("retire", {}), ("suspend", {}), ("lost", {"reason": "lost"})):
        assert code_of(api.post(f"admin/devices/{ada.app.uuid}/{act}", body)) == (409, "wrong_state"), act
    stock = make_token("totp", serial="CD-2")
    assert api.post(f"admin/devices/{stock.device.uuid}/retire").json()["state"] == "retired"


def test_the_helpdesk_touches_no_administrator_and_nobody_himself(admin: Person) -> None:
    helper = make_person("totp", username="helper", is_staff=True)
    helper.user.groups.set(Group.objects.filter(name="Token desk"))
    api, client = desk(helper), browser_of(helper)
    Device.objects.filter(pk=admin.app.pk).update(failures=7)
    for target in (admin.app, helper.app):
        for act, body in (("lost", {"reason": "lost"}), ("suspend", {}), ("resume", {}), ("unlock", {}), ("retire", {})):
            assert code_of(api.post(f"admin/devices/{target.uuid}/{act}", body)) == (403, "not_permitted"), act
        for page in ("lost", "suspend", "resume", "unlock", "resync", "take-back", "retire", "receipt"):
            path = f"/admin/devices/{target.uuid}/{page}/"
            assert (client.get(path).status_code, post(client, path, loss="lost").status_code) in ((403, 403), (403, 405)), page
    bulk(client, "report_lost", [admin.app, helper.app], loss="lost")
    assert now_of(admin.app).state == now_of(helper.app).state == State.ACTIVE


# ---- pages ---------------------------------------------------------------------------------------------------------


def browser_of(person: Person) -> Any:
    """Signed in a moment ago, in another time step than before."""
    Device.objects.filter(user=person.user, kind="totp").update(counter=-1)
    return browser(person)


def text(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", answer.content.decode()))


def test_a_token_is_handed_out_by_scanning_typing_and_checking_a_code(admin: Person) -> None:
    ada = make_person("recovery", username="ada", name="Ada Example")
    make_person(username="adam", name="Adam Example")
    held, client = make_token("hotp", serial="AB-7", model="Model T"), browser_of(admin)
    assert "autofocus" in client.get("/admin/hand-out/").content.decode()
    assert "no token with the serial NONE" in text(client.get("/admin/hand-out/?serial=none"))
    assert "Model T" in text(client.get("/admin/hand-out/?serial=ab-7"))
    several = client.get("/admin/hand-out/?serial=ab-7&person=Example")
    assert "Who is it?" in text(several) and "serial=AB-7&amp;person=adam" in several.content.decode()
    assert "Nobody active is called" in text(client.get("/admin/hand-out/?serial=ab-7&person=zoe"))
    path = "/admin/hand-out/?serial=ab-7&person=" + quote("Ada Example")
    assert "p@example.org" in text(client.get(path))
    wrong = post(client, path, code=held.wrong())
    assert wrong.status_code == 401 and "was counted, and nothing was handed out" in text(wrong)
    assert (now_of(held.device).failures, now_of(held.device).state) == (1, State.IN_STOCK)
    refused = Event.objects.get(act="answer_refused", device=held.device.uuid)
    assert (refused.actor, refused.person) == (admin.user.uuid, None)
    held.next(5)
    done = post(client, path, code=held.next())
    assert done.status_code == 302 and done["Location"] == f"/admin/devices/{held.device.uuid}/receipt/"
    row = now_of(held.device)
    assert (row.state, row.user, row.counter, row.failures) == (State.ACTIVE, ada.user, held.pressed, 0)
    assert (row.handed_out_by, row.name) == (admin.user.uuid, "Model T")
    receipt = text(client.get(done["Location"]))
    assert "AB-7" in receipt and "Ada Example (ada)" in receipt and "Date and signature" in receipt
    assert Event.objects.get(act="device_handed_out").about["checked"] is True
    assert Api().answer(Api().start(ada), row, held.next()).status_code == 200
    assert post(client, path, code="").status_code == 409, "it is somebody's by now"
    assert "is not in stock: Ready, ada has it" in text(client.get("/admin/hand-out/?serial=ab-7"))


def test_a_token_is_handed_out_without_a_code_and_tried_later(admin: Person) -> None:
    ada, held = make_person("recovery", username="ada"), make_token("totp", serial="AB-8")
    client = browser_of(admin)
    assert post(client, "/admin/hand-out/?serial=AB-8&person=ADA").status_code == 302
    row = now_of(held.device)
    assert (row.state, row.user) == (State.ASSIGNED, ada.user)
    taken = post(client, f"/admin/devices/{row.uuid}/take-back/")
    assert taken.status_code == 302 and now_of(row).state == State.IN_STOCK
    assert "not handed out" in text(client.get(f"/admin/devices/{row.uuid}/receipt/"))


def test_guesses_at_the_desk_make_a_token_rest(admin: Person) -> None:
    make_person(username="ada")
    held, client = make_token("hotp", serial="AB-9"), browser_of(admin)
    for _ in range(5):
        assert post(client, "/admin/hand-out/?serial=AB-9&person=ada", code=held.wrong()).status_code == 401
    rests = post(client, "/admin/hand-out/?serial=AB-9&person=ada", code=held.next())
    assert rests.status_code == 429 and now_of(held.device).state == State.IN_STOCK


@pytest.mark.parametrize("kind", ["totp", "hotp", "yubiotp"])
def test_whose_token_is_found_by_what_it_shows_and_nothing_of_it_changes(admin: Person, kind: str) -> None:
    tokens = [make_token(kind, serial=f"ZZ-{number}", model="Model Z") for number in range(5)]
    mine = make_token(kind, make_person(username="ada").user, serial="ZZ-9", model="Model Z")
    client = browser_of(admin)
    before = list(Device.objects.filter(model="Model Z").order_by("pk").values())
    for codes in ([tokens[3].next()], tokens[3].two()):
        form = dict(zip(("code", "next_code"), codes, strict=False))
        shown = post(client, "/admin/whose-token/", which="model:Model Z", **form)
        assert shown.status_code == 200 and "ZZ-3" in text(shown)
    event = Event.objects.filter(act="token_looked_for").latest("id")
    assert (event.actor, event.device, event.about["found"]) == (admin.user.uuid, tokens[3].device.uuid, 1)
    nobody = text(post(client, "/admin/whose-token/", which="model:Model Z", code=mine.next()))
    assert "None of these tokens in stock" in nobody, "only tokens in stock are looked at"
    assert list(Device.objects.filter(model="Model Z").order_by("pk").values()) == before
    assert "ada" in text(client.get("/admin/whose-token/?serial=zz-9"))
    for code in ("12345", "١٢٣٤٥٦", "x" * 44, "\x00", "9" * 60):
        assert post(client, "/admin/whose-token/", which="model:Model Z", code=code).status_code == 400, code
    assert post(client, "/admin/whose-token/", which="pk:1", code="123456").status_code == 400


def test_looking_is_limited(admin: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    from accounts import handing_out
    from devices import finding

    make_token("totp", serial="ZZ-1", model="Model Z")
    make_token("totp", serial="ZZ-2", model="Model Z")
    client, form = browser_of(admin), {"which": "model:Model Z", "code": "123456"}
    monkeypatch.setattr(finding, "MOST", 1)
    assert "more than 10,000" in text(post(client, "/admin/whose-token/", **form))
    monkeypatch.setattr(finding, "MOST", 10)
    monkeypatch.setattr(handing_out, "LOOKS", 2)
    assert post(client, "/admin/whose-token/", **form).status_code == 200
    assert post(client, "/admin/whose-token/", **form).status_code == 429


def test_lost_at_the_desk_issues_a_code_that_is_shown_once(admin: Person) -> None:
    ada, client = make_person("totp", username="ada"), browser_of(admin)
    path = f"/admin/devices/{ada.app.uuid}/lost/"
    bare = post(client, path, loss="stolen", issue_code="on")
    assert bare.status_code == 400 and "how you made sure" in text(bare) and now_of(ada.app).state == State.ACTIVE
    shown = post(client, path, loss="stolen", issue_code="on", seen=["id_card", "known"], why="Train from Ulm")
    code = re.search('class="secret"><bdi dir="ltr">([^<]+)', shown.content.decode())
    assert shown.status_code == 200 and code is not None and now_of(ada.app).state == State.LOST
    assert Api().answer(Api().start(ada), Device.objects.get(kind="temporary"), code[1]).status_code == 200
    for act in ("device_lost", "temporary_code_issued"):
        about = Event.objects.get(act=act).about
        assert (about["why"], about["seen"]) == ("Train from Ulm", ["id_card", "known"])
    assert code[1] not in json.dumps(list(Event.objects.values_list("about", flat=True)))
    again = post(client, path, loss="stolen", issue_code="on", seen=["id_card"], why="again")
    assert again.status_code == 409 and Device.objects.filter(kind="temporary").count() == 1


def test_a_temporary_code_of_the_desk(admin: Person) -> None:
    ada, client = make_person("totp", username="ada"), browser_of(admin)
    path = f"/admin/people/{ada.user.uuid}/temporary-code/"
    form = {"seen": "called_back", "why": "At home", "uses": "2", "hours": "5", "replaces": ""}
    for wrong in ({"seen": "x"}, {"why": ""}, {"uses": "0"}, {"uses": "21"}, {"hours": "169"}, {"why": "a\nb"}):
        assert post(client, path, **{**form, **wrong}).status_code == 400, wrong
    assert not Device.objects.filter(kind="temporary").exists()
    assert post(client, path, **form).status_code == 200
    row = Device.objects.get(kind="temporary")
    assert row.uses_left == 2
    reloaded = post(client, path, **form)
    assert reloaded.status_code == 409 and "a moment ago" in text(reloaded), "a reload issues none"
    assert post(client, path, **{**form, "replaces": str(row.uuid)}).status_code == 200
    assert now_of(row).state == State.RETIRED
    assert client.get(f"/admin/people/{admin.user.uuid}/temporary-code/").status_code == 403, "none for oneself"


def test_a_token_is_lined_up_at_the_desk_and_the_page_says_how_far_it_was_off(admin: Person) -> None:
    ada, client = make_person("hardware_totp", username="ada"), browser_of(admin)
    held = ada.held["hardware_totp"]
    held.ahead = -120
    path = f"/admin/devices/{held.device.uuid}/resync/"
    bad = post(client, path, code="000000", next_code="111111")
    assert bad.status_code == 401 and "follow each other" in text(bad) and "111111" not in bad.content.decode()
    first, second = held.two()
    assert post(client, path, code=first, next_code=second).status_code == 302
    said = text(client.get(reverse("admin:devices_device_change", args=[held.device.pk])))
    assert "About 60 minutes behind" in said and "battery" in said


@pytest.mark.parametrize(
    ("page", "before", "after"),
    [
        ("suspend", "active", "suspended"),
        ("resume", "lost", "active"),
        ("resume", "suspended", "active"),
        ("retire", "active", "retired"),
    ],
)
def test_an_act_is_confirmed_on_its_page_and_done_by_post_alone(admin: Person, page: str, before: str, after: str) -> None:
    ada, client = make_person("totp", username="ada"), browser_of(admin)
    Device.objects.filter(pk=ada.app.pk).update(state=before)
    path = f"/admin/devices/{ada.app.uuid}/{page}/"
    assert client.get(path).status_code == 200 and now_of(ada.app).state == before
    assert post(client, path, why="x" * 201).status_code == 400 and now_of(ada.app).state == before
    assert post(client, path, why="Because").status_code == 302 and now_of(ada.app).state == after
    assert Event.objects.filter(device=ada.app.uuid).latest("id").about["why"] == "Because"
    assert post(client, path).status_code == 409


def test_the_device_page_links_what_is_possible_now_and_allowed(admin: Person) -> None:
    ada, client = make_person("totp", username="ada"), browser_of(admin)
    page = reverse("admin:devices_device_change", args=[ada.app.pk])

    def linked(client: Any) -> set[str]:
        return set(re.findall(rf"/admin/devices/{ada.app.uuid}/([a-z-]+)/", client.get(page).content.decode()))

    assert linked(client) == {"lost", "suspend", "retire"}
    Device.objects.filter(pk=ada.app.pk).update(failures=5)
    assert linked(client) == {"lost", "suspend", "retire", "unlock"}
    Device.objects.filter(pk=ada.app.pk).update(failures=0, state="lost")
    assert linked(client) == {"resume", "retire"}
    helper = make_person("totp", is_staff=True)
    helper.user.groups.set(Group.objects.filter(name="Auditor"))
    assert linked(browser(helper)) == set()
    assert client.get("/admin/devices/device/999999/change/").status_code == 302


def test_a_stale_proof_comes_back_to_the_token_and_person_that_were_typed(admin: Person) -> None:
    client = browser_of(admin)
    BrowserSession.objects.exclude(person=None).update(auth_time=timezone.now() - timedelta(seconds=301))
    path = "/admin/hand-out/?serial=AB-7&person=ada"
    for answer in (client.get(path), post(client, path, code="")):
        assert answer["Location"] == f"/confirm/?next={quote(path, safe='')}"


# ---- in bulk -------------------------------------------------------------------------------------------------------


def bulk(client: Any, name: str, rows: list[Device], **form: Any) -> Any:
    """The act is chosen for these rows in the list, and confirmed."""
    path = reverse("admin:devices_device_changelist")
    chosen = {"action": name, "_selected_action": [row.pk for row in rows]}
    asked = post(client, path, **chosen)
    ids = re.search('name="ids" value="([0-9 ]+)"', asked.content.decode())
    if asked.status_code != 200 or ids is None:
        return asked
    confirmed = {**chosen, "_selected_action": [rows[0].pk], "post": "yes", "ids": ids[1], "why": "", "until": "", **form}
    answer = post(client, path, **confirmed)
    return client.get(path) if answer.status_code == 302 else answer


def test_an_act_on_many_devices_is_confirmed_counted_and_says_what_was_skipped(admin: Person) -> None:
    people = [make_person("totp") for _ in range(3)]
    held, client = make_token("totp", serial="AB-1"), browser_of(admin)
    rows = [person.app for person in people] + [held.device]
    asked = post(client, reverse("admin:devices_device_changelist"), action="suspend", _selected_action=[r.pk for r in rows])
    assert "4 devices are chosen." in text(asked) and "1 of them will be skipped" in text(asked) and "AB-1" in text(asked)
    assert {now_of(row).state for row in rows[:3]} == {State.ACTIVE}, "asked first"
    until = (timezone.now() + timedelta(days=3)).date()
    said = text(bulk(client, "suspend", rows, until=until.isoformat()))
    assert "3 devices are suspended." in said and "1 was skipped" in said and "Skipped: AB-1" in said
    assert {str(now_of(row).suspended_until)[:10] for row in rows[:3]} == {until.isoformat()}
    assert Event.objects.filter(act="device_suspended_at_desk", actor=admin.user.uuid).count() == 3
    assert "3 devices are in use again." in text(bulk(client, "resume", rows))
    Device.objects.filter(pk__in=[row.pk for row in rows[:3]]).update(failures=6)
    assert "3 devices are unlocked." in text(bulk(client, "unlock", rows))
    assert "3 devices are out of use." in text(bulk(client, "report_lost", rows, loss="stolen"))
    assert "4 devices are retired." in text(bulk(client, "retire", rows))


def test_tokens_are_taken_back_in_bulk(admin: Person) -> None:
    tokens = [make_token("hotp", make_person().user, serial=f"AB-{n}") for n in range(2)]
    assert "2 devices are in stock again." in text(bulk(browser_of(admin), "take_back", [t.device for t in tokens]))
    assert {now_of(held.device).state for held in tokens} == {State.IN_STOCK}


def test_only_acts_that_one_may_do_are_offered_and_taken(admin: Person) -> None:
    helper, ada = make_person("totp", is_staff=True), make_person("totp")
    helper.user.groups.set(Group.objects.filter(name="Helpdesk"))
    client = browser(helper)
    page = client.get(reverse("admin:devices_device_changelist")).content.decode()
    assert 'value="suspend"' in page and 'value="retire"' not in page and 'value="take_back"' not in page
    assert "delete_selected" not in page
    bulk(client, "retire", [ada.app])
    assert now_of(ada.app).state == State.ACTIVE


@pytest.mark.parametrize(
    "form",
    [
        {"_selected_action": "x"},
        {"_selected_action": "9" * 40},
        {"_selected_action": "\x00"},
        {"_selected_action": "1", "post": "yes"},
        {"_selected_action": "1", "post": "yes", "ids": "1,2"},
        {"_selected_action": "1", "post": "yes", "ids": "1 " * 2000},
    ],
)
def test_a_choice_that_is_none_is_malformed(admin: Person, form: dict[str, Any]) -> None:
    client = browser_of(admin)
    assert post(client, reverse("admin:devices_device_changelist"), action="retire", **form).status_code == 400
    assert now_of(admin.app).state == State.ACTIVE


def test_too_many_at_once_are_refused(admin: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    from desk import bulk as acts

    monkeypatch.setattr(acts, "MOST", 2)
    rows = [make_person("totp").app for _ in range(3)]
    answer = post(
        browser_of(admin), reverse("admin:devices_device_changelist"), action="retire", _selected_action=[r.pk for r in rows]
    )
    assert answer.status_code == 302 and not Event.objects.filter(act="device_retired").exists()


# ---- by command ----------------------------------------------------------------------------------------------------


def test_the_command_unlocks_what_rests_and_names_what_is_switched_off(db: None) -> None:
    ada = make_person("totp", "fido2", username="ada")
    Device.objects.filter(pk=ada.app.pk).update(failures=7, paused_until=timezone.now() + timedelta(minutes=5))
    out = StringIO()
    call_command("unlock", "ADA", "--json", stdout=out)
    assert [row["unlocked"] for row in json.loads(out.getvalue())["devices"]] == [True]
    assert now_of(ada.app).failures == 0
    Device.objects.filter(pk=ada.key.pk).update(failures=DISABLE_AT)
    with pytest.raises(CommandError, match="switched off") as caught:
        call_command("unlock", "ada", stdout=StringIO())
    assert caught.value.returncode == 1
    with pytest.raises(CommandError, match="nobody"):
        call_command("unlock", "nobody")
    assert User.objects.get(username="ada").is_active
