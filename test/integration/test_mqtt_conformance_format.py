"""MQTT 3.1.1 and 5.0, chapters 1 and 2: strings, numbers, flags and identifiers on the wire.

What docs/spec/mqtt-conformance.md names here is one conversation packet by packet for each rule.
"""
import pytest

import mqtt_wire as wire
from mqtt_wire import ack, connect, ending, packet, publish, subscribe, text, unsubscribe

ILL_FORMED = {
    'surrogate': b'a\xed\xa0\x80', 'last surrogate': b'\xed\xbf\xbf', 'overlong': b'\xc0\xaf',
    'overlong of three': b'\xe0\x80\xaf', 'above U+10FFFF': b'\xf4\x90\x80\x80',
    'lone continuation': b'\x80', 'cut short': b'ab\xe2\x82', 'no UTF-8': b'\xff\xfe',
    'U+0000': b'a\0b',
}
IN_CONNECT = {
    'client id': lambda v, s: connect(v, s),
    'will topic': lambda v, s: connect(v, 'c', will=(s, b'', 0, False)),
    'user name': lambda v, s: connect(v, 'c', user=s),
}
IN_PACKETS = {
    'topic': lambda v, s: publish(v, s),
    'filter of SUBSCRIBE': lambda v, s: subscribe(v, 1, (s, 0)),
    'filter of UNSUBSCRIBE': lambda v, s: unsubscribe(v, 1, s),
}
IN_V5_CONNECT = {
    'name of a user property': lambda s: connect(5, 'c', user_property=(s, 'x')),
    'value of a user property': lambda s: connect(5, 'c', user_property=('x', s)),
    'authentication method': lambda s: connect(5, 'c', auth_method=s),
    'content type of the will':
        lambda s: connect(5, 'c', will=('w', b'', 0, False), will_properties={'content_type': s}),
}
IN_V5_PACKETS = {
    'response topic': lambda s: publish(5, 't', response_topic=s),
    'content type': lambda s: publish(5, 't', content_type=s),
    'name of a user property': lambda s: publish(5, 't', user_property=(s, 'x')),
    'value of a user property': lambda s: publish(5, 't', user_property=('x', s)),
    'reason string': lambda s: ending(5, reason=0, reason_string=s),
    'property of SUBSCRIBE': lambda s: subscribe(5, 1, ('t', 0), user_property=('x', s)),
}


@pytest.mark.parametrize('string', ILL_FORMED.values(), ids=ILL_FORMED)
def test_ill_formed_utf8_is_refused_wherever_a_string_stands(server, version, string):
    for build in IN_CONNECT.values():
        peer = server.raw(version)
        peer.send(build(version, string))
        peer.expect_refusal(wire.MALFORMED)
    for build in IN_PACKETS.values():
        peer = server.peer(version)
        peer.send(build(version, string))
        peer.expect_end(wire.MALFORMED)


@pytest.mark.parametrize('string', ILL_FORMED.values(), ids=ILL_FORMED)
def test_ill_formed_utf8_is_refused_in_every_property(server, string):
    for build in IN_V5_CONNECT.values():
        peer = server.raw()
        peer.send(build(string))
        peer.expect_refusal(wire.MALFORMED)
    for build in IN_V5_PACKETS.values():
        peer = server.peer()
        peer.send(build(string))
        peer.expect_end(wire.MALFORMED)


@pytest.mark.parametrize('string', ['\u00e4', '\u20ac', '\U0010ffff', '\ud7ff', '\ue000',
                                    '\U00010000'])
def test_well_formed_utf8_goes_through_as_it_is(server, version, string):
    topic = server.topic(string)
    pub, sub = server.pair(version)
    sub.subscribe(topic)
    pub.publish(topic, b'x', 1)
    sub.take(topic, b'x')
    server.peer(version, client_id=server.name() + string, user=string)


def test_a_byte_order_mark_is_a_character_like_any_other(server, version):
    base = server.topic()
    pub, sub = server.pair(version)
    sub.subscribe(f'{base}/\ufeffa')
    pub.publish(f'{base}/a', b'without')
    pub.publish(f'\ufeff{base}/a', b'elsewhere')
    pub.publish(f'{base}/\ufeffa', b'with', 2)
    sub.take(f'{base}/\ufeffa', b'with')


# --- numbers ------------------------------------------------------------------------------------

