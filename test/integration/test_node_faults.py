"""What a network makes of nodes that die, stay away, lose files, or run out of disk: no acknowledged
report is lost, and blocks go on as long as three of four nodes are there."""
import resource
import threading
import time

import pytest

import pygateway
import sealmq_network
import sealmq_testlib as lib
from pygateway import DescribeRequest, reading

NO_LIMIT = resource.RLIM_INFINITY
_numbers = iter(range(1, 1000))


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    """Four nodes that soon look for another primary. Every test leaves all of them running."""
    made = sealmq_network.Network(tmp_path_factory.mktemp('faults'),
                                  config='workers: 2\nview_timeout: 400\n')
    made.start()
    made.wait_for_company()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def all_are_back(network):
    yield
    missing = ''.join(letter for letter in 'abcd' if network.nodes[letter].returncode is not None)
    if missing:
        network.start(missing)
    network.wait_for_company()


@pytest.fixture
def identity(network):
    return network.register(f'plant-f/gw{next(_numbers)}', 'b')


class Load(threading.Thread):
    """Sends reports to a node, a few at a time, until it is stopped or cannot any more."""

    def __init__(self, gateway):
        super().__init__(daemon=True)
        self.gateway, self.n = gateway, 0
        self.acknowledged, self.is_over, self.problem = set(), False, None
        self.start()

    def run(self):
        rows = [reading()]
        try:
            while not self.is_over:
                for _ in range(20):
                    self.n += 1
                    self.gateway.mqtt.paho.publish(f'{self.gateway.id}/RealTime',
                                                   self.gateway.sealed_report(self.n, rows), 1)
                for _ in range(20):
                    reply = self.gateway.next_reply(1.5)
                    assert reply.code == pygateway.OK, reply
                    self.acknowledged.add(reply.n)
        except (TimeoutError, ConnectionError) as problem:
            self.problem = problem

    def wait_for(self, count):
        target = len(self.acknowledged) + count
        lib.wait_until(lambda: len(self.acknowledged) >= target or self.problem, 'reports')
        assert len(self.acknowledged) >= target, self.problem

    def stop(self):
        self.is_over = True
        self.join(30)
        assert not self.is_alive()


def write(gateway, number):
    """A request of no importance; True once it is on the chain."""
    receipt = gateway.request(DescribeRequest(gateway.id, number, [
        (number, 'D1', 'CS', f'item{number}', 'int', '')]))
    return (receipt.request, receipt.code) == (number, pygateway.OK)


def primary(network, letter):
    return network.chain(letter)['primary'][-1]


def stored_numbers(network, letter, gateway):
    return {n for n, in network.rows(letter, 'SELECT r.n FROM reports r JOIN gateways g ON g.id = '
                                     'r.gateway WHERE g.name = ?', gateway.id)}


def assert_same_chain(network, letters='abcd'):
    height = max(network.chain(letter)['height'] for letter in letters)
    network.wait_for_height(height, letters)
    assert len({network.chain(letter)['tip'] for letter in letters}) == 1


# ---- nodes that die ----

def test_a_killed_primary_costs_no_acknowledged_report_and_blocks_go_on(network, identity):
    victim = primary(network, 'b')
    home = 'c' if victim == 'b' else 'b'
    view = network.chain(home)['view']
    with network.connect(identity, home) as gateway:
        gateway.agree()
        assert write(gateway, 1)
        load = Load(gateway)
        load.wait_for(50)
        network.kill(victim)
        load.wait_for(200)
        load.stop()
        assert write(gateway, 2)
        chain = network.chain(home)
        assert chain['view'] > view and chain['view_changes'] >= 1
        assert chain['primary'] != f'node/{victim}'
        assert load.problem is None
        assert load.acknowledged == stored_numbers(network, home, gateway)
        # It comes back, is told what it missed, and votes again.
        network.start(victim)
        network.wait_for_company()
        assert_same_chain(network)
        assert network.chain(victim)['votes']
        assert write(gateway, 3)
        assert_same_chain(network)


def test_a_killed_node_keeps_every_report_that_it_acknowledged(network, identity):
    with network.connect(identity, 'd') as gateway:
        gateway.agree()
        load = Load(gateway)
        load.wait_for(100)
        network.kill('d')
        load.stop()
    network.start('d')
    stored = stored_numbers(network, 'd', gateway)
    assert load.acknowledged <= stored
    time.sleep(1.1)  # tokens of a second that has begun before the node are refused
    with network.connect(identity, 'd') as gateway:
        # The session key was in its memory only.
        stale = pygateway.Session(1, 0, bytes(32), bytes(32))
        gateway.send_report(1, [reading()], session=stale)
        assert gateway.next_hint()[0] == 'forbidden'
        gateway.agree(number=2)
        # What was sent without an answer is sent again: stored, or stored before.
        for n in range(1, load.n + 1):
            gateway.mqtt.paho.publish(f'{gateway.id}/RealTime',
                                      gateway.sealed_report(n, [reading(time_us=0)]), 1)
        codes = {}
        for _ in range(load.n):
            reply = gateway.next_reply()
            codes[reply.n] = reply.code
    # This gateway forgot the times of its rows, so those that are stored conflict, and no other.
    assert {n for n, code in codes.items() if code == pygateway.CONFLICT} == stored


