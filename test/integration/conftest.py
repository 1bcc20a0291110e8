"""Fixtures of the integration tests; what they are made of is in test/lib/sealmq_testlib.py.

A test has 120 seconds, or what @pytest.mark.limit_s(N) says.
"""
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'lib'))
import mqtt_wire  # noqa: E402
import sealmq_network  # noqa: E402
import sealmq_testlib as lib  # noqa: E402

DEFAULT_LIMIT_S = 120


def pytest_configure(config):
    config.addinivalue_line('markers', f'limit_s(seconds): instead of {DEFAULT_LIMIT_S} s')


@pytest.fixture(autouse=True)
def time_limit(request):
    """Ends a test that hangs, so that its processes are stopped and the next one runs."""
    marker = request.node.get_closest_marker('limit_s')
    limit_s = (marker.args[0] if marker else DEFAULT_LIMIT_S) * lib.PATIENCE

    def over(_signal, _frame):
        raise TimeoutError(f'the test took more than {limit_s:.0f} s')
    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope='session')
def sealmq_bin():
    """The path of the program under test."""
    return lib.program()


@pytest.fixture
def port():
    """A free TCP port of 127.0.0.1. For more of them call lib.free_port()."""
    return lib.free_port()


@pytest.fixture
def processes(tmp_path):
    """Starts programs for one test and ends them after it, broken ones being a failure."""
    started = lib.Processes(tmp_path / 'processes')
    yield started
    started.close()


@pytest.fixture
def broker(processes):
    """The port of a plain `sealmq broker` that takes anonymous clients."""
    return processes.broker()[1]


@pytest.fixture
def connect(request):
    """Makes MqttClients (same arguments) that are closed when the test ends."""
    def make(*arguments, **options):
        client = lib.MqttClient(*arguments, **options)
        request.addfinalizer(client.close)
        return client
    return make


@pytest.fixture(scope='module', params=[(1, False), (2, False), (2, True)],
                ids=['one', 'two', 'kept'])
def shared_broker(request, tmp_path_factory):
    """One `sealmq broker` for all tests of a module: with one worker, with two, and with two that
    keep their state in a folder. (port, workers)"""
    workers, is_kept = request.param
    processes = lib.Processes(tmp_path_factory.mktemp('shared-broker'))
    data = ['--data', tmp_path_factory.mktemp('data')] if is_kept else []
    yield processes.broker('--workers', workers, *data)[1], workers
    processes.close()


@pytest.fixture
def server(shared_broker):
    """The shared broker for packet by packet conversations (mqtt_wire.Server)."""
    made = mqtt_wire.Server(*shared_broker)
    yield made
    made.close()


@pytest.fixture(params=[4, 5], ids=['3.1.1', '5.0'])
def version(request):
    """The protocol level of a conversation."""
    return request.param


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    """Four nodes that know each other, for all tests of a module: leave them running, and give
    gateways names of their own."""
    made = sealmq_network.Network(tmp_path_factory.mktemp('network'), config='workers: 2\n')
    made.start()
    made.wait_for_company()
    yield made
    made.close()
