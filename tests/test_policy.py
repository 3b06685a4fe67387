"""Policies of groups and everybody: the strictest wins, every entrance asks, and who would be hit is who is then refused."""

import random
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import changing_policy, rules, who_is_hit
from accounts.changing_policy import change_policy, is_weaker
from accounts.models import Attestation, GroupPolicy, User
from accounts.rules import Rule
from audit.events import OPERATOR
from audit.models import Event
from devices.models import Device, Kind
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused
from tests.authenticators import Paper
from tests.conftest import Api, Person, code_of, make_token
from tests.test_pages import Browser
from tests.test_roles import member, signed_in

pytestmark = pytest.mark.django_db
HERE = Client("", "", "")
BLOCKED = (409, "device_not_usable")
PHR = Rule(weakest_acr="phr")


def put(rule: Rule, group: Group | None = None) -> None:
    """The policy is in force."""
    change_policy(group, rule, changing_policy.current(group)[1], HERE, timezone.now(), actor=OPERATOR)


def group_of(*people: Person, rule: Rule | None = None) -> Group:
    """A group of these people, with this policy."""
    group: Group = Group.objects.create(name=f"Group {uuid4().hex[:6]}")
    group.user_set.set([person.user for person in people])
    if rule:
        put(rule, group)
    return group


def only(*kinds: str) -> Rule:
    """Only these kinds."""
    return Rule(kinds=frozenset(kinds))


def tried(person: Person, kind: str) -> tuple[int, str]:
    """What a right answer of this device is worth: 200, or why not."""
    api, held = Api(), person.held[kind]
    handle = api.start(person)
    if kind in ("fido2", "sms", "email"):
        asked = api.post("sign-ins/challenge", {"sign_in": handle, "device": str(held.device.uuid)})
        if asked.status_code != 200:
            return code_of(asked)
    answer = api.answer(handle, held.device, api.right(handle, held))
    return (200, "") if answer.status_code == 200 else code_of(answer)


# ---- the strictest wins ---------------------------------------------------------------------------------------------


def test_without_policies_nothing_is_asked(person: Any) -> None:
    assert rules.of(person("totp").user.pk) == rules.Rules()


@pytest.mark.parametrize("strict_first", [True, False])
@pytest.mark.parametrize(
    ("strict", "kind"),
    [
        (PHR, "totp"),
        (only("fido2"), "totp"),
        (Rule(sms=False), "sms"),
        (Rule(email=False), "email"),
        (Rule(weakest_acr="aal2"), "email"),
        (Rule(attestation=Attestation.CERTIFIED), "fido2"),
    ],
)
def test_the_strictest_of_groups_and_everybody_wins(strict: Rule, kind: str, strict_first: bool, person: Any) -> None:
    somebody, free = person(kind), Rule()
    for everybody, own in ((strict, free), (free, strict)):
        put(everybody)
        group = group_of(somebody, rule=own)
        group_of(somebody, rule=free if strict_first else Rule(kinds=None))
        assert tried(somebody, kind) == BLOCKED
        put(free, group)
    put(free)
    somebody.held[kind].last = 0  # no code was used up
    assert tried(somebody, kind)[0] == 200


def test_each_field_is_the_strictest_of_another_group(person: Any) -> None:
    somebody = person("totp", "hotp", "fido2")
    group_of(somebody, rule=only("totp", "hotp"))
    group_of(somebody, rule=only("hotp", "fido2"))
    assert [tried(somebody, kind) for kind in ("totp", "hotp", "fido2")] == [BLOCKED, (200, ""), BLOCKED]
    assert tried(person("totp"), "totp")[0] == 200, "nobody else is hit"


# ---- every entrance ------------------------------------------------------------------------------------------------


