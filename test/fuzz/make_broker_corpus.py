#!/usr/bin/python3
"""Writes the seeds of the fuzz target broker_connection: test/fuzz/corpus/broker_connection.

A seed is a byte of flags and then commands; see fuzz_broker_connection.c. Run it again after a
change there.
"""
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / 'corpus' / 'broker_connection'
TWO_SHARDS, LATE_LOGIN, DEFERS = 1, 2, 4


def text(s):
    return len(s).to_bytes(2, 'big') + s


def packet(first, body):
    assert len(body) < 128
    return bytes([first, len(body)]) + body


def connect(client_id, v5=True, clean=True, will=b'', props=b'\x11\x00\x00\x00\x64', keep_alive=60):
    flags = (2 if clean else 0) | (0x2c if will else 0)
    body = text(b'MQTT') + bytes([5 if v5 else 4, flags]) + keep_alive.to_bytes(2, 'big')
    if v5:
        body += bytes([len(props)]) + props
    body += text(client_id)
    if will:
        body += (b'\x05\x18\x00\x00\x00\x01' if v5 else b'') + text(will) + text(b'gone')
    return packet(0x10, body)


def subscribe(filters, v5=True, props=b''):
    body = b'\x00\x01' + (bytes([len(props)]) + props if v5 else b'')
    return packet(0x82, body + b''.join(text(f) + bytes([o]) for f, o in filters))


def unsubscribe(filters, v5=True):
    return packet(0xa2, b'\x00\x02' + (b'\x00' if v5 else b'') + b''.join(map(text, filters)))


def publish(topic, payload, qos=0, number=1, retain=False, v5=True, props=b''):
    body = text(topic) + (number.to_bytes(2, 'big') if qos else b'')
    body += (bytes([len(props)]) + props if v5 else b'') + payload
    return packet(0x30 | qos << 1 | int(retain), body)


def ack(first, number):
    return packet(first, number.to_bytes(2, 'big'))


def auth(reason, data, method=b'm'):
    props = b'\x15' + text(method) + b'\x16' + text(data)
    return packet(0xf0, bytes([reason, len(props)]) + props)


def give(connection, data):
    out = b''
    while data:
        part, data = data[:64], data[64:]
        out += bytes([connection << 6 | len(part) - 1]) + part
    return out


def act(what, connection=0, level=0):
    return bytes([0xc0 | level << 4 | what << 1 | connection])


CUT, STUCK, TIME, ACKNOWLEDGE, LOGIN, PUBLISH, REPLY, DISCONNECT = range(8)
PING, END = b'\xc0\x00', b'\xe0\x00'
ALIAS, EXPIRY = b'\x23\x00\x02', b'\x02\x00\x00\x00\x01'

