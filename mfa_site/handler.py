"""Django's request handler, with one thing done differently."""

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest


class Utf8Request(WSGIRequest):
    """A request whose text is UTF-8 whatever `charset` it names: Django would decode it with any codec of Python."""

    def _set_content_type_params(self, meta: dict[str, str]) -> None:
        bare = meta.get("CONTENT_TYPE", "").partition(";")[0]
        super()._set_content_type_params({"CONTENT_TYPE": bare})  # type: ignore[misc]  # not in the stubs


class Application(WSGIHandler):
    """Django's handler with our request."""

    request_class = Utf8Request
