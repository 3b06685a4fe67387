"""Who is signing in, every ceremony in progress, and the sessions of browsers."""

from accounts.models.browser_session import BrowserSession
from accounts.models.sign_in import SignIn
from accounts.models.user import User, normalised

__all__ = ["BrowserSession", "SignIn", "User", "normalised"]
