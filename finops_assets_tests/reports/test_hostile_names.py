"""Names that drive a terminal, turn a line around, hide, are markup or have no end: harmless wherever people read."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from pathlib import Path

import dagster as dg
import pytest
from click.testing import Result
from markdown_it import MarkdownIt

import finops_assets
from finops_assets.adapters.local.alerts import FileAlerts
from finops_assets.cli import terminal
from finops_assets.core.errors import FinopsError
from finops_assets.core.operations.incident_records import Problem
from finops_assets.core.operations.incidents import Incidents
from finops_assets.core.reports.digest import csv_text
from finops_assets.core.text import distinct, distinct_paths, markdown, tidy, tidy_lines, visible
from finops_assets.defs import metadata as show
from finops_assets_tests.support.bills import at, line, make_bill, new_archive
from finops_assets_tests.support.command import finops

PACKAGE = Path(finops_assets.__file__).parent

HOSTILE = (
    "\x1b[31mred\x1b[0m",
    "\x9b31mC1\x9d0;title\x07",
    "two\nlines\r\nerror: all is lost",
    "line\u2028and\u2029separators\x85",
    "invoice\u202egnp.exe\u202c",
    "isolated\u2066\u2069 marks\u200e\u200f\u061c",
    "zero\u200bwidth\u200d\u2060\ufeff",
    "hidden\U000e0041\U000e0042\u3164",
    "bell\x07 backspace\x08\x08 delete\x7f nul\x00",
)


def unsafe(text: str) -> set[str]:
    """What no line that people read may have: all but letters, marks, signs and the plain space."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n"} | set(text) & {
        "\u3164"
    }


# ---- the rule


@pytest.mark.parametrize("name", HOSTILE)
def test_a_tidy_name_is_one_line_of_what_can_be_seen(name: str) -> None:
    assert not unsafe(tidy(name))
    assert "\n" not in tidy(name)
    assert tidy(tidy(name)) == tidy(name)


@pytest.mark.parametrize(
    "name",
    ["Zürich/東京", "שלום עולם", "𝔘nicode", "a\u0301ccent", "Ω≈ç√", "\u0600١٢", "emoji 😀", "=HYPERLINK(1)", "a" * 120],
)
def test_what_is_harmless_stays_as_it_is(name: str) -> None:
    assert tidy(name) == visible(name) == name


def test_what_is_too_long_is_cut_with_an_ellipsis() -> None:
    """A name keeps its beginning, a message its end too, where it says what is wrong."""
    assert tidy("x" * 100_000) == "x" * 119 + "…"
    cut = tidy_lines(f"the OU {'x' * 100_000} is not in the map\nand a second line")
    assert re.fullmatch(r"the OU x+…x+ is not in the map\nand a second line", cut)
    assert len(cut) < 2100


def test_half_a_character_becomes_a_sign_that_every_terminal_takes() -> None:
    assert tidy("a\ud800b").encode() == "a\N{REPLACEMENT CHARACTER}b".encode()


def test_names_that_look_alike_are_told_apart() -> None:
    """The one that is as it looks keeps its name; numbered names collide with none, however long."""
    assert distinct(["Pro\u200bd", "Prod", "Prod\u202e"]) == {
        "Prod": "Prod",
        "Prod\u202e": "Prod (2)",
        "Pro\u200bd": "Prod (3)",
    }
    assert distinct(["A (2)", "A", "A\u200b"])["A\u200b"] == "A (3)"
    long = distinct(["x" * 200, "x" * 300])
    assert sorted(map(len, long.values())) == [120, 120]
    assert len(set(long.values())) == 2
    assert distinct_paths(["A/B", "A\u200b/B"]) == {"A": "A", "A/B": "A/B", "A\u200b": "A (2)", "A\u200b/B": "A (2)/B"}


# ---- the terminal


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("print_it", [terminal.say, terminal.tell, terminal.complain], ids=["say", "tell", "complain"])
def test_a_line_stays_a_line(name: str, print_it: object, capsys: pytest.CaptureFixture[str]) -> None:
    print_it(f"the OU {name} and {'x' * 100_000} is red")
    printed = "".join(capsys.readouterr())
    assert (printed.count("\n"), unsafe(printed)) == (1, set())
    assert len(printed) < 2100
    assert printed.endswith("x is red\n")


