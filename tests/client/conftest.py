import pytest
from stand_in import StandIn


@pytest.fixture
def server():
    stand_in = StandIn()
    yield stand_in
    stand_in.close()