SEEDS = {
    'qos_5': (0, give(0, connect(b'a') + subscribe([(b'#', 2), (b'a/+', 1)], props=b'\x0b\x05')) +
              give(1, connect(b'b') + publish(b'a/b', b'0') + publish(b'a/b', b'1', 1) +
                   publish(b'a/b', b'2', 2, 2) + ack(0x62, 2)) +
              give(0, ack(0x40, 1) + ack(0x50, 2) + ack(0x70, 2) + PING + unsubscribe([b'#']) + END)),
    'qos_311': (0, give(0, connect(b'a', v5=False) + subscribe([(b'a/#', 2)], v5=False)) +
                give(1, connect(b'b', v5=False) + publish(b'a/b', b'1', 1, v5=False) +
                     publish(b'a/b', b'2', 2, 2, v5=False) + ack(0x62, 2)) +
                give(0, ack(0x40, 1) + ack(0x50, 2) + ack(0x70, 2) +
                     unsubscribe([b'a/#'], v5=False) + END)),
    'retained': (0, give(0, connect(b'a') + publish(b'r', b'x', 1, retain=True, props=EXPIRY) +
                         publish(b'r/2', b'x' * 60, 0, retain=True)) +
                 give(1, connect(b'b') + subscribe([(b'r/#', 1), (b'+', 0x2a)])) + act(TIME, 0, 2) +
                 give(0, publish(b'r/2', b'', 1, 2, retain=True))),
    'session': (0, give(0, connect(b'a', clean=False) + subscribe([(b'#', 2)])) +
                give(1, connect(b'b', will=b'w') + publish(b'x', b'1', 1) + publish(b'x', b'2', 2, 2)) +
                act(CUT) + act(PUBLISH, 1, 1) + act(PUBLISH, 1, 2) +
                give(0, connect(b'a', clean=False)) + act(CUT, 1) + act(TIME, 0, 2) + act(TIME, 0, 3) +
                give(1, connect(b'a', clean=False)) + give(1, END)),
    'late_login': (LATE_LOGIN, give(0, connect(b'a') + PING) + act(LOGIN) + give(1, connect(b'b')) +
                   act(LOGIN, 1, 3) + give(1, connect(b'')) + act(TIME, 0, 3)),
    'deferred': (DEFERS, give(0, connect(b'a') + b''.join(publish(b'd/x', b'p', q, 1 + q) for q in
                                                        (0, 1, 2, 1))) +
                 act(ACKNOWLEDGE) + act(ACKNOWLEDGE, 0, 3) + act(ACKNOWLEDGE) + act(REPLY, 0, 1)),
    'alias': (0, give(0, connect(b'a') + subscribe([(b'#', 0x04)]) +
                      publish(b't', b'1', props=ALIAS) + publish(b'', b'2', props=ALIAS))),
    'slow': (0, give(0, connect(b'a') + subscribe([(b'#', 1)])) + act(STUCK) + give(1, connect(b'b')) +
             b''.join(give(1, publish(b'x', b'p' * 100, 1, n)) for n in range(1, 9)) + act(STUCK) +
             give(0, PING + ack(0x40, 1) + ack(0x40, 2))),
    'shards': (TWO_SHARDS, give(0, connect(b'a') + subscribe([(b'#', 1)])) +
               give(1, connect(b'b') + publish(b'x', b'1', 1, retain=True) +
                    publish(b'x', b'', 1, 2, retain=True)) + act(CUT) + act(DISCONNECT, 1)),
    'groups': (0, give(0, connect(b'a') + subscribe([(b'$share/g/#', 1), (b'$share/h/x', 2)], props=b'\x0b\x07')) +
               give(1, connect(b'b') + subscribe([(b'$share/g/#', 1), (b'$share/g/x/y', 9)]) +
                    b''.join(publish(b'x', b'p', 1 + n % 2, n) for n in range(1, 6))) +
               give(0, ack(0x40, 1) + unsubscribe([b'$share/g/#', b'$share/i/#'])) + act(CUT) +
               give(0, connect(b'a', clean=False)) + act(TIME, 0, 2) + give(1, END)),
    'groups_of_shards': (TWO_SHARDS, give(0, connect(b'c') + subscribe([(b'$share/g/#', 1)], props=b'\x0b\x07')) +
                         give(1, connect(b'b') + subscribe([(b'$share/g/#', 1)]) +
                              b''.join(publish(b'x', b'p', 1, n, retain=n == 2) for n in range(1, 6))) +
                         act(CUT) + give(1, publish(b'x', b'q', 1, 9)) +
                         give(0, connect(b'c', clean=False) + unsubscribe([b'$share/g/#'])) + act(CUT, 1)),
    'aliases_sent': (0, give(0, connect(b'a', props=b'\x22\x00\x02') + subscribe([(b'#', 1)])) +
                     give(1, connect(b'b') + b''.join(publish(t, b'p', n % 2, n + 1) for n, t in enumerate(
                         (b'long', b'long', b'name', b'third', b'third', b'long')))) + act(CUT) +
                     give(0, connect(b'a', clean=False, props=b'\x22\x00\x01'))),
    'auth': (0, give(0, connect(b'a', props=b'\x15\x00\x01m\x16\x00\x01c\x19\x01') + auth(0x18, b'c') +
                     auth(0x18, b'y') + auth(0x19, b'c') + PING + auth(0x18, b'y') + auth(0x19, b'n')) +
             give(1, connect(b'b', props=b'\x15\x00\x01m\x16\x00\x01l') + auth(0x18, b'y')) + act(LOGIN, 1) +
             give(1, auth(0x19, b'l') + PING) + act(LOGIN, 1) + give(1, auth(0x19, b'l')) + act(LOGIN, 1, 3)),
    'auth_refused': (0, give(0, connect(b'a', props=b'\x15\x00\x01x')) +
                     give(1, connect(b'b', props=b'\x15\x00\x01m') + PING)),
    'text': (0, give(0, connect(b'a', props=b'\x17\x00') + publish(b't', b'\xff', 1, props=b'\x01\x01') +
                     publish(b't', b'ok', 2, 2, props=b'\x01\x01') + subscribe([(b'n', 0)])) +
             give(1, connect(b'b', props=b'\x27\x00\x00\x00\x16') + publish(b'n', b'', 1, 1))),
    'second_connect': (0, give(0, connect(b'a') + connect(b'a').replace(b'MQTT\x05', b'MQTT\x15'))),
    'nonsense': (0, give(0, b'GET / HTTP/1.1\r\n\r\n') + give(1, connect(b'x')[:-3] + b'\xff')),
}

CORPUS.mkdir(parents=True, exist_ok=True)
for old in CORPUS.iterdir():
    old.unlink()
for name, (flags, commands) in SEEDS.items():
    (CORPUS / name).write_bytes(bytes([flags]) + commands)
