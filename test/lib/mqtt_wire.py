"""MQTT 3.1.1 and 5.0 on the wire, for conversations packet by packet.

Builders    connect, publish, ack, subscribe, unsubscribe, ending, packet: bytes, right or wrong
Packet      one packet taken apart; what is left over or out of place is a failure
Peer        a TCP connection that sends bytes and expects packets
Server      where Peers connect to; knows which worker serves which client id

Written from the specification alone, and shares nothing with the server's own codec. `version` is
4 (3.1.1) or 5.
"""
import itertools
import socket
import struct
import time

import sealmq_testlib as lib

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, \
    UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(1, 16)
NAMES = ['reserved', 'CONNECT', 'CONNACK', 'PUBLISH', 'PUBACK', 'PUBREC', 'PUBREL', 'PUBCOMP',
         'SUBSCRIBE', 'SUBACK', 'UNSUBSCRIBE', 'UNSUBACK', 'PINGREQ', 'PINGRESP', 'DISCONNECT',
         'AUTH']

MALFORMED, PROTOCOL_ERROR, UNSUPPORTED_VERSION, CLIENT_ID_INVALID = 0x81, 0x82, 0x84, 0x85
BAD_PASSWORD, NOT_AUTHORIZED, BAD_METHOD, KEEP_ALIVE_TIMEOUT = 0x86, 0x87, 0x8c, 0x8d
TAKEN_OVER, FILTER_INVALID, TOPIC_INVALID, ID_NOT_FOUND = 0x8e, 0x8f, 0x90, 0x92
RECEIVE_MAXIMUM_EXCEEDED, ALIAS_INVALID, TOO_LARGE, QUOTA, FORMAT_INVALID = \
    0x93, 0x94, 0x95, 0x97, 0x99
NO_SUBSCRIBERS, NO_SUBSCRIPTION, CONTINUE, REAUTHENTICATE, WITH_WILL = 0x10, 0x11, 0x18, 0x19, 4

# id: name, kind
PROPERTIES = {
    0x01: ('payload_format', 'u8'), 0x02: ('message_expiry', 'u32'),
    0x03: ('content_type', 'text'), 0x08: ('response_topic', 'text'),
    0x09: ('correlation_data', 'binary'), 0x0b: ('subscription_id', 'varint'),
    0x11: ('session_expiry', 'u32'), 0x12: ('assigned_client_id', 'text'),
    0x13: ('server_keep_alive', 'u16'), 0x15: ('auth_method', 'text'),
    0x16: ('auth_data', 'binary'), 0x17: ('request_problem_info', 'u8'),
    0x18: ('will_delay', 'u32'), 0x19: ('request_response_info', 'u8'),
    0x1a: ('response_info', 'text'), 0x1c: ('server_reference', 'text'),
    0x1f: ('reason_string', 'text'), 0x21: ('receive_maximum', 'u16'),
    0x22: ('topic_alias_maximum', 'u16'), 0x23: ('topic_alias', 'u16'),
    0x24: ('maximum_qos', 'u8'), 0x25: ('retain_available', 'u8'),
    0x26: ('user_property', 'pair'), 0x27: ('maximum_packet_size', 'u32'),
    0x28: ('wildcard_available', 'u8'), 0x29: ('subscription_ids_available', 'u8'),
    0x2a: ('shared_available', 'u8'),
}
PROPERTY_IDS = {name: (number, kind) for number, (name, kind) in PROPERTIES.items()}
REPEATABLE = ('user_property', 'subscription_id')


# --- building -----------------------------------------------------------------------------------

def varint(n):
    out = bytearray()
    while True:
        n, digit = n >> 7, n & 0x7f
        out.append(digit | (0x80 if n else 0))
        if not n:
            return bytes(out)


def text(value):
    """A string or binary data behind its length. `value` may be bytes that are no UTF-8."""
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack('!H', len(data)) + data


def one_property(name, value):
    number, kind = PROPERTY_IDS[name]
    if kind == 'u8':
        data = bytes([value])
    elif kind == 'u16':
        data = struct.pack('!H', value)
    elif kind == 'u32':
        data = struct.pack('!I', value)
    elif kind == 'varint':
        data = varint(value)
    elif kind == 'pair':
        data = text(value[0]) + text(value[1])
    else:
        data = text(value)
    return bytes([number]) + data


def properties(values):
    """The list with its length; {'user_property': [('a', 'b'), ...]} repeats one."""
    if isinstance(values, bytes):
        return varint(len(values)) + values
    out = b''
    for name, value in values.items():
        for each in value if isinstance(value, list) else [value]:
            out += one_property(name, each)
    return varint(len(out)) + out


