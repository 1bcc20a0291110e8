#!/usr/bin/python3
"""Writes the seeds of the MQTT fuzz targets: test/fuzz/corpus/mqtt_packet and mqtt_topic.

A seed of mqtt_packet is a byte of flags (1: 5.0, 2: sent by the server, 4: the length is filled in
by the target) and then packets; see fuzz_mqtt_packet.c. Run it again after a change here.
"""
import re
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / 'corpus'
V5, SERVER, FRAMED = 1, 2, 4

# name: flags, first byte, body. s'..' is a string with its length, '..' are characters, p(..) is a
# list of properties with its length, the rest is hexadecimal.
PACKETS = {
    'connect_311': (0, 0x10, "s'MQTT' 04 02 003c s'me'"),
    'connect_311_full': (0, 0x10, "s'MQTT' 04 ee 003c s'me' s'w/t' s'gone' s'user' s'secret'"),
    'connect_31': (0, 0x10, "s'MQIsdp' 03 02 003c s'me'"),
    'connect_5': (1, 0x10, "s'MQTT' 05 02 003c p() s''"),
    'connect_5_full': (1, 0x10,
                       "s'MQTT' 05 f6 003c p(11 00000078 21 0014 27 00001000 22 000a 19 01 17 00 "
                       "26 s'k' s'v' 15 s'm' 16 s'd') s'me' p(18 00000005 01 01 02 0000000a "
                       "03 s't' 08 s'r' 09 s'c' 26 s'k' s'v') s'w' s'gone' s'user' s'secret'"),
    'connack_311': (SERVER, 0x20, '01 00'),
    'connack_5': (V5 | SERVER, 0x20,
                  "00 00 p(11 00000000 21 0014 24 01 25 01 27 00001000 12 s'id' 22 000a 1f s'why' "
                  "26 s'k' s'v' 28 01 29 01 2a 01 13 003c 1a s'r' 1c s'o' 15 s'm' 16 s'd')"),
    'publish_311': (0, 0x30, "s'a/b' 'hello'"),
    'publish_311_qos2': (0, 0x3d, "s'a/b' 0007 'hello'"),
    'publish_5': (V5, 0x33, "s'a/b' 0007 p(01 01 02 0000000a 23 0001 08 s'r' 09 s'c' 26 s'k' s'v' "
                            "03 s't') 'hello'"),
    'publish_5_alias': (V5, 0x30, "s'' p(23 0001) 'x'"),
    'publish_5_server': (V5 | SERVER, 0x30, "s'a' p(0b 01 0b 8001) 'x'"),
    'publish_utf8': (0, 0x30, "0009 c2b0 e282ac f09f9880"),
    'puback_311': (0, 0x40, '0007'),
    'puback_5': (V5, 0x40, "0007 10 p(1f s'why' 26 s'k' s'v')"),
    'pubrec_5': (V5, 0x50, '0007 97'),
    'pubrel_5': (V5, 0x62, '0007 92 p()'),
    'pubcomp_5': (V5, 0x70, '0007'),
    'subscribe_311': (0, 0x82, "0007 s'a/+' 01 s'#' 02"),
    'subscribe_5': (V5, 0x82, "0007 p(0b 05 26 s'k' s'v') s'a/+' 2d s'$share/g/#' 12"),
    'suback_311': (SERVER, 0x90, '0007 00 01 02 80'),
    'suback_5': (V5 | SERVER, 0x90, "0007 p(1f s'why') 00 02 87"),
    'unsubscribe_311': (0, 0xa2, "0007 s'a/+'"),
    'unsubscribe_5': (V5, 0xa2, "0007 p(26 s'k' s'v') s'a' s'$share/g/b'"),
    'unsuback_311': (SERVER, 0xb0, '0007'),
    'unsuback_5': (V5 | SERVER, 0xb0, '0007 p() 00 11'),
    'pingreq': (0, 0xc0, ''),
    'pingresp': (SERVER, 0xd0, ''),
    'disconnect_311': (0, 0xe0, ''),
    'disconnect_5': (V5, 0xe0, "04 p(11 00000005 26 s'k' s'v')"),
    'disconnect_5_server': (V5 | SERVER, 0xe0, "9c p(1c s'other' 1f s'why')"),
    'auth_client': (V5, 0xf0, "18 p(15 s'm' 16 s'd' 26 s'k' s'v')"),
    'auth_server': (V5 | SERVER, 0xf0, ''),
}

# Packets one after the other, as they come on a connection.
STREAMS = {
    'stream_5': (0, ['connect_5', 'subscribe_5', 'publish_5', 'disconnect_5']),
    'stream_311': (0, ['connect_311', 'subscribe_311', 'publish_311', 'pingreq', 'disconnect_311']),
}

TOPICS = {
    'hash': (b'#', b'a/b'),
    'parent': (b'sport/tennis/#', b'sport/tennis'),
    'plus': (b'sport/+/player1', b'sport/tennis/player1'),
    'empty_levels': (b'+/+/a', b'//a'),
    'dollar': (b'#', b'$SYS/a'),
    'dollar_named': (b'$SYS/+', b'$SYS/a'),
    'shared': (b'$share/group/a/#', b'a/b'),
    'shared_bad': (b'$share//a', b'a'),
    'invalid': (b'a#/+b', b'a+'),
    'utf8': ('\u00b0/\u20ac/\U0001f600/+'.encode(), '\u00b0/\u20ac/\U0001f600/x'.encode()),
    'surrogate': (b'12345678\xed\xa0\x80', b'\xc0\x80'),
}

TOKEN = re.compile(r"s'([^']*)'|'([^']*)'|([0-9a-f]{2})|p\(([^)]*)\)|\s+")


def wire(line):
    out = b''
    at = 0
    while at < len(line):
        found = TOKEN.match(line, at)
        string, characters, byte, props = found.groups()
        if string is not None:
            out += len(string).to_bytes(2, 'big') + string.encode()
        elif characters is not None:
            out += characters.encode()
        elif byte is not None:
            out += bytes.fromhex(byte)
        elif props is not None:
            listed = wire(props)
            out += length(len(listed)) + listed
        at = found.end()
    return out


def length(n):
    out = b''
    while n >= 0x80:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def packet(name):
    _, first, body = PACKETS[name]
    return bytes([first]) + length(len(wire(body))) + wire(body)


def write(folder, name, data):
    (CORPUS / folder).mkdir(parents=True, exist_ok=True)
    (CORPUS / folder / name).write_bytes(data)


def main():
    for name, (flags, first, body) in PACKETS.items():
        write('mqtt_packet', name, bytes([flags | FRAMED, first]) + wire(body))
    for name, (flags, packets) in STREAMS.items():
        write('mqtt_packet', name, bytes([flags]) + b''.join(map(packet, packets)))
    for name, (pattern, topic) in TOPICS.items():
        write('mqtt_topic', name, pattern + b'\0' + topic)


if __name__ == '__main__':
    main()
