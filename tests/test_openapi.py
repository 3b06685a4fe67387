"""openapi.yaml and the running service say the same, checked from both sides.

Every call goes through `CheckedClient`: the answer must be one that the file describes, and the service must refuse
a call for its shape or its missing credentials exactly where the file's schemas do.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pyotp
import pytest
import yaml
from django.core.exceptions import RequestDataTooBig
from django.db.models import F
from django.http import HttpRequest
from django.test import Client, override_settings
from django.urls import URLResolver, get_resolver
from django.utils import timezone
from openapi_core import Config, OpenAPI
from openapi_core.contrib.django import DjangoOpenAPIRequest, DjangoOpenAPIResponse
from openapi_core.validation.request.exceptions import SecurityValidationError
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import OpenAPIV31SpecValidator

from accounts.models import BrowserSession, SignIn
from devices.lifecycle import State
from devices.models import Device
from grants import signing
from grants.models import SigningKey
from mfa_site.errors import Reason
from tests.conftest import Api, Person, code_of, make_person, make_token
from tests.soft_key import SoftKey

pytestmark = pytest.mark.django_db

TEXT = (Path(__file__).resolve().parent.parent / "openapi.yaml").read_text(encoding="utf-8")
FILE: dict[str, Any] = yaml.safe_load(TEXT)
PREFIXES = ("/api/v1/", "/oauth2/", "/.well-known/", "/livez", "/readyz")
HOST = "localhost:8000"
JSON, FORM, PROBLEM = "application/json", "application/x-www-form-urlencoded", "application/problem+json"

SHAPE = {"malformed", "unknown_field", "unsupported_media_type", "invalid_request", "unsupported_grant_type", "invalid_scope"}
FAULTS = {"internal_error", "unavailable"}  # of the service itself; a test of their own provokes what can be provoked
ANY_CALL = {
    *("malformed", "unknown_field", "not_signed_in", "not_permitted"),
    *("csrf_failed", "too_large", "unsupported_media_type"),
}
RACES = {
    ("confirmDevice", "sign_in_over"),
    ("makeRecoveryCodes", "wrong_state"),
}  # only where two answers come at the same moment


# ---- the file ------------------------------------------------------------------------------------------------------


def is_answer(schema: dict[str, Any]) -> bool:
    """Whether it describes an object that the service sends: what people send says what else may be in it."""
    return schema.get("type") == "object" and "properties" in schema and "additionalProperties" not in schema


def strict(node: Any) -> Any:
    """The file with every answer closed: clients let fields pass that they do not know, these tests do not."""
    if isinstance(node, list):
        return [strict(part) for part in node]
    if not isinstance(node, dict):
        return node
    closed = {"additionalProperties": False} if is_answer(node) else {}
    return {name: strict(part) for name, part in node.items()} | closed


OPENAPI = OpenAPI.from_dict(strict(FILE), config=Config(extra_media_type_deserializers={PROBLEM: json.loads}))


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """The node that a `$ref` stands for."""
    while "$ref" in node:
        reference, node = node["$ref"], FILE
        for name in reference.removeprefix("#/").split("/"):
            node = node[name]
    return node


@dataclass(frozen=True)
class Operation:
    """One operation of the file."""

    id: str
    method: str
    path: str
    node: dict[str, Any]

    @property
    def url(self) -> str:
        """The path with a uuid that nobody has."""
        return re.sub(r"\{\w+\}", str(uuid4()), self.path)

    @property
    def successes(self) -> set[int]:
        """The statuses that are no refusals."""
        return {int(status) for status in self.node["responses"] if int(status) < 400}

    @property
    def for_administrators(self) -> bool:
        """Whether only administrators may do it."""
        return self.path.startswith("/api/v1/admin/")

    @property
    def media_type(self) -> str:
        """The body's only media type; empty where there is no body."""
        return "".join(self.node.get("requestBody", {}).get("content", {}))

    @property
    def body(self) -> dict[str, Any]:
        """The body's schema and example; empty where there is no body."""
        return dict(self.node["requestBody"]["content"][self.media_type] if self.media_type else {})

    @property
    def codes(self) -> set[str]:
        """Every problem code and OAuth error that the file promises."""
        found: set[str] = set()
        for status, response in self.node["responses"].items():
            for media_type, media in resolved(response).get("content", {}).items():
                if int(status) >= 400 and media_type in (JSON, PROBLEM):
                    narrowed = media["schema"]["allOf"][1]["properties"]
                    found |= set(narrowed["code" if media_type == PROBLEM else "error"]["enum"])
        return found

    def __str__(self) -> str:
        return self.id


OPERATIONS = [
    Operation(node["operationId"], method.upper(), path, node)
    for path, item in FILE["paths"].items()
    for method, node in item.items()
    if method != "parameters"
]
WITH_JSON = [operation for operation in OPERATIONS if operation.media_type == JSON]
FOR_SIGNED_IN = [operation for operation in OPERATIONS if {"bearer": []} in operation.node["security"]]
WITH_CSRF = [operation for operation in OPERATIONS if operation.method != "GET" and operation.path.startswith("/api/")]


# ---- the service ---------------------------------------------------------------------------------------------------


class Asked(DjangoOpenAPIRequest):
    """A request whose path openapi-core finds in the file by itself, whatever Django's resolver found."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self.parameters.path = {}

    @property
    def path_pattern(self) -> str | None:
        return None

    @property
    def body(self) -> bytes:
        """Nothing where the length is too much or no number, as the service reads nothing there."""
        try:
            return super().body
        except (RequestDataTooBig, ValueError):
            return b""


def explained(error: Exception) -> str:
    """The error with what caused it, down to the schema's own words."""
    causes: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        causes += [str(cause), *(schema_error.message for schema_error in getattr(cause, "schema_errors", ()))]
        cause = cause.__cause__
    return "; ".join(causes)


def check_answer(response: Any) -> None:
    """The file has this status for the operation, with this content type, these headers and such a body."""
    errors = OPENAPI.iter_response_errors(Asked(response.wsgi_request), DjangoOpenAPIResponse(response))
    assert [explained(error) for error in errors] == []
    described = resolved(operation_of(response).node["responses"][str(response.status_code)])
    assert "content" in described or response.content == b""


def check_call(response: Any) -> None:
    """The service took the call for well-formed, or for one with credentials, exactly if the file does."""
    errors = list(OPENAPI.iter_request_errors(Asked(response.wsgi_request)))
    words = [explained(error) for error in errors]
    if any(isinstance(error, SecurityValidationError) for error in errors):
        assert code_of(response) in {(401, "not_signed_in"), (403, "csrf_failed")}, words
    else:
        assert bool(errors) == (error_of(response) in SHAPE), (words, response.content)


def error_of(response: Any) -> str:
    """The problem code or the OAuth error; empty where nothing was refused."""
    if response.status_code < 400:
        return ""
    said = response.json()
    return str(said["error"] if response["Content-Type"] == JSON else said["code"])


def operation_of(response: Any) -> Operation:
    """The operation that was called."""
    method, path = response.wsgi_request.method, response.wsgi_request.path
    for operation in OPERATIONS:
        if operation.method == method and re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(operation.path)), path):
            return operation
    raise AssertionError(f"{method} {path} is not in the file")