def packet(first, body=b''):
    """`first` is the first byte: type and flags."""
    return bytes([first]) + varint(len(body)) + body


def connect(version, client_id='', clean=True, keep_alive=0, will=None, will_properties=None,
            user=None, password=None, name='MQTT', level=None, flags=None, tail=b'', **props):
    """`will` is (topic, payload, qos, retain). `flags` are set as they are given."""
    bits = 2 if clean else 0
    payload = text(client_id)
    if will is not None:
        topic, message, qos, retain = will
        bits |= 4 | qos << 3 | (0x20 if retain else 0)
        payload += properties(will_properties or {}) if version == 5 else b''
        payload += text(topic) + text(message)
    if user is not None:
        bits |= 0x80
        payload += text(user)
    if password is not None:
        bits |= 0x40
        payload += text(password)
    head = text(name) + bytes([version if level is None else level,
                               bits if flags is None else flags])
    head += struct.pack('!H', keep_alive) + (properties(props) if version == 5 else b'')
    return packet(CONNECT << 4, head + payload + tail)


def publish(version, topic, payload=b'', qos=0, packet_id=None, retain=False, dup=False, **props):
    first = PUBLISH << 4 | (8 if dup else 0) | qos << 1 | (1 if retain else 0)
    head = text(topic) + (struct.pack('!H', packet_id) if packet_id is not None else b'')
    return packet(first, head + (properties(props) if version == 5 else b'') + payload)


def ack(version, kind, packet_id, reason=None, **props):
    body = struct.pack('!H', packet_id)
    if version == 5 and (reason is not None or props):
        body += bytes([reason or 0]) + (properties(props) if props else b'')
    return packet(kind << 4 | (2 if kind == PUBREL else 0), body)


def subscribe(version, packet_id, *filters, **props):
    """Each filter is (filter, options byte)."""
    body = struct.pack('!H', packet_id) + (properties(props) if version == 5 else b'')
    return packet(SUBSCRIBE << 4 | 2,
                  body + b''.join(text(f) + bytes([options]) for f, options in filters))


def unsubscribe(version, packet_id, *filters, **props):
    body = struct.pack('!H', packet_id) + (properties(props) if version == 5 else b'')
    return packet(UNSUBSCRIBE << 4 | 2, body + b''.join(text(f) for f in filters))


def ending(version, kind=DISCONNECT, reason=None, **props):
    """DISCONNECT or AUTH."""
    if version == 4 or (reason is None and not props):
        return packet(kind << 4)
    return packet(kind << 4, bytes([reason or 0]) +
                  (properties(props) if props or kind == AUTH else b''))


# --- taking apart -------------------------------------------------------------------------------

