"""MQTT 3.1.1 and 5.0, sections 3.1 and 3.2: CONNECT and CONNACK, rules that both versions share."""
import pytest

import mqtt_wire as wire
import sealmq_testlib as lib
from mqtt_wire import ack, connect, ending, packet, publish, subscribe, text, \
    unsubscribe


@pytest.mark.parametrize('build', [
    lambda v: publish(v, 't'), lambda v: publish(v, 't', b'', 1, 1),
    lambda v: ack(v, wire.PUBACK, 1), lambda v: ack(v, wire.PUBREC, 1),
    lambda v: ack(v, wire.PUBREL, 1), lambda v: ack(v, wire.PUBCOMP, 1),
    lambda v: subscribe(v, 1, ('t', 0)), lambda v: unsubscribe(v, 1, 't'),
    lambda v: packet(wire.PINGREQ << 4), lambda v: ending(v), lambda v: packet(wire.CONNACK << 4),
    lambda v: ending(5, wire.AUTH, wire.CONTINUE, auth_method='x'), lambda v: b'GET / HTTP/1.1\r\n',
], ids=['PUBLISH', 'PUBLISH-1', 'PUBACK', 'PUBREC', 'PUBREL', 'PUBCOMP', 'SUBSCRIBE', 'UNSUBSCRIBE',
        'PINGREQ', 'DISCONNECT', 'CONNACK', 'AUTH', 'HTTP'])
def test_the_first_packet_must_be_a_connect(server, version, build):
    """Nothing is answered, a DISCONNECT least of all: no CONNACK went before it."""
    peer = server.raw(version)
    peer.send(build(version))
    peer.expect_closed()


def test_a_second_connect_is_a_protocol_error(server, version):
    peer = server.peer(version)
    peer.send(connect(version, peer.client_id))
    peer.expect_end(wire.PROTOCOL_ERROR)
    peer = server.raw(version)  # and nothing but one CONNACK comes when both are sent at once
    name = server.name()
    peer.send(connect(version, name) + connect(version, name))
    peer.expect(wire.CONNACK, reason=0)
    peer.expect_end(wire.PROTOCOL_ERROR)


def test_another_protocol_name_is_not_served(server, version):
    for name in ('MQTX', 'mqtt', 'MQTTT', '', 'HTTP'):
        peer = server.raw(version)
        peer.send(connect(version, server.name(), name=name))
        peer.expect_refusal(wire.UNSUPPORTED_VERSION)
    peer = server.raw(4)  # the name of 3.1, whose clients understand the answer
    peer.send(connect(4, server.name(), name='MQIsdp', level=3))
    peer.expect_refusal(None, 1)


@pytest.mark.parametrize('level, answered_in', [(0, 4), (1, 4), (2, 4), (3, 4), (6, 5), (127, 5)])
def test_another_protocol_level_is_told_that_it_is_not_served(server, level, answered_in):
    peer = server.raw(answered_in)
    peer.send(connect(answered_in, server.name(), level=level))
    peer.expect_refusal(wire.UNSUPPORTED_VERSION, 1)


def test_the_reserved_connect_flag_must_be_zero(server, version):
    peer = server.raw(version)
    peer.send(connect(version, server.name(), flags=0x03))
    peer.expect_refusal(wire.MALFORMED)


# --- the order and presence of the payload's fields ---------------------------------------------

def connect_with(version, flags, *fields):
    """A CONNECT with those flags and exactly those bytes as payload."""
    return packet(0x10, text('MQTT') + bytes([version, flags]) + b'\0\0' +
                  (b'\0' if version == 5 else b'') + b''.join(fields))


def will_of(version, topic='w', payload='gone'):
    return (b'\0' if version == 5 else b'') + text(topic) + text(payload)


def test_the_fields_of_the_payload_stand_in_their_order(server, version):
    name, topic = server.name(), server.topic()
    watch = server.peer(version, 1)
    watch.subscribe(topic)
    peer = server.raw(version)
    peer.send(connect_with(version, 0xc6, text(name), will_of(version, topic), text('user'),
                           text('pass')))
    peer.expect(wire.CONNACK, reason=0)
    peer.close()
    watch.take(topic, b'gone')


@pytest.mark.parametrize('flags, fields', [
    (0x02, lambda v: [b'']),                                # no client id at all
    (0x06, lambda v: [text('c')]),                          # will flag, no will
    (0x06, lambda v: [text('c'), will_of(v)[:-6]]),         # no will payload
    (0x82, lambda v: [text('c')]),                          # user name flag, no user name
    (0xc2, lambda v: [text('c'), text('u')]),               # password flag, no password
    (0x02, lambda v: [text('c'), will_of(v)]),              # a will without its flag
    (0x02, lambda v: [text('c'), text('u')]),               # a user name without its flag
    (0x82, lambda v: [text('c'), text('u'), text('p')]),    # a password without its flag
    (0x02, lambda v: [b'\0\5abc']),                         # a client id that is cut short
], ids=['client id', 'will', 'will payload', 'user name', 'password', 'no will flag',
        'no user name flag', 'no password flag', 'cut short'])