def test_a_table_keeps_its_lines_and_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """A row a line, the second column below its header, an endless cell cut."""
    terminal.print_table(("name", "n"), [(name, n) for n, name in enumerate(HOSTILE)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(HOSTILE) + 1
    assert {number: line.index(str(number), 30) for number, line in enumerate(lines[1:])} == dict.fromkeys(
        range(len(HOSTILE)), lines[0].index("n", 4)
    )
    assert not unsafe("".join(lines))
    terminal.print_table(("name", "n"), [("x" * 100_000, 1)])
    assert len(capsys.readouterr().out.splitlines()[1]) < 600


def test_json_is_exact_and_safe(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs read the very name; a terminal that shows the JSON obeys none of it."""
    terminal.print_json({name: [name] for name in HOSTILE})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {name: [name] for name in HOSTILE}
    assert not unsafe(printed)


def test_no_other_module_prints() -> None:
    """What is printed passes through cli/terminal.py."""
    for file in PACKAGE.rglob("*.py"):
        wrong = re.findall(
            r"(?<![\w.])print\(|click\.s?echo\b|sys\.std(?:out|err)\.write", file.read_text(encoding="utf-8")
        )
        assert not wrong or file.match("cli/terminal.py"), f"{file}: {wrong}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose two days, OUs, services, accounts and budgets all have hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    names = [name.replace("\x00", "") for name in HOSTILE]  # neither a CSV nor an e-mail takes a NUL
    days = (date(2025, 9, 9), date(2025, 9, 10))
    lines = [
        line(n + 1, start=at(day), account=f"{n:012d}", service=name) for day in days for n, name in enumerate(names)
    ]
    make_bill(folder / "bill", lines)
    rows = [("account_id", "account_name", "ou_path"), *((f"{n:012d}", name, name) for n, name in enumerate(names))]
    for file, table in {
        "accounts.csv": rows,
        "budgets.csv": [("ou", "month", "amount", "currency"), *((name, "default", "1", "USD") for name in names)],
    }.items():
        with (folder / file).open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows(table)
    (folder / "finops.toml").write_text(
        "home = 'home'\n[bill]\npath = 'bill'\nfirst_day = 2025-09-09\n[accounts]\npath = 'accounts.csv'\n"
        "ou_level = 'full'\n[budgets]\npath = 'budgets.csv'\n[mail]\nrecipients = ['a@example.com']\n"
    )
    done = typed(folder, "backfill", "2025-09-09", "2025-09-10")
    assert "archived" in done.stdout, done.stderr
    return folder


def typed(folder: Path, *words: str) -> Result:
    return finops(*words, cwd=folder, now=datetime(2025, 9, 11, 8, tzinfo=UTC))


@pytest.mark.parametrize(
    "words",
    [
        ("budgets",),
        ("anomalies", "--all"),
        ("status",),
        ("gaps",),
        ("doctor",),
        ("verify",),
        ("restore", "2025-09-10"),
        ("query", "SELECT ou, service, linkedaccount FROM ou_breakdown ORDER BY dailycost"),
        ("query", "SELECT lightreason, ou FROM ou_scorecard"),
        ("query", 'SELECT ou AS "\x1b[31m" FROM ou_breakdown'),
        ("query", "SELECT '\x1b[31m', FROM \x9b nowhere"),
        ("resend", "2025-09-10", "--to", "\x1b[31m@example.com"),
        *(("budgets", "--json"), ("query", "--json", "SELECT * FROM ou_breakdown"), ("doctor", "--json")),
    ],
    ids=lambda words: " ".join(words).encode("ascii", "replace").decode().translate({27: "?"}),
)
def test_no_command_prints_what_a_terminal_obeys(words: tuple[str, ...], folder: Path) -> None:
    done = typed(folder, *words)
    assert done.stdout + done.stderr
    assert not unsafe(done.stdout + done.stderr)


def test_a_query_as_json_gives_the_bills_own_names(folder: Path) -> None:
    rows = json.loads(typed(folder, "query", "--json", "SELECT DISTINCT service FROM ou_breakdown").stdout)
    assert {row["service"] for row in rows} == {name.replace("\x00", "") for name in HOSTILE}


# ---- the spreadsheet


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n"])
def test_a_cell_that_a_spreadsheet_would_run_is_text(sign: str) -> None:
    """Full-width signs are those of East Asian keyboards, which spreadsheets take for the plain ones."""
    name = f"{sign}HYPERLINK(A1)"
    out = io.StringIO()
    csv.writer(out).writerow([csv_text(name), csv_text(f"a{name}")])
    assert next(csv.reader(io.StringIO(out.getvalue(), newline=""))) == [f"'{name}", f"a{name}"]


# ---- Dagster's pages

MARKUP = (
    "[click](http://evil.example)",
    "![picture](http://evil.example/x.png)",
    "<img src=x onerror=alert(1)>",
    "<b>bold</b> **bold** __bold__ _italic_ *italic* ~~gone~~",
    "`code` ``code``",
    "# heading",
    "- item",
    "+ item",
    "1. item",
    "2) item",
    "> quote",
    "===",
    "a | cell | more",
    "&lt;entity&gt; &#60;",
    "back\\slash \\[x]",
    "snake_case_name, a_b",
    "```\nfence",
    "    indented",
    "[ref]: http://evil.example",
)


def rendered(text: str) -> str:
    """What a reader sees of Markdown that is one paragraph of plain text; else its HTML, which equals no name."""
    html = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text).strip()
    found = re.fullmatch(r"<p>([^<>]*)</p>", html)
    return (
        found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
        if found
        else html
    )


@pytest.mark.parametrize("name", MARKUP)
def test_markdown_shows_a_name_as_it_is(name: str) -> None:
    """By a real parser: one paragraph, no element in it, the very characters."""
    assert rendered(markdown(name)) == tidy(name, 2000)
    assert rendered(f"2025-09-10: {markdown(name)}") == f"2025-09-10: {tidy(name, 2000)}"


@pytest.mark.parametrize("name", [*MARKUP, *HOSTILE])
def test_checks_and_tables_in_dagster_show_names_as_text(name: str) -> None:
    """Red checks, warnings, the map's check and every table: no markup, no control, no end."""
    day = date(2025, 9, 10)
    for result in (
        show.failed("check", {day: name}),
        show.warning("check", {day: name}, [day]),
        show.current_map("check", name),
        show.check_result("check", name),
    ):
        assert not result.passed
        assert rendered(result.description).removeprefix("2025-09-10: ") == tidy(name, 2000)
        assert not unsafe(result.description)
    table = show.markdown_table(("a", "b"), [(name, "end")]).value
    (row,) = re.findall(r"<tr>\n<td>(.*)</td>\n<td>end</td>\n</tr>", MarkdownIt().enable("table").render(table))
    assert re.sub("&[a-z]+;", "", row).count("<") == 0
    assert not unsafe(table)
    assert not unsafe(show.shown({"what": name})["what"])


def test_every_check_result_is_made_in_one_place() -> None:
    """A description that is not escaped cannot come from elsewhere in defs/."""
    for file in (PACKAGE / "defs").glob("*.py"):
        used = len(re.findall(r"AssetCheckResult\(", file.read_text(encoding="utf-8")))
        assert used == (2 if file.name == "metadata.py" else 0), file
        assert file.name == "metadata.py" or "MetadataValue.md(" not in file.read_text(encoding="utf-8")


def test_a_long_reason_does_not_break_a_page() -> None:
    result = show.failed("check", {date(2025, 9, 10): f"OU {'x' * 100_000} is wrong"})
    assert isinstance(result, dg.AssetCheckResult)
    assert len(result.description) < 2100
    assert result.description.endswith("x is wrong")
    assert len(result.metadata["reasons"].value) < 2200


# ---- alerts, and errors


@pytest.mark.parametrize("name", [*HOSTILE, "x" * 100_000])
def test_an_alert_is_readable_whatever_it_is_about(name: str, tmp_path: Path) -> None:
    """The subject is a short line, the text has no controls, and neither has an end that nobody sees."""
    now = datetime(2025, 9, 11, 7, tzinfo=UTC)
    archive = new_archive(tmp_path / "home")
    incidents = Incidents(archive, FileAlerts(tmp_path / "alerts", lambda: now), clock=lambda: now)
    incidents.open_incident("run_failed", "2025-09-10", Problem(f"the OU {name} is wrong", name, name, about=name))
    incidents.close("run_failed", ["2025-09-10"])
    for file in (tmp_path / "alerts").iterdir():
        mail = message_from_bytes(file.read_bytes(), policy=policy.default)
        text = mail.get_content()
        assert len(" ".join(mail["Subject"].split())) <= 200
        assert not unsafe(mail["Subject"] + text.replace("\r\n", "\n"))
        assert len(text) < 10_000
        assert not any(line.startswith("error: all is lost") for line in text.splitlines())
    assert len(list((tmp_path / "alerts").iterdir())) == 2


def test_an_error_has_an_end() -> None:
    """What happened, where and what to do are each cut inside, whatever was put into them."""
    error = FinopsError(f"the OU {'x' * 100_000} is unknown", where="y" * 100_000, fix="z" * 100_000)
    assert len(str(error)) < 6100
    assert error.what.startswith("the OU x")
    assert error.what.endswith("x is unknown")
    short = FinopsError("a", where="b", fix="c")
    assert str(short) == "b: a. c"
