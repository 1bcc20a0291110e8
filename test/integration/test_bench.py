"""The load generator of `make bench` sees what a broker does wrong: it is run against a broker that
does one thing wrong at will, and against the real one."""
import json
import socket
import struct
import subprocess
import threading
from pathlib import Path

import pytest
import sealmq_testlib as lib

# Where the payload's number stands: magic and publisher are before it.
NUMBER = struct.Struct('<8xQ')


class FakeBroker:
    """Speaks as much MQTT as the generator does; `tamper(packets, number, packet)` appends to
    `packets` what becomes of message `number` for a subscriber."""

    def __init__(self, tamper, qos=0):
        self.tamper, self.qos = tamper, qos
        self.subscribers = []
        self.lock = threading.Lock()
        self.listener = socket.create_server((lib.HOST, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile('rb') as stream:
            try:
                while True:
                    first, length = stream.read(1), self._length(stream)
                    self._take(connection, first[0], stream.read(length))
            except (OSError, IndexError):
                return

    @staticmethod
    def _length(stream):
        value = shift = 0
        while True:
            byte = stream.read(1)[0]
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value

    def _take(self, connection, first, body):
        kind = first >> 4
        if kind == 1:
            connection.sendall(b'\x20\x02\x00\x00')
        elif kind == 8:
            with self.lock:
                self.subscribers.append(connection)
            connection.sendall(b'\x90\x03' + body[:2] + body[-1:])
        elif kind == 3:
            self._publish(connection, first, body)

    def _publish(self, connection, first, body):
        topic_end = 2 + struct.unpack_from('>H', body)[0]
        payload = body[topic_end + (2 if first & 6 else 0):]
        number = NUMBER.unpack_from(payload)[0]
        packets = []
        with self.lock:
            self.tamper(packets, number, bytes([first, len(body)]) + body)
            for subscriber in self.subscribers:
                subscriber.sendall(b''.join(packets))
        if first & 6:
            connection.sendall(b'\x40\x02' + body[topic_end:topic_end + 2])


def load(port, *arguments):
    """The generator's exit status and what it says."""
    program = lib.program().parents[2] / 'bench' / 'mqtt_load'
    done = subprocess.run(
        [str(program), '--port', str(port), '--stall', str(0.5 * lib.PATIENCE), *arguments],
        capture_output=True, text=True, timeout=60 * lib.PATIENCE)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def faults(outcome):
    names = ('lost', 'duplicates', 'reordered', 'strays', 'refused', 'broken')
    return {name: outcome[name] for name in names if outcome[name]}


def against_fake(tamper, *arguments):
    fake = FakeBroker(tamper)
    try:
        return load(fake.port, *arguments)
    finally:
        fake.close()


def honest(packets, _number, packet):
    packets.append(packet)


def loses_number_7(packets, number, packet):
    if number != 7:
        packets.append(packet)


def loses_the_last(packets, number, packet):
    if number != 49:
        packets.append(packet)


def repeats_number_7(packets, number, packet):
    packets.extend([packet] * (2 if number == 7 else 1))


def repeats_number_3_late(packets, number, packet):
    packets.append(packet)
    if number == 3:
        repeats_number_3_late.kept = packet
    elif number == 30:
        packets.append(repeats_number_3_late.kept)


def swaps_7_and_8(packets, number, packet):
    if number == 7:
        swaps_7_and_8.kept = packet
    else:
        packets.append(packet)
    if number == 8:
        packets.append(swaps_7_and_8.kept)


def shortens_number_7(packets, number, packet):
    if number == 7:
        packet = bytes([packet[0], packet[1] - 1]) + packet[2:-1]
    packets.append(packet)


def invents_number_1000(packets, number, packet):
    packets.append(packet)
    if number == 7:
        invented = bytearray(packet)
        at = packet.index(struct.pack('<Q', 7))
        invented[at:at + 8] = struct.pack('<Q', 1000)
        packets.append(bytes(invented))


FIFTY = ('--pairs', '1', '--messages', '50', '--window', '10')


@pytest.mark.parametrize('qos', ['0', '1'])
def test_a_run_without_faults_is_clean_and_counts_all(qos):
    status, outcome = against_fake(honest, *FIFTY, '--qos', qos)
    assert (status, faults(outcome), outcome['deliveries']) == (0, {}, 50)
    assert not outcome['stalled']


@pytest.mark.parametrize('tamper, found', [
    (loses_number_7, {'lost': 1}),
    (repeats_number_7, {'duplicates': 1}),
    (repeats_number_3_late, {'duplicates': 1}),
    (swaps_7_and_8, {'reordered': 1}),
])
@pytest.mark.parametrize('qos', ['0', '1'])
def test_a_fault_is_found_and_named(tamper, found, qos):
    status, outcome = against_fake(tamper, *FIFTY, '--qos', qos)
    assert (status, faults(outcome)) == (1, found)


def test_a_message_that_never_comes_is_lost_and_does_not_hang_the_run():
    status, outcome = against_fake(loses_the_last, *FIFTY)
    assert (status, faults(outcome), outcome['stalled']) == (1, {'lost': 1}, True)


def test_a_shortened_payload_is_a_stray_and_its_message_lost():
    status, outcome = against_fake(shortens_number_7, *FIFTY)
    assert (status, faults(outcome)) == (1, {'lost': 1, 'strays': 1})


def test_a_message_that_nobody_sent_is_a_stray():
    status, outcome = against_fake(invents_number_1000, *FIFTY)
    assert (status, faults(outcome)) == (1, {'strays': 1})


def test_a_loss_for_one_of_three_subscribers_is_found():
    class Partial(FakeBroker):
        def _publish(self, connection, first, body):
            if NUMBER.unpack_from(body[2 + struct.unpack_from('>H', body)[0]:])[0] == 7:
                with self.lock:
                    for subscriber in self.subscribers[:2]:
                        subscriber.sendall(bytes([first, len(body)]) + body)
                return
            super()._publish(connection, first, body)
    fake = Partial(honest)
    try:
        status, outcome = load(fake.port, '--fan-out', '3', '--messages', '50', '--window', '10')
    finally:
        fake.close()
    assert (status, faults(outcome)) == (1, {'lost': 1})


@pytest.mark.parametrize('shape, size', [
    (('--pairs', '3'), '64'), (('--fan-in', '3'), '1024'), (('--fan-out', '3'), '64'),
    (('--pairs', '1'), '1048576')])
@pytest.mark.parametrize('qos', ['0', '1', '2'])
def test_the_real_broker_is_clean(broker, shape, size, qos):
    if size == '1048576' and qos == '2':
        size = '20000'
    status, outcome = load(broker, *shape, '--messages', '20', '--window', '5', '--size', size,
                           '--qos', qos)
    assert (status, faults(outcome)) == (0, {})


def test_a_rate_is_kept_and_times_are_taken(broker):
    status, outcome = load(broker, '--pairs', '2', '--rate', '1000', '--messages', '250')
    assert (status, faults(outcome), outcome['deliveries']) == (0, {}, 500)
    assert 0.45 < outcome['seconds']
    assert 0 < outcome['p50_ns'] <= outcome['p99_ns'] <= outcome['max_ns']


@pytest.mark.parametrize('mode', ['--idle', '--connects', '--churn'])
def test_connections_are_counted(broker, mode):
    status, outcome = load(broker, mode, '20', '--seconds', '0.3', '--warm', '0.1')
    assert (status, faults(outcome)) == (0, {})
    assert outcome['connects'] >= 20


def test_the_tree_and_a_look_at_every_filter_find_the_same_subscriptions():
    program = lib.program().parents[2] / 'bench' / 'bench_subscriptions'
    done = subprocess.run([str(program), '--most', '1000', 'tree', 'sessions'],
                          capture_output=True, text=True, timeout=60 * lib.PATIENCE)
    assert done.returncode == 0, done.stderr
    rows = [line.split('|')[1].strip() for line in done.stdout.splitlines() if line[:1] == '|']
    assert {'plants', '+ at 7 levels', '+ at 16 levels', 'disconnect, sessions stay'} <= set(rows)


def test_bench_refuses_to_run_without_its_programs(tmp_path):
    sealmq = tmp_path / 'src' / 'cli' / 'sealmq'
    sealmq.parent.mkdir(parents=True)
    bench = Path(lib.__file__).parents[2] / 'bench' / 'run'
    sealmq.touch()
    done = subprocess.run([str(bench), str(sealmq), '--load', '/bin/true', '--rows',
                           'subscriptions'], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert 'bench_subscriptions is missing' in done.stderr