def test_a_blocked_device_is_no_way_in_and_counts_nothing(person: Any) -> None:
    somebody = person("totp", "fido2")
    api = Api()
    handle = api.start(somebody)
    put(PHR)
    for call in ("challenge", "answer"):
        body = {"sign_in": handle, "device": str(somebody.app.uuid), "answer": somebody.code()}
        refused = api.post(f"sign-ins/{call}", body if call == "answer" else {key: body[key] for key in ("sign_in", "device")})
        assert code_of(refused) == BLOCKED
        assert somebody.key.name in refused.json()["detail"], "it says which device would do"
    assert Device.objects.get(pk=somebody.app.pk).failures == 0
    assert Event.objects.filter(act="answer_refused", reason="BLOCKED_BY_POLICY", about__by="weakest_acr").count() == 1
    listed = api.post("sign-ins", {"username": somebody.user.username, "password": somebody.password}).json()["devices"]
    assert [row["uuid"] for row in listed] == [str(somebody.key.uuid)]
    own = Api(Api().sign_in(somebody, "fido2")["access_token"]).get("devices").json()["devices"]
    assert {row["kind"]: row["usable"] for row in own} == {"totp": False, "fido2": True}


def test_the_pages_list_it_with_the_reason(person: Any) -> None:
    somebody = person("totp", "fido2")
    put(PHR)
    browser = Browser()
    browser.client.get("/sign-in/")
    token = browser.client.cookies["csrftoken"].value
    given = {"username": somebody.user.username, "password": somebody.password, "csrfmiddlewaretoken": token}
    at = browser.client.post("/sign-in/", given).headers["Location"]
    assert str(somebody.key.uuid) in browser.client.get(at).headers["Location"]
    page = browser.client.get(f"{at}methods/").content.decode()
    assert "blocked by policy" in page and f"{at}{somebody.app.uuid}/" not in page
    Device.objects.filter(pk=somebody.key.pk).update(state="lost")
    page = browser.client.get(f"{at}methods/").content.decode()
    assert "none of your devices" in page and "temporary code" in page, "nobody is locked out without a word"


def test_a_step_up_asks_the_same(person: Any) -> None:
    somebody = person("totp", "fido2")
    bearer = Api(Api().sign_in(somebody)["access_token"])
    handle = bearer.post("step-ups").json()["sign_in"]
    put(PHR)
    assert code_of(bearer.answer(handle, somebody.app, somebody.code(1))) == BLOCKED
    assert [row["kind"] for row in bearer.post("step-ups").json()["devices"]] == ["fido2"]
    asked = {"sign_in": handle, "device": str(somebody.key.uuid)}
    options = bearer.post("sign-ins/challenge", asked).json()["public_key"]
    assert bearer.answer(handle, somebody.key, somebody.soft_key.get(options)).status_code == 200


def test_trying_a_blocked_device_out_is_refused(person: Any) -> None:
    somebody = person("totp")
    browser = Browser().sign_in(somebody)
    put(PHR)
    page = browser.client.get(f"/account/devices/{somebody.app.uuid}/").content.decode()
    assert "blocked by policy" in page and "Test this device" not in page


def test_a_device_that_would_be_blocked_is_not_enrolled(person: Any) -> None:
    somebody = person("totp")
    bearer = Api(Api().sign_in(somebody)["access_token"])
    begun = bearer.post("devices", {"kind": "totp"}).json()
    put(Rule(kinds=frozenset({"fido2", "temporary"}), sms=False))
    for body in ({"kind": "totp"}, {"kind": "sms", "address": "+4915112345678"}, {"kind": "recovery"}):
        assert code_of(bearer.post("devices", body)) == BLOCKED, body
    assert code_of(bearer.post("recovery-codes")) == BLOCKED
    assert code_of(bearer.post(f"devices/{begun['device']['uuid']}/confirm", {"answer": "000000"})) == BLOCKED
    token = make_token("hotp")
    given = {"serial": token.device.serial, "answers": token.two()}
    refused = bearer.post("devices", {"kind": "hotp", **given})
    assert code_of(refused) == BLOCKED
    assert code_of(bearer.post("devices", {"kind": "hotp", **given})) == BLOCKED
    assert Device.objects.get(pk=token.device.pk).user is None


