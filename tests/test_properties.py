"""Whatever happens in whatever order: no code opens two doors, and nobody is let in who did not prove both factors."""

from typing import Any

from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TransactionTestCase

from accounts.models import BrowserSession, SignIn
from devices import oath
from grants.models import RefreshFamily
from tests.conftest import Api, make_person

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["start", "right", "right again", "wrong", "choose", "cancel", "disable", "enable", "suspend", "resume"]
        ),
        st.integers(0, 2),
    ),
    min_size=4,
    max_size=14,
)


class AnyOrder(TransactionTestCase):
    """Events of one person in up to three sign-ins."""

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(events=EVENTS)
    def test_grants_never_exceed_fresh_right_answers(self, events: list[tuple[str, int]]) -> None:
        self.person = make_person("totp")
        handles: dict[int, str] = {}
        granted: list[int] = []
        step = int(timezone.now().timestamp()) // 30 - 1
        for event, which in events:
            self.happen(event, which, handles, granted, step)
        families = RefreshFamily.objects.filter(person=self.person.user.uuid).count()
        finished = SignIn.objects.filter(user=self.person.user, state="finished").count()
        assert families == finished == len(granted)
        assert sorted(set(granted)) == granted, "each step once, and only upwards"
        assert not BrowserSession.objects.exclude(person=None).exists()
        self.person.app.refresh_from_db()
        assert self.person.app.counter == (granted[-1] if granted else -1)

    def happen(self, event: str, which: int, handles: dict[int, str], granted: list[int], step: int) -> None:
        api, person = Api(), self.person
        if event == "start":
            body = {"username": person.user.username, "password": person.password}
            answer = api.post("sign-ins", body)
            assert (answer.status_code == 201) is person.user.is_active
            handles[which] = answer.json().get("sign_in", "")
        elif event in ("disable", "enable"):
            person.user.is_active = event == "enable"
            person.user.save()
        elif event in ("suspend", "resume"):
            person.app.__class__.objects.filter(pk=person.app.pk).update(state="suspended" if event == "suspend" else "active")
        elif handles.get(which):
            self.answer(event, handles[which], granted, step, api)

    def answer(self, event: str, handle: str, granted: list[int], step: int, api: Api) -> None:
        person = self.person
        if event == "choose":
            api.post("sign-ins/challenge", {"sign_in": handle, "device": str(person.app.uuid)})
            return
        if event == "cancel":
            api.post("sign-ins/cancel", {"sign_in": handle})
            return
        next_step = (granted[-1] + 1) if granted else step
        wanted = {"right": next_step, "right again": granted[-1] if granted else next_step, "wrong": step - 50}[event]
        given: Any = oath.at(person.app, wanted)
        answer = api.answer(handle, person.app, given)
        if answer.status_code == 200:
            assert event != "wrong" and person.user.is_active
            granted.append(wanted)