def test_fields_are_there_exactly_when_their_flags_say_so(server, version, flags, fields):
    peer = server.raw(version)
    peer.send(connect_with(version, flags, *fields(version)))
    peer.expect_refusal(wire.MALFORMED)


def test_a_connect_cut_anywhere_is_refused(server, version):
    whole = connect(version, server.name(), will=('w', b'gone', 1, True), user='u', password='p')
    for n in range(2, len(whole) - 1):
        peer = server.raw(version)
        peer.send(packet(whole[0], whole[2:n]))
        first = peer.receive()
        if first is not None:  # 5.0, once the version could be read
            assert version == 5 and first.reason == wire.MALFORMED
            peer.expect_closed()


@pytest.mark.parametrize('flags', [0x0a, 0x12, 0x1a, 0x22, 0x2a])
def test_without_a_will_its_qos_and_retain_flags_are_zero(server, version, flags):
    peer = server.raw(version)
    peer.send(connect(version, server.name(), flags=flags))
    peer.expect_refusal(wire.MALFORMED)


def test_a_will_has_a_qos_of_0_1_or_2(server, version):
    for qos in range(3):
        server.peer(version, will=(server.topic(), b'', qos, False))
    peer = server.raw(version)
    peer.send(connect(version, server.name(), will=('t', b'', 3, False)))
    peer.expect_refusal(wire.MALFORMED)


def test_a_will_topic_is_a_topic_name(server, version):
    for topic in ('', 'a/+', '#', 'a#b'):
        peer = server.raw(version)
        peer.send(connect(version, server.name(), will=(topic, b'', 0, False)))
        peer.expect_refusal(wire.TOPIC_INVALID)


# --- client identifiers -------------------------------------------------------------------------

ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'


def test_identifiers_of_1_to_23_letters_and_digits_are_allowed(server, version):
    for name in [ALPHABET[i:i + 23] for i in range(0, len(ALPHABET), 23)] + list(ALPHABET):
        server.peer(version, client_id=name)
    for length in range(1, 24):
        server.peer(version, client_id=f'{length:0>{length}}'[:length])


def test_longer_and_stranger_identifiers_are_allowed(server, version):
    for name in ('a' * 1024, 'with space/+#$', '\u00e4\u20ac\U0001f600'):
        server.peer(version, client_id=name)
    peer = server.raw(version)
    peer.send(connect(version, 'a' * 1025))
    peer.expect_refusal(wire.CLIENT_ID_INVALID, 2)


def test_a_client_without_identifier_is_a_client_of_its_own(server, version):
    topic = server.topic()
    peers = [server.peer(version, client_id='') for _ in range(20)]
    for i, peer in enumerate(peers):
        peer.subscribe(f'{topic}/{i}')
    for i, peer in enumerate(peers):
        peers[i - 1].publish(f'{topic}/{i}', b'%d' % i)
    for i, peer in enumerate(peers):
        peer.take(f'{topic}/{i}', b'%d' % i)


# --- sessions -----------------------------------------------------------------------------------

def kept(version):
    """What makes a session stay after its connection."""
    return {'session_expiry': 600} if version == 5 else {}


def test_a_clean_start_ends_the_session_that_was(server, version):
    name, topic = server.name(), server.topic()
    pub = server.peer(version, 1)
    peer = server.peer(version, client_id=name, clean=False, **kept(version))
    peer.subscribe(topic)
    peer.disconnect()
    pub.publish(topic, b'while away', 1)
    peer = server.peer(version, client_id=name, clean=True)
    assert not peer.connack.session_present
    pub.publish(topic, b'to nobody', 1)
    server.silent(pub, peer)
    peer.disconnect()
    peer = server.peer(version, client_id=name, clean=False, **kept(version))
    assert not peer.connack.session_present  # nothing of a clean session is used again
    pub.publish(topic, b'still to nobody', 1)
    server.silent(pub, peer)


def test_a_session_is_resumed_with_its_subscriptions(server, version):
    name, topic = server.name(), server.topic()
    pub = server.peer(version, 1)
    peer = server.peer(version, client_id=name, clean=False, **kept(version))
    assert not peer.connack.session_present  # there was none: a new one is made
    assert peer.subscribe((topic, 2)) == [2]
    peer.disconnect()
    for qos in range(3):
        pub.publish(topic, b'%d' % qos, qos)
    peer = server.peer(version, client_id=name, clean=False, **kept(version))
    assert peer.connack.session_present
    for qos in (1, 2):
        peer.take(topic, b'%d' % qos, qos=qos, dup=False)
    pub.publish(topic, b'live', 2)
    peer.take(topic, b'live', qos=2)
    assert not server.peer(version, clean=False).connack.session_present  # another client's


