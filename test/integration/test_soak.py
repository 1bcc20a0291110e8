"""Clients that come and go leave nothing behind: a short run of test/soak/churn, which `make soak` runs
for long and with many clients."""
import subprocess
import sys
from pathlib import Path

import pytest
import sealmq_testlib as lib

CHURN = Path(__file__).resolve().parents[1] / 'soak/churn'
SECONDS = 8


@pytest.mark.parametrize('kept', [[], ['--memory-only']], ids=['kept', 'memory'])
def test_clients_that_come_and_go_leave_nothing_behind(kept):
    done = subprocess.run(
        [sys.executable, str(CHURN), str(lib.program()), '--seconds', str(SECONDS),
         '--connections', '150', '--stay', '1', *kept],
        capture_output=True, text=True, timeout=110 * lib.PATIENCE, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
