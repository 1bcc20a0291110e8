"""The memory of `sealmq broker` stays within its limits, whatever a consumer does not take."""
import struct

import pytest

from sealmq_testlib import RawConnection

MIB = 1024 * 1024
PAYLOAD = b'p' * 8192
IN_A_BATCH = 100
# The defaults: what is unsent, what is unacknowledged, what is queued, of one client.
OUTPUT_BYTES, INFLIGHT_BYTES, QUEUED_BYTES = 32 * MIB, 32 * MIB, 64 * MIB
# Buffers of the workers and the like; what malloc or a sanitizer puts around each message may be
# half as much as the limits.
SLACK = 48 * MIB


def string(text):
    return struct.pack('!H', len(text)) + text.encode()


def packet(first, body):
    length, n = b'', len(body)
    while True:
        n, digit = n >> 7, n & 0x7f
        length += bytes([digit | (0x80 if n else 0)])
        if not n:
            return bytes([first]) + length + body


def connect(port, client_id, limit_s=60.0):
    connection = RawConnection(port, limit_s=limit_s)
    connection.send(packet(0x10, string('MQTT') + b'\x04\x02\0\0' + string(client_id)))
    assert connection.receive(4) == b'\x20\x02\0\0'
    return connection


def resident_bytes(process):
    with open(f'/proc/{process.pid}/status', encoding='ascii') as status:
        for line in status:
            if line.startswith('VmRSS:'):
                return int(line.split()[1]) * 1024
    raise AssertionError('no VmRSS')


def batch(qos):
    messages = []
    for packet_id in range(1, IN_A_BATCH + 1):
        name = struct.pack('!H', packet_id) if qos else b''
        messages.append(packet(0x30 | qos << 1, string('flood') + name + PAYLOAD))
    return b''.join(messages)


def publish_batch(publisher, qos, messages):
    publisher.send(messages)
    if qos:
        assert len(publisher.receive(4 * IN_A_BATCH)) == 4 * IN_A_BATCH
    if qos == 2:
        publisher.send(b''.join(b'\x62\x02' + struct.pack('!H', i)
                                for i in range(1, IN_A_BATCH + 1)))
        assert len(publisher.receive(4 * IN_A_BATCH)) == 4 * IN_A_BATCH


@pytest.mark.parametrize('qos', [0, 1, 2])
@pytest.mark.parametrize('workers', [1, 2])
def test_consumer_that_never_reads_costs_no_more_than_its_limits(processes, qos, workers,
                                                                monkeypatch):
    # Freed memory that a sanitizer keeps back is not the broker's.
    monkeypatch.setenv('ASAN_OPTIONS', 'quarantine_size_mb=1')
    process, port = processes.broker('--workers', workers)
    with connect(port, 'dead') as dead, connect(port, 'publisher') as publisher:
        dead.send(packet(0x82, b'\0\1' + string('flood') + bytes([qos])))
        assert dead.receive(5) == b'\x90\x03\0\1' + bytes([qos])
        before = resident_bytes(process)
        limits = OUTPUT_BYTES + (INFLIGHT_BYTES + QUEUED_BYTES if qos else 0)
        bound = before + SLACK + limits + limits // 2
        messages = batch(qos)
        sent, most = 0, before
        while sent < 2 * (bound - before):
            publish_batch(publisher, qos, messages)
            sent += len(messages)
            most = max(most, resident_bytes(process))
        assert most < bound, f'{most - before} more bytes, {bound - before} allowed'
        # And it is not the publisher who pays: another one is served as ever.
        with connect(port, 'other') as other:
            other.send(packet(0x82, b'\0\1' + string('other') + b'\0'))
            assert other.receive(5) == b'\x90\x03\0\1\0'
            other.send(packet(0x30, string('other') + b'hello'))
            assert other.receive_packet() == (0x30, string('other') + b'hello')