def test_the_first_device_is_of_an_allowed_kind(person: Any) -> None:
    somebody, api = person(), Api()
    put(PHR)
    handle = api.start(somebody)
    assert code_of(api.post("sign-ins/enrol", {"sign_in": handle, "kind": "totp"})) == BLOCKED
    begun = api.post("sign-ins/enrol", {"sign_in": handle, "kind": "fido2"})
    assert begun.status_code == 201
    from tests.soft_key import SoftKey

    given = {
        "sign_in": handle,
        "device": begun.json()["device"]["uuid"],
        "answer": SoftKey().create(begun.json()["public_key"]),
    }
    assert api.post("sign-ins/enrol/confirm", given).status_code == 200


def test_what_somebody_could_not_use_is_not_handed_out_or_issued(person: Any) -> None:
    from accounts import handing_out

    somebody, token = person("fido2"), make_token("hotp")
    put(only("fido2"))
    with pytest.raises(Refused) as refused:
        handing_out.hand_out(token.device, somebody.user, HERE, timezone.now(), actor=OPERATOR)
    assert refused.value.reason is Reason.KIND_BLOCKED_BY_POLICY
    with pytest.raises(Refused) as refused:
        Paper.issued(somebody.user)
    assert refused.value.reason is Reason.KIND_BLOCKED_BY_POLICY


def test_the_last_device_that_the_policy_accepts_is_not_removed(person: Any) -> None:
    somebody = person("totp", "fido2")
    put(PHR)
    bearer = Api(Api().sign_in(somebody, "fido2")["access_token"])
    assert code_of(bearer.call("DELETE", f"devices/{somebody.key.uuid}")) == (409, "last_device")
    assert bearer.call("DELETE", f"devices/{somebody.app.uuid}").status_code == 204


# ---- what stands in for a device -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "acr"), [("recovery", "aal1"), ("temporary", "aal1"), ("temporary", "aal2")])
def test_a_code_below_the_policy_only_adds_a_device(kind: str, acr: str, person: Any, settings: Any) -> None:
    settings.TEMPORARY_ACR = acr
    somebody = person("totp", kind)
    put(PHR)
    api, held = Api(), somebody.held[kind]
    handle = api.start(somebody)
    assert code_of(api.answer(handle, held.device, held.right(handle, lambda: None))) == BLOCKED, "no token"
    held.used = 0
    api.take_csrf()
    granted = api.answer(handle, held.device, held.right(handle, lambda: None), grant="session")
    assert granted.status_code == 200, "the refusal spent nothing"
    assert granted.json()["me"]["acr"] == "aal1" and "mfa" not in granted.json()["me"]["amr"]
    api.csrf = api.client.cookies["csrftoken"].value
    assert code_of(api.call("PATCH", f"devices/{somebody.app.uuid}", {"name": "Mine"})) == (401, "step_up_needed")
    assert api.post("devices", {"kind": "fido2"}).status_code == 201


def test_without_a_policy_a_recovery_code_is_worth_what_it_was(person: Any) -> None:
    assert tried(person("totp", "recovery"), "recovery") == (200, "")


def test_kinds_may_leave_the_codes_out(person: Any) -> None:
    somebody = person("fido2", "recovery")
    put(only("fido2", "temporary"))
    assert tried(somebody, "recovery") == BLOCKED


# ---- changes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "weaker"),
    [
        (Rule(), PHR, False),
        (PHR, Rule(weakest_acr="aal2"), True),
        (Rule(), only("fido2"), False),
        (only("fido2"), only("fido2", "totp"), True),
        (only("fido2", "totp"), only("fido2"), False),
        (only("fido2"), Rule(), True),
        (Rule(sms=False), Rule(email=False), True),
        (Rule(), Rule(sms=False, email=False), False),
        (Rule(attestation=Attestation.CERTIFIED), Rule(attestation=Attestation.LISTED, key_models=frozenset("a")), True),
        (Rule(attestation=Attestation.LISTED, key_models=frozenset("ab")), Rule(attestation=Attestation.LISTED), False),
        (Rule(attestation=Attestation.LISTED, key_models=frozenset("a")), Rule(), True),
        (PHR, Rule(weakest_acr="phr", sms=False), False),
    ],
)
def test_which_change_weakens(before: Rule, after: Rule, weaker: bool) -> None:
    assert is_weaker(before, after) == weaker