def test_a_session_survives_also_a_connection_that_breaks(server, version):
    name, topic = server.name(), server.topic()
    pub = server.peer(version, 1)
    peer = server.peer(version, client_id=name, clean=False, **kept(version))
    peer.subscribe(topic)
    peer.close()
    pub.publish(topic, b'x', 1)
    peer = server.peer(version, client_id=name, clean=False, **kept(version))
    assert peer.connack.session_present
    peer.take(topic, b'x')


def test_a_client_that_comes_again_ends_its_older_connection(server, version):
    for clean in (True, False):
        name, topic = server.name(), server.topic()
        older = server.peer(version, client_id=name, clean=clean)
        newer = server.peer(version, client_id=name, clean=clean)
        older.expect_end(wire.TAKEN_OVER)
        newer.subscribe(topic)
        newer.publish(topic, b'x')
        newer.take(topic, b'x')


def test_a_take_over_hands_on_the_session(server, version):
    name, topic = server.name(), server.topic()
    pub = server.peer(version, 1)
    older = server.peer(version, client_id=name, clean=False, **kept(version))
    older.subscribe(topic)
    pub.publish(topic, b'unanswered', 1)
    first = older.expect(wire.PUBLISH, dup=False)
    newer = server.peer(version, client_id=name, clean=False, **kept(version))
    assert newer.connack.session_present
    older.expect_end(wire.TAKEN_OVER)
    newer.take(topic, b'unanswered', dup=True, packet_id=first.packet_id)


def test_whose_session_it_is_the_identifier_says(server, version):
    """Byte for byte: other case, other spaces, other forms of a letter are other clients."""
    name = server.name()
    names = [name, name.upper(), name + ' ', name + '\u00c5', name + 'A\u030a']
    topics = [server.topic() for _ in names]
    for each, topic in zip(names, topics):
        peer = server.peer(version, client_id=each, clean=False, **kept(version))
        assert not peer.connack.session_present
        peer.subscribe(topic)
        peer.disconnect()
    pub = server.peer(version, 1)
    for topic in topics:
        pub.publish(topic, topic.encode(), 1)
    for each, topic in zip(names, topics):
        server.peer(version, client_id=each, clean=False, **kept(version)).take(topic,
                                                                                 topic.encode())


def test_a_refused_client_is_closed_and_what_it_sent_is_not_looked_at(processes, tmp_path, version):
    passwords = tmp_path / 'passwords'
    assert lib.run_sealmq('passwd', passwords, 'ann', '-b', 'secret').returncode == 0
    _process, port = processes.broker('--passwords', passwords, '--workers', 2, anonymous=False)
    server = wire.Server(port, 2)
    try:
        watch = server.peer(version, user='ann', password='secret')
        watch.subscribe('#')
        for options, reason, code in (({'user': 'ann', 'password': 'wrong'}, wire.BAD_PASSWORD, 4),
                                      ({'user': 'eve', 'password': 'secret'}, wire.BAD_PASSWORD, 4),
                                      ({'user': 'ann'}, wire.BAD_PASSWORD, 4),
                                      ({}, wire.NOT_AUTHORIZED, 5)):
            peer = server.raw(version)
            peer.send(connect(version, watch.client_id, **options) +
                      subscribe(version, 1, ('#', 0)) + publish(version, 'x', b'no', 1, 2))
            peer.expect_refusal(reason, code)
        watch.ping()  # still there: nobody who may not come in takes over a client
        ok = server.peer(version, user='ann', password='secret')
        server.silent(ok, watch)
    finally:
        server.close()


def test_packets_sent_behind_the_connect_are_served_after_it(server, version):
    topic = server.topic()
    peer = server.raw(version)
    peer.send(connect(version, server.name(1)) + subscribe(version, 1, (topic, 1)) +
              publish(version, topic, b'x', 1, 2))
    peer.expect(wire.CONNACK, session_present=False, reason=0)
    peer.expect(wire.SUBACK, packet_id=1)
    kinds = {peer.receive().kind, peer.receive().kind}
    assert kinds == {wire.PUBACK, wire.PUBLISH}


def test_the_connack_comes_first_and_once(server, version):
    """Before what waits in the session, too."""
    name, topic = server.name(), server.topic()
    peer = server.peer(version, client_id=name, clean=False, **kept(version))
    peer.subscribe(topic)
    peer.disconnect()
    server.peer(version, 1).publish(topic, b'x', 1)
    peer = server.raw(version)
    peer.send(connect(version, name, clean=False, **kept(version)))
    peer.expect(wire.CONNACK, session_present=True, reason=0)
    peer.take(topic, b'x')
    peer.ping()


def test_a_connack_has_only_bits_and_codes_that_are_defined(server, version):
    peer = server.peer(version)
    raw = peer.connack.raw
    assert raw[0] == 0x20 and raw[2] == 0 and raw[3] == 0
    if version == 4:
        assert raw == b'\x20\x02\0\0'
