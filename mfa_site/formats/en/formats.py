"""Dates in English: one form for pages, mails and the administration; a moment says its time zone."""

DATE_FORMAT = "j F Y"
TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j F Y, H:i e"