def test_a_node_that_was_away_catches_up(network, identity):
    network.kill('d')
    with network.connect(identity, 'b') as gateway:
        gateway.agree()
        assert all(write(gateway, number) for number in range(1, 31))
    network.start('d')
    network.wait_for_log('d', r'fetched \d+ blocks from other nodes')
    assert_same_chain(network)


def test_a_node_without_its_blocks_follows_and_does_not_vote(network, identity):
    """It may have signed votes that it no longer knows."""
    network.stop('c')
    for file in network.data('c').glob('blocks.db*'):
        file.unlink()
    network.start('c')
    network.wait_for_log('c', r'data/blocks\.db is missing: ')
    network.wait_for_log('c', 'this node does not vote: ')
    with network.connect(identity, 'b') as gateway:
        gateway.agree()
        assert write(gateway, 1)
    assert_same_chain(network)
    assert network.chain('c')['votes'] is False
    assert 'follows without voting' in network.sealmq('status', '--node', 'node/c').stdout
    # It still takes reports and passes requests on.
    with network.connect(identity, 'c') as gateway:
        gateway.agree()
        assert gateway.report(1, [reading()]).code == pygateway.OK
        assert write(gateway, 2)
    network.stop('c')
    network.start('c')
    assert network.chain('c')['votes'] is False, 'a second start must not make it forget that'
    # Until whoever runs it says that this can do no harm.
    network.stop('c')
    network.start('c', arguments=('-v', '--vote-again'))
    assert network.chain('c')['votes'] is True
    network.stop('c')
    network.start('c')
    assert network.chain('c')['votes'] is True


# ---- nodes that are alone ----

def test_a_node_that_reaches_no_other_takes_reports_and_says_that_the_chain_waits(
        tmp_path, time_limit):
    network = sealmq_network.Network(tmp_path)
    network.start()
    network.wait_for_company()
    gateway, other = network.gateway('plant-a/gw1'), network.register('plant-a/gw2')
    assert network.chain()['waiting_for_peers'] is False
    for letter in 'bcd':
        network.kill(letter)
    lib.wait_until(lambda: network.chain()['waiting_for_peers'], 'the loneliness')
    assert 'the chain is waiting: ' in network.log('a')
    assert 'waits for other nodes' in network.sealmq('status').stdout
    unreachable = network.sealmq('status', '--all')
    assert unreachable.returncode == 1
    assert unreachable.stdout.count('unreachable') == 3

    for n in range(1, 6):
        assert gateway.report(n, [reading()]).code == pygateway.OK
    gateway.send_request(DescribeRequest(gateway.id, 1, [(1, 'D1', 'CS', 'x', 'int', '')]))
    gateway.expect_no('receipt', 1)
    result = network.sealmq('device', 'revoke', other.id, '--timeout', 2)
    assert result.returncode == 75 and 'has not answered' in result.stderr

    network.start('bc')
    receipt = gateway.next_receipt(20)
    assert (receipt.request, receipt.code) == (1, pygateway.OK)
    # Nobody waited for the answer to the operator's request, but it was made.
    lib.wait_until(lambda: network.devices('b')[other.id]['status'] == 'revoked', 'the revocation')
    assert network.chain()['waiting_for_peers'] is False
    gateway.close()
    network.close()


# ---- a full disk ----

def limit_files(process, size):
    """The size that files of this process may reach; NO_LIMIT for any. A stand-in for a full disk
    that needs no root, and hits blocks, history and the log alike."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, NO_LIMIT))


def test_a_full_disk_refuses_reports_and_stops_nothing(network, identity):
    node = network.nodes['c']
    with network.connect(identity, 'c') as gateway:
        gateway.agree()
        assert gateway.report(1, [reading()]).code == pygateway.OK
        before = network.status('c')
        limit_files(node, 1)
        for n in range(2, 12):
            reply = gateway.report(n, [reading()])
            assert (reply.level, reply.code, reply.n) == ('error', pygateway.STORAGE, n)
        now = network.status('c')
        assert now['history']['failures'] > before['history']['failures']
        assert now['history']['reports'] == before['history']['reports']
        # The others do without it.
        with network.connect(identity, 'b') as elsewhere:
            elsewhere.agree()
            assert all(write(elsewhere, number) for number in range(1, 6))
        lib.wait_until(lambda: network.chain('c')['waiting_for_disk'], 'the complaint')
        assert 'waits for its disk' in network.sealmq('status', '--node', 'node/c').stdout
        limit_files(node, NO_LIMIT)
        with network.connect(identity, 'c') as again:
            again.agree(number=5)
            for n in range(2, 12):
                assert again.report(n, [reading()]).code == pygateway.OK
    network.wait_for_log('c', 'reports are stored again')
    network.wait_for_log('c', 'the block store can be written again')
    lib.wait_until(lambda: not network.chain('c')['waiting_for_disk'], 'the recovery')
    assert_same_chain(network)


def test_a_node_ends_while_its_disk_is_full(network, identity):
    node = network.nodes['d']
    limit_files(node, 1)
    with network.connect(identity, 'b') as gateway:
        gateway.agree()
        assert write(gateway, 1)
    lib.wait_until(lambda: network.chain('d')['waiting_for_disk'], 'the complaint')
    assert network.stop('d') == [0]
    network.start('d')
    assert_same_chain(network)