class CheckedClient(Client):
    """Compares every call and its answer with the file."""

    def __init__(self) -> None:
        super().__init__(enforce_csrf_checks=True, HTTP_HOST=HOST)

    def request(self, **request: Any) -> Any:
        response = super().request(**request)
        if response.wsgi_request.path.startswith(PREFIXES):
            check_answer(response)
            check_call(response)
        return response


def visitor(bearer: str = "") -> Api:
    """A client of the API whose calls are checked."""
    api = Api(bearer)
    api.client = CheckedClient()
    return api


def with_tokens(person: Person) -> Api:
    """The person's program, signed in."""
    return visitor(visitor().sign_in(person)["access_token"])


def with_session(person: Person) -> Api:
    """The person's browser application, signed in."""
    api = visitor()
    api.take_csrf()
    api.sign_in(person, grant="session")
    return api


def administrator() -> Person:
    """Somebody who may do everything."""
    return make_person("totp", is_staff=True, is_superuser=True)


def client_for(operation: Operation) -> Api:
    """Somebody's program who may do this."""
    return with_tokens(administrator() if operation.for_administrators else make_person("totp"))


def newcomer() -> tuple[Api, str]:
    """Somebody who has no device yet, with the right password: client and handle."""
    api = visitor()
    return api, api.start(make_person())


def challenge(api: Api, handle: str, device: object) -> Any:
    return api.post("sign-ins/challenge", {"sign_in": handle, "device": str(device)})


def begin_first(api: Api, handle: str, kind: str = "totp") -> Any:
    return api.post("sign-ins/enrol", {"sign_in": handle, "kind": kind})


def confirm_first(api: Api, handle: str, device: object, given: Any, **more: Any) -> Any:
    return api.post("sign-ins/enrol/confirm", {"sign_in": handle, "device": str(device), "answer": given, **more})


def confirm(api: Api, device: object, given: Any) -> Any:
    return api.post(f"devices/{device}/confirm", {"answer": given})


def begun(response: Any) -> tuple[str, dict[str, Any]]:
    """The uuid of the device that is being enrolled, and what was shown of it."""
    assert response.status_code == 201, response.content
    return response.json()["device"]["uuid"], response.json()


def right_answer(shown: dict[str, Any]) -> Any:
    """What a new app or a new key answers to what was shown."""
    return pyotp.TOTP(shown["secret"]).now() if "secret" in shown else SoftKey().create(shown["public_key"])


def refresh(refresh_token: str, **more: str) -> Any:
    return send_form("token", {"grant_type": "refresh_token", "refresh_token": refresh_token, **more})


def send_form(endpoint: str, fields: dict[str, str]) -> Any:
    """A form to an OAuth endpoint."""
    return visitor().client.post(f"/oauth2/{endpoint}", urlencode(fields), content_type=FORM)


def tokens_of(person: Person) -> dict[str, Any]:
    return visitor().sign_in(person)


# ---- what succeeds -------------------------------------------------------------------------------------------------

Scenario = Callable[[], Any]
SUCCESSES: dict[str, list[Scenario]] = {operation.id: [] for operation in OPERATIONS}
REFUSALS: dict[tuple[str, str], Scenario] = {}


def succeeds(operation: str) -> Callable[[Scenario], Scenario]:
    """The scenario ends in the operation's success."""

    def keep(scenario: Scenario) -> Scenario:
        SUCCESSES[operation].append(scenario)
        return scenario

    return keep


def refused(operation: str, code: str) -> Callable[[Scenario], Scenario]:
    """The scenario ends in this refusal by the operation."""

    def keep(scenario: Scenario) -> Scenario:
        assert (operation, code) not in REFUSALS
        REFUSALS[operation, code] = scenario
        return scenario

    return keep


@succeeds("startSignIn")
def a_right_password_of_somebody_with_devices() -> Any:
    person = make_person("totp", "fido2", "recovery")
    return visitor().post("sign-ins", {"username": person.user.username, "password": person.password})


@succeeds("startSignIn")
def a_right_password_of_somebody_new() -> Any:
    person = make_person()
    return visitor().post("sign-ins", {"username": person.user.username, "password": person.password})


@succeeds("challengeSignIn")
def an_app_is_chosen() -> Any:
    api, person = visitor(), make_person("totp")
    return challenge(api, api.start(person), person.app.uuid)


@succeeds("challengeSignIn")
def a_key_is_chosen() -> Any:
    api, person = visitor(), make_person("fido2")
    return challenge(api, api.start(person), person.key.uuid)


@succeeds("answerSignIn")
def a_right_code_for_tokens() -> Any:
    api, person = visitor(), make_person("totp")
    return api.answer(api.start(person), person.app, person.code())


@succeeds("challengeSignIn")
def codes_are_chosen() -> Any:
    api, person = visitor(), make_person("totp", "recovery")
    return challenge(api, api.start(person), person.code_set.uuid)


@succeeds("answerSignIn")
def a_recovery_code_for_a_session() -> Any:
    api, person = visitor(), make_person("totp", "recovery")
    api.take_csrf()
    return api.answer(api.start(person), person.code_set, person.codes[7], grant="session")


@succeeds("answerSignIn")
def a_right_assertion_for_a_session() -> Any:
    api, person = visitor(), make_person("fido2")
    api.take_csrf()
    handle = api.start(person)
    return api.answer(handle, person.key, person.soft_key.get(api.challenge(handle, person.key)), grant="session")


@succeeds("beginFirstDevice")
def a_first_app_is_begun() -> Any:
    return begin_first(*newcomer())


@succeeds("beginFirstDevice")
def a_first_key_is_begun() -> Any:
    return begin_first(*newcomer(), "fido2")


@succeeds("confirmFirstDevice")
def a_first_app_for_tokens() -> Any:
    api, handle = newcomer()
    device, shown = begun(begin_first(api, handle))
    return confirm_first(api, handle, device, right_answer(shown), grant="token")


@succeeds("confirmFirstDevice")
def a_first_key_for_a_session() -> Any:
    api, handle = newcomer()
    api.take_csrf()
    device, shown = begun(begin_first(api, handle, "fido2"))
    return confirm_first(api, handle, device, right_answer(shown), grant="session")


def claimed(held: Any) -> dict[str, Any]:
    """What claims the token that is held."""
    return {"kind": held.device.kind, "serial": held.device.serial, "answers": held.two()}


def claim_first(api: Api, handle: str, held: Any, **more: Any) -> Any:
    return api.post("sign-ins/enrol", {"sign_in": handle, **claimed(held), **more})


@succeeds("challengeSignIn")
def everything_that_shows_its_code_is_chosen() -> Any:
    api, person = visitor(), make_person("hotp", "hardware_totp", "yubiotp", "temporary")
    answers = [challenge(api, api.start(person), held.device.uuid) for held in person.held.values()]
    assert {answer.status_code for answer in answers} == {200}
    return answers[-1]


@succeeds("challengeSignIn")
def a_code_is_sent() -> Any:
    with override_settings(KINDS_OFF=frozenset()):
        api, person = visitor(), make_person("email", "sms")
        assert challenge(api, api.start(person), person.held["email"].device.uuid).status_code == 200
        return challenge(api, api.start(person), person.held["sms"].device.uuid)


@succeeds("answerSignIn")
def every_kind_answers_for_tokens() -> Any:
    kinds = ("hotp", "hardware_totp", "yubiotp", "temporary", "sms")
    grants = [visitor().sign_in(make_person(kind), kind) for kind in kinds]
    assert [visitor(grant["access_token"]).get("me").status_code for grant in grants] == [200] * len(kinds)
    api, person = visitor(), make_person("hotp")
    handle = api.start(person)
    return api.answer(handle, person.held["hotp"].device, " ".join(person.held["hotp"].two(presses=40)))


