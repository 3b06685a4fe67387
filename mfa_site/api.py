"""The JSON kit: one object in, types checked exactly; one object or one problem (RFC 9457) out."""

import functools
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.middleware.csrf import CsrfViewMiddleware

from mfa_site.errors import Reason, Refused
from mfa_site.proof import ACR, proof_of

Shape = dict[str, type | tuple[type, ...]]
SAFE = ("GET", "HEAD", "OPTIONS")
MAX_DEPTH = 16  # the deepest thing a client sends, an assertion with extensions, has 5 levels


def resource(
    *, cookie: bool = True, first: Callable[[HttpRequest], object] | None = None, **methods: Callable[..., HttpResponse]
) -> Callable[..., HttpResponse]:
    """A view of the methods given by name; others get 405 with `Allow`. Every Refused becomes a problem.

    An unsafe call that stands on the session cookie needs the CSRF header; one with a bearer needs none, nor does
    one to which a cookie means nothing (`cookie=False`). `first` is asked before anything of the body is read, or Refused.
    """

    @functools.wraps(next(iter(methods.values())))
    def view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        handler = methods.get("GET" if request.method == "HEAD" else request.method or "")
        try:
            if handler is None:
                raise Refused(Reason.METHOD_NOT_ALLOWED)
            if first is not None:
                first(request)
            if cookie and request.method not in SAFE and by_session(request):
                require_csrf(request)
            return handler(request, *args, **kwargs)
        except Refused as refused:
            response = problem(request, refused)
            if refused.reason is Reason.METHOD_NOT_ALLOWED:
                response["Allow"] = ", ".join(methods)
            return response

    view.csrf_exempt = True  # type: ignore[attr-defined]  # Django's mark: checked above, where a cookie counts
    view.methods = tuple(methods)  # type: ignore[attr-defined]
    return view


def by_session(request: HttpRequest) -> bool:
    """Whether the caller is known by the cookie."""
    proof = proof_of(request)
    return proof is not None and proof.by == "session"


