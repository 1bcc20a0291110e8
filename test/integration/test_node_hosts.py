"""Seven nodes on hosts of their own, one of them lying all the time and one the validator of a
gateway, under load, while everything else goes wrong in turn. Afterwards every receipt that was
given is on every honest node's chain, the chains are equal, and what each fault cost is printed.

SEALMQ_FAULT_ROUNDS goes through all faults that many times (1)."""
import contextlib
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

import pygateway
import sealmq_hosts
import sealmq_network
import sealmq_testlib as lib
from pygateway import DataRequest, DescribeRequest

ROUNDS = int(os.environ.get('SEALMQ_FAULT_ROUNDS', '1'))
HONEST, LIAR, GATEWAY_NODE = 'abcdeg', 'f', 'g'
RELAYED, DISK = 'c', 'd'       # behind a relay that can wait; on a disk that can be full
DISK_BYTES = 24 * 1024 * 1024
FAULT_S = 4.0                  # how long a fault lasts at least
LOAD_GATEWAYS = 5
GATEWAY_ID = 'plant-z/gw7'
MAY_PASS_LATER = pygateway.LIMIT, pygateway.BUSY, pygateway.STORAGE
FAKETIME = next(map(str, pathlib.Path('/usr/lib').glob('*/faketime/libfaketimeMT.so.1')), None)
IS_SANITIZED = b'__asan_init' in lib.program().read_bytes() or \
    b'__tsan_init' in lib.program().read_bytes()

pytestmark = pytest.mark.skipif(sealmq_hosts.why_not() is not None,
                                reason=str(sealmq_hosts.why_not()))


def liar_program():
    path = lib.program().parents[2] / 'test/liar/sealmq_liar'
    assert path.is_file(), f'{path} is missing: build all targets'
    return path


class Writer(threading.Thread):
    """A gateway that always has one request under way, says it again until it has the receipt, and
    goes to another node when the one it talks to does not answer."""

    def __init__(self, network, identity, first):
        super().__init__(daemon=True)
        self.network, self.identity, self.letter = network, identity, first
        self.receipts, self.is_over, self.problem, self.moves = {}, False, None, 0
        self._gateway = None
        self.start()

    def _connect(self):
        self.letter = HONEST[(HONEST.index(self.letter) + 1) % len(HONEST)] \
            if self._gateway is None else self.letter
        self.moves += 1
        self._gateway = self.network.connect(self.identity, self.letter, limit_s=4)
        self._gateway.agree(number=time.time_ns())

    def _leave(self):
        if self._gateway is not None:
            self._gateway.close()
        self._gateway = None

    def _request(self, number):
        if number == 1:
            return DescribeRequest(self.identity.id, 1, [(1, 'D1', 'CS', 'count', 'int', '')])
        return DataRequest(self.identity.id, number, [('D1', 1, 1_700_000_000_000_000, str(number))],
                           1, [])

    def _write(self, number):
        while not self.is_over:
            try:
                if self._gateway is None:
                    self._connect()
                receipt = self._gateway.request(self._request(number))
                if receipt.request == number and receipt.code == pygateway.OK:
                    self.receipts[number] = receipt.proof
                    return
                if receipt.request == number and receipt.code in MAY_PASS_LATER:
                    self._leave()  # a node that is behind does not know the numbers before this one
                    continue
                if receipt.request == number:
                    self.problem = f'{self.identity.id} request {number}: {receipt[:3]}'
                    return
            except (TimeoutError, OSError, lib.MqttError, pygateway.AgreementRefused):
                self._leave()

    def run(self):
        number = 0
        while not self.is_over and self.problem is None:
            number += 1
            self._write(number)
            time.sleep(0.05)
        self._leave()

    def stop(self):
        self.is_over = True
        self.join(60)
        assert not self.is_alive()


class Watch(threading.Thread):
    """When a block was first seen in the store of an honest node."""

    def __init__(self, network, letters):
        super().__init__(daemon=True)
        self._paths = [network.data(letter) / 'blocks.db' for letter in letters]
        self.height, self.times, self.is_over = 0, [], False
        self.start()

    def run(self):
        while not self.is_over:
            height = max(map(self._height, self._paths))
            if height > self.height:
                self.height = height
                self.times.append(time.monotonic())
            time.sleep(0.02)

    @staticmethod
    def _height(path):
        try:
            with contextlib.closing(sqlite3.connect(f'file:{path}?mode=ro', uri=True)) as store:
                return store.execute('SELECT max(height) FROM headers').fetchone()[0] or 0
        except sqlite3.Error:
            return 0

    def longest_gap(self, start, end):
        inside = [start, *(at for at in list(self.times) if start < at < end), end]
        return max(b - a for a, b in zip(inside, inside[1:]))


