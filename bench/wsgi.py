"""The service with the bench's addresses."""

from mfa_site.wsgi import application

__all__ = ["application"]
