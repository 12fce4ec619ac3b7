"""Choices that no draw takes away: where a test is about what follows a choice, "nothing" must not be drawn now and then."""

from typing import Final

# Every arm keeps a positive share (a zero is refused), too small ever to be seen.
SURE: Final = {"eps_min": 1e-9, "epsilon_web": 0.0, "epsilon_email": 0.0, "epsilon_push": 0.0}
