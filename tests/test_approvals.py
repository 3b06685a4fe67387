"""Four eyes: what one administrator asks for and another approves, once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from audit.models import Event
from desk.models import Approval
from devices.models import Device
from tests.conftest import Api, Person, code_of, make_person
from tests.test_people import page_of, signed_in_again
from tests.test_roles import member

WHY = {"reason": "token at home"}


@pytest.fixture(autouse=True)
def _four_eyes(settings: Any) -> None:
    settings.FOUR_EYES = frozenset({"administrators"})


def security(name: str) -> Person:
    return member("Security administrator", username=name)


def api_of(person: Person) -> Api:
    Device.objects.filter(kind="totp").update(counter=-1)
    return Api(Api().sign_in(person)["access_token"])


def decide(person: Person, row: Approval, decision: str = "approve") -> Any:
    return signed_in_again(person).post("/admin/approvals/", {"approval": str(row.uuid), "decision": decision})


@pytest.mark.django_db
def test_a_way_into_an_administrators_account_is_approved_by_another_and_used_once() -> None:
    one, two, target = security("one"), security("two"), member("Helpdesk", username="help")
    path, api = f"admin/users/{target.user.uuid}/temporary-codes", api_of(one)
    for _twice in range(2):
        assert code_of(api.post(path, WHY)) == (409, "approval_needed")
    row = Approval.objects.get()
    assert not Device.objects.filter(kind="temporary").exists()
    page = signed_in_again(two).get("/admin/approvals/").content.decode()
    assert "Issue a temporary code: help" in page and "Asked for by one" in page and "token at home" in page
    assert decide(two, row).status_code == 302
    assert code_of(api_of(two).post(path, WHY)) == (409, "approval_needed"), "it is for who asked"
    assert api.post(path, WHY).status_code == 201
    assert code_of(api.post(path, WHY)) == (409, "approval_needed"), "once"
    acts = list(Event.objects.filter(act__startswith="approval_").order_by("id").values_list("act", "actor"))
    assert acts[:2] == [("approval_asked", one.user.uuid), ("approval_given", two.user.uuid)]


@pytest.mark.django_db
def test_people_who_are_no_administrators_and_the_other_fields_are_left_alone() -> None:
    alice = make_person("totp", username="alice")
    assert api_of(security("one")).post(f"admin/users/{alice.user.uuid}/temporary-codes", WHY).status_code == 201


@pytest.mark.django_db
def test_who_asked_and_whom_it_is_about_do_not_decide() -> None:
    one, two, target = security("one"), security("two"), security("target")
    api_of(one).post(f"admin/users/{target.user.uuid}/temporary-codes", WHY)
    row = Approval.objects.get()
    assert decide(one, row).status_code == 403 and decide(target, row).status_code == 403
    assert decide(member("Helpdesk", username="help"), row).status_code == 403
    assert not Approval.objects.exclude(decided_by=None).exists()
    assert decide(two, row, "refuse").status_code == 302
    assert decide(two, row).status_code == 409, "decided"
    assert code_of(api_of(one).post(f"admin/users/{target.user.uuid}/temporary-codes", WHY)) == (409, "approval_needed")
    assert Approval.objects.count() == 2, "asked anew"
    assert decide(two, row, "nonsense").status_code == 404


@pytest.mark.django_db
def test_after_a_day_it_is_over() -> None:
    one, two, target = security("one"), security("two"), security("target")
    path = f"admin/users/{target.user.uuid}/temporary-codes"
    api_of(one).post(path, WHY)
    Approval.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert decide(two, Approval.objects.get()).status_code == 409
    assert code_of(api_of(one).post(path, WHY)) == (409, "approval_needed")
    row = Approval.objects.get()
    decide(two, row)
    Approval.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert code_of(api_of(one).post(path, WHY)) == (409, "approval_needed")


@pytest.mark.django_db
def test_an_act_that_fails_leaves_its_approval() -> None:
    one, two, target = security("one"), security("two"), security("target")
    path = f"admin/users/{target.user.uuid}/temporary-codes"
    api_of(one).post(path, WHY)
    decide(two, Approval.objects.get())
    User.objects.filter(pk=target.user.pk).update(is_active=False)
    assert code_of(api_of(one).post(path, WHY)) == (409, "wrong_state")
    User.objects.filter(pk=target.user.pk).update(is_active=True)
    assert api_of(one).post(path, WHY).status_code == 201


@pytest.mark.django_db
def test_time_for_an_administrators_first_device_is_a_way_in_too() -> None:
    one, two = security("one"), security("two")
    target = make_person(username="new", is_staff=True)
    User.objects.filter(pk=target.user.pk).update(enrol_until=timezone.now() - timedelta(days=1))
    ask = page_of(target, "first-device")
    assert signed_in_again(one).post(ask, {"days": "2"}).status_code == 409
    assert "Give time for a first device: new" in signed_in_again(two).get("/admin/approvals/").content.decode()
    assert Api().post("sign-ins", {"username": "new", "password": target.password}).json()["state"] == "waiting"
    decide(two, Approval.objects.get())
    assert signed_in_again(one).post(ask, {"days": "2"}).status_code == 302


@pytest.mark.django_db
def test_making_somebody_an_administrator_needs_another_and_the_very_same_roles() -> None:
    one, two, alice = security("one"), security("two"), make_person("totp", username="alice")
    asked = signed_in_again(one).post(page_of(alice, "roles"), {"roles": ["Helpdesk"]})
    assert asked.status_code == 409 and "Another administrator has to approve this" in asked.content.decode()
    decide(two, Approval.objects.get())
    more = signed_in_again(one).post(page_of(alice, "roles"), {"roles": ["Helpdesk", "Security administrator"]})
    assert more.status_code == 409 and not User.objects.get(pk=alice.user.pk).is_staff
    assert signed_in_again(one).post(page_of(alice, "roles"), {"roles": ["Helpdesk"]}).status_code == 302
    assert User.objects.get(pk=alice.user.pk).is_staff


@pytest.mark.django_db(transaction=True)
def test_of_parallel_uses_of_one_approval_one_wins() -> None:
    one, two, target = security("one"), security("two"), security("target")
    path, api = f"admin/users/{target.user.uuid}/temporary-codes", api_of(one)
    api.post(path, WHY)
    decide(two, Approval.objects.get())

    def call(_number: int) -> int:
        try:
            return int(Api(api.bearer).post(path, WHY).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        statuses = sorted(pool.map(call, range(20)))
    assert statuses.count(201) == 1 and set(statuses) <= {201, 409}, statuses