@succeeds("beginFirstDevice")
def a_first_button_is_begun() -> Any:
    return begin_first(*newcomer(), "hotp")


@succeeds("beginFirstDevice")
def a_first_phone_is_sent_a_code() -> Any:
    api, handle = newcomer()
    return api.post("sign-ins/enrol", {"sign_in": handle, "kind": "sms", "address": "+4915112345678"})


@succeeds("beginFirstDevice")
def a_first_token_is_claimed_for_tokens() -> Any:
    api, handle = newcomer()
    return claim_first(api, handle, make_token("hotp"), name="Blue token")


@succeeds("beginFirstDevice")
def a_first_token_is_claimed_for_a_session() -> Any:
    api, handle = newcomer()
    api.take_csrf()
    return claim_first(api, handle, make_token("totp"), grant="session")


@succeeds("cancelSignIn")
def a_sign_in_is_given_up() -> Any:
    api = visitor()
    return api.post("sign-ins/cancel", {"sign_in": api.start(make_person("totp"))})


@succeeds("startStepUp")
def a_step_up_of_a_program() -> Any:
    return with_tokens(make_person("totp", "fido2")).post("step-ups")


@succeeds("startStepUp")
def a_step_up_of_a_browser() -> Any:
    return with_session(make_person("fido2")).post("step-ups")


@succeeds("answerSignIn")
def a_step_up_with_a_code_for_tokens() -> Any:
    person = make_person("totp")
    api = with_tokens(person)
    return api.answer(api.post("step-ups").json()["sign_in"], person.app, person.code(1))


@succeeds("answerSignIn")
def a_step_up_with_a_key_for_a_session() -> Any:
    person = make_person("fido2")
    api = with_session(person)
    handle = api.post("step-ups").json()["sign_in"]
    return api.answer(handle, person.key, person.soft_key.get(api.challenge(handle, person.key)))


@succeeds("cancelSignIn")
def a_step_up_is_given_up() -> Any:
    api = with_session(make_person("totp"))
    return api.post("sign-ins/cancel", {"sign_in": api.post("step-ups").json()["sign_in"]})


@succeeds("me")
def who_am_i_by_token() -> Any:
    return with_tokens(make_person("fido2")).get("me")


@succeeds("me")
def who_am_i_by_cookie() -> Any:
    return with_session(make_person("totp", name="Alice")).get("me")


@succeeds("listDevices")
def all_devices() -> Any:
    return with_session(make_person("totp", "fido2", "recovery")).get("devices")


@succeeds("listDevices")
def the_second_page_of_devices() -> Any:
    api = with_tokens(make_person("totp", "fido2"))
    first = api.get("devices?limit=1").json()
    assert first["next"] == first["devices"][0]["uuid"]
    return api.get(f"devices?limit=1&after={first['next']}")


@succeeds("beginDevice")
def another_app_is_begun() -> Any:
    return with_session(make_person("fido2")).post("devices", {"kind": "totp", "name": "Phone"})


@succeeds("beginDevice")
def another_key_is_begun() -> Any:
    return with_tokens(make_person("fido2")).post("devices", {"kind": "fido2"})


@succeeds("beginDevice")
def a_set_of_codes_is_ready() -> Any:
    return with_session(make_person("totp", "recovery")).post("devices", {"kind": "recovery"})


@succeeds("beginDevice")
def another_button_is_begun() -> Any:
    return with_tokens(make_person("fido2")).post("devices", {"kind": "hotp"})


@succeeds("beginDevice")
def another_phone_is_sent_a_code() -> Any:
    body = {"kind": "sms", "address": "+49 151 12345678", "name": "Old phone"}
    return with_session(make_person("totp")).post("devices", body)


@succeeds("beginDevice")
def another_yubikey_is_begun() -> Any:
    with override_settings(YUBICO_URL="http://127.0.0.1:9/wsapi/2.0/verify"):
        return with_tokens(make_person("fido2")).post("devices", {"kind": "yubiotp"})


@succeeds("beginDevice")
def a_token_in_stock_is_claimed() -> Any:
    api = with_tokens(make_person("totp"))
    assert api.post("devices", claimed(make_token("yubiotp"))).status_code == 201
    return api.post("devices", claimed(make_token("totp")) | {"name": "Blue token"})


@succeeds("beginDevice")
def a_device_by_who_has_a_temporary_code() -> Any:
    tokens = visitor().sign_in(make_person("totp", "temporary"), "temporary")
    return visitor(tokens["access_token"]).post("devices", {"kind": "totp"})


@succeeds("resyncDevice")
def a_button_that_was_pressed_too_often_is_lined_up() -> Any:
    person = make_person("hotp")
    held = person.held["hotp"]
    return with_tokens(person).post(f"devices/{held.device.uuid}/resync", {"answers": held.two(presses=60)})


@succeeds("findPeople")
def people_are_found() -> Any:
    api = with_tokens(administrator())
    assert len(api.get("admin/users").json()["users"]) == 1
    return api.get(f"admin/users?search={make_person('totp').user.username}")


@succeeds("devicesOfPerson")
def all_devices_of_a_person() -> Any:
    person = make_person("totp", "fido2", "hardware_hotp", "recovery", "temporary", "yubiotp")
    return with_session(administrator()).get(f"admin/users/{person.user.uuid}/devices")


@succeeds("findDevices")
def devices_are_found() -> Any:
    api, held = with_tokens(administrator()), make_token("totp", model="Model T")
    assert len(api.get("admin/devices?kind=totp&state=in_stock").json()["devices"]) == 1
    return api.get(f"admin/devices?serial={held.device.serial}")


@succeeds("searchAudit")
def the_audit_is_searched() -> Any:
    api, person = with_tokens(administrator()), make_person("totp")
    api.get(f"admin/audit-events?person={person.user.username}&since=2026-01-01&result=done")
    tokens_of(person)
    found = api.get("admin/audit-events?act=*&limit=1").json()
    return api.get(f"admin/audit-events?after={found['next']}")


@succeeds("issueTemporaryCode")
def a_temporary_code_is_issued() -> Any:
    person = make_person("totp")
    body = {"reason": "The phone is broken.", "uses": 3, "expires_in": 3600}
    return with_tokens(administrator()).post(f"admin/users/{person.user.uuid}/temporary-codes", body)


@succeeds("assignDevice")
def a_token_is_handed_out() -> Any:
    return assigned(make_token("hotp"), make_person())


def assigned(held: Any, person: Person) -> Any:
    """What the call that hands it out answers."""
    body = {"user": str(person.user.uuid)}
    return with_tokens(administrator()).post(f"admin/devices/{held.device.uuid}/assign", body)


@succeeds("unassignDevice")
def a_token_is_taken_back() -> Any:
    held = make_person("hardware_hotp").held["hardware_hotp"]
    return with_tokens(administrator()).post(f"admin/devices/{held.device.uuid}/unassign")


@succeeds("resyncAnyDevice")
def a_token_of_somebody_is_lined_up() -> Any:
    held = make_person("hardware_hotp").held["hardware_hotp"]
    return line_up(held, held.two(presses=600))


