"""A small campaign of faults: kills, damages, full disks and bad command lines."""

import pytest
from faults.campaign import campaign

MOST = {"kills": 3, "damages": 40, "full disks": 1, "bad commands": 0}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax abandons its readers.
def test_nothing_is_lost_silent_or_a_traceback():
    result = campaign(minutes=10, most=MOST)
    assert not result["failures"]
    assert {kind: result[kind] for kind in MOST} == MOST
