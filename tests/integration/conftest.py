"""What the integration tests share: a real Kafka for the whole session, an e2b-local for those that only need it."""
import os

import pytest
from stack import API_KEY, Kafka, Local


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    """One real broker; tests keep apart by the names of their topics (stack.Names)."""
    broker = Kafka(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def e2b_local(tmp_path_factory):
    """One e2b-local for all tests; the SDKs' environment points at it."""
    local = Local(tmp_path_factory.mktemp("e2b-local"), "--log-level", "warn", "--template", "small:0.5:128")
    saved = dict(os.environ)
    os.environ.update(E2B_API_KEY=API_KEY, E2B_API_URL=local.url, E2B_SANDBOX_URL=local.url)
    yield local
    os.environ.clear()
    os.environ.update(saved)
    assert local.is_alive(), "e2b-local ended by itself: " + local.output()[-4000:]
    local.stop()