class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, n):
        assert len(self.data) >= n, 'the packet is cut short'
        out, self.data = self.data[:n], self.data[n:]
        return out

    def number(self, n):
        return int.from_bytes(self.take(n), 'big')

    def varint(self):
        value = 0
        for i in range(4):
            byte = self.number(1)
            value |= (byte & 0x7f) << 7 * i
            if not byte & 0x80:
                assert i == 0 or byte != 0, 'a variable byte integer longer than necessary'
                return value
        raise AssertionError('a variable byte integer of more than four bytes')

    def text(self):
        return self.take(self.number(2)).decode()

    def properties(self):
        inner, out = Reader(self.take(self.varint())), {}
        while inner.data:
            name, kind = PROPERTIES[inner.number(1)]
            if kind in ('u8', 'u16', 'u32'):
                value = inner.number(int(kind[1:]) // 8)
            elif kind == 'varint':
                value = inner.varint()
            elif kind == 'pair':
                value = (inner.text(), inner.text())
            elif kind == 'binary':
                value = inner.take(inner.number(2))
            else:
                value = inner.text()
            if name in REPEATABLE:
                out.setdefault(name, []).append(value)
            else:
                assert name not in out, f'{name} twice'
                out[name] = value
        return out


class Packet:
    """A packet from the server. Attributes: kind, flags, raw, props, and by kind: session_present,
    reason, topic, payload, qos, retain, dup, packet_id, codes."""

    def __init__(self, version, first, body, raw):
        self.kind, self.flags, self.raw, self.props = first >> 4, first & 15, raw, {}
        self.version = version
        reader = Reader(body)
        getattr(self, '_' + NAMES[self.kind].lower())(reader)
        assert not reader.data, f'{len(reader.data)} bytes too many in {self}'
        assert self.kind == PUBLISH or self.flags == (2 if self.kind == PUBREL else 0)

    def __repr__(self):
        return f'{NAMES[self.kind]} {self.raw[:200].hex()}' + \
            ''.join(f' {k}={v!r}' for k, v in vars(self).items()
                    if k in ('reason', 'topic', 'payload', 'qos', 'packet_id', 'codes', 'props'))

    def _properties(self, reader):
        if self.version == 5:
            self.props = reader.properties()

    def _connack(self, reader):
        flags = reader.number(1)
        assert flags in (0, 1), 'reserved bits of the CONNACK flags'
        self.session_present, self.reason = flags == 1, reader.number(1)
        self._properties(reader)

    def _publish(self, reader):
        self.dup, self.qos = bool(self.flags & 8), self.flags >> 1 & 3
        self.retain = bool(self.flags & 1)
        self.topic = reader.text()
        self.packet_id = reader.number(2) if self.qos else None
        self._properties(reader)
        self.payload = reader.take(len(reader.data))

    def _puback(self, reader):
        self.packet_id, self.reason = reader.number(2), 0
        if self.version == 5 and reader.data:
            self.reason = reader.number(1)
            if reader.data:
                self._properties(reader)

    _pubrec = _pubrel = _pubcomp = _puback

    def _suback(self, reader):
        self.packet_id = reader.number(2)
        self._properties(reader)
        self.codes = list(reader.take(len(reader.data)))

    _unsuback = _suback

    def _pingresp(self, reader):
        pass

    def _disconnect(self, reader):
        assert self.version == 5, 'a server sends no DISCONNECT in 3.1.1'
        self.reason = reader.number(1) if reader.data else 0
        if reader.data:
            self._properties(reader)

    def _auth(self, reader):
        self._disconnect(reader)


# --- talking ------------------------------------------------------------------------------------

class Peer:
    """One connection to the server. Calls that expect something fail when anything else comes."""

    def __init__(self, port, version=5, limit_s=10.0, tls=None):
        """`tls` is an ssl.SSLContext."""
        self.version = version
        self.socket = socket.create_connection((lib.HOST, port), timeout=limit_s * lib.PATIENCE)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=lib.HOST)
        self.connack, self.client_id = None, None
        self._packet_ids = itertools.cycle(range(1, 65536))

    def close(self):
        """Cuts the connection, without a DISCONNECT."""
        self.socket.close()

    def send(self, *packets):
        try:
            self.socket.sendall(b''.join(packets))
        except (BrokenPipeError, ConnectionResetError):
            pass  # what it expects next will tell

    def _read(self, n):
        data = b''
        while len(data) < n:
            part = self.socket.recv(n - len(data))
            if not part:
                break
            data += part
        return data

    def receive(self):
        """The next packet; None when the server has closed."""
        try:
            raw = self._read(2)
            if len(raw) < 2:
                return None
            while raw[-1] & 0x80:
                raw += self._read(1)
        except ConnectionResetError:
            return None
        length = sum((byte & 0x7f) << 7 * i for i, byte in enumerate(raw[1:]))
        body = self._read(length)
        assert len(body) == length, 'closed in the middle of a packet'
        return Packet(self.version, raw[0], body, raw + body)

    def expect(self, kind, **fields):
        """The next packet is of that kind and says that; returns it."""
        got = self.receive()
        assert got is not None, f'closed instead of {NAMES[kind]} {fields}'
        assert got.kind == kind, f'{NAMES[kind]} {fields} expected, got {got}'
        for name, value in fields.items():
            assert getattr(got, name) == value, f'{name}={value!r} expected, got {got}'
        return got

    def expect_bytes(self, data):
        got = self.receive()
        assert got is not None and got.raw == data, f'{data.hex()} expected, got {got}'

    def expect_closed(self):
        got = self.receive()
        assert got is None, f'a close expected, got {got}'

    def expect_end(self, reason):
        """5.0: DISCONNECT with that reason (or one of several), then the close; 3.1.1: only the
        close."""
        if self.version == 5:
            got = self.expect(DISCONNECT)
            assert got.reason in (reason if isinstance(reason, (tuple, list)) else [reason]), got
        self.expect_closed()

    def expect_refusal(self, reason, return_code=None):
        """CONNACK with that reason (3.1.1: return code; None: no CONNACK), then the close."""
        if self.version == 5 or return_code is not None:
            self.expect(CONNACK, session_present=False,
                        reason=reason if self.version == 5 else return_code)
        self.expect_closed()

    def ping(self):
        """Nothing has come, and the connection lives."""
        self.send(packet(PINGREQ << 4))
        self.expect_bytes(packet(PINGRESP << 4))

    def next_id(self):
        return next(self._packet_ids)

    def connect(self, client_id, **options):
        """CONNECT that is accepted; returns the CONNACK."""
        self.send(connect(self.version, client_id, **options))
        self.connack = self.expect(CONNACK, reason=0)
        self.client_id = self.connack.props.get('assigned_client_id', client_id)
        return self.connack

    def subscribe(self, *filters, **props):
        """Each filter is a name (QoS 2) or (name, options); returns the SUBACK's codes."""
        packet_id = self.next_id()
        pairs = [f if isinstance(f, tuple) else (f, 2) for f in filters]
        self.send(subscribe(self.version, packet_id, *pairs, **props))
        codes = self.expect(SUBACK, packet_id=packet_id).codes
        assert len(codes) == len(pairs)
        return codes

    def unsubscribe(self, *filters):
        packet_id = self.next_id()
        self.send(unsubscribe(self.version, packet_id, *filters))
        return self.expect(UNSUBACK, packet_id=packet_id).codes

    def publish(self, topic, payload=b'', qos=0, retain=False, **props):
        """Goes through the whole exchange of its QoS; returns the first answer (None at QoS 0)."""
        packet_id = self.next_id() if qos else None
        self.send(publish(self.version, topic, payload, qos, packet_id, retain, **props))
        if qos == 0:
            return None
        first = self.expect(PUBACK if qos == 1 else PUBREC, packet_id=packet_id)
        if qos == 2 and first.reason < 0x80:
            self.send(ack(self.version, PUBREL, packet_id))
            self.expect(PUBCOMP, packet_id=packet_id, reason=0)
        return first

    def take(self, topic, payload=None, **fields):
        """The next packet is that PUBLISH; acknowledges it as its QoS wants, to the end."""
        if payload is not None:
            fields['payload'] = payload
        return self.take_any(topic=topic, **fields)

    def take_any(self, **fields):
        """The same, whatever its topic."""
        got = self.expect(PUBLISH, **fields)
        if got.qos == 1:
            self.send(ack(self.version, PUBACK, got.packet_id))
        elif got.qos == 2:
            self.send(ack(self.version, PUBREC, got.packet_id))
            self.expect(PUBREL, packet_id=got.packet_id, reason=0)
            self.send(ack(self.version, PUBCOMP, got.packet_id))
        return got

    def disconnect(self, reason=None, **props):
        self.send(ending(self.version, DISCONNECT, reason, **props))
        self.expect_closed()


