"""Who gets what: one message with the whole digest, or one of each edition, by the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finops_assets.core.addresses import mail_address
from finops_assets.core.delivery.stored_digests import sha256_of
from finops_assets.core.errors import SettingsError
from finops_assets.core.reports.digest import ou_hash, within


@dataclass(frozen=True)
class Post:
    """One message that somebody gets: the whole digest, with the PDF or without, or an edition.

    Attributes:
        ou: what the edition is of: an OU's path, or a value of a dimension; empty for the whole.
        by_value: whether it is a value.
    """

    address: str
    ou: str = ""
    pdf: bool = False
    by_value: bool = False

    def contains(self, other: Post) -> bool:
        """Whether the reader of this one needs no other."""
        if self.by_value or other.by_value:
            return not self.ou and bool(other.ou)
        return self.ou != other.ou and (not self.ou or within(other.ou, self.ou))

    @property
    def name(self) -> str:
        """Names its receipt, without the address in the path."""
        return f"{address_hash(self.address)}{f'.{ou_hash(self.ou)}' if self.ou else ''}"


class Recipients:
    """Everybody whom the settings name, and what each of them gets.

    Args:
        sender: the setting mail.sender.
        recipients: the setting mail.recipients: who gets the whole.
        by_ou: the setting mail.by_ou: OU path -> who gets the edition of it. Nobody gets an edition beside the whole,
            or beside the edition of an OU that it is below.
        by_value: the setting mail.by_value: value of a dimension -> who gets the edition of it.
        executives: the setting mail.executives: who gets the whole with the PDF.
        resend_to: the setting mail.resend_to: addresses, or domains as `@example.com`, that a digest may be sent again
            to beside those of the other settings.
    """

    def __init__(
        self,
        sender: str,
        recipients: Sequence[str],
        *,
        by_ou: Mapping[str, Sequence[str]] | None = None,
        by_value: Mapping[str, Sequence[str]] | None = None,
        executives: Sequence[str] = (),
        resend_to: Sequence[str] = (),
    ) -> None:
        self.sender = sender
        self._recipients = tuple(recipients)
        self._by_ou = {ou: tuple(addresses) for ou, addresses in (by_ou or {}).items()}
        self._by_value = {value: tuple(addresses) for value, addresses in (by_value or {}).items()}
        self._executives = tuple(executives)
        self._resend_to = tuple(resend_to)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Everybody whom the settings name, as they are written there."""
        of_parts = (one for addresses in (*self._by_ou.values(), *self._by_value.values()) for one in addresses)
        return tuple(dict.fromkeys((*self._recipients, *self._executives, *of_parts)))

    def posts(self, to: Sequence[str] | None = None) -> list[Post]:
        """Who gets what, by the settings: one message with the whole, else one of each edition.

        Args:
            to: only these; somebody whom the settings do not name gets the whole.

        Raises:
            SettingsError: an address is malformed, or nobody is named.
        """

        def checked(addresses: Sequence[str], setting: str) -> list[str]:
            return self.checked(addresses, setting) if addresses else []

        if not any((self._recipients, self._executives, *self._by_ou.values(), *self._by_value.values())):
            self.checked((), "mail.recipients")
        executives = checked(self._executives, "mail.executives")
        with_pdf = {address.lower() for address in executives}
        plan: dict[str, list[Post]] = {}
        for address in (*checked(self._recipients, "mail.recipients"), *executives):
            plan.setdefault(address.lower(), [Post(address, pdf=address.lower() in with_pdf)])
        for ou, addresses in self._by_ou.items():
            for address in checked(addresses, f"mail.by_ou ({ou})"):
                plan.setdefault(address.lower(), []).append(Post(address, ou))
        for value, addresses in self._by_value.items():
            for address in checked(addresses, f"mail.by_value ({value})"):
                plan.setdefault(address.lower(), []).append(Post(address, value, by_value=True))
        if to is None:
            return [post for posts in plan.values() for post in _outermost(posts)]
        return [
            post
            for address in self.checked(to, "to")
            for post in _outermost(plan.get(address.lower(), [Post(address)]))
        ]

    def checked(self, recipients: Sequence[str], setting: str) -> list[str]:
        """The addresses, each checked and named once.

        Args:
            recipients: as the setting has them; upper and lower case are the same.
            setting: where they stand, for errors.

        Raises:
            SettingsError: an address is malformed, or there is none.
        """
        if not recipients:
            raise SettingsError("names nobody", where=setting, fix="Write at least one address.")
        mail_address(self.sender, "mail.sender")
        unique: dict[str, str] = {}
        for recipient in recipients:
            address = mail_address(recipient, setting).addr_spec
            unique.setdefault(address_hash(address), address)
        return list(unique.values())

    def check_allowed(self, to: Sequence[str]) -> None:
        """Refuse addresses that the settings neither name as recipients nor allow in mail.resend_to.

        Upper and lower case are the same. `@example.com` allows that domain, and none below it.

        Raises:
            SettingsError: an address is malformed or not allowed.
        """
        allowed = {entry.lower() for entry in self._resend_to} | {post.address.lower() for post in self.posts()}
        for address in self.checked(to, "to"):
            domain = address.lower().rpartition("@")[2]
            if not {address.lower(), f"@{domain}"} & allowed:
                raise SettingsError(
                    f"{address} is no recipient of the settings and is not allowed here",
                    where="mail.resend_to (FINOPS_MAIL__RESEND_TO)",
                    fix=f"Nothing was sent. If the costs may be sent there, add {address} or @{domain} to the setting.",
                )


def address_hash(address: str) -> str:
    """Names records without putting addresses into paths."""
    return sha256_of(address.lower().encode())


def _outermost(posts: Sequence[Post]) -> list[Post]:
    """Without the editions that the whole, or another of them, contains."""
    return [post for post in posts if not any(other.contains(post) for other in posts)]
