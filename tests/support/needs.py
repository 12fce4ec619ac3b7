"""What a test needs of the machine beyond `make setup`. Where it is absent the test skips: what is missing, and the remedy, in one wording."""

import shutil
from typing import NoReturn

import pytest

CHROMIUM = shutil.which("chromium")
FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")


def words(what: str, remedy: str) -> str:
    return f"{what} is not on this machine: {remedy}"


NO_CHROMIUM = words("Chromium", "apt-get install chromium")
NO_FIREFOX = words("Firefox", "apt-get install firefox-esr")


def lacking(what: str, remedy: str) -> NoReturn:
    """Skip the test that runs."""
    pytest.skip(words(what, remedy))


def chromium() -> str:
    """The program; skips the test where there is none."""
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)
    return CHROMIUM