def shard_of(client_id, shards):
    """FNV-1a, folded, as src/broker/broker.c spreads client ids over the workers."""
    h = 0xcbf29ce484222325
    for byte in client_id.encode():
        h = (h ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    h ^= h >> 32
    return h % shards


class Server:
    """A running broker as one test sees it: its own names, and connections that close with it."""

    _numbers = itertools.count(1)

    def __init__(self, port, workers=1):
        self.port, self.workers = port, workers
        self._peers = []

    def close(self):
        for peer in self._peers:
            peer.close()

    def name(self, shard=0):
        """A client id that nobody has had, served by that worker (modulo their number)."""
        while True:
            name = f'c{next(self._numbers)}x{int(time.monotonic() * 1000) % 100000}'
            if shard_of(name, self.workers) == shard % self.workers:
                return name

    def topic(self, rest=''):
        """A topic that no other test uses; the last level is `rest`."""
        return f't{next(self._numbers)}' + (f'/{rest}' if rest else '')

    def raw(self, version=5):
        peer = Peer(self.port, version)
        self._peers.append(peer)
        return peer

    def peer(self, version=5, shard=0, client_id=None, **options):
        """A connected client."""
        peer = self.raw(version)
        peer.connect(self.name(shard) if client_id is None else client_id, **options)
        return peer

    def pair(self, version=5, **options):
        """A publisher and a subscriber, on different workers where there are several."""
        return self.peer(version, 1), self.peer(version, 0, **options)

    def silent(self, publisher, *subscribers):
        """Nothing more is on its way from the publisher to the subscribers: a last message is the
        next that they get, at each QoS that they might have missed one at."""
        end = self.topic('end')
        for subscriber in subscribers:
            assert subscriber.subscribe((end, 2)) == [2]
        for qos in range(3):
            publisher.publish(end, b'end', qos)
            for subscriber in subscribers:
                subscriber.take(end, b'end', qos=qos)
