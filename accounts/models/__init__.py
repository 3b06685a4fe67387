"""Who is signing in, every ceremony in progress, the sessions of browsers, and what was mailed."""

from accounts.models.browser_session import BrowserSession
from accounts.models.invitation import Invitation
from accounts.models.notice import Notice
from accounts.models.password_reset import PasswordReset
from accounts.models.sign_in import SignIn
from accounts.models.user import User, normalised

__all__ = ["BrowserSession", "Invitation", "Notice", "PasswordReset", "SignIn", "User", "normalised"]