def line_up(held: Any, answers: list[str]) -> Any:
    """What an administrator's call that lines it up answers."""
    return with_tokens(administrator()).post(f"admin/devices/{held.device.uuid}/resync", {"answers": answers})


@succeeds("makeRecoveryCodes")
def a_first_set_of_codes() -> Any:
    return with_session(make_person("fido2")).post("recovery-codes")


@succeeds("makeRecoveryCodes")
def a_set_of_codes_by_who_signed_in_with_one() -> Any:
    api, person = visitor(), make_person("totp", "recovery")
    tokens = api.answer(api.start(person), person.code_set, person.codes[0]).json()
    return visitor(tokens["access_token"]).post("recovery-codes")


@succeeds("confirmDevice")
def another_app_answers() -> Any:
    api = with_tokens(make_person("fido2"))
    device, shown = begun(api.post("devices", {"kind": "totp"}))
    return confirm(api, device, right_answer(shown))


@succeeds("confirmDevice")
def another_key_answers() -> Any:
    api = with_session(make_person("totp"))
    device, shown = begun(api.post("devices", {"kind": "fido2"}))
    return confirm(api, device, right_answer(shown))


@succeeds("getDevice")
def one_app_of_ones_own() -> Any:
    person = make_person("totp")
    return with_tokens(person).get(f"devices/{person.app.uuid}")


@succeeds("getDevice")
def one_phone_of_ones_own() -> Any:
    person = make_person("sms", "totp")
    return with_tokens(person).get(f"devices/{person.held['sms'].device.uuid}")


@succeeds("getDevice")
def one_key_of_ones_own() -> Any:
    person = make_person("fido2")
    return with_tokens(person).get(f"devices/{person.key.uuid}")


@succeeds("renameDevice")
def a_new_name() -> Any:
    person = make_person("totp")
    return with_session(person).call("PATCH", f"devices/{person.app.uuid}", {"name": "Work phone"})


@succeeds("removeDevice")
def a_key_is_removed() -> Any:
    person = make_person("totp", "fido2")
    return with_tokens(person).call("DELETE", f"devices/{person.key.uuid}")


@succeeds("listSessions")
def all_sessions() -> Any:
    person = make_person("totp", "fido2")
    person.apps.clear()
    with_tokens(person)
    return with_session(person).get("sessions")


@succeeds("listSessions")
def the_second_page_of_sessions() -> Any:
    person = make_person("fido2")
    with_session(person)
    api = with_tokens(person)
    first = api.get("sessions?limit=1").json()
    assert first["next"] == first["sessions"][0]["uuid"]
    return api.get(f"sessions?limit=1&after={first['next']}")


@succeeds("endSession")
def this_session_is_ended() -> Any:
    api = with_session(make_person("totp"))
    return api.call("DELETE", f"sessions/{BrowserSession.objects.get().uuid}")


@succeeds("endOtherSessions")
def all_other_sessions_are_ended() -> Any:
    return with_tokens(make_person("totp")).call("DELETE", "sessions")


@succeeds("loseDevice")
def the_last_device_is_lost() -> Any:
    person = make_person("totp")
    return with_tokens(person).post(f"devices/{person.app.uuid}/lost")


@succeeds("loseDevice")
def one_of_two_devices_is_lost() -> Any:
    person = make_person("totp", "fido2")
    return with_session(person).post(f"devices/{person.app.uuid}/lost")


@succeeds("refreshToken")
def a_refresh_token_is_used() -> Any:
    return refresh(tokens_of(make_person("totp"))["refresh_token"])


@succeeds("refreshToken")
def a_refresh_token_is_used_with_every_field() -> Any:
    return refresh(tokens_of(make_person("totp"))["refresh_token"], client_id="mfa-site", scope="account", more="ignored")


@succeeds("revokeToken")
def a_refresh_token_is_revoked() -> Any:
    return send_form("revoke", {"token": tokens_of(make_person("totp"))["refresh_token"], "client_id": "mfa-site"})


@succeeds("revokeToken")
def an_access_token_is_revoked() -> Any:
    return send_form("revoke", {"token": tokens_of(make_person("totp"))["access_token"]})


@succeeds("revokeToken")
def an_unknown_token_is_revoked() -> Any:
    return send_form("revoke", {"token": "unknown"})


@succeeds("jwks")
def the_keys_are_read() -> Any:
    return visitor().client.get("/.well-known/jwks.json")


@succeeds("changePassword")
def a_password_manager_asks_the_way() -> Any:
    return visitor().client.get("/.well-known/change-password")


@succeeds("oauthMetadata")
def the_metadata_are_read() -> Any:
    return visitor().client.get("/.well-known/oauth-authorization-server")


@succeeds("livez")
def the_process_is_probed() -> Any:
    return visitor().client.get("/livez", headers={"X-Request-ID": "probe-0001"})


@succeeds("readyz")
def the_service_is_probed() -> Any:
    return visitor().client.get("/readyz")


# ---- what is refused -----------------------------------------------------------------------------------------------


def paused(*devices: str) -> None:
    """The devices rest after wrong answers."""
    Device.objects.filter(uuid__in=devices).update(failures=5, paused_until=timezone.now() + timedelta(seconds=20))


@refused("startSignIn", "bad_credentials")
def a_wrong_password() -> Any:
    return visitor().post("sign-ins", {"username": make_person("totp").user.username, "password": "wrong"})


@refused("startSignIn", "too_many_attempts")
def a_sixth_password() -> Any:
    for _ in range(5):
        a_password_for("somebody")
    return a_password_for("somebody")


def a_password_for(name: str) -> Any:
    return visitor().post("sign-ins", {"username": name, "password": "wrong"})


@refused("challengeSignIn", "sign_in_over")
def a_challenge_of_an_unknown_sign_in() -> Any:
    return challenge(visitor(), "unknown", uuid4())


@refused("challengeSignIn", "not_found")
def a_challenge_of_somebody_elses_device() -> Any:
    api = visitor()
    return challenge(api, api.start(make_person("totp")), make_person("totp").app.uuid)


@refused("challengeSignIn", "wrong_state")
def a_challenge_while_enrolling() -> Any:
    return challenge(*newcomer(), uuid4())


@refused("challengeSignIn", "device_not_usable")
def a_challenge_of_a_suspended_device() -> Any:
    api, person = visitor(), make_person("totp")
    person.app.move(State.SUSPENDED)
    return challenge(api, api.start(person), person.app.uuid)


@refused("challengeSignIn", "too_many_attempts")
def a_challenge_of_a_paused_device() -> Any:
    api, person = visitor(), make_person("totp")
    paused(str(person.app.uuid))
    return challenge(api, api.start(person), person.app.uuid)


@refused("answerSignIn", "wrong_answer")
def a_wrong_code() -> Any:
    api, person = visitor(), make_person("totp")
    return api.answer(api.start(person), person.app, person.wrong_code())


@refused("answerSignIn", "answer_used")
def a_code_that_was_used() -> Any:
    api, person = visitor(), make_person("totp")
    code = person.code()
    assert api.answer(api.start(person), person.app, code).status_code == 200
    return api.answer(api.start(person), person.app, code)


@refused("answerSignIn", "sign_in_over")
def an_answer_after_it_was_given_up() -> Any:
    api, person = visitor(), make_person("totp")
    handle = api.start(person)
    assert api.post("sign-ins/cancel", {"sign_in": handle}).status_code == 204
    return api.answer(handle, person.app, person.code())