def test_a_remaining_length_of_five_bytes_is_malformed(server, version):
    peer = server.peer(version)
    peer.send(b'\x30\xff\xff\xff\xff\x01')
    peer.expect_end(wire.MALFORMED)
    peer = server.raw(version)
    peer.send(b'\x10\xff\xff\xff\xff\x01')
    peer.expect_closed()


@pytest.mark.parametrize('bad', [
    b'\xc0\x80\x00',                                          # PINGREQ of length 0 in two bytes
    b'\x30\x84\x00' + text('t') + b'\0',                      # PUBLISH
    b'\x30\x05' + text('t') + b'\x80\x00',                    # its property length
    b'\x82\x0a\x00\x01\x03\x0b\x81\x00' + text('t') + b'\0',  # a subscription identifier
], ids=['empty packet', 'remaining length', 'property length', 'subscription identifier'])
def test_numbers_of_5_0_take_as_few_bytes_as_they_can(server, bad):
    peer = server.peer()
    peer.send(bad)
    peer.expect_end(wire.MALFORMED)


@pytest.mark.parametrize('size', [0, 1, 100, 127, 128, 129, 16383, 16384, 16385, 300_000])
def test_lengths_on_both_sides_of_each_boundary_arrive(server, version, size):
    pub, sub = server.pair(version)
    topic = server.topic()
    sub.subscribe(topic)
    pub.publish(topic, bytes(size), 1)
    sub.take(topic, bytes(size))


def test_packets_split_anywhere_and_joined_are_the_same(server, version):
    for is_split in (True, False):
        topic, peer = server.topic(), server.raw(version)
        data = connect(version, server.name()) + subscribe(version, 1, (topic, 0)) + \
            publish(version, topic, b'one') + publish(version, topic, b'two') + b'\xc0\0'
        for piece in [bytes([byte]) for byte in data] if is_split else [data]:
            peer.send(piece)
        peer.expect(wire.CONNACK, reason=0)
        peer.expect(wire.SUBACK, packet_id=1)
        peer.take(topic, b'one')
        peer.take(topic, b'two')
        peer.expect(wire.PINGRESP)


# --- flags --------------------------------------------------------------------------------------

def fixed(first, version):
    """A packet that would be right but for its first byte."""
    bodies = {wire.PUBACK: b'\0\1', wire.PUBREC: b'\0\1', wire.PUBREL: b'\0\1',
              wire.PUBCOMP: b'\0\1',
              wire.SUBSCRIBE: b'\0\1' + (b'\0' if version == 5 else b'') + text('t') + b'\0',
              wire.UNSUBSCRIBE: b'\0\1' + (b'\0' if version == 5 else b'') + text('t')}
    return packet(first, bodies.get(first >> 4, b''))


@pytest.mark.parametrize('kind, right', [
    (wire.PUBACK, 0), (wire.PUBREC, 0), (wire.PUBREL, 2), (wire.PUBCOMP, 0), (wire.SUBSCRIBE, 2),
    (wire.UNSUBSCRIBE, 2), (wire.PINGREQ, 0), (wire.DISCONNECT, 0)],
    ids=lambda value: wire.NAMES[value] if value > 2 else '')
def test_reserved_flags_of_the_fixed_header_must_be_as_listed(server, version, kind, right):
    for flags in range(16):
        if flags != right:
            peer = server.peer(version)
            peer.send(fixed(kind << 4 | flags, version))
            peer.expect_end(wire.MALFORMED)


def test_reserved_flags_of_connect_and_auth_must_be_zero(server, version):
    for flags in range(1, 16):
        peer = server.raw(version)
        data = connect(version, server.name())
        peer.send(bytes([data[0] | flags]) + data[1:])
        peer.expect_closed()
    for flags in range(1, 16):
        peer = server.peer(5)
        peer.send(packet(wire.AUTH << 4 | flags, b'\x18' + wire.properties({'auth_method': 'x'})))
        peer.expect_end(wire.MALFORMED)


def test_reserved_packet_types_are_malformed(server, version):
    for kind in [0] + ([15] if version == 4 else []):
        peer = server.peer(version)
        peer.send(packet(kind << 4))
        peer.expect_end(wire.MALFORMED)


