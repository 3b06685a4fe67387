"""Addresses of sign-in, one's own pages, the API and the OAuth endpoints."""

from django.urls import include, path
from django.views.generic import RedirectView

from accounts import oauth
from accounts.api import own, sessions, sign_ins, step_ups
from accounts.models import SignIn
from accounts.views import (
    account,
    activity,
    confirm,
    demo,
    forgotten,
    hardware,
    invitation,
    password,
    recovery_codes,
    sign_in,
    temporary_code,
    try_out,
)
from accounts.views import sessions as sessions_page
from mfa_site.api import resource

STEP_UP = {"purpose": SignIn.Purpose.STEP_UP}  # the same pages below /confirm/

api = [
    path("sign-ins", resource(POST=sign_ins.start)),
    path("sign-ins/challenge", resource(POST=sign_ins.challenge)),
    path("sign-ins/answer", resource(POST=sign_ins.answer)),
    path("sign-ins/enrol", resource(POST=sign_ins.enrol)),
    path("sign-ins/enrol/confirm", resource(POST=sign_ins.confirm)),
    path("sign-ins/cancel", resource(POST=sign_ins.cancel)),
    path("step-ups", resource(POST=step_ups.start)),
    path("me", resource(GET=own.me)),
    path("devices", resource(GET=own.devices, POST=own.begin)),
    path("devices/<uuid:uuid>", resource(GET=own.one, PATCH=own.rename, DELETE=own.remove)),
    path("devices/<uuid:uuid>/confirm", resource(POST=own.confirm)),
    path("devices/<uuid:uuid>/resync", resource(POST=own.resync)),
    path("devices/<uuid:uuid>/lost", resource(POST=own.lose)),
    path("recovery-codes", resource(POST=own.recovery_codes)),
    path("sessions", resource(GET=sessions.sessions, DELETE=sessions.end_others)),
    path("sessions/<uuid:uuid>", resource(DELETE=sessions.end)),
]

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="account"), name="home"),
    path("sign-in/", sign_in.start, name="sign-in"),
    path("sign-in/<uuid:uuid>/", sign_in.second_step, name="second-step"),
    path("sign-in/<uuid:uuid>/methods/", sign_in.methods, name="methods"),
    path("sign-in/<uuid:uuid>/cancel/", sign_in.cancel, name="cancel"),
    path("sign-in/<uuid:uuid>/enrol/", sign_in.enrol_choice, name="first-device"),
    path("sign-in/<uuid:uuid>/enrol/serial/", hardware.first, name="first-device-serial"),
    path("sign-in/<uuid:uuid>/enrol/<str:kind>/", sign_in.enrol, name="first-device-kind"),
    path("sign-in/<uuid:uuid>/<uuid:device>/", sign_in.answer, name="answer"),
    path("confirm/", confirm.start, name="confirm"),
    path("confirm/<uuid:uuid>/", sign_in.second_step, STEP_UP, name="confirm-second-step"),
    path("confirm/<uuid:uuid>/methods/", sign_in.methods, STEP_UP, name="confirm-methods"),
    path("confirm/<uuid:uuid>/cancel/", sign_in.cancel, STEP_UP, name="confirm-cancel"),
    path("confirm/<uuid:uuid>/<uuid:device>/", sign_in.answer, STEP_UP, name="confirm-answer"),
    path("sign-out/", account.sign_out, name="sign-out"),
    path("password/forgotten/", forgotten.ask, name="password-forgotten"),
    path("password/reset/", forgotten.choose, name="password-reset"),
    path("password/reset/<str:code>/", forgotten.choose, name="password-reset"),
    path("enrol/", invitation.enter, name="invitation-code"),
    path("enrol/password/", invitation.password, name="invitation-password"),
    path("enrol/<str:code>/", invitation.enter, name="invitation"),
    path("account/", account.home, name="account"),
    path("account/devices/", account.devices, name="devices"),
    path("account/devices/add/", account.add_choice, name="add-device"),
    path("account/devices/add/serial/", hardware.add, name="add-device-serial"),
    path("account/devices/add/<str:kind>/", account.add, name="add-device-kind"),
    path("account/devices/<uuid:uuid>/", account.device, name="device"),
    path("account/devices/<uuid:device>/test/", try_out.start, name="test-device"),
    path("account/devices/<uuid:device>/test/<uuid:uuid>/", try_out.answer, name="test"),
    path("account/recovery-codes/", recovery_codes.page, name="recovery-codes"),
    path("account/recovery-codes/file/", recovery_codes.file, name="recovery-codes-file"),
    path("account/recovery-codes/used/", recovery_codes.used, name="recovery-code-used"),
    path("account/temporary-code-used/", temporary_code.used, name="temporary-code-used"),
    path("account/sessions/", sessions_page.sessions, name="sessions"),
    path("account/activity/", activity.page, name="activity"),
    path("account/password/", password.password, name="password"),
    path("demo/", demo.codes, name="demo"),
    path("api/v1/", include(api)),
    path("oauth2/token", resource(POST=oauth.token, cookie=False)),
    path("oauth2/revoke", resource(POST=oauth.revoke, cookie=False)),
    path(".well-known/change-password", resource(GET=password.well_known)),
    path(".well-known/jwks.json", resource(GET=oauth.jwks)),
    path(".well-known/oauth-authorization-server", resource(GET=oauth.metadata)),
]
