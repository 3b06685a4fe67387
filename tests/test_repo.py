"""What holds for the code itself: the shape of kinds, the moves of devices, the claim, sizes, migrations."""

import inspect
import itertools
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.words import sentence
from devices import kinds
from devices.kinds import Proof
from devices.lifecycle import MOVES, State
from devices.models import DISABLE_AT, PAUSE_AT, Device, Kind
from mfa_site.api import DETAILS
from mfa_site.client import address
from mfa_site.errors import Reason, Refused
from mfa_site.proof import ACR
from tests.conftest import make_person

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("mfa_site", "accounts", "devices", "grants", "audit")
CONTRACT = {
    "is_offered": ["site"],
    "fill": ["device", "given", "site"],
    "begin": ["device", "ceremony", "site", "now"],
    "challenge": ["device", "ceremony", "site", "now"],
    "verify": ["device", "answer", "kept", "site", "now"],
    "confirm": ["device", "answer", "kept", "site", "now"],
    "can_resync": ["device"],
    "resync": ["device", "answers", "window", "now"],
    "spend": ["device", "proof", "now"],
    "suggested_name": ["device", "proof"],
    "facts": ["device", "proof"],
}


@pytest.mark.parametrize("kind", Kind.values)
def test_every_kind_has_exactly_the_same_functions(kind: str) -> None:
    module = kinds.module(kind)
    for name, parameters in CONTRACT.items():
        assert list(inspect.signature(getattr(module, name)).parameters) == parameters, name
    assert module.ANSWER in (str, dict) and isinstance(module.KEPT_ONCE, bool) and isinstance(module.STRENGTH, int)
    assert module.ANSWER is dict or not module.KEPT_ONCE, (
        "answering tells by the answer whether a challenge goes with its claim"
    )
    assert str(module.TITLE) and str(module.HINT) and str(module.ABOUT)
    assert isinstance(module.STANDS_IN, bool) and isinstance(module.AFTERWARDS, str)
    assert module.ACR in ACR and set(module.ASKS) <= {"address"}
    assert (ROOT / "templates" / "accounts" / f"enrol_{kind}.html").exists() is not module.STANDS_IN


@pytest.mark.django_db
@pytest.mark.parametrize(("old", "new"), list(itertools.product(State, State)))
def test_every_pair_of_states_moves_as_the_table_says(old: State, new: State) -> None:
    row = make_person("totp").app
    Device.objects.filter(pk=row.pk).update(state=old)
    row.refresh_from_db()
    assert row.move(new) is (new in MOVES[old])
    row.refresh_from_db()
    assert row.state == (new if new in MOVES[old] else old)
    assert row.confirmed is (row.state == State.ACTIVE), "django-otp's flag follows the state"


@pytest.mark.django_db
def test_a_claim_counts_and_gives_the_row_back_unless_it_must_rest() -> None:
    row, now = make_person("totp").app, timezone.now()
    owner = row.user_id or 0
    claimed = Device.claim(owner, row.uuid, now)
    assert claimed is not None and (claimed.pk, claimed.failures, claimed.seed) == (row.pk, 1, row.seed)
    assert Device.claim(owner + 1, row.uuid, now) is None, "somebody else's"
    assert Device.claim(owner, row.uuid, now, pending=True) is None, "not waiting for a confirmation"
    Device.objects.update(paused_until=now + timedelta(seconds=1))
    assert Device.claim(owner, row.uuid, now) is None, "paused"
    assert Device.claim(owner, row.uuid, now + timedelta(seconds=2)) is not None, "rested"
    Device.objects.update(paused_until=None, failures=DISABLE_AT)
    assert Device.claim(owner, row.uuid, now) is None, "disabled"
    for state in (State.SUSPENDED, State.LOST, State.RETIRED, State.IN_STOCK, State.ASSIGNED):
        Device.objects.update(failures=0, state=state)
        assert Device.claim(owner, row.uuid, now) is None, state
    Device.objects.update(state=State.ASSIGNED, serial="A1")
    assert Device.claim(owner, row.uuid, now) is not None, "handed out"


@pytest.mark.django_db
def test_a_handed_out_token_becomes_active_by_its_first_right_answer() -> None:
    row, now = make_person("totp").app, timezone.now()
    Device.objects.update(state=State.ASSIGNED, serial="A1", confirmed_at=None)
    row.refresh_from_db()
    assert row.spend(Proof(counter=7), now)
    row.refresh_from_db()
    assert (row.state, row.counter, row.failures, row.confirmed_at) == (State.ACTIVE, 7, 0, now)
    assert not row.spend(Proof(counter=7), now) and not row.spend(Proof(counter=6), now)
    assert row.spend(Proof(counter=8), now)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", Kind.values)