class _Csrf(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def require_csrf(request: HttpRequest) -> None:
    """The call carries the CSRF cookie's value in X-CSRFToken, from our origin; else Refused CSRF_FAILED."""
    check = _Csrf(lambda request: HttpResponse())
    check.process_request(request)
    if check.process_view(request, lambda request: HttpResponse(), (), {}):
        raise Refused(Reason.CSRF_FAILED)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _clean(value: Any, depth: int = 0) -> None:
    """No NUL and no lone surrogate in any string, and no deeper than MAX_DEPTH."""
    if depth > MAX_DEPTH:
        raise ValueError("too deep")
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("NUL")
        value.encode()
    elif isinstance(value, dict):
        for key, part in value.items():
            _clean(key, depth + 1)
            _clean(part, depth + 1)
    elif isinstance(value, list):
        for part in value:
            _clean(part, depth + 1)


def load(text: bytes | str) -> Any:
    """Strict JSON in UTF-8: no duplicate keys, no NaN, no NUL, no depth beyond MAX_DEPTH; ValueError otherwise."""
    try:
        text = text.decode() if isinstance(text, bytes) else text
        value = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
        _clean(value)
    except (RecursionError, UnicodeError) as error:
        raise ValueError("unreadable") from error
    return value


def body(request: HttpRequest, shape: Shape) -> dict[str, Any]:
    """The request's JSON object in this shape: `{"name": str, "grant?": str}`, a `?` for what may be left out.

    Types match exactly (a bool is no int). Refused: UNSUPPORTED_MEDIA_TYPE, TOO_LARGE, MALFORMED, UNKNOWN_FIELD.
    """
    if request.content_type != "application/json":
        raise Refused(Reason.UNSUPPORTED_MEDIA_TYPE)
    try:
        given = load(request.body)
    except (ValueError, UnreadablePostError):
        raise Refused(Reason.MALFORMED) from None
    if type(given) is not dict:
        raise Refused(Reason.MALFORMED)
    wanted = {name.rstrip("?"): types if isinstance(types, tuple) else (types,) for name, types in shape.items()}
    if given.keys() - wanted.keys():
        raise Refused(Reason.UNKNOWN_FIELD, detail=f"This call takes {', '.join(wanted) or 'no fields'}.")
    for name in shape:
        if not name.endswith("?") and name not in given:
            raise Refused(Reason.MALFORMED, detail=f"{name} is missing.")
    for name, value in given.items():
        if type(value) not in wanted[name]:
            raise Refused(Reason.MALFORMED, detail=f"{name} has the wrong type.")
    return given


def answer(data: dict[str, Any], status: int = 200) -> JsonResponse:
    """The object as JSON; like everything that says nothing else, no cache stores it (`middleware.frame`)."""
    return JsonResponse(data, status=status)


def empty() -> HttpResponse:
    """204."""
    response = HttpResponse(status=204)
    del response["Content-Type"]
    return response


def problem(request: HttpRequest, refused: Refused) -> JsonResponse:
    """The refusal as `application/problem+json`, with the headers its status asks for, and what its facts have as `more`."""
    reason = refused.reason
    title = HTTPStatus(reason.status).phrase
    response = JsonResponse(
        {
            "type": "about:blank",
            "title": title,
            "status": reason.status,
            "detail": refused.facts.get("detail", NOT_SENT if reason is Reason.NOT_SENT else DETAILS[reason.code]),
            "code": reason.code,
            "request_id": request.META.get("mfa_site.request_id", ""),
            **refused.facts.get("more", {}),
        },
        status=reason.status,
        content_type="application/problem+json",
    )
    if refused.retry_after is not None:
        response["Retry-After"] = str(max(1, refused.retry_after))
    if reason is Reason.NOT_SIGNED_IN:
        presented = request.headers.get("Authorization", "")
        response["WWW-Authenticate"] = 'Bearer error="invalid_token"' if presented else "Bearer"
    if reason is Reason.STEP_UP_NEEDED:
        response["WWW-Authenticate"] = step_up_challenge(**refused.facts)
    return response


def step_up_challenge(acr: str | None, max_age: int | None) -> str:
    """RFC 9470 3: each strength that would do, weakest first, and the age in seconds."""
    asked = ['Bearer error="insufficient_user_authentication"']
    if acr is not None:
        asked.append(f'acr_values="{" ".join(ACR[ACR.index(acr) :])}"')
    if max_age is not None:
        asked.append(f"max_age={max_age}")
    return ", ".join(asked)


NOT_SENT = "The code could not be sent. Ask for another challenge, or use another device."
# For developers who read a log; the code is what programs go by.
DETAILS = {
    "malformed": "The request is not what this call takes: see the body, the query and the headers.",
    "unknown_field": "The body has a field that this call does not know.",
    "not_signed_in": "No valid session or access token came with the call.",
    "bad_credentials": "The name and password do not go together.",
    "wrong_answer": "The answer is not right.",
    "answer_used": "The answer was right, but it was used already.",
    "sign_in_over": "The sign-in is finished, refused, expired or unknown. Start again.",
    "step_up_needed": "The proof is too old or too weak for this. Prove a factor again.",
    "csrf_failed": "The CSRF header is missing or does not match the cookie.",
    "not_permitted": "This person may not do that.",
    "not_found": "There is no such thing here.",
    "method_not_allowed": "This path does not take that method; Allow names those it takes.",
    "too_large": "The body is too large.",
    "unsupported_media_type": "The body has to be application/json, or multipart/form-data for files.",
    "device_not_usable": "This device cannot be used now.",
    "last_device": "The last device cannot be removed.",
    "wrong_state": "That is not possible in this state.",
    "approval_needed": "Another administrator has to approve that; they were asked. Repeat the call afterwards.",
    "no_challenge": "Ask for a challenge first; each can be answered once.",
    "refused_rows": "Rows of the file, or all of it, are refused; nothing was kept.",
    "too_many_attempts": "Too many tries. Wait as long as Retry-After says.",
    "internal_error": "The service made a mistake. The request id finds it in the log.",
    "unavailable": "Something that is needed is away. Nothing was changed.",
}