def test_packets_that_only_servers_send_are_an_error(server, version):
    for kind in (wire.CONNACK, wire.SUBACK, wire.UNSUBACK, wire.PINGRESP):
        peer = server.peer(version)
        peer.send(packet(kind << 4, b'\0\1\0\0'))
        peer.expect_end((wire.PROTOCOL_ERROR, wire.MALFORMED))


def test_bytes_behind_the_end_of_a_packet_are_malformed(server, version):
    for data in (packet(0xc0, b'x'), packet(wire.PUBACK << 4, b'\0\1\0\0x'),
                 packet(wire.UNSUBSCRIBE << 4 | 2, unsubscribe(version, 1, 't')[2:] + b'\0')):
        peer = server.peer(version)
        peer.send(data)
        peer.expect_end(wire.MALFORMED)
    peer = server.peer(version)
    peer.send(packet(wire.DISCONNECT << 4, b'\0\0x' if version == 5 else b'\0'))
    peer.expect_end(wire.MALFORMED)


# --- packet identifiers -------------------------------------------------------------------------

def test_a_packet_identifier_of_zero_is_an_error(server, version):
    for data in (publish(version, 't', b'', 1, 0), publish(version, 't', b'', 2, 0),
                 subscribe(version, 0, ('t', 0)), unsubscribe(version, 0, 't'),
                 ack(version, wire.PUBACK, 0), ack(version, wire.PUBREL, 0)):
        peer = server.peer(version)
        peer.send(data)
        peer.expect_end((wire.PROTOCOL_ERROR, wire.MALFORMED))


def test_a_qos_0_publish_carries_no_packet_identifier(server, version):
    """What would be the identifier is payload (3.1.1), or the properties' length (5.0)."""
    pub, sub = server.pair(version)
    topic = server.topic()
    sub.subscribe(topic)
    pub.send(packet(0x30, text(topic) + (b'\0' if version == 5 else b'') + b'\x12\x34rest'))
    got = sub.take(topic, b'\x12\x34rest', qos=0)
    assert len(got.raw) == 2 + 2 + len(topic) + (1 if version == 5 else 0) + 6
    pub.ping()


@pytest.mark.parametrize('packet_id', [1, 255, 256, 0x7fff, 65535])
def test_answers_carry_the_packet_identifier_of_what_they_answer(server, version, packet_id):
    peer = server.peer(version)
    topic = server.topic()
    peer.send(subscribe(version, packet_id, (topic + '/none', 1)))
    peer.expect(wire.SUBACK, packet_id=packet_id)
    peer.send(publish(version, topic, b'', 1, packet_id))
    peer.expect(wire.PUBACK, packet_id=packet_id)
    peer.send(publish(version, topic, b'', 2, packet_id))
    peer.expect(wire.PUBREC, packet_id=packet_id)
    peer.send(ack(version, wire.PUBREL, packet_id))
    peer.expect(wire.PUBCOMP, packet_id=packet_id)
    peer.send(unsubscribe(version, packet_id, topic + '/none'))
    peer.expect(wire.UNSUBACK, packet_id=packet_id)


def test_the_server_uses_identifiers_that_are_free_and_not_zero(server, version):
    """The window is full of unanswered messages while others come and go around one of them."""
    pub, sub = server.pair(version)
    topic = server.topic()
    sub.subscribe((topic, 1))
    open_ids = []
    for _ in range(100):
        pub.publish(topic, b'', 1)
        open_ids.append(sub.expect(wire.PUBLISH, qos=1, dup=False).packet_id)
    assert 0 not in open_ids and len(set(open_ids)) == 100
    kept = open_ids[0]
    for packet_id in open_ids[1:]:
        sub.send(ack(version, wire.PUBACK, packet_id))
    for _ in range(300):
        pub.publish(topic, b'', 1)
        got = sub.take(topic)
        assert got.packet_id not in (0, kept)


def test_without_properties_their_length_is_there_and_zero(server):
    peer = server.peer()
    topic = server.topic()
    peer.send(subscribe(5, 7, (topic, 0)))
    peer.expect_bytes(packet(wire.SUBACK << 4, b'\0\7\0\0'))
    peer.send(publish(5, topic, b'x'))
    peer.expect_bytes(publish(5, topic, b'x'))
    peer.send(unsubscribe(5, 8, topic))
    peer.expect_bytes(packet(wire.UNSUBACK << 4, b'\0\x08\0\0'))
    peer.send(packet(0x30, text(topic)))  # no length at all
    peer.expect_end(wire.MALFORMED)