class Plant:
    """The network, its load and its weather. To be used in the hub's namespace."""

    def __init__(self, folder, hosts):
        self.hosts, self.writers, self.watch, self.relay = hosts, [], None, None
        self.network = sealmq_network.Network(
            folder, nodes=7, hosts=hosts, config='workers: 1\nview_timeout: 500\n',
            ids={GATEWAY_NODE: GATEWAY_ID}, programs={LIAR: liar_program()})
        self.disk, self._is_mounted = self.network.data(DISK), False

    def start(self):
        self._put_relay_before(RELAYED)
        self._give_disk()
        self.network.start()
        self.network.wait_for_company(HONEST, limit_s=60)
        self.watch = Watch(self.network, 'abe')
        self._start_gateway()
        for i in range(LOAD_GATEWAYS):
            identity = self.network.register(f'plant-z/load{i}', HONEST[i])
            self.writers.append(Writer(self.network, identity, HONEST[i]))

    def _put_relay_before(self, letter):
        """The others reach the node through the relay, which has the port of the genesis."""
        path = self.network.config_path(letter)
        path.write_text(path.read_text().replace('port: 1883', 'port: 1884'))
        address = self.hosts.address(letter)
        with self.hosts.inside(letter):
            self.relay = sealmq_hosts.Relay(address, 1883, (address, 1884))

    def _give_disk(self):
        made = {path.name: path.read_bytes() for path in self.disk.iterdir()}
        subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={DISK_BYTES}', 'tmpfs', self.disk],
                       check=True)
        self._is_mounted = True
        for name, data in made.items():
            (self.disk / name).write_bytes(data)
            (self.disk / name).chmod(0o600)

    def _start_gateway(self):
        """The program, with the key of the node on its machine."""
        network, address = self.network, self.hosts.address(GATEWAY_NODE)
        folder = network.folder / 'gateway'
        folder.mkdir()
        (folder / 'gateway.yaml').write_text(f"""
id: {GATEWAY_ID}
key: {network.folder}/node-{GATEWAY_NODE}/node.key
genesis: {network.folder}/genesis.json
policy: {network.policy}
data: {folder}
nodes:
  - id: {GATEWAY_ID}
    url: mqtt://{address}:1883
sources:
  - type: system
    interval: 500
policies:
  - pattern: "*"
    periodic: 2000
""")
        self.gateway = network.processes.start(
            [*self.hosts.wrapper(GATEWAY_NODE), lib.program(), 'gateway', '-v', '-c',
             folder / 'gateway.yaml'], name='gateway')
        self.gateway.wait_for_output('receipt for request', 30)

    def close(self):
        if self.watch is not None:
            self.watch.is_over = True
        for writer in self.writers:
            writer.is_over = True
        try:
            self.network.close()
        finally:
            if self.relay is not None:
                self.relay.close()
            if self._is_mounted:
                subprocess.run(['umount', '-l', self.disk], check=False)

    def primary(self, among='abcde'):
        """The letter of the primary, if it is one of these; else the first of them."""
        name = self.network.chain('a')['primary']
        return next((letter for letter in among if self.network.node_id(letter) == name), among[0])

    def restart(self, letter, **options):
        if self.network.nodes[letter].returncode is None:
            self.network.nodes[letter].signal(signal.SIGTERM)
            self.network.nodes[letter].wait()
        self.network.start(letter, **options)

    def wait_until_equal(self):
        """Until all honest nodes have a block that is newer than now."""
        height = self.watch.height + 1
        self.network.wait_for_height(height, HONEST, limit_s=60)

    def receipts(self):
        return {(writer.identity.id, number) for writer in self.writers
                for number in writer.receipts}

    def gateway_receipts(self):
        """Those that the gateway program has kept."""
        numbers = re.findall(r'receipt for request (\d+)', self.gateway.stderr)
        assert numbers
        return {(GATEWAY_ID, int(number)) for number in numbers}

    def accused(self):
        """Whom honest nodes have caught contradicting themselves."""
        logs = [path.read_text(errors='replace') for letter in HONEST
                for path in self.network.processes.folder.glob(f'node-{letter}-*.err')]
        return {who for log in logs for who in re.findall(r'(\S+) has signed two things', log)}

    def executed(self, letter):
        """[(sender, number)] of all requests on a node's chain."""
        path = self.network.data(letter) / 'blocks.db'
        with contextlib.closing(sqlite3.connect(f'file:{path}?mode=ro', uri=True)) as store:
            return store.execute('SELECT name, number FROM requests JOIN senders '
                                 'ON senders.id = sender').fetchall()

    def hashes(self, letter):
        path = self.network.data(letter) / 'blocks.db'
        with contextlib.closing(sqlite3.connect(f'file:{path}?mode=ro', uri=True)) as store:
            return dict(store.execute('SELECT height, header_hash FROM headers'))


# ---- faults: each is a generator that stops once, while the fault is there ----

def a_node_is_cut_off(plant):
    plant.hosts.isolate(plant.primary())
    yield


def a_node_is_heard_by_nobody_but_hears(plant):
    mute = plant.primary()
    for letter in plant.network.letters:
        if letter != mute:
            plant.hosts.cut(mute, letter)
    yield


