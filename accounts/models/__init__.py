"""Who is signing in, every ceremony in progress, the sessions of browsers, what was mailed, and how many have what."""

from accounts.models.browser_session import BrowserSession
from accounts.models.count import Count
from accounts.models.notice import Notice
from accounts.models.password_reset import PasswordReset
from accounts.models.sign_in import SignIn
from accounts.models.user import User, normalised

__all__ = ["BrowserSession", "Count", "Notice", "PasswordReset", "SignIn", "User", "normalised"]
