"""`manage.py enrol_key`: somebody's security key, plugged into this machine, enrolled at a service elsewhere.

A client of the API for administrators, which signs in like any of them; `manage.py` gives it settings without database and
keyring. What is asked is typed at the terminal, or comes line by line from standard input.
"""

import getpass
import json
import sys
import time
from argparse import RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from desk import plugged_in
from desk.key_troubles import KeyTrouble
from desk.plugged_in import Find, Person
from desk.remote import Answered, BadAddress, Failed, Service, origin_of

RETRY = ("wrong_answer", "answer_used", "no_challenge")  # another answer of the same device may do
STALE = ("step_up_needed", "not_signed_in")
FRESH = 240  # seconds; a proof lives five minutes, and a key takes its time
FAILED, USAGE, PARTLY = 1, 2, 3


class Command(BaseCommand):
    """`find` gives the keys that are plugged in."""

    help = (
        "Enrol a security key for somebody: the key is in this machine, the service elsewhere.\n"
        "Example: manage.py enrol_key bob --server https://login.example.org --as ada"
    )
    requires_system_checks = ()

    def __init__(self, *args: Any, find: Find = plugged_in.find, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.find, self.proved_at, self.own_key_is_in = find, 0.0, False
        self.enrolled: list[dict[str, Any]] = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("person", help="username or mail address of who will carry the key")
        parser.add_argument("--server", required=True, metavar="URL", help="where people sign in, as https://login.example.org")
        parser.add_argument("--as", dest="administrator", default="", metavar="USERNAME", help="who you are (asked)")
        parser.add_argument("--password-file", metavar="FILE", help="your password; - for standard input (asked)")
        parser.add_argument("--name", default="", help="what the key is called (its model)")
        parser.add_argument("--no-pin", action="store_true", help="neither set nor ask for the PIN of the key")
        parser.add_argument(
            "--attestation", choices=("direct", "none"), default="direct", help="whether the service learns the model (direct)"
        )
        parser.add_argument(
            "--wait", type=float, default=plugged_in.PATIENCE, metavar="SECONDS", help="for the key, and for a touch (120)"
        )
        parser.add_argument("--json", action="store_true", help="print the person and the keys as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        self.options, self.enrolled = options, []
        try:
            self.service = Service(origin_of(options["server"]))
        except BadAddress as bad:
            raise CommandError(str(bad), returncode=USAGE) from None
        person: dict[str, Any] = {}
        try:
            self.sign_in()
            person = self.service.person(options["person"])
            failed = self.enrol_keys(person)
        except Failed as why:
            failed = why
        except (KeyError, TypeError, ValueError) as error:
            failed = Failed(f"The service answers otherwise than this program knows ({type(error).__name__}).")
        finally:
            self.sign_out()
        self.report(person, failed)

    def report(self, person: dict[str, Any], failed: Failed | None) -> None:
        """What was enrolled, and how the command ends."""
        if self.options["json"] and person:
            who = {name: person[name] for name in ("uuid", "username")}
            self.stdout.write(json.dumps({"person": who, "keys": self.enrolled}))
        if failed is not None:
            raise CommandError(str(failed), returncode=PARTLY if self.enrolled else FAILED)

    # ---- who asks --------------------------------------------------------------------------------------------------

    def sign_in(self) -> None:
        """The administrator is signed in, by password and a second factor."""
        username = self.options["administrator"] or self.ask("Your username: ")
        self.prove(self.service.start(username, self.password()))

    def password(self) -> str:
        """From the file, or asked for."""
        path = self.options["password_file"]
        if not path or path == "-":
            return self.ask("Your password: ", secret=True)
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise Failed(f"{path} cannot be read ({type(error).__name__}).") from None

    def prove(self, ceremony: dict[str, Any]) -> None:
        """The second factor passed."""
        device = self.second_factor(ceremony)
        while True:
            try:
                self.service.answer(ceremony["sign_in"], device, self.answer_of(ceremony["sign_in"], device))
                self.proved_at = time.monotonic()
                return
            except Answered as refused:
                if refused.code not in RETRY:
                    raise
                self.say("That was not right. Try again.")

    def second_factor(self, ceremony: dict[str, Any]) -> dict[str, Any]:
        """The device to answer with: the only one, or the one that is chosen."""
        usable: list[dict[str, Any]] = [row for row in ceremony["devices"] if row["usable"]]
        if not usable:
            raise Failed("None of your devices can answer now. Sign in with a browser first.")
        if len(usable) == 1:
            return usable[0]
        for number, row in enumerate(usable, 1):
            self.say(f"{number}  {row['name']} ({row['kind']})")
        while True:
            chosen = self.ask("Second factor, by its number: ").strip()
            if chosen in map(str, range(1, len(usable) + 1)):
                return usable[int(chosen) - 1]

    def answer_of(self, sign_in: str, device: dict[str, Any]) -> Any:
        """The code that is typed, or what the administrator's own key says."""
        if device["kind"] == "fido2":
            self.say(f"Your own key, “{device['name']}”, for yourself:")
            options = self.service.challenge(sign_in, device)["public_key"]
            with plugged_in.chosen(self.find, self.say, self.options["wait"]) as key:
                you = Person("you", self.say, self.ask_secret, self.options["wait"])
                self.own_key_is_in = True
                return plugged_in.answer(key, self.service.origin, options, you)
        if device["kind"] in ("sms", "email"):
            self.say(f"A code went to {self.service.challenge(sign_in, device)['sent_to']}.")
        return self.ask(f"Code of “{device['name']}”: ", secret=True)

    def sign_out(self) -> None:
        """As far as the service can be reached."""
        try:
            self.service.sign_out()
        except Failed as failed:
            self.say(f"You could not be signed out, so it ends by itself in a while: {failed}")

    # ---- for whom --------------------------------------------------------------------------------------------------

    def enrol_keys(self, person: dict[str, Any]) -> Failed | None:
        """One key after the other, as long as there is another one; why the last one was not enrolled, if it was not."""
        whose = f"{person['name']} ({person['username']})" if person["name"] else person["username"]
        while True:
            self.say(f"\n*** You are enrolling a key for {whose}. ***\n")
            failed: Failed | None = None
            try:
                row = self.enrol(person, whose)
                self.enrolled.append(row)
                self.say(f"“{row['name']}” is registered for {whose}.")
                if len(self.enrolled) == 1:
                    self.say("A second key in a safe place opens the account when the first is lost.")
            except KeyTrouble as trouble:
                failed = trouble
                self.say(str(trouble))
            if not self.wants_more(whose, again=failed is not None):
                return failed

    def enrol(self, person: dict[str, Any], whose: str) -> dict[str, Any]:
        """The key in this machine is the person's; its device."""
        begun: dict[str, Any] = {}
        if time.monotonic() - self.proved_at > FRESH:  # before the key is plugged in, for the administrator's may have to be
            self.prove_again()
        if self.own_key_is_in:  # or the person would be given the administrator's key
            self.ask(f"Take your own key out, plug in the one for {whose}, and press Enter. ")
            self.own_key_is_in = False

        def options() -> dict[str, Any]:
            begun.update(self.fresh(lambda: self.service.begin_key(person, self.options["name"])))
            return dict(begun["public_key"])

        with plugged_in.chosen(self.find, self.say, self.options["wait"]) as key:
            who = Person(whose, self.say, self.ask_secret, self.options["wait"])
            how = {"with_pin": not self.options["no_pin"], "attestation": self.options["attestation"]}
            answer = plugged_in.register(key, self.service.origin, options, who, **how)
        # A proof that grew too old just now is confirmed without losing what the key said: nothing was judged yet.
        try:
            confirmed: dict[str, Any] = self.fresh(lambda: self.service.confirm_key(person, begun["device"], answer))
        except Answered as refused:
            if refused.code != "wrong_answer":
                raise
            here = self.service.origin
            raise KeyTrouble(f"The service does not accept this key. Is {here} the address at which people sign in?") from None
        return confirmed

    def fresh(self, call: Any) -> Any:
        """What the call answers; after a while the administrator confirms that it is still them."""
        try:
            return call()
        except Answered as refused:
            if refused.code not in STALE:
                raise
        self.prove_again()
        return call()

    def prove_again(self) -> None:
        """The proof is fresh once more."""
        self.say("Your sign-in is some minutes old: confirm that it is you.")
        self.prove(self.service.step_up())

    def wants_more(self, whose: str, *, again: bool) -> bool:
        """Whether there is another key, or another try; where nobody can say, there is none."""
        question = "Try again? [y/N] " if again else f"Another key for {whose}? Plug it in and say y. [y/N] "
        try:
            return self.ask(question).strip().lower() in ("y", "yes")
        except Failed:
            return False

    # ---- terminal --------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """To whoever sits there, nothing but printable characters; standard output is for the result."""
        self.stderr.write("".join(c if c.isprintable() or c == "\n" else " " for c in text), style_func=str)

    def ask_secret(self, question: str) -> str:
        return self.ask(question, secret=True)

    def ask(self, question: str, *, secret: bool = False) -> str:
        """What is typed; a secret is not shown. Without a terminal the next line of standard input; Failed at its end."""
        try:
            if sys.stdin.isatty():
                if secret:
                    return getpass.getpass(question)
                self.stderr.write(question, style_func=str, ending="")
                self.stderr.flush()
            else:
                self.say(question)
            line = sys.stdin.readline()
        except (EOFError, KeyboardInterrupt):
            line = ""
        if not line:
            raise Failed(f"Nothing was typed for “{question.strip().rstrip(':')}”.")
        return line.rstrip("\r\n")
