"""Mails that SNS would have sent, kept as text files and listed under `/_local/mails`."""

from __future__ import annotations

import itertools
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

_DEFAULT_SUBJECT = "AWS Notification Message"


@dataclass(frozen=True)
class Mail:
    """One publish to a topic, as its e-mail subscribers see it."""

    number: int
    path: str
    topic: str
    to: tuple[str, ...]
    subject: str
    date: str
    message_id: str
    text: str


class Mailbox:
    """Writes each mail to `<folder>/<nnnn>-<topic>.txt`; a new mailbox goes on counting where the folder ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        last = max((int(file.name[:4]) for file in folder.glob("[0-9][0-9][0-9][0-9]-*.txt")), default=0)
        self._numbers = itertools.count(last + 1)
        self._mails: list[Mail] = []

    def add(self, topic_arn: str, to: tuple[str, ...], subject: str | None, text: str, message_id: str) -> Mail:
        """Keep a mail and return it."""
        with self._lock:
            number = next(self._numbers)
            file = self._folder / f"{number:04d}-{topic_arn.rsplit(':', 1)[-1]}.txt"
            date = format_datetime(datetime.now(UTC))
            mail = Mail(number, str(file), topic_arn, to, subject or _DEFAULT_SUBJECT, date, message_id, text)
            headers = {
                "From": "AWS Notifications <no-reply@sns.amazonaws.com>",
                "To": ", ".join(to) or "(nobody is subscribed by e-mail)",
                "Subject": mail.subject,
                "Date": date,
                "Message-ID": message_id,
                "X-SNS-Topic": topic_arn,
            }
            self._folder.mkdir(parents=True, exist_ok=True)
            head = "".join(f"{name}: {value}\n" for name, value in headers.items())
            file.write_text(f"{head}\n{text.rstrip()}\n", encoding="utf-8")
            self._mails.append(mail)
            return mail

    def mails(self) -> list[dict[str, Any]]:
        """Return the mails of this mailbox, oldest first."""
        with self._lock:
            return [asdict(mail) for mail in self._mails]