@refused("answerSignIn", "not_found")
def an_answer_of_somebody_elses_device() -> Any:
    api, other = visitor(), make_person("totp")
    return api.answer(api.start(make_person("totp")), other.app, other.code())


@refused("answerSignIn", "wrong_state")
def an_answer_while_enrolling() -> Any:
    api, handle = newcomer()
    other = make_person("totp")
    return api.answer(handle, other.app, other.code())


@refused("answerSignIn", "device_not_usable")
def an_answer_of_a_suspended_device() -> Any:
    api, person = visitor(), make_person("totp")
    person.app.move(State.SUSPENDED)
    return api.answer(api.start(person), person.app, person.code())


@refused("answerSignIn", "no_challenge")
def an_assertion_that_nobody_asked_for() -> Any:
    api, person = visitor(), make_person("fido2")
    return api.answer(api.start(person), person.key, person.soft_key.get({"challenge": "AAAA"}))


@refused("answerSignIn", "too_many_attempts")
def an_answer_during_the_pause() -> Any:
    api, person = visitor(), make_person("totp")
    paused(str(person.app.uuid))
    return api.answer(api.start(person), person.app, person.code())


@refused("beginFirstDevice", "sign_in_over")
def a_first_device_in_an_unknown_sign_in() -> Any:
    return begin_first(visitor(), "unknown")


@refused("beginFirstDevice", "wrong_state")
def a_first_device_where_there_is_one() -> Any:
    api = visitor()
    return begin_first(api, api.start(make_person("totp")))


WRONG = ["000000", "000001"]


@refused("beginFirstDevice", "wrong_answer")
def a_first_token_with_wrong_codes() -> Any:
    api, handle = newcomer()
    return claim_first(api, handle, make_token("hotp"), answers=WRONG)


@refused("beginFirstDevice", "answer_used")
def a_first_token_with_codes_that_were_used() -> Any:
    api, handle = newcomer()
    return claim_first(api, handle, used_before())


def used_before() -> Any:
    """A token in stock that will show the two codes again that somebody gave before."""
    held = make_token("hotp")
    Device.objects.filter(pk=held.device.pk).update(counter=1)
    return held


@refused("beginFirstDevice", "too_many_attempts")
def a_first_device_in_too_many_tabs() -> Any:
    api, person = visitor(), make_person()
    for _ in range(5):
        begun(begin_first(api, api.start(person)))
    return begin_first(api, api.start(person))


@refused("confirmFirstDevice", "wrong_answer")
def a_wrong_code_of_the_first_device() -> Any:
    api, handle = newcomer()
    device, _ = begun(begin_first(api, handle))
    return confirm_first(api, handle, device, "no digits")


@refused("confirmFirstDevice", "answer_used")
def a_code_that_the_first_device_gave_before() -> Any:
    api, handle = newcomer()
    device, shown = begun(begin_first(api, handle))
    Device.objects.filter(uuid=device).update(counter=2**40)
    return confirm_first(api, handle, device, right_answer(shown))


@refused("confirmFirstDevice", "sign_in_over")
def a_first_device_after_its_sign_in_expired() -> Any:
    api, handle = newcomer()
    device, shown = begun(begin_first(api, handle))
    SignIn.objects.update(expires_at=timezone.now())
    return confirm_first(api, handle, device, right_answer(shown))


@refused("confirmFirstDevice", "not_found")
def a_first_device_that_was_not_begun() -> Any:
    return confirm_first(*newcomer(), uuid4(), "492039")


@refused("confirmFirstDevice", "wrong_state")
def a_first_device_where_one_should_answer() -> Any:
    api, person = visitor(), make_person("totp")
    return confirm_first(api, api.start(person), person.app.uuid, person.code())


@refused("confirmFirstDevice", "device_not_usable")
def a_first_device_that_failed_too_often() -> Any:
    api, handle = newcomer()
    device, shown = begun(begin_first(api, handle))
    Device.objects.filter(uuid=device).update(failures=50)
    return confirm_first(api, handle, device, right_answer(shown))


@refused("confirmFirstDevice", "no_challenge")
def a_first_key_whose_challenge_was_taken() -> Any:
    api, handle = newcomer()
    device, shown = begun(begin_first(api, handle, "fido2"))
    assert code_of(confirm_first(api, handle, device, {})) == (401, "wrong_answer")
    return confirm_first(api, handle, device, right_answer(shown))


@refused("confirmFirstDevice", "too_many_attempts")
def a_first_device_during_its_pause() -> Any:
    api, handle = newcomer()
    device, shown = begun(begin_first(api, handle))
    paused(device)
    return confirm_first(api, handle, device, right_answer(shown))


@refused("cancelSignIn", "sign_in_over")
def an_unknown_sign_in_is_given_up() -> Any:
    return visitor().post("sign-ins/cancel", {"sign_in": "unknown"})


@refused("listDevices", "not_found")
def a_page_after_an_unknown_device() -> Any:
    return with_tokens(make_person("totp")).get(f"devices?after={uuid4()}")


@refused("listSessions", "not_found")
def a_page_after_an_unknown_session() -> Any:
    return with_tokens(make_person("totp")).get(f"sessions?after={uuid4()}")


@refused("endSession", "not_found")
def somebody_elses_session_is_ended() -> Any:
    with_session(make_person("totp"))
    return with_tokens(make_person("totp")).call("DELETE", f"sessions/{BrowserSession.objects.get().uuid}")


def with_an_old_proof(person: Person) -> Api:
    """Signed in longer ago than changes allow."""
    api = with_session(person)
    BrowserSession.objects.update(auth_time=timezone.now() - timedelta(seconds=301))
    return api


@refused("beginDevice", "step_up_needed")
def another_device_with_an_old_proof() -> Any:
    return with_an_old_proof(make_person("totp")).post("devices", {"kind": "totp"})


@refused("makeRecoveryCodes", "step_up_needed")
def codes_with_an_old_proof() -> Any:
    return with_an_old_proof(make_person("totp")).post("recovery-codes")


@refused("beginDevice", "wrong_state")
def one_device_too_many() -> Any:
    return with_tokens(make_person(*["totp"] * 50)).post("devices", {"kind": "totp"})


@refused("beginDevice", "wrong_answer")
def a_token_that_is_not_in_stock() -> Any:
    held = make_person("hardware_hotp").held["hardware_hotp"]
    return with_tokens(make_person("totp")).post("devices", claimed(held))


@refused("beginDevice", "answer_used")
def a_token_with_codes_that_were_used() -> Any:
    return with_tokens(make_person("totp")).post("devices", claimed(used_before()))


def resync(person: Person, device: Device, answers: list[str]) -> Any:
    return with_tokens(person).post(f"devices/{device.uuid}/resync", {"answers": answers})


@refused("resyncDevice", "wrong_answer")
def codes_that_do_not_follow_each_other() -> Any:
    person = make_person("hotp")
    return resync(person, person.held["hotp"].device, WRONG)


@refused("resyncDevice", "answer_used")
def codes_that_lined_it_up_before() -> Any:
    person = make_person("hotp")
    held = person.held["hotp"]
    api, body = with_tokens(person), {"answers": held.two()}
    assert api.post(f"devices/{held.device.uuid}/resync", body).status_code == 200
    return api.post(f"devices/{held.device.uuid}/resync", body)


@refused("resyncDevice", "not_found")
def somebody_elses_token_is_lined_up() -> Any:
    return resync(make_person("totp"), make_person("hotp").held["hotp"].device, WRONG)


