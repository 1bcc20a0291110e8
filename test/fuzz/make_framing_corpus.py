#!/usr/bin/env python3
"""Writes the inputs of fuzz_proxy and fuzz_websocket to corpus/proxy and corpus/websocket."""
import struct
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / 'corpus'
SIGNATURE = b'\r\n\r\n\0\r\nQUIT\n'
V4 = bytes([192, 0, 2, 7, 198, 51, 100, 1]) + struct.pack('!HH', 12345, 1883)
MASK = b'\x37\xfa\x21\x3d'


def proxy(command, family, body):
    return SIGNATURE + bytes([command, family]) + struct.pack('!H', len(body)) + body


def option(kind, value):
    return bytes([kind]) + struct.pack('!H', len(value)) + value


def frame(first, payload=b'', mask=True):
    n = len(payload)
    length = bytes([n]) if n < 126 else b'\x7e' + struct.pack('!H', n)
    if not mask:
        return bytes([first]) + length + payload
    length = bytes([length[0] | 0x80]) + length[1:]
    return bytes([first]) + length + MASK + bytes(c ^ MASK[i % 4] for i, c in enumerate(payload))


def request(line='GET /mqtt HTTP/1.1', protocol='mqtt', version=13, more=''):
    return (f'{line}\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
            f'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: {version}\r\n'
            f'Sec-WebSocket-Protocol: {protocol}\r\n{more}\r\n').encode()


SSL = option(0x20, b'\x03\0\0\0\0' + option(0x21, b'TLSv1.3') + option(0x22, b'pump-7'))
INPUTS = {
    'proxy': {
        'ipv4': proxy(0x21, 0x11, V4) + b'after',
        'ipv6': proxy(0x21, 0x21, bytes(range(36))),
        'unix': proxy(0x21, 0x31, b'/run/a.sock'.ljust(216, b'\0')),
        'local': proxy(0x20, 0x00, b''),
        'unspecified': proxy(0x21, 0x00, b'ignored'),
        'udp': proxy(0x21, 0x12, V4),
        'tls': proxy(0x21, 0x11, V4 + option(1, b'mqtt') + SSL),
        'tls-cut': proxy(0x21, 0x11, V4 + SSL[:-3]),
        'tls-twice': proxy(0x21, 0x11, V4 + SSL + SSL),
        'huge': SIGNATURE + b'\x21\x11\xff\xff',
        'version-1': b'PROXY TCP4 192.0.2.7 198.51.100.1 12345 1883\r\n',
        'cut': proxy(0x21, 0x11, V4)[:20],
        'mqtt': b'\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0',
    },
    'websocket': {
        'request': b'\x0c' + request(),
        'request-cookie': b'\x05' + request(more='Cookie: a=b\r\n') + b'\x82\x80',
        'request-path': b'\x7f' + request('GET /x?y HTTP/1.1'),
        'request-post': b'\x03' + request('POST /mqtt HTTP/1.1'),
        'request-old': b'\x03' + request('GET /mqtt HTTP/1.0'),
        'request-protocol': b'\x01' + request(protocol='chat, mqttv3.1'),
        'request-version': b'\x02' + request(version=8),
        'request-body': b'\x02' + request(more='Content-Length: 5\r\n'),
        'request-folded': b'\x02' + request(more=' folded\r\n'),
        'mqtt': b'\x02\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0',
        'frames': b'\x82' + frame(0x82, b'abc') + frame(0x82) + frame(0x82, bytes(300)),
        'parts': b'\x80' + frame(0x02, b'a') + frame(0x89, b'?') + frame(0, b'b') + frame(0x80, b'c'),
        'ping-pong': b'\x86' + frame(0x89, b'x' * 125) + frame(0x8a, b'y'),
        'close': b'\x84' + frame(0x88, b'\x03\xe8bye') + b'after',
        'close-empty': b'\x84' + frame(0x88),
        'close-wrong': b'\x84' + frame(0x88, b'\x03'),
        'text': b'\x81' + frame(0x81, b'text'),
        'no-mask': b'\x81' + frame(0x82, b'bare', mask=False),
        'reserved': b'\x81' + frame(0xc2, b'x'),
        'nested': b'\x81' + frame(0x02, b'a') + frame(0x82, b'b'),
        'long': b'\xff' + b'\x82\xff' + struct.pack('!Q', 70000) + MASK + b'begin',
        'not-shortest': b'\x81\x82\xfe\0\x05' + MASK + b'12345',
    },
}

if __name__ == '__main__':
    for folder, inputs in INPUTS.items():
        (CORPUS / folder).mkdir(parents=True, exist_ok=True)
        for name, data in inputs.items():
            (CORPUS / folder / name).write_bytes(data)
