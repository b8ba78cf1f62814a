"""One form of an account id, whatever a spreadsheet or an export tool has made of it: one rule, in Python and as SQL.

An id of AWS has 12 digits. Spreadsheets and data tools take it for a number: they drop zeros in front, write it with a
point or in scientific notation, or keep it as text by a sign around it. Other providers' ids are text, and only lose
what is around them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from finops_assets.core.errors import BillError

if TYPE_CHECKING:
    import pyarrow as pa

DIGITS = 12
"""Of an AWS account id (https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-identifiers.html)."""

LEAST_DIGITS = 6
"""A number of fewer is left as it is: no AWS id has lost seven zeros, and other systems number accounts from 1."""

IMPOSSIBLE = "(no account id) "
"""What the SQL puts in front of an id that cannot be one; `refuse_impossible` refuses it."""

WHOLE = "/*.*/"
"""A comment on either side of an id's SQL, which is translated once for all statements (`adapters.shared.duck`)."""

_UNSEEN = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff"
_AROUND = f"[ \\t\\r\\n\u00a0\u2000-\u200a\u202f\u205f\u3000{_UNSEEN}='\"`\u2018\u2019\u201c\u201d]+"

# Patterns mean the same to Python, RE2 (DuckDB) and Joni (Trino).
NOISE = f"^{_AROUND}|{_AROUND}$|[{_UNSEEN}]"
"""Blanks, signs that keep a number as text (`="..."`, `'`) around an id, and characters that nobody sees anywhere."""

_AS_IS = "^[0-9]{12}$"
_NUMBER = "^[0-9]{1,12}([.]0*)?$"
_DASHED = "^[0-9]{4}[- ][0-9]{4}[- ][0-9]{4}$"
_SCIENTIFIC = "^[0-9]([.][0-9]*)?[eE][+]?[0-9]{1,2}$"
_SHORT = f"^[1-9][0-9]{{{LEAST_DIGITS - 1},{DIGITS - 2}}}$"
_PLAIN = "^[a-zA-Z0-9/:._-]+$"
_ZERO = "^0[0 .-]*([eE][+]?[0-9]+)?$"


class AccountIdError(ValueError):
    """A text cannot be an account id; the message says why, without a full stop."""


def account_id(text: str, *, is_aws: bool | None = None) -> str:
    """An account id in its one form; empty where nothing is written.

    Args:
        text: as it is written.
        is_aws: whether the account is one of AWS; None where that is not known: what looks like a number is taken for
            an id of AWS, any other text for one of another provider.

    Raises:
        AccountIdError: it has lost digits, is 0, or is no number of 12 digits although it is of AWS.
    """
    bare = re.sub(NOISE, "", text)
    if is_aws is False or not bare or re.match(_AS_IS, bare):
        return bare
    if re.match(_ZERO, bare):
        raise AccountIdError(f"{text!r} is no account id: it is 0")
    if re.match(_NUMBER, bare):
        number = bare.split(".")[0]
        return number.zfill(DIGITS) if len(number) >= LEAST_DIGITS else number
    if re.match(_DASHED, bare):
        return re.sub("[- ]", "", bare)
    if re.match(_SCIENTIFIC, bare):
        mantissa, exponent = re.split("[eE]", bare.replace(".", ""))
        whole = int(exponent) + 1
        if whole <= DIGITS and len(mantissa) >= whole and not mantissa[whole:].strip("0"):
            return mantissa[:whole].zfill(DIGITS)
        raise AccountIdError(f"{text!r} is no account id: as a number it has lost digits")
    if is_aws:
        raise AccountIdError(f"{text!r} is no account id of AWS, which has {DIGITS} digits")
    return bare


def as_other_provider(text: str) -> str:
    """What an id of AWS that lost its zeros would be as another provider's, whose numbers are text; empty if nothing.

    A bill says whose an account is; a map does not, so that it is to know the number in both forms.
    """
    bare = re.sub(NOISE, "", text)
    return bare if re.match(_SHORT, bare) else ""


def account_id_sql(candidates: Iterable[str], is_aws: str, otherwise: str) -> str:
    """The SQL of `account_id`, in Athena's dialect: of the first of these columns that is not empty on a line.

    An id that cannot be is the text as it is written, behind IMPOSSIBLE. What is an id already costs next to nothing:
    of 5 million lines in DuckDB, 0.09 s as with no rule at all; a pattern on each line took 0.7 s.

    Args:
        candidates: columns of text.
        is_aws: SQL of whether the account is one of AWS: TRUE, FALSE, or NULL where that is not known.
        otherwise: SQL of what stands for no id.
    """
    columns = list(candidates)
    if not columns:
        return otherwise
    first = columns[0]
    # 12 characters that are a number of 12 digits are digits, unless there is an exponent among them.
    is_fine = (
        f"LENGTH({first}) = {DIGITS} AND TRY_CAST({first} AS BIGINT) >= {10 ** (DIGITS - 1)} "
        f"AND {first} >= '1' AND {first} NOT LIKE '%e%' AND {first} NOT LIKE '%E%'"
    )
    others = " ".join(f"WHEN {_bare_sql(column)} <> '' THEN {_one_form_sql(column, is_aws)}" for column in columns)
    return f"""{WHOLE}CASE WHEN {is_fine} THEN {first}
        WHEN REGEXP_LIKE({first}, '{_AS_IS}') THEN {first}
        WHEN REGEXP_LIKE({first}, '{_SHORT}') AND COALESCE({is_aws}, TRUE) THEN LPAD({first}, {DIGITS}, '0')
        WHEN REGEXP_LIKE({first}, '{_PLAIN}') AND NOT ({is_aws}) THEN {first}
        {others} ELSE {otherwise} END{WHOLE}"""