@refused("resyncDevice", "wrong_state")
def an_app_is_lined_up() -> Any:
    person = make_person("totp")
    return resync(person, person.app, WRONG)


@refused("resyncDevice", "device_not_usable")
def a_suspended_token_is_lined_up() -> Any:
    person = make_person("totp", "hotp")
    row = person.held["hotp"].device
    row.move(State.SUSPENDED)
    return resync(person, row, WRONG)


@refused("resyncDevice", "too_many_attempts")
def a_paused_token_is_lined_up() -> Any:
    person = make_person("totp", "hotp")
    row = person.held["hotp"].device
    paused(str(row.uuid))
    return resync(person, row, WRONG)


def with_a_proof_that_will_not_do(operation: Operation) -> Any:
    """By an administrator whose proof is too old to change something, or too weak to look at it."""
    admin = make_person("totp", "temporary", is_staff=True, is_superuser=True)
    if operation.method == "GET":
        api = visitor(visitor().sign_in(admin, "temporary")["access_token"])
    else:
        api = with_an_old_proof(admin)
    headers = {"X-CSRFToken": api.csrf} | ({"Authorization": f"Bearer {api.bearer}"} if api.bearer else {})
    body = json.dumps(operation.body["example"]) if operation.body else ""
    return api.client.generic(operation.method, operation.url, body, JSON, headers=headers)


for one in OPERATIONS:
    if one.for_administrators:
        refused(one.id, "step_up_needed")(partial(with_a_proof_that_will_not_do, one))


@refused("devicesOfPerson", "not_found")
def devices_of_nobody() -> Any:
    return with_tokens(administrator()).get(f"admin/users/{uuid4()}/devices")


@refused("issueTemporaryCode", "not_found")
def a_temporary_code_for_nobody() -> Any:
    return with_tokens(administrator()).post(f"admin/users/{uuid4()}/temporary-codes", {"reason": "None."})


@refused("issueTemporaryCode", "wrong_state")
def a_temporary_code_for_somebody_disabled() -> Any:
    person = make_person("totp", is_active=False)
    return with_tokens(administrator()).post(f"admin/users/{person.user.uuid}/temporary-codes", {"reason": "Ill."})


@refused("assignDevice", "not_found")
def a_token_for_nobody() -> Any:
    body = {"user": str(uuid4())}
    return with_tokens(administrator()).post(f"admin/devices/{make_token('hotp').device.uuid}/assign", body)


@refused("assignDevice", "wrong_state")
def a_token_that_somebody_has_is_handed_out() -> Any:
    return assigned(make_person("hardware_hotp").held["hardware_hotp"], make_person())


@refused("unassignDevice", "not_found")
def an_unknown_token_is_taken_back() -> Any:
    return with_tokens(administrator()).post(f"admin/devices/{uuid4()}/unassign")


@refused("unassignDevice", "wrong_state")
def an_app_is_taken_back() -> Any:
    return with_tokens(administrator()).post(f"admin/devices/{make_person('totp').app.uuid}/unassign")


@refused("resyncAnyDevice", "wrong_answer")
def wrong_codes_read_to_an_administrator() -> Any:
    return line_up(make_person("hotp").held["hotp"], WRONG)


@refused("resyncAnyDevice", "answer_used")
def used_codes_read_to_an_administrator() -> Any:
    held = make_person("hotp").held["hotp"]
    Device.objects.filter(pk=held.device.pk).update(counter=1)
    return line_up(held, held.two())


@refused("resyncAnyDevice", "not_found")
def an_unknown_token_is_lined_up() -> Any:
    return with_tokens(administrator()).post(f"admin/devices/{uuid4()}/resync", {"answers": WRONG})


@refused("resyncAnyDevice", "wrong_state")
def a_key_is_lined_up() -> Any:
    return line_up(make_person("fido2").held["fido2"], WRONG)


@refused("resyncAnyDevice", "device_not_usable")
def a_token_that_was_lost_is_lined_up() -> Any:
    held = make_person("hotp").held["hotp"]
    held.device.move(State.LOST)
    return line_up(held, WRONG)


@refused("resyncAnyDevice", "too_many_attempts")
def a_token_that_rests_is_lined_up() -> Any:
    held = make_person("hotp").held["hotp"]
    paused(str(held.device.uuid))
    return line_up(held, WRONG)


@refused("beginDevice", "too_many_attempts")
def too_many_devices_at_once() -> Any:
    api = with_tokens(make_person("totp"))
    for _ in range(5):
        begun(api.post("devices", {"kind": "totp"}))
    return api.post("devices", {"kind": "totp"})


@refused("confirmDevice", "step_up_needed")
def another_device_answers_with_an_old_proof() -> Any:
    return confirm(with_an_old_proof(make_person("totp")), uuid4(), "492039")


@refused("confirmDevice", "wrong_answer")
def a_wrong_code_of_another_device() -> Any:
    api = with_tokens(make_person("fido2"))
    device, _ = begun(api.post("devices", {"kind": "totp"}))
    return confirm(api, device, "no digits")


@refused("confirmDevice", "answer_used")
def a_code_that_another_device_gave_before() -> Any:
    api = with_tokens(make_person("fido2"))
    device, shown = begun(api.post("devices", {"kind": "totp"}))
    Device.objects.filter(uuid=device).update(counter=2**40)
    return confirm(api, device, right_answer(shown))


@refused("confirmDevice", "not_found")
def a_device_that_another_session_began() -> Any:
    person = make_person("fido2")
    device, shown = begun(with_tokens(person).post("devices", {"kind": "totp"}))
    return confirm(with_tokens(person), device, right_answer(shown))


@refused("confirmDevice", "device_not_usable")
def another_device_that_failed_too_often() -> Any:
    api = with_tokens(make_person("fido2"))
    device, shown = begun(api.post("devices", {"kind": "totp"}))
    Device.objects.filter(uuid=device).update(failures=50)
    return confirm(api, device, right_answer(shown))


@refused("confirmDevice", "no_challenge")
def another_key_whose_challenge_was_taken() -> Any:
    api = with_tokens(make_person("totp"))
    device, shown = begun(api.post("devices", {"kind": "fido2"}))
    assert code_of(confirm(api, device, {})) == (401, "wrong_answer")
    return confirm(api, device, right_answer(shown))


@refused("confirmDevice", "too_many_attempts")
def another_device_during_its_pause() -> Any:
    api = with_tokens(make_person("fido2"))
    device, shown = begun(api.post("devices", {"kind": "totp"}))
    paused(device)
    return confirm(api, device, right_answer(shown))


@refused("getDevice", "not_found")
def somebody_elses_device() -> Any:
    return with_tokens(make_person("totp")).get(f"devices/{make_person('totp').app.uuid}")


@refused("renameDevice", "step_up_needed")
def a_new_name_with_an_old_proof() -> Any:
    person = make_person("totp")
    return with_an_old_proof(person).call("PATCH", f"devices/{person.app.uuid}", {"name": "Mine"})


@refused("renameDevice", "not_found")
def a_new_name_for_somebody_elses_device() -> Any:
    return with_tokens(make_person("totp")).call("PATCH", f"devices/{make_person('totp').app.uuid}", {"name": "Mine"})


@refused("removeDevice", "step_up_needed")
def a_removal_with_an_old_proof() -> Any:
    person = make_person("totp", "fido2")
    return with_an_old_proof(person).call("DELETE", f"devices/{person.key.uuid}")


