"""The WSGI application: `granian --interface wsgi mfa_site.wsgi:application`."""

import os

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mfa_site.settings")


class Utf8Request(WSGIRequest):
    """A request whose text is UTF-8 whatever `charset` it names: Django would decode it with any codec of Python."""

    def _set_content_type_params(self, meta: dict[str, str]) -> None:
        bare = meta.get("CONTENT_TYPE", "").partition(";")[0]
        super()._set_content_type_params({"CONTENT_TYPE": bare})  # type: ignore[misc]  # not in the stubs


class Application(WSGIHandler):
    """Django's handler with our request."""

    request_class = Utf8Request


django.setup(set_prefix=False)
application = Application()
