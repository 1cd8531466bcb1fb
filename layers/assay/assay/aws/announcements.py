"""What `start_evaluation` tells the world: events on the bus, and a mail about what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.aws.audiences import Audiences
from assay.aws.bus import Bus
from assay.aws.mail import Mailer
from assay.contracts.errors import RejectedError
from assay.contracts.events import Detail
from assay.report.mail import rejection_mail


@dataclass(frozen=True)
class Announcements:
    """Bus and topic of the stack, and the topics of its suites."""

    bus: Bus
    mailer: Mailer
    audiences: Audiences

    def emit(self, detail_type: str, detail: Detail) -> None:
        """Put an event on Assay's bus."""
        self.bus.emit(detail_type, detail)

    def mail_rejection(
        self, error: RejectedError, rejected_uri: str, suites: Sequence[str], audiences: Sequence[str]
    ) -> None:
        """Tell everybody who subscribed what is wrong with a file, and which suites are not evaluated because of it.

        Args:
            audiences: suites whose own people are told too.
        """
        mail = rejection_mail(error.subject, error.faults, error.total, rejected_uri, suites)
        self.mailer.send(mail, "rejected", suites)
        for suite in audiences:
            self.audiences.send(suite, mail, "rejected")
