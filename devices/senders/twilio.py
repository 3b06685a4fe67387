"""Twilio's messages API, or one that speaks it: `twilio://SID:TOKEN@api.twilio.com/?from=+1…` (or `messaging_service=MG…`)."""

from urllib.parse import SplitResult, parse_qs, quote, urlencode

from devices.senders import http

LOCAL = ("localhost", "127.0.0.1", "::1")


def send(url: SplitResult, address: str, text: str, ref: str) -> None:
    """The gateway has taken the message. Its API has no room for `ref`."""
    # A plus sign in a query means a space: a number is written with it all the same.
    query = {name: values[0].strip() for name, values in parse_qs(url.query.replace("+", "%2B")).items()}
    sender = {"From": query["from"]} if "from" in query else {"MessagingServiceSid": query["messaging_service"]}
    scheme = "http" if url.hostname in LOCAL else "https"
    to = f"{scheme}://{http.host(url)}/2010-04-01/Accounts/{quote(url.username or '', safe='')}/Messages.json"
    body = urlencode({"To": address, "Body": text, **sender}).encode()
    http.post(to, body, {"Content-Type": "application/x-www-form-urlencoded", **http.authorization(url)})
