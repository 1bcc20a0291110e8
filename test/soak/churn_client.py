"""One connection of the churn: MQTT 3.1.1 or 5.0 over TCP, TLS, WebSocket or both, on asyncio's loop.

It answers what has to be answered (PUBACK, PUBREC, PUBREL, PUBCOMP) and remembers why it ended."""
import asyncio
import contextlib
import socket
import struct

TAKEN_OVER, KEEP_ALIVE = 0x8e, 0x8d
UPGRADE = (b'GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
           b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n'
           b'Sec-WebSocket-Protocol: mqtt\r\n\r\n')


def string(text):
    data = text.encode()
    return struct.pack('!H', len(data)) + data


def packet(first, body):
    head, n = bytearray([first]), len(body)
    while True:
        head.append(n & 0x7f | (0x80 if n > 0x7f else 0))
        n >>= 7
        if n == 0:
            return bytes(head) + body


def frame(data):
    """A binary frame, masked with zeros."""
    n = len(data)
    if n < 126:
        return bytes([0x82, 0x80 | n]) + bytes(4) + data
    return struct.pack('!BBH', 0x82, 0xfe, n) + bytes(4) + data


def take_frame(data):
    """(kind, payload, size) of the frame at the beginning, None while it is not whole."""
    if len(data) < 2:
        return None
    n, at = data[1], 2
    if n >= 126:
        at = 4 if n == 126 else 10
        if len(data) < at:
            return None
        n = int.from_bytes(data[2:at], 'big')
    return (data[0] & 15, data[at:at + n], at + n) if len(data) >= at + n else None


def take_packet(data):
    """(first byte, body, size) of the packet at the beginning, None while it is not whole."""
    n = shift = 0
    for at in range(1, min(len(data), 5)):
        n |= (data[at] & 0x7f) << shift
        shift += 7
        if data[at] < 0x80:
            end = at + 1 + n
            return (data[0], data[at + 1:end], end) if len(data) >= end else None
    return None


class Connection(asyncio.Protocol):
    def __init__(self, version, is_websocket, counts):
        self.version, self.is_websocket, self.counts = version, is_websocket, counts
        self.transport = None
        self.ended = asyncio.get_running_loop().create_future()
        self.reason = None         # of the server's DISCONNECT
        self.is_connected = False  # CONNACK has come
        self.may_be_cut = False    # somebody else has come with this client id
        self.waiting = {}          # (packet kind, identifier): future
        self.raw, self.data = b'', b''
        self.is_upgraded = not is_websocket
        self.upgraded = asyncio.get_running_loop().create_future()
        self.next_id = 0

    # --- asyncio's callbacks ---

    def connection_made(self, transport):
        self.transport = transport
        if self.is_websocket:
            transport.write(UPGRADE)
        else:
            self.upgraded.set_result(None)

    def data_received(self, data):
        if self.is_websocket:
            self.raw += data
            data = self._unframe()
        self.data += data
        while (found := take_packet(self.data)) is not None:
            first, body, size = found
            self.data = self.data[size:]
            self._take(first, body)

    def connection_lost(self, _error):
        for future in [self.ended, self.upgraded, *self.waiting.values()]:
            if not future.done():
                future.set_result(None)

    def _unframe(self):
        if not self.is_upgraded:
            end = self.raw.find(b'\r\n\r\n')
            if end < 0:
                return b''
            if not self.raw.startswith(b'HTTP/1.1 101 '):
                raise ValueError(self.raw[:60])
            self.raw = self.raw[end + 4:]
            self.is_upgraded = True
            self.upgraded.set_result(None)
        got = b''
        while (found := take_frame(self.raw)) is not None:
            kind, payload, size = found
            self.raw = self.raw[size:]
            if kind < 8:
                got += payload
        return got

    def _take(self, first, body):
        kind = first >> 4
        if kind == 3:
            self._take_publish(first, body)
        elif kind == 5:
            self.send(0x62, body[:2])
        elif kind == 6:
            self.send(0x70, body[:2])
        elif kind == 2:
            self.is_connected = True
            self._answer((2, b''), body)
        elif kind == 14:
            self.reason = body[0] if body else 0
        else:
            self._answer((kind, bytes(body[:2])), body)

    def _answer(self, key, body):
        future = self.waiting.pop(key, None)
        if future is not None and not future.done():
            future.set_result(body)

    def _take_publish(self, first, body):
        self.counts['deliveries'] += 1
        at = 2 + int.from_bytes(body[:2], 'big')
        if first & 6:
            self.send(0x50 if first & 4 else 0x40, body[at:at + 2])

    # --- what a life calls ---

    def send(self, first, body):
        if not self.transport.is_closing():
            data = packet(first, body)
            self.transport.write(frame(data) if self.is_websocket else data)

    def _expect(self, kind, identifier):
        future = asyncio.get_running_loop().create_future()
        self.waiting[(kind, identifier)] = future
        if self.ended.done():
            future.set_result(None)
        return future

    def _identifier(self):
        self.next_id = self.next_id % 65535 + 1
        return struct.pack('!H', self.next_id)

    def connect(self, name, clean, keep_alive_s, expiry_s, has_will):
        """CONNECT; the future has the body of the CONNACK, or None when the connection ended."""
        flags = (2 if clean else 0) | (0x0c if has_will else 0)
        is_v5 = self.version == 5
        body = string('MQTT') + bytes([self.version, flags]) + struct.pack('!H', keep_alive_s)
        if is_v5:
            body += b'\x05\x11' + struct.pack('!I', expiry_s)
        body += string(name)
        if has_will:
            body += (b'\x00' if is_v5 else b'') + string(f'will/{name}') + string('gone')
        answer = self._expect(2, b'')
        self.send(0x10, body)
        return answer

    def subscribe(self, topic_filter, qos):
        identifier = self._identifier()
        answer = self._expect(9, identifier)
        self.send(0x82, identifier + (b'\x00' if self.version == 5 else b'') +
                  string(topic_filter) + bytes([qos]))
        return answer

    def publish(self, topic, payload, qos, retain):
        """The future of the acknowledgement; None at QoS 0."""
        identifier = self._identifier() if qos else b''
        answer = self._expect(4 if qos == 1 else 7, identifier) if qos else None
        self.send(0x30 | qos << 1 | (1 if retain else 0),
                  string(topic) + identifier + (b'\x00' if self.version == 5 else b'') + payload)
        return answer

    def cut(self):
        """Ends it without a word, if it has not ended."""
        if not self.ended.done() and not self.transport.is_closing():
            self.transport.abort()

    def reset(self):
        """The same, and the server reads an error instead of an end."""
        sock = self.transport.get_extra_info('socket')
        with contextlib.suppress(OSError, AttributeError):  # none any more
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.cut()

    def disconnect(self):
        self.send(0xe0, b'')
        self.close()

    def close(self):
        if not self.ended.done():
            self.transport.close()
