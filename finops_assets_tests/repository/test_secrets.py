"""No file of the repository holds a secret: a search for the shapes that keys and passwords have.

What is there now, not the history; what has no shape of its own is not found. SECURITY.md says so.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHAPES = {
    "AWS access key": r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
    "AWS secret key": r"(?i)aws_?secret_?access_?key\W{1,5}[A-Za-z0-9/+]{40}\b",
    "private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*\S",
    "GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_\w{60,}\b",
    "Slack token or hook": r"\bxox[abposr]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/T\w{8,}/B\w{8,}/\w{20,}",
    "PyPI token": r"\bpypi-AgE[\w-]{50,}",
    "JSON web token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    "login in an address": r"\b[a-z][a-z0-9+.-]+://[^\s/:@\"'<>{}$]+:[^\s/:@\"'<>{}$]{6,}@[\w.-]+\.\w+",
    "Terraform state": r"\"terraform_version\"\s*:\s*\"[\d.]+\",\s*\"serial\"",
}
"""What has a shape that nothing else has: a match is a secret, or an example that is written in another way."""

FOUND = {
    "AWS access key": "AKIA" + "QWERTYUIOPASDFGH",
    "AWS secret key": "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzKEY",
    "private key": "-----BEGIN RSA PRIVATE " + "KEY-----\nMIIE",
    "GitHub token": "ghp_" + "a1B2" * 9,
    "Slack token or hook": "xoxb-" + "123456789012-abcdef",
    "PyPI token": "pypi-AgE" + "IcHlwaS5vcmc" * 5,
    "JSON web token": "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJ" + "zdWIiOiIxMjM0In0" + ".c2lnbmF0dXJlLi4u",
    "login in an address": "postgresql://dagster:" + "correcthorse" + "@db.example.com/dagster",
    "Terraform state": '"terraform_version": "1.11.4",' + ' "serial": 3',
}


def files() -> list[Path]:
    """What git has, or would have; in a folder that is no clone, what lies there outside the ignored places."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git here")
    return [path for name in listed if name and (path := ROOT / name).is_file()]


def secrets_in(text: str) -> list[str]:
    return [kind for kind, shape in SHAPES.items() if re.search(shape, text)]


@pytest.mark.parametrize("kind", SHAPES)
def test_a_secret_would_be_found(kind: str) -> None:
    """One of each kind, put together here so that this file has none."""
    assert kind in secrets_in(f"something before {FOUND[kind]} and after")


def test_no_file_holds_a_secret() -> None:
    """Text of any kind; what cannot be read as text is looked at as bytes."""
    looked_at = files()
    assert len(looked_at) > 100
    texts = {str(path.relative_to(ROOT)): path.read_bytes().decode("utf-8", "replace") for path in looked_at}
    found = {name: secrets_in(text) for name, text in texts.items()}
    assert {name: kinds for name, kinds in found.items() if kinds} == {}


def test_what_holds_secrets_is_ignored() -> None:
    """Settings with a password, Terraform's state and its values are not committed by accident."""
    names = ["finops.toml", ".finops/dagster/dagster.yaml", "terraform/terraform.tfstate", "terraform/my.tfvars"]
    done = subprocess.run(["git", "check-ignore", *names], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 128:
        pytest.skip("no git here")
    assert done.stdout.split() == names