def each_of_two_thinks_the_other_is_gone(plant):
    plant.hosts.cut('a', 'b')
    plant.hosts.cut('b', 'a')
    plant.hosts.cut('c', 'e')
    yield


def no_side_has_a_quorum(plant):
    plant.hosts.isolate('abc')
    yield


def a_third_of_all_packets_to_two_are_lost(plant):
    plant.hosts.lose('a', 33)
    plant.hosts.lose('e', 33)
    yield


def the_primary_has_a_thin_line(plant):
    plant.hosts.limit_rate(plant.primary(), '256kbit')
    yield


def a_node_is_far_away(plant):
    plant.relay.delay_s = 0.4
    yield
    plant.relay.delay_s = 0.0


def the_primary_is_killed(plant):
    victim = plant.primary()
    plant.network.kill(victim)
    yield
    plant.network.start(victim)


def the_primary_stands_still(plant):
    victim = plant.network.nodes[plant.primary()]
    victim.signal(signal.SIGSTOP)
    yield
    victim.signal(signal.SIGCONT)


def a_disk_is_full(plant):
    filler = plant.disk / 'filler'
    with open(filler, 'wb', buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            pass
    yield
    filler.unlink()


def a_block_store_is_damaged(plant):
    """The node says so and ends; without the file it follows, and votes when it is told that it
    may."""
    network, letter = plant.network, 'e'
    network.kill(letter)
    store = network.data(letter) / 'blocks.db'
    data = bytearray(store.read_bytes())
    for at in range(4096, len(data), 512):
        data[at] ^= 0x55
    store.write_bytes(data)
    for wal in network.data(letter).glob('blocks.db-*'):
        wal.unlink()
    network.start(letter, wait=False)
    assert network.nodes[letter].wait() != 0
    assert 'blocks.db' in network.log(letter)
    store.unlink()
    network.start(letter)
    yield
    plant.network.wait_for_height(plant.watch.height, letter, limit_s=60)
    assert not network.chain(letter)['votes']
    plant.restart(letter, arguments=('-v', '--vote-again'))
    assert network.chain(letter)['votes']


def a_clock_is_wrong(plant):
    ahead = {'LD_PRELOAD': FAKETIME, 'FAKETIME': '+600', 'FAKETIME_DONT_FAKE_MONOTONIC': '1'}
    plant.restart('a', env=ahead)
    yield
    plant.restart('a')


def the_gateway_that_votes_is_killed(plant):
    plant.network.kill(GATEWAY_NODE)
    yield
    plant.network.start(GATEWAY_NODE)


FAULTS = [a_node_is_cut_off, a_node_is_heard_by_nobody_but_hears,
          each_of_two_thinks_the_other_is_gone, no_side_has_a_quorum,
          a_third_of_all_packets_to_two_are_lost, the_primary_has_a_thin_line, a_node_is_far_away,
          the_primary_is_killed, the_primary_stands_still, a_disk_is_full,
          a_block_store_is_damaged, the_gateway_that_votes_is_killed]
if FAKETIME is not None and not IS_SANITIZED:
    FAULTS.append(a_clock_is_wrong)


@pytest.fixture
def plant(tmp_path):
    hosts = sealmq_hosts.Hosts('abcdefg')
    try:
        with hosts.inside():
            made = Plant(tmp_path, hosts)
            try:
                made.start()
                yield made
            finally:
                made.close()
    finally:
        hosts.close()


def go_through(plant, fault):
    """Returns the longest time without a block, from the fault until all is well again."""
    start = time.monotonic()
    there = fault(plant)
    next(there)
    time.sleep(FAULT_S)
    plant.hosts.heal()
    for _ in there:
        raise AssertionError(f'{fault.__name__} goes on')
    plant.wait_until_equal()
    return plant.watch.longest_gap(start, time.monotonic())


@pytest.mark.limit_s(120 + 400 * ROUNDS)
def test_whatever_happens_to_seven_nodes_receipts_stay_true(plant):
    plant.wait_until_equal()
    for round_number in range(1, ROUNDS + 1):
        for fault in FAULTS:
            before = len(plant.receipts())
            gap_s = go_through(plant, fault)
            print(f'round {round_number}: {fault.__name__.replace("_", " ")}: {gap_s:.1f} s '
                  f'without a block, {len(plant.receipts()) - before} receipts meanwhile',
                  flush=True)
    for writer in plant.writers:
        writer.stop()
    assert [writer.problem for writer in plant.writers if writer.problem] == []
    plant.network.wait_for_height(plant.watch.height, HONEST, limit_s=60)
    receipts = plant.receipts() | plant.gateway_receipts()
    assert len(receipts) > 20 * len(FAULTS)
    assert plant.accused() == {plant.network.node_id(LIAR)}
    chains = {letter: plant.hashes(letter) for letter in HONEST}
    for letter in HONEST:
        executed = plant.executed(letter)
        assert receipts <= set(executed), f'node {letter} lacks what was receipted'
        assert len(executed) == len(set(executed))
        for height, header in chains[letter].items():
            assert chains['a'].get(height, header) == header, f'{letter} differs at {height}'