def test_a_change_is_told_with_what_was_before_and_after() -> None:
    put(PHR)
    put(Rule(weakest_acr="aal2"))
    event = Event.objects.filter(act="policy_changed").latest("id")
    assert event.actor == OPERATOR and event.about["group"] is None and event.about["weaker"] is True
    assert (event.about["before"]["weakest_acr"], event.about["after"]["weakest_acr"]) == ("phr", "aal2")


def test_of_two_changes_at_once_one_is_refused() -> None:
    group = group_of()
    for version in (0, 1):
        change_policy(group, PHR, version, HERE, timezone.now(), actor=OPERATOR)
        with pytest.raises(Refused) as refused:
            change_policy(group, Rule(), version, HERE, timezone.now(), actor=OPERATOR)
        assert refused.value.reason is Reason.WRONG_STATE
    assert GroupPolicy.objects.get(group=group).weakest_acr == "phr"


def test_nobody_shuts_himself_out(person: Any) -> None:
    admin = person("totp", "recovery")
    with pytest.raises(Refused) as refused:
        change_policy(None, PHR, 0, HERE, timezone.now(), actor=admin.user.uuid, of=admin.user)
    assert refused.value.reason is Reason.STRANDED
    assert not GroupPolicy.objects.exists()


def test_the_operator_relaxes_a_policy(person: Any) -> None:
    somebody = person("totp")
    group = group_of(somebody, rule=PHR)
    put(PHR)
    call_command("relax_policy", "--everybody", verbosity=0)
    assert tried(somebody, "totp") == BLOCKED
    call_command("relax_policy", "--group", group.name, verbosity=0)
    assert tried(somebody, "totp")[0] == 200
    with pytest.raises(CommandError):
        call_command("relax_policy", "--group", "no such")


# ---- who would be hit ----------------------------------------------------------------------------------------------

CHANCES: list[Rule] = [
    Rule(),
    PHR,
    Rule(weakest_acr="aal2"),
    only("fido2", "recovery"),
    only("totp", "hotp"),
    Rule(sms=False),
    Rule(email=False, weakest_acr="aal2"),
    Rule(attestation=Attestation.CERTIFIED),
    Rule(attestation=Attestation.LISTED, key_models=frozenset({"2fc0579f-8113-47ea-b116-bb5a8db9202a"})),
    Rule(attestation=Attestation.LISTED),
    Rule(kinds=frozenset()),
]


@pytest.mark.parametrize("seed", range(6))
def test_who_would_be_hit_is_who_is_then_refused(seed: int, person: Any) -> None:
    chance = random.Random(seed)
    kinds = ["totp", "fido2", "hotp", "sms", "email", "recovery", "temporary"]
    people = [person(*chance.sample(kinds, chance.randint(1, 4))) for _ in range(5)]
    for key in Device.objects.filter(kind=Kind.FIDO2):
        aaguid = chance.choice([None, "2fc0579f-8113-47ea-b116-bb5a8db9202a", uuid4()])
        Device.objects.filter(pk=key.pk).update(attested=chance.choice(["", "model", "certified"]), aaguid=aaguid)
    groups = [group_of(*chance.sample(people, 3)) for _ in range(2)]
    for one in (None, *groups):
        put(chance.choice(CHANCES), one)
    changed, wanted = chance.choice([None, *groups]), chance.choice(CHANCES)
    before = {row.pk for row in who_is_hit.in_use() if rules.blocked(row)}
    hit = who_is_hit.by_change(changed, wanted)
    put(wanted, changed)
    after = {row.pk for row in who_is_hit.in_use() if rules.blocked(row)}
    assert hit.devices == len(after - before)
    struck = set(Device.objects.filter(pk__in=after - before).values_list("user_id", flat=True))
    assert {user.pk for user in hit.first} == struck and hit.people == len(struck)
    left = {
        row.user_id for row in who_is_hit.in_use() if row.pk not in after and row.kind not in (Kind.RECOVERY, Kind.TEMPORARY)
    }
    assert hit.stranded == len(struck - left)
    assert {user.pk for user in hit.first if user.stranded} == struck - left  # type: ignore[attr-defined]
    for somebody in people[:2]:
        for kind, held in somebody.held.items():
            refused = tried(somebody, kind) == BLOCKED
            limited = kind in ("recovery", "temporary") and rules.of(somebody.user.pk).is_above(
                "aal2" if kind == "recovery" else "aal1"
            )
            assert refused == (held.device.pk in after or limited), (kind, held.device)