@refused("removeDevice", "not_found")
def a_removal_of_somebody_elses_device() -> Any:
    return with_tokens(make_person("totp")).call("DELETE", f"devices/{make_person('totp').app.uuid}")


@refused("removeDevice", "last_device")
def a_removal_of_the_last_device() -> Any:
    person = make_person("totp")
    return with_tokens(person).call("DELETE", f"devices/{person.app.uuid}")


@refused("loseDevice", "step_up_needed")
def a_loss_with_an_old_proof() -> Any:
    person = make_person("totp", "fido2")
    return with_an_old_proof(person).post(f"devices/{person.key.uuid}/lost")


@refused("loseDevice", "not_found")
def a_loss_of_somebody_elses_device() -> Any:
    return with_tokens(make_person("totp")).post(f"devices/{make_person('totp').app.uuid}/lost")


@refused("refreshToken", "invalid_request")
def a_refresh_without_a_token() -> Any:
    return send_form("token", {"grant_type": "refresh_token"})


@refused("refreshToken", "unsupported_grant_type")
def a_grant_that_is_not_there() -> Any:
    return send_form("token", {"grant_type": "password", "refresh_token": "mfr_unknown"})


@refused("refreshToken", "invalid_client")
def a_refresh_by_an_unknown_client() -> Any:
    return refresh("mfr_unknown", client_id="somebody")


@refused("refreshToken", "invalid_scope")
def a_refresh_for_another_scope() -> Any:
    return refresh("mfr_unknown", scope="everything")


@refused("refreshToken", "invalid_grant")
def a_refresh_token_comes_back() -> Any:
    token = tokens_of(make_person("totp"))["refresh_token"]
    assert refresh(token).status_code == 200
    return refresh(token)


@refused("revokeToken", "invalid_request")
def a_revocation_of_nothing() -> Any:
    return send_form("revoke", {"client_id": "mfa-site"})


# ---- the file by itself --------------------------------------------------------------------------------------------


def test_the_file_is_valid_openapi_3_1() -> None:
    assert FILE["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(FILE).validate()


def test_the_file_names_no_other_host_than_localhost() -> None:
    assert FILE["servers"] == [{"url": "http://localhost:8000"}]
    assert set(re.findall(r"https?://[^\s/]+(?:/\S*)?", TEXT)) == {"http://localhost:8000"}


def test_every_component_of_the_file_is_used() -> None:
    required = {name for operation in OPERATIONS for way in operation.node["security"] for name in way}
    assert required == set(FILE["components"]["securitySchemes"])
    for kind in ("parameters", "headers", "responses", "schemas"):
        unused = {name for name in FILE["components"][kind] if f'"#/components/{kind}/{name}"' not in TEXT}
        assert unused == ({"MethodNotAllowed"} if kind == "responses" else set()), "no operation has it, the text names it"


def test_answers_always_have_all_of_their_fields() -> None:
    answers = [node for node in nodes(FILE) if is_answer(node)]
    assert len(answers) > 10
    for answer in answers:
        assert set(answer["required"]) == set(answer["properties"])


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of the file."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, (dict, list)):
        for part in node.values() if isinstance(node, dict) else node:
            yield from nodes(part)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_credentials_are_described_in_one_way(operation: Operation) -> None:
    csrf: dict[str, list[str]] = {"csrf": []} if operation in WITH_CSRF else {}
    signed_in, anybody = [{"bearer": []}, {"session": [], **csrf}], [{}, csrf] if csrf else []
    assert operation.node["security"] == (signed_in if operation in FOR_SIGNED_IN else anybody)


def test_the_problem_codes_are_those_of_the_service() -> None:
    assert set(FILE["components"]["schemas"]["ProblemCode"]["enum"]) == {reason.code for reason in Reason}


@pytest.mark.parametrize("operation", WITH_JSON, ids=str)
def test_a_json_body_is_closed_and_its_example_fits(operation: Operation) -> None:
    assert operation.body["schema"]["additionalProperties"] is False
    assert operation.node["requestBody"]["required"] is True
    assert fits(operation.body["schema"], operation.body["example"])


def fits(schema: dict[str, Any], value: Any) -> bool:
    """Whether the value fits this schema of the file."""
    whole = {**schema, "components": FILE["components"]}
    return bool(OAS31Validator(whole, format_checker=oas31_format_checker).is_valid(value))


# ---- addresses and methods -----------------------------------------------------------------------------------------


def routes(resolver: URLResolver, before: str = "/") -> Iterator[str]:
    """Every route below the resolver, as Django writes it."""
    for pattern in resolver.url_patterns:
        route = f"{before}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, route)
        else:
            yield route


def methods(path: str) -> set[str]:
    """The methods that the service knows at this path, by its own words; a view that takes any is read."""
    response = Client(HTTP_HOST=HOST).generic("PROBE", re.sub(r"\{\w+\}", str(uuid4()), path))
    if response.status_code != 405:
        assert response.status_code == 200, f"{path} neither refuses an unknown method nor answers it"
        return {"GET"}
    return set(response["Allow"].split(", ")) - {"HEAD", "OPTIONS"}


def test_every_address_and_method_of_the_service_is_in_the_file_and_the_other_way_round() -> None:
    paths = [re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route) for route in routes(get_resolver())]
    served = {path: methods(path) for path in paths if path.startswith(PREFIXES)}
    documented = {path: {operation.method for operation in OPERATIONS if operation.path == path} for path in FILE["paths"]}
    assert len(served) > 10
    assert served == documented


def test_an_unknown_method_and_an_unknown_address_are_problems_as_described() -> None:
    for response, name in [
        (Client(HTTP_HOST=HOST).put("/api/v1/me"), "MethodNotAllowed"),
        (Client(HTTP_HOST=HOST).get("/api/v1/nothing"), "NotFound"),
    ]:
        described = FILE["components"]["responses"][name]
        assert response["Content-Type"] == PROBLEM
        assert fits(described["content"][PROBLEM]["schema"], response.json())
        for header in described["headers"]:
            assert response[header]


# ---- calls ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_every_operation_succeeds_as_described(operation: Operation) -> None:
    exercised = {(operation_of(answer).id, answer.status_code) for answer in (act() for act in SUCCESSES[operation.id])}
    assert exercised == {(operation.id, status) for status in operation.successes}


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        pytest.param(operation, code, id=f"{operation}-{code}")
        for operation in OPERATIONS
        for code in sorted(operation.codes - FAULTS - ANY_CALL)
        if (operation.id, code) not in RACES
    ],
)
def test_every_refusal_in_the_file_comes_from_the_service(operation: Operation, code: str) -> None:
    response = REFUSALS[operation.id, code]()
    assert (operation_of(response).id, error_of(response)) == (operation.id, code)


def test_no_scenario_is_without_its_place_in_the_file() -> None:
    promised = {(operation.id, code) for operation in OPERATIONS for code in operation.codes}
    assert set(REFUSALS) <= promised
    assert promised >= RACES


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
@pytest.mark.parametrize(
    ("status", "length", "body"), [(413, str(64 * 1024 + 1), b"x" * (64 * 1024 + 1)), (400, "many", b"")], ids=["413", "400"]
)
def test_any_call_can_be_too_large_or_malformed(operation: Operation, status: int, length: str, body: bytes) -> None:
    arguments: dict[str, Any] = {"CONTENT_LENGTH": length}
    response = Client(HTTP_HOST=HOST).generic(operation.method, operation.url, body, JSON, **arguments)
    assert response.status_code == status
    check_answer(response)