def _bare_sql(column: str) -> str:
    pattern = NOISE.replace("'", "''")
    return f"REGEXP_REPLACE({column}, '{pattern}', '')"


def _one_form_sql(column: str, is_aws: str) -> str:
    # A lambda names the bare text, which is written once: SQL has no other way within an expression, and with the
    # pattern at each of 20 places an engine took twice as long to read a statement as to answer it for a day.
    bare = "bare_id"
    mantissa = f"REPLACE(SPLIT_PART(LOWER({bare}), 'e', 1), '.', '')"
    whole = f"(TRY_CAST(SPLIT_PART(LOWER({bare}), 'e', 2) AS INTEGER) + 1)"
    has_all_digits = (
        f"{whole} <= {DIGITS} AND LENGTH({mantissa}) >= {whole} "
        f"AND REPLACE(SUBSTR({mantissa}, {whole} + 1), '0', '') = ''"
    )
    number = f"SPLIT_PART({bare}, '.', 1)"
    padded = f"CASE WHEN LENGTH({number}) < {LEAST_DIGITS} THEN {number} ELSE LPAD({number}, {DIGITS}, '0') END"
    impossible = f"CONCAT('{IMPOSSIBLE}', {column})"
    return f"""ELEMENT_AT(TRANSFORM(ARRAY[{_bare_sql(column)}], {bare} -> CASE
        WHEN NOT ({is_aws}) THEN {bare}
        WHEN REGEXP_LIKE({bare}, '{_AS_IS}') THEN {bare}
        WHEN REGEXP_LIKE({bare}, '{_ZERO}') THEN {impossible}
        WHEN REGEXP_LIKE({bare}, '{_NUMBER}') THEN {padded}
        WHEN REGEXP_LIKE({bare}, '{_DASHED}') THEN REPLACE(REPLACE({bare}, '-', ''), ' ', '')
        WHEN REGEXP_LIKE({bare}, '{_SCIENTIFIC}') THEN CASE WHEN {has_all_digits}
            THEN LPAD(SUBSTR({mantissa}, 1, {whole}), {DIGITS}, '0') ELSE {impossible} END
        WHEN ({is_aws}) THEN {impossible}
        ELSE {bare} END), 1)"""


def refuse_impossible(accounts: pa.Array, refused: Callable[[str], BillError]) -> None:
    """Refuse accounts of the bill that the SQL has marked as impossible.

    Args:
        accounts: as the SQL gives them.
        refused: makes the error of an id as the bill has it.

    Raises:
        BillError: one of them cannot be an account id.
    """
    import pyarrow.compute as pc

    marked = pc.filter(accounts, pc.starts_with(accounts, IMPOSSIBLE))
    if len(marked):
        raise refused(marked[0].as_py().removeprefix(IMPOSSIBLE))


def impossible_account(account: str, where: str) -> BillError:
    """The error of a text in the bill that cannot be an account id."""
    try:
        account_id(account, is_aws=True)
        reason = f"{account!r} is no account id"
    except AccountIdError as error:
        reason = str(error)
    return BillError(reason, where=where, fix="Export the bill again, or mend the file that a spreadsheet has saved.")


def near_misses(accounts: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Account -> the known id that it may be meant to be; only those that have one.

    That is: the same but for zeros at the ends or upper case, with one digit wrong, missing or too many, or with two
    neighbours that changed places.
    """
    ids = sorted(set(known))
    exact, bare = set(ids), {_without_ends(each): each for each in reversed(ids)}
    found = {}
    for account in accounts:
        same = bare.get(_without_ends(account))
        meant = same or next((each for each in _one_slip_away(account) if each in exact), None)
        if meant and account not in exact:
            found[account] = meant
    return found


def _without_ends(account: str) -> str:
    return account.strip("0") if account.isdigit() else account.casefold()


def _one_slip_away(account: str) -> Iterator[str]:
    """A number with each digit replaced, left out or put in once, and with each two neighbours exchanged."""
    if not account.isdigit():
        return
    for at in range(len(account) + 1):
        before, digit, after = account[:at], account[at : at + 1], account[at + 1 :]
        if digit:
            yield before + after
            yield from (before + other + after for other in "0123456789")
            yield before + after[:1] + digit + after[1:]
        yield from (before + other + digit + after for other in "0123456789")