def test_joining_a_group_hits_those_alone_who_join(person: Any) -> None:
    inside, outside = person("totp"), person("totp", "fido2")
    group = group_of(inside, rule=PHR)
    hit = who_is_hit.by_joining(group, [inside.user, outside.user])
    assert (hit.devices, hit.people, hit.stranded) == (1, 1, 0), "who is in already is hit already"
    assert who_is_hit.by_joining(group, [person("sms").user]).stranded == 1


@pytest.mark.parametrize("many", [20, 2000])
def test_a_look_costs_the_same_however_many_people_there_are(many: int, django_assert_max_num_queries: Any) -> None:
    users = User.objects.bulk_create(
        User(username=f"u{number}", username_key=f"u{number}", password="!") for number in range(many)
    )
    made = {"kind": Kind.FIDO2, "state": "active", "public_key": b"k", "counter": 0}
    Device.objects.bulk_create(
        Device(user=user, credential_id=f"{user.pk}-{number}".encode(), name="Key", **made)
        for user in users
        for number in (1, 2)
    )
    group = group_of()
    group.user_set.set(users[: many // 2])
    put(Rule(attestation=Attestation.LISTED), group)
    with CaptureQueriesContext(connection) as captured:
        hit = who_is_hit.by_change(None, Rule(attestation=Attestation.CERTIFIED))
    assert len(captured) <= 5
    assert (hit.devices, hit.people, len(hit.first)) == (many, many // 2, min(50, many // 2))


def test_a_sign_in_costs_no_statement_more_with_policies(person: Any) -> None:
    somebody = person("totp", enrol_until=None)

    def cost(step: int) -> list[int]:
        api, counts = Api(), []
        with CaptureQueriesContext(connection) as captured:
            handle = api.start(somebody)
        counts.append(len(captured))
        with CaptureQueriesContext(connection) as captured:
            assert api.answer(handle, somebody.app, somebody.code(step)).status_code == 200
        return [*counts, len(captured)]

    cost(-1)
    without = cost(0)
    put(Rule(weakest_acr="aal2"))
    for _ in range(3):
        group_of(somebody, rule=Rule(sms=False))
    assert cost(1) == without


# ---- pages ---------------------------------------------------------------------------------------------------------


def form(**changes: Any) -> dict[str, Any]:
    """What the page sends for a policy that asks for nothing, with these changes."""
    every = ["fido2", "totp", "hotp", "yubiotp", "recovery", "temporary"]
    usual = {"version": 0, "weakest_acr": "aal1", "kinds": every, "sms": "on", "email": "on", "attestation": "any"}
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def test_a_policy_is_looked_at_and_then_put_in_force(person: Any) -> None:
    admin, somebody = member("Security administrator"), person("totp", username="somebody")
    browser = signed_in(admin)
    assert browser.post("/admin/policy/", {"name": "Finance"}).status_code == 302
    group = Group.objects.get(name="Finance")
    at = f"/admin/policy/{group.pk}/"
    look = browser.post(f"{at}people/", {"names": "somebody", "action": "look"})
    assert "Nobody was added yet" in look.content.decode() and not group.user_set.exists()
    assert browser.post(f"{at}people/", {"names": "somebody", "action": "join"}).status_code == 302
    assert list(group.user_set.all()) == [somebody.user]
    assert Event.objects.filter(act="group_joined", person=somebody.user.uuid, actor=admin.user.uuid).count() == 1
    look = browser.post(at, form(weakest_acr="phr"))
    assert look.status_code == 200 and "1 person would have no device left" in look.content.decode()
    assert not GroupPolicy.objects.exists()
    assert browser.post(at, form(weakest_acr="phr", action="save")).status_code == 302
    assert tried(somebody, "totp") == BLOCKED
    stale = browser.post(at, form(action="save"))
    assert stale.status_code == 409 and "meanwhile" in stale.content.decode()
    page = browser.get(f"/admin/people/{somebody.user.uuid}/policy/").content.decode()
    assert "Finance" in page and "cannot be phished" in page and "No." in page
    assert browser.post(f"{at}people/", {"names": "SOMEBODY", "action": "leave"}).status_code == 302
    assert Event.objects.filter(act="group_left", person=somebody.user.uuid).count() == 1
    assert tried(somebody, "totp")[0] == 200


def test_models_are_chosen_by_name() -> None:
    browser = signed_in(member("Security administrator"))
    changes = {"attestation": "listed", "key_models": ["YubiKey 5 NFC"], "action": "save"}
    assert browser.post("/admin/policy/everybody/", form(**changes)).status_code == 302
    row = GroupPolicy.objects.get()
    assert "2fc0579f-8113-47ea-b116-bb5a8db9202a" in row.key_models
    assert browser.post("/admin/policy/everybody/", form(version=1, attestation="listed")).status_code == 400


def test_an_administrator_cannot_shut_himself_out_on_the_page() -> None:
    browser = signed_in(member("Security administrator"))
    look = browser.post("/admin/policy/everybody/", form(weakest_acr="phr")).content.decode()
    assert "You would have no device left" in look and "Put it in force" not in look
    assert browser.post("/admin/policy/everybody/", form(weakest_acr="phr", action="save")).status_code == 409


def test_roles_are_not_given_by_way_of_groups(person: Any) -> None:
    admin, somebody = member("Security administrator"), person("totp")
    browser = signed_in(admin)
    role = Group.objects.get(name="Helpdesk")
    body = {"names": somebody.user.username, "action": "join"}
    assert browser.post(f"/admin/policy/{role.pk}/people/", body).status_code == 403
    with pytest.raises(Refused):
        changing_policy.join(role, [somebody.user], HERE, actor=OPERATOR)
    assert not somebody.user.groups.exists()
    group = group_of(admin)
    body = {"names": admin.user.username, "action": "leave"}
    assert browser.post(f"/admin/policy/{group.pk}/people/", body).status_code == 403, "nobody moves himself"
    assert admin.user.groups.filter(pk=group.pk).exists()


@pytest.mark.parametrize("names", ["", "nobody-here", "\0", "x" * 300, "\ud800", "a\n" * 1001])
def test_names_that_are_none_move_nobody(names: str, person: Any) -> None:
    somebody = person("totp")
    group, browser = group_of(), signed_in(member("Security administrator"))
    body = {"names": f"{somebody.user.username}\n{names}" if names else "", "action": "join"}
    body["names"] = body["names"].encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    assert browser.post(f"/admin/policy/{group.pk}/people/", body).status_code == 400
    assert not group.user_set.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "9" * 40},
        {"version": "-1"},
        {"version": None},
        {"weakest_acr": "phrh"},
        {"kinds": ["sms"]},
        {"attestation": "\0"},
        {"attestation": "listed", "key_models": ["no such model"]},
    ],
)
def test_a_form_that_is_none_changes_nothing(changes: dict[str, Any]) -> None:
    browser = signed_in(member("Security administrator"))
    assert browser.post("/admin/policy/everybody/", form(action="save", **changes)).status_code == 400
    assert browser.get(f"/admin/policy/{2**70}/").status_code == 404
    assert not GroupPolicy.objects.exists()