@pytest.mark.parametrize("operation", FOR_SIGNED_IN, ids=str)
@pytest.mark.parametrize("bearer", ["", "not.a.token"], ids=["without", "false"])
def test_calls_of_signed_in_people_need_credentials(operation: Operation, bearer: str) -> None:
    response = call(visitor(bearer), operation, operation.body.get("example"))
    assert code_of(response) == (401, "not_signed_in")
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if operation.for_administrators], ids=str)
@pytest.mark.parametrize("staff", [False, True])
def test_calls_for_administrators_are_for_nobody_else(operation: Operation, staff: bool) -> None:
    response = call(with_tokens(make_person("totp", is_staff=staff)), operation, operation.body.get("example"))
    assert code_of(response) == (403, "not_permitted")


@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if operation not in FOR_SIGNED_IN], ids=str)
def test_all_other_calls_need_none(operation: Operation) -> None:
    assert error_of(call(visitor(), operation, operation.body.get("example"))) not in {"not_signed_in", "csrf_failed"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_unsafe_calls_of_the_api_with_the_cookie_need_the_csrf_header_and_no_others_do(operation: Operation) -> None:
    api = with_session(make_person("totp"))
    api.csrf = ""
    response = call(api, operation, operation.body.get("example"))
    assert (error_of(response) == "csrf_failed") is (operation in WITH_CSRF)


@pytest.mark.parametrize("operation", WITH_JSON, ids=str)
def test_another_media_type_is_refused(operation: Operation) -> None:
    api = client_for(operation)
    response = call(api, operation, json.dumps(operation.body["example"]), media_type="text/plain")
    assert code_of(response) == (415, "unsupported_media_type")


@pytest.mark.parametrize("operation", WITH_JSON, ids=str)
def test_bodies_are_refused_exactly_where_the_schema_refuses_them(operation: Operation) -> None:
    """`CheckedClient` compares; here are the bodies for it."""
    api, example = client_for(operation), operation.body["example"]
    answers = [call(api, operation, body) for body in (example, *spoilt(example), [], "text", "{", None)]
    assert {"malformed", "unknown_field"} <= {error_of(answer) for answer in answers}


@pytest.mark.parametrize("path", ["devices", "sign-ins/enrol"])
def test_claims_are_refused_for_their_shape_exactly_where_the_schema_refuses_them(path: str) -> None:
    operation = next(one for one in WITH_JSON if one.path == f"/api/v1/{path}")
    api, handle = newcomer() if path == "sign-ins/enrol" else (with_tokens(make_person("totp")), "")
    example = {"kind": "hotp", "serial": "NO-SUCH", "answers": WRONG} | (
        {"sign_in": handle, "grant": "token"} if handle else {}
    )
    changed: list[dict[str, Any]] = [{"kind": kind} for kind in ("totp", "yubiotp", "fido2", "sms", "recovery", "temporary")]
    changed += [
        {"answers": [1, 2]},
        {"answers": []},
        {"answers": ["1", "2", "3"]},
        {"address": "+4915112345678"},
        {"name": "x"},
    ]
    answers = [call(api, operation, body) for body in (example, *spoilt(example), *({**example, **one} for one in changed))]
    assert {(401, "wrong_answer"), (400, "malformed"), (400, "unknown_field")} <= {
        code_of(answer) for answer in answers if answer.status_code >= 400
    }


@pytest.mark.parametrize("path", ["devices", "sign-ins/enrol"])
def test_an_address_is_for_codes_that_are_sent_and_for_nothing_else(path: str) -> None:
    for body in (
        {"kind": "sms"},
        {"kind": "email"},
        {"kind": "totp", "address": "+4915112345678"},
        {"kind": "fido2", "address": ""},
    ):
        api, handle = newcomer() if path == "sign-ins/enrol" else (with_tokens(make_person("totp")), "")
        assert code_of(api.post(path, body | ({"sign_in": handle} if handle else {}))) == (400, "malformed")


def spoilt(example: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The body without each of its fields, with another type in each, and with one field more."""
    for name in example:
        yield {key: value for key, value in example.items() if key != name}
        for value in (None, True, 7, 7.5, [], ["text"]):
            yield {**example, name: value}
    yield {**example, "unheard_of": "text"}
    yield {}


def call(api: Api, operation: Operation, body: Any, media_type: str = "") -> Any:
    """The operation with this body, which is encoded as the operation wants it unless it is text already."""
    media_type = media_type or operation.media_type
    if body is None or isinstance(body, str):
        encoded = body or ""
    else:
        encoded = urlencode(body) if media_type == FORM else json.dumps(body)
    headers = {"Authorization": f"Bearer {api.bearer}"} if api.bearer else {}
    return api.client.generic(operation.method, operation.url, encoded, media_type, headers=headers)


def test_the_limits_of_single_fields_are_those_of_the_file() -> None:
    person = make_person("totp")
    api, device = with_tokens(person), f"devices/{person.app.uuid}"
    assert [api.call("PATCH", device, {"name": "n" * length}).status_code for length in (0, 1, 64, 65)] == [400, 200, 200, 400]
    assert [api.post("devices", {"kind": "totp", "name": "n" * length}).status_code for length in (0, 64, 65)] == [
        201,
        201,
        400,
    ]
    assert [api.post("devices", {"kind": kind}).status_code for kind in ("totp", "fido2", "sms", "")] == [201, 201, 400, 400]
    limits = ["0", "1", "100", "101", "-1", "1.5", "ten", ""]
    assert [api.get(f"devices?limit={limit}").status_code for limit in limits] == [400, 200, 200, 400, 400, 400, 400, 400]
    handle = api.start(person)
    assert [api.answer(handle, person.app, person.code(1), grant=grant).status_code for grant in ("cookie", "token")] == [
        400,
        200,
    ]
    assert [send_form("revoke", {"token": "t" * length}).status_code for length in (4096, 4097)] == [200, 400]
    assert [error_of(refresh("t" * length)) for length in (4096, 4097)] == ["invalid_grant", "invalid_request"]


def test_the_token_form_takes_the_grants_and_scopes_that_the_metadata_name() -> None:
    (form,) = (operation.body["schema"]["properties"] for operation in OPERATIONS if operation.id == "refreshToken")
    metadata = the_metadata_are_read().json()
    assert form["grant_type"]["enum"] == metadata["grant_types_supported"]
    assert form["scope"]["enum"] == metadata["scopes_supported"]


def test_a_code_that_was_not_sent_is_unavailable_as_described() -> None:
    api, person = visitor(), make_person("sms")
    handle, held = api.start(person), person.held["sms"]
    right = api.right(handle, held)
    Device.objects.update(unsent=F("sent"))
    for given in (right, "000000"):
        assert code_of(api.answer(handle, held.device, given)) == (503, "unavailable")


def test_a_secret_that_cannot_be_opened_is_unavailable_as_described() -> None:
    api, person = visitor(), make_person("totp")
    handle = api.start(person)
    Device.objects.update(secret="spoilt")
    assert code_of(api.answer(handle, person.app, person.code())) == (503, "unavailable")
    assert the_keys_are_read().status_code == 200
    SigningKey.objects.update(private="spoilt")
    signing.forget()
    assert code_of(the_keys_are_read()) == (503, "unavailable")