def test_an_answer_of_every_kind_is_spent_once_and_not_after_the_device_is_gone(kind: str) -> None:
    row, now = Device.objects.get(user=make_person(kind).user), timezone.now()
    module, proof = kinds.module(kind), proven(row, 0)
    assert module.spend(row, proof, now)
    assert not module.spend(row, proof, now), "used already"
    Device.objects.update(failures=4, uses_left=F("uses_left") + 2)
    assert module.spend(row, proven(row, 1), now)
    row.refresh_from_db()
    assert (row.failures, row.last_used_at) == (0, now)
    row.retire()
    with transaction.atomic():
        assert not module.spend(row, proven(row, 2), now), "retired"


def proven(row: Device, which: int) -> Proof:
    """What a right answer of the device proves; another one for each `which`."""
    if row.kind == Kind.RECOVERY:
        return Proof(code=row.codes.order_by("id")[which].pk)
    if row.kind == Kind.TEMPORARY:
        return Proof()
    return Proof(counter=row.counter + 1000 + which)


@pytest.mark.django_db
def test_pauses_double_and_are_capped() -> None:
    row, now, pauses = make_person("totp").app, timezone.now(), []
    for failures in range(1, 15):
        Device.objects.update(failures=failures, paused_until=None)
        row.refresh_from_db()
        pause = row.pause_after_wrong(now)
        pauses.append(int(pause.total_seconds()) if pause else 0)
    assert pauses == [0] * (PAUSE_AT - 1) + [30, 60, 120, 240, 480] + [900] * 5


@pytest.mark.django_db
def test_giving_back_never_goes_below_nothing() -> None:
    row = make_person("totp").app
    row.give_back()
    row.refresh_from_db()
    assert row.failures == 0


def test_only_wrong_answers_count_as_failures() -> None:
    for reason in Reason:
        assert reason.is_wrong_answer is (reason.name.startswith(("CODE_", "CODES_", "ASSERTION_", "CREDENTIAL_"))), reason


def test_every_code_of_the_api_has_a_sentence() -> None:
    assert {reason.code for reason in Reason} == set(DETAILS)


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_has_words_for_people(reason: Reason) -> None:
    said = sentence(Refused(reason, retry_after=90, digits=6, given=5, seconds=30, device="Blue key", to="+49…78"))
    assert said[0].isupper() or said[0] == "“"
    assert said.endswith(".") and "%" not in said and reason.name not in said


@pytest.mark.parametrize(
    ("hops", "forwarded", "expected"),
    [
        (0, "", "192.0.2.1"),
        (0, "203.0.113.9", "192.0.2.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.7, 203.0.113.9", "203.0.113.9"),
        (2, "198.51.100.7, 203.0.113.9", "198.51.100.7"),
        (2, "203.0.113.9", "192.0.2.1"),
        (1, "not an address", "192.0.2.1"),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "fe80::1%" + "a" * 100, "192.0.2.1"),
    ],
)
def test_only_declared_proxies_are_believed(rf: object, settings: object, hops: int, forwarded: str, expected: str) -> None:
    settings.TRUSTED_PROXIES = hops  # type: ignore[attr-defined]
    request = rf.get("/", REMOTE_ADDR="192.0.2.1", headers={"X-Forwarded-For": forwarded})  # type: ignore[attr-defined]
    assert address(request) == expected


@pytest.mark.django_db
def test_migrations_are_complete() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def python_files() -> list[Path]:
    """Our own modules, without migrations."""
    return [path for name in PACKAGES for path in (ROOT / name).rglob("*.py") if "migrations" not in path.parts]


def test_modules_and_functions_stay_small() -> None:
    for path in python_files():
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 290, f"{path.name} has {len(lines)} lines"


def test_no_text_speaks_of_one_machine() -> None:
    for path in [*python_files(), *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "templates").rglob("*.html")]:
        assert not re.search(r"(/home/|/root/|/work/)", path.read_text(encoding="utf-8")), path.name


def test_every_visible_sentence_goes_through_gettext() -> None:
    for path in (ROOT / "templates").rglob("*.html"):
        text = re.sub(
            r"(?s)\{#.*?#\}|\{%\s*(blocktranslate).*?endblocktranslate\s*%\}|\{%.*?%\}|\{\{.*?\}\}", "", path.read_text()
        )
        bare = [found for found in re.findall(r">([^<>]*)<", text) if re.search(r"[A-Za-z]{3,}", found)]
        assert not bare, (path.name, bare)
