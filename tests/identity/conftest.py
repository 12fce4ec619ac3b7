"""An identity room on the test's kernel, and short ways to say a record."""

from datetime import UTC, datetime

import pytest
from hypothesis import settings

from audit.service import Audit
from identity.identifiers import Identifier
from identity.records import NewRecord
from identity.service import Identity
from kernel.kernel import Kernel

SEEN = datetime(2026, 1, 1, tzinfo=UTC)


# The machine may be busy: examples are judged, their time is not.
settings.register_profile("candor", deadline=None)
settings.load_profile("candor")


@pytest.fixture
def identity(kernel: Kernel) -> Identity:
    return Identity(kernel, Audit(kernel))


@pytest.fixture
def record():
    def make(key: str, *ids: tuple[str, str], source: str = "shop", at: datetime = SEEN, **traits: str) -> NewRecord:
        return NewRecord(
            source=source,
            source_key=key,
            identifiers=tuple(Identifier(kind, value) for kind, value in ids),
            traits=traits,
            kinds={name: name for name in traits},
            observed_at=at,
            purpose="service",
            basis="contract",
        )

    return make
