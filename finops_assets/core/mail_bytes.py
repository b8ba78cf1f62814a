"""How mails become bytes."""

from __future__ import annotations

from email.policy import SMTP

WIRE = SMTP.clone(max_line_length=998)
"""Each header in one line, as long as RFC 5322 allows: where Python folds one, a blank before a light becomes two."""
