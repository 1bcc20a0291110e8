"""What `sealmq broker --data` has promised holds after kill -9, restarts and a full disk.

SEALMQ_KILL_ROUNDS sets how often the program is killed under load (`make soak` says 200)."""
import http.client
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

import sealmq_testlib as lib
from sealmq_testlib import MqttClient

KILL_ROUNDS = int(os.environ.get('SEALMQ_KILL_ROUNDS', '6'))


def string(data):
    return struct.pack('!H', len(data)) + data


def packet(first, body):
    length, n = b'', len(body)
    while True:
        n, digit = n >> 7, n & 0x7f
        length += bytes([digit | (0x80 if n else 0)])
        if not n:
            return bytes([first]) + length + body


class Wire:
    """A connection of 3.1.1 with a persistent session, packet by packet."""

    def __init__(self, port, client_id):
        self.socket = socket.create_connection((lib.HOST, port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b''
        self.send(0x10, string(b'MQTT') + b'\x04\x00\x00\x00' + string(client_id.encode()))
        kind, body = self.receive()
        assert kind == 0x20 and body[1] == 0, body
        self.session_present = body[0] == 1

    def send(self, first, body):
        self.socket.sendall(packet(first, body))

    def receive(self):
        """The next packet; raises OSError when there is none any more."""
        while True:
            at, length, shift = 1, 0, 0
            while at < len(self.data):
                digit = self.data[at]
                length |= (digit & 0x7f) << shift
                at, shift = at + 1, shift + 7
                if digit < 0x80:
                    if len(self.data) >= at + length:
                        first, body = self.data[0], self.data[at:at + length]
                        self.data = self.data[at + length:]
                        return first, body
                    break
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError('closed')
            self.data += more

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class Publisher:
    """Publishes numbers, with a window, and resumes as the specification says."""
    WINDOW = 30

    def __init__(self, name, qos):
        self.name, self.qos = name, qos
        self.next_number, self.next_id = 0, 1
        self.sent = {}      # packet id: payload, in order of sending; None after PUBREC
        self.acked = set()  # payloads
        self.had_session = False
        self.wants_more = True
        self.is_ahead = lambda: False

    def topic(self):
        return f'load/{self.name}'.encode()

    def _publish(self, wire, packet_id, payload, dup):
        wire.send(0x30 | self.qos << 1 | (8 if dup else 0),
                  string(self.topic()) + struct.pack('!H', packet_id) + payload)

    def _free_id(self):
        while self.next_id in self.sent:
            self.next_id = self.next_id % 60000 + 1
        packet_id, self.next_id = self.next_id, self.next_id % 60000 + 1
        return packet_id

    def _take(self, wire, first, body):
        packet_id = struct.unpack('!H', body[:2])[0]
        kind = first >> 4
        if kind == 4 or kind == 7:
            payload = self.sent.pop(packet_id, None)
            if kind == 4 and payload is not None:
                self.acked.add(payload)
        elif kind == 5:
            payload = self.sent.get(packet_id)
            if payload is not None:
                self.acked.add(payload)
                self.sent[packet_id] = None
            wire.send(0x62, body[:2])

    def run(self, port):
        """Until the connection ends, or, when no more is wanted, all is acknowledged."""
        wire = Wire(port, self.name)
        try:
            assert wire.session_present or not self.had_session, f'{self.name}: session lost'
            self.had_session = True
            for packet_id, payload in list(self.sent.items()):
                if payload is None:
                    wire.send(0x62, struct.pack('!H', packet_id))
                else:
                    self._publish(wire, packet_id, payload, True)
            while self.wants_more or self.sent:
                while self.wants_more and len(self.sent) < self.WINDOW and not self.is_ahead():
                    packet_id = self._free_id()
                    payload = f'{self.name} {self.next_number}'.encode()
                    payload += b'.' * random.choice((0, 10, 3000))
                    self.next_number += 1
                    self.sent[packet_id] = payload
                    self._publish(wire, packet_id, payload, False)
                self._take(wire, *wire.receive())
        finally:
            wire.close()


class Subscriber:
    """Takes what comes, and remembers QoS 2 packet identifiers as the specification says."""

    def __init__(self, name):
        self.name = name
        self.counts = {}
        self.held = set()
        self.had_session = False
        self.last = 0.0

    def run(self, port):
        wire = Wire(port, self.name)
        self.wire = wire
        try:
            assert wire.session_present or not self.had_session, f'{self.name}: session lost'
            if not self.had_session:
                wire.send(0x82, b'\x00\x01' + string(b'load/#') + b'\x02')
            while True:
                first, body = wire.receive()
                self.last = time.monotonic()
                self._take(wire, first, body)
        finally:
            wire.close()

    def _take(self, wire, first, body):
        kind = first >> 4
        if kind == 9:
            assert body[2] == 2
            self.had_session = True
        elif kind == 6:
            self.held.discard(body[:2])
            wire.send(0x70, body[:2])
        elif kind == 3:
            n = struct.unpack('!H', body[:2])[0]
            packet_id, payload = body[2 + n:4 + n], body[4 + n:]
            if first & 6 == 4:
                if packet_id not in self.held:
                    self.held.add(packet_id)
                    self.counts[payload] = self.counts.get(payload, 0) + 1
                wire.send(0x50, packet_id)
            else:
                self.counts[payload] = self.counts.get(payload, 0) + 1
                wire.send(0x40, packet_id)


def in_thread(client, port, failures):
    def body():
        try:
            client.run(port)
        except OSError:
            pass
        except AssertionError as error:
            failures.append(error)
    thread = threading.Thread(target=body)
    thread.start()
    return thread


def start(processes, data, *arguments):
    return processes.broker('--data', data, '--workers', 2, *arguments)


@pytest.mark.limit_s(120 + 3 * KILL_ROUNDS)
@pytest.mark.parametrize('rounds', [KILL_ROUNDS])
def test_kill_9_under_load_loses_nothing_acknowledged_and_repeats_no_qos_2(processes, tmp_path,
                                                                           rounds):
    seed = int(os.environ.get('SEALMQ_KILL_SEED', random.randrange(1 << 32)))
    print('SEALMQ_KILL_SEED', seed)
    random.seed(seed)
    data = tmp_path / 'data'
    publishers = [Publisher(f'p{i}', 1 + i % 2) for i in range(4)]
    subscribers = [Subscriber(f's{i}') for i in range(3)]
    failures = []

    def is_ahead():
        """Of some subscriber, by so much that its queue might become full."""
        slowest = min(len(s.counts) for s in subscribers)
        return sum(len(p.acked) for p in publishers) - slowest > 5000

    for p in publishers:
        p.is_ahead = is_ahead
    process, port = start(processes, data)
    threads = [in_thread(s, port, failures) for s in subscribers]
    lib.wait_until(lambda: all(s.had_session for s in subscribers), 'subscriptions')
    for round_number in range(rounds):
        if round_number > 0:
            process, port = start(processes, data)
            awake = [s for s in subscribers if random.random() < 0.7]
            threads = [in_thread(s, port, failures) for s in awake]
        threads += [in_thread(p, port, failures) for p in publishers]
        time.sleep(random.uniform(0.02, 0.6))
        process.kill()
        for thread in threads:
            thread.join()
        assert not failures, failures

    process, port = start(processes, data)
    for p in publishers:
        p.wants_more = False
    threads = [in_thread(c, port, failures) for c in subscribers]
    senders = [in_thread(p, port, failures) for p in publishers]
    for thread in senders:
        thread.join(60)
    wanted = set().union(*(p.acked for p in publishers))

    def missing():
        return [len(wanted - set(s.counts)) for s in subscribers]
    try:
        lib.wait_until(lambda: not any(missing()) or failures, 'all that was acknowledged',
                       limit_s=60, step_s=0.2)
    except TimeoutError:
        pytest.fail(f'{missing()} of {len(wanted)} acknowledged messages did not come')
    process.stop()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert len(wanted) > 20 * rounds
    for s in subscribers:
        for payload, count in s.counts.items():
            is_qos_2 = int(payload.split()[0][1:]) % 2 == 1
            assert count == 1 or not is_qos_2, (s.name, payload[:20], count)


@pytest.mark.parametrize('durability', ['full', 'lazy'])
def test_a_stop_keeps_sessions_queues_and_retained_messages(processes, tmp_path, durability):
    data = tmp_path / 'data'
    process, port = start(processes, data, '--durability', durability)
    with MqttClient(port, 'keeper', clean=False) as client:
        client.subscribe('a/#', 1)
    with MqttClient(port, 'talker') as talker:
        for i in range(2500):
            talker.publish('a/b', str(i), qos=1)
        talker.publish('r/1', 'kept', qos=1, retain=True)
        talker.publish('r/2', 'gone', qos=1, retain=True)
        talker.publish('r/2', '', qos=1, retain=True)
    assert process.stop() == 0
    process, port = processes.broker('--data', data, '--workers', 3, '--durability', durability)
    with MqttClient(port, 'keeper', clean=False) as client:
        assert client.session_present
        got = [int(client.next_message().payload) for _ in range(2500)]
        assert got == list(range(2500))
    with MqttClient(port, 'reader') as reader:
        reader.subscribe('r/#')
        message = reader.next_message()
        assert (message.topic, message.payload, message.retain) == ('r/1', b'kept', 1)
        reader.expect_nothing()


def test_without_a_folder_nothing_is_kept_and_that_is_said(processes):
    process, _port = processes.broker()
    process.wait_for_output('kept in memory only')


def test_a_folder_belongs_to_one_process(processes, tmp_path):
    start(processes, tmp_path / 'data')
    second = processes.sealmq('broker', '-p', 0, '--allow-anonymous', '--data', tmp_path / 'data')
    assert second.wait(30) != 0
    assert 'in use by another process' in second.stderr


def test_a_damaged_file_is_refused_with_words(processes, tmp_path):
    data = tmp_path / 'data'
    data.mkdir()
    (data / 'sessions.db').write_bytes(b'this is no database' * 1000)
    process = processes.sealmq('broker', '-p', 0, '--allow-anonymous', '--data', data)
    assert process.wait(30) != 0
    assert 'sessions.db' in process.stderr and 'no SQLite database' in process.stderr


def health(port):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
    connection.request('GET', '/healthz')
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


@pytest.mark.skipif(os.geteuid() != 0, reason='mounting a small disk needs root')
def test_a_full_disk_makes_clients_wait_and_loses_nothing(processes, tmp_path):
    data = tmp_path / 'small'
    data.mkdir()
    mount = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=2m', 'none', data],
                           capture_output=True, check=False)
    if mount.returncode != 0:
        pytest.skip('no mounts here')
    try:
        watch = lib.free_port()
        process, port = start(processes, data, '--metrics', f'127.0.0.1:{watch}')
        lib.wait_for_port(watch, process)
        assert health(watch) == (200, 'ok\n')
        with MqttClient(port, 'keeper', clean=False) as client:
            client.subscribe('load/#', 2)
        publisher = Publisher('p0', 1)
        publisher.WINDOW = 5
        failures = []
        thread = in_thread(publisher, port, failures)
        process.wait_for_output('cannot be written', 60)
        assert health(watch)[0] == 503 and 'storage: ' in health(watch)[1]
        publisher.wants_more = False
        acked = len(publisher.acked)
        time.sleep(1.5)
        assert len(publisher.acked) == acked, 'acknowledged without a place to store it'
        subprocess.run(['mount', '-o', 'remount,size=64m', data], check=True)
        process.wait_for_output('is written again', 30)
        assert health(watch)[0] == 200
        thread.join(30)
        assert not publisher.sent and not failures
        subscriber = Subscriber('keeper')
        subscriber.had_session = True
        thread = in_thread(subscriber, port, failures)
        lib.wait_until(lambda: publisher.acked <= set(subscriber.counts), 'the queue')
        process.kill()
        thread.join()
    finally:
        processes.close()
        subprocess.run(['umount', data], check=False)


STUCK_SYNC = """
#include <unistd.h>
/* In the place of the C library's: a disk that takes writes and never says that they are there. */
static int never(void)
{
    while (access(STUCK, F_OK) == 0)
        usleep(10000);
    return 0;
}
int fsync(int fd) { (void)fd; return never(); }
int fdatasync(int fd) { (void)fd; return never(); }
"""


def test_a_second_signal_ends_what_a_silent_disk_holds_up(processes, tmp_path):
    stuck, library = tmp_path / 'stuck', tmp_path / 'sync.so'
    (tmp_path / 'sync.c').write_text(STUCK_SYNC)
    subprocess.run(['cc', '-shared', '-fPIC', f'-DSTUCK="{stuck}"', '-o', library,
                    tmp_path / 'sync.c'], check=True)
    options = os.environ.get('ASAN_OPTIONS', '')
    env = dict(os.environ, LD_PRELOAD=str(library),
               ASAN_OPTIONS=options + ':verify_asan_link_order=0')
    port = lib.free_port()
    process = processes.sealmq('broker', '-p', port, '--allow-anonymous', '-v',
                               '--data', tmp_path / 'data', port=port, env=env)
    with MqttClient(port, 'keeper', clean=False) as client:
        client.subscribe('load/#', 1)
    stuck.touch()
    with lib.RawConnection(port) as waiting:
        # A persistent session is promised when it is stored: no CONNACK.
        waiting.send(packet(0x10, string(b'MQTT') + b'\x04\x00\x00\x00' + string(b'writer')))
        lib.wait_until(lambda: 'writer' in process.stderr, 'the CONNECT')
        process.signal(signal.SIGTERM)
        process.wait_for_output('the disk has not answered for 5 s', 30)
        assert process.returncode is None
        process.signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM
