"""MQTT 3.1.1 and 5.0, sections 3.3 to 3.7 and 4.3 to 4.6: PUBLISH and what answers it."""
import pytest

import mqtt_wire as wire
from mqtt_wire import ack, packet, publish, text


def kept(version):
    """What makes a session stay after its connection."""
    return {'clean': False, **({'session_expiry': 600} if version == 5 else {})}


# --- the packet ---------------------------------------------------------------------------------

def test_a_qos_of_3_is_malformed(server, version):
    peer = server.peer(version)
    peer.send(packet(0x36, text('t') + b'\0\1' + (b'\0' if version == 5 else b'')))
    peer.expect_end(wire.MALFORMED)


def test_dup_at_qos_0_is_malformed(server, version):
    peer = server.peer(version)
    peer.send(publish(version, 't', b'', 0, None, dup=True))
    peer.expect_end(wire.MALFORMED)


@pytest.mark.parametrize('topic', ['a/+', '#', '+', 'a/#/b', 'a+b', 'a#', 'x/a+/y'])
def test_a_topic_name_has_no_wildcards(server, version, topic):
    for qos in range(3):
        peer = server.peer(version)
        peer.send(publish(version, topic, b'', qos, 1 if qos else None))
        peer.expect_end(wire.TOPIC_INVALID)


def test_a_topic_name_has_at_least_one_character(server, version):
    peer = server.peer(version)
    peer.send(publish(version, '', b'x'))
    peer.expect_end(wire.PROTOCOL_ERROR)


def test_a_publish_that_is_cut_short_is_malformed(server, version):
    whole = publish(version, 'topic', b'', 1, 7)
    for n in range(2, len(whole) - 1):
        peer = server.peer(version)
        peer.send(packet(whole[0], whole[2:n]))
        peer.expect_end((wire.MALFORMED, wire.PROTOCOL_ERROR))


@pytest.mark.parametrize('topic', ['/', '//', 'a/', '/a', ' ', 'a b/c d', '$x', 'A/a',
                                   '\u00e4/\u20ac'])
def test_a_topic_arrives_as_it_was_sent_and_matches_its_filter(server, version, topic):
    base = server.topic()
    pub, sub = server.pair(version)
    sub.subscribe(f'{base}/{topic}')
    pub.publish(f'{base}/{topic}', b'x', 1)
    assert sub.take(f'{base}/{topic}', b'x').topic == f'{base}/{topic}'


# --- answers, by QoS ----------------------------------------------------------------------------

def test_qos_0_is_not_answered(server, version):
    pub, sub = server.pair(version)
    topic = server.topic()
    sub.subscribe(topic)
    pub.send(publish(version, topic, b'x'))
    got = sub.expect(wire.PUBLISH, topic=topic, qos=0, dup=False, payload=b'x')
    assert got.packet_id is None
    pub.ping()


def test_qos_1_is_answered_with_puback(server, version):
    pub, sub = server.pair(version)
    topic = server.topic()
    sub.subscribe(topic)
    pub.send(publish(version, topic, b'x', 1, 77))
    pub.expect_bytes(ack(version, wire.PUBACK, 77))
    sub.take(topic, b'x', qos=1, dup=False)
    pub.ping()


def test_qos_2_is_answered_with_pubrec_and_pubcomp(server, version):
    pub, sub = server.pair(version)
    topic = server.topic()
    sub.subscribe(topic)
    pub.send(publish(version, topic, b'x', 2, 77))
    pub.expect_bytes(ack(version, wire.PUBREC, 77))
    pub.send(ack(version, wire.PUBREL, 77))
    pub.expect_bytes(ack(version, wire.PUBCOMP, 77))
    got = sub.expect(wire.PUBLISH, topic=topic, payload=b'x', qos=2, dup=False)
    sub.send(ack(version, wire.PUBREC, got.packet_id))
    sub.expect_bytes(ack(version, wire.PUBREL, got.packet_id))
    sub.send(ack(version, wire.PUBCOMP, got.packet_id))
    sub.ping()


def test_an_identifier_is_free_again_after_puback(server, version):
    """Whatever the DUP flag says: it is a new message."""
    pub, sub = server.pair(version)
    topic = server.topic()
    sub.subscribe(topic)
    for i, dup in enumerate((False, True, True, False)):
        pub.send(publish(version, topic, b'%d' % i, 1, 5, dup=dup))
        pub.expect_bytes(ack(version, wire.PUBACK, 5))
        sub.take(topic, b'%d' % i, dup=False)


def test_a_qos_2_message_is_delivered_once_until_it_is_released(server, version):
    pub, sub = server.pair(version)
    topic = server.topic()
    sub.subscribe(topic)
    for dup in (False, True, True):
        pub.send(publish(version, topic, b'once', 2, 9, dup=dup))
        pub.expect_bytes(ack(version, wire.PUBREC, 9))
    pub.send(ack(version, wire.PUBREL, 9))
    pub.expect_bytes(ack(version, wire.PUBCOMP, 9))
    sub.take(topic, b'once')
    pub.send(publish(version, topic, b'again', 2, 9, dup=True))  # released: a new message
    pub.expect_bytes(ack(version, wire.PUBREC, 9))
    sub.take(topic, b'again', dup=False)
    server.silent(pub, sub)


def test_a_qos_2_message_is_delivered_once_over_connections(server, version):
    name, topic = server.name(1), server.topic()
    sub = server.peer(version)
    sub.subscribe(topic)
    pub = server.peer(version, client_id=name, **kept(version))
    pub.send(publish(version, topic, b'once', 2, 9))
    pub.expect(wire.PUBREC, packet_id=9)
    pub.close()
    pub = server.peer(version, client_id=name, **kept(version))
    assert pub.connack.session_present
    pub.send(publish(version, topic, b'once', 2, 9, dup=True))
    pub.expect_bytes(ack(version, wire.PUBREC, 9))
    pub.send(ack(version, wire.PUBREL, 9))
    pub.expect_bytes(ack(version, wire.PUBCOMP, 9))
    sub.take(topic, b'once')
    server.silent(pub, sub)


def test_a_release_is_always_answered(server, version):
    """Also the second one, and one for a message that nobody has seen."""
    pub = server.peer(version)
    topic = server.topic()
    pub.publish(topic, b'', 2)
    for packet_id in (1, 4711):
        pub.send(ack(version, wire.PUBREL, packet_id))
        got = pub.expect(wire.PUBCOMP, packet_id=packet_id)
        assert got.reason == (wire.ID_NOT_FOUND if version == 5 else 0)
    pub.ping()


def test_a_pubrec_is_answered_also_the_second_time(server, version):
    pub, sub = server.pair(version)
    topic = server.topic()
    sub.subscribe(topic)
    pub.publish(topic, b'x', 2)
    packet_id = sub.expect(wire.PUBLISH, qos=2).packet_id
    for _ in range(3):
        sub.send(ack(version, wire.PUBREC, packet_id))
        sub.expect_bytes(ack(version, wire.PUBREL, packet_id))
    sub.send(ack(version, wire.PUBCOMP, packet_id))
    sub.ping()


def test_an_answer_of_the_wrong_kind_is_a_protocol_error(server, version):
    for qos, kind in ((1, wire.PUBREC), (1, wire.PUBCOMP), (2, wire.PUBACK), (2, wire.PUBCOMP)):
        pub, sub = server.pair(version)
        topic = server.topic()
        sub.subscribe(topic)
        pub.publish(topic, b'x', qos)
        packet_id = sub.expect(wire.PUBLISH, qos=qos).packet_id
        sub.send(ack(version, kind, packet_id))
        sub.expect_end(wire.PROTOCOL_ERROR)


def test_answers_to_nothing_are_let_pass(server, version):
    """They may echo an earlier connection."""
    peer = server.peer(version)
    peer.send(ack(version, wire.PUBACK, 99), ack(version, wire.PUBCOMP, 99))
    peer.ping()


def test_a_message_is_open_until_it_is_answered(server, version):
    """Without an answer it comes again, once, on the next connection and at no other time."""
    name, topic = server.name(), server.topic()
    pub = server.peer(version, 1)
    sub = server.peer(version, client_id=name, **kept(version))
    sub.subscribe((topic, 1))
    pub.publish(topic, b'x', 1)
    packet_id = sub.expect(wire.PUBLISH, dup=False).packet_id
    for _ in range(3):
        sub.ping()
    sub.close()
    for _ in range(2):
        sub = server.peer(version, client_id=name, **kept(version))
        sub.expect(wire.PUBLISH, topic=topic, payload=b'x', packet_id=packet_id, dup=True)
        sub.ping()
    sub.send(ack(version, wire.PUBACK, packet_id))
    sub.ping()
    sub.close()
    sub = server.peer(version, client_id=name, **kept(version))
    sub.ping()


# --- DUP ----------------------------------------------------------------------------------------

def test_dup_is_not_passed_on_to_subscribers(server, version):
    pub, sub = server.pair(version)
    topic = server.topic()
    sub.subscribe(topic)
    for qos in (1, 2):
        pub.send(publish(version, topic, b'x', qos, 3, dup=True))
        pub.expect(wire.PUBACK if qos == 1 else wire.PUBREC, packet_id=3)
        sub.take(topic, b'x', dup=False, qos=qos)


# --- sessions: what comes again, and in which order ---------------------------------------------

def test_open_messages_come_again_in_their_order_with_their_identifiers(server, version):
    name, topic = server.name(), server.topic()
    pub = server.peer(version, 1)
    sub = server.peer(version, client_id=name, **kept(version))
    sub.subscribe(topic)
    sent = []
    for i in range(20):
        pub.publish(topic, b'%d' % i, 1 + i % 2)
        got = sub.expect(wire.PUBLISH, payload=b'%d' % i, dup=False)
        sent.append((got.payload, got.qos, got.packet_id))
    sub.disconnect()
    for i in range(20, 25):  # these have not been sent before
        pub.publish(topic, b'%d' % i, 1)
    sub = server.peer(version, client_id=name, **kept(version))
    for payload, qos, packet_id in sent:
        sub.expect(wire.PUBLISH, payload=payload, qos=qos, packet_id=packet_id, dup=True)
    for i in range(20, 25):
        sub.expect(wire.PUBLISH, payload=b'%d' % i, dup=False)


def test_a_release_comes_again_instead_of_its_message(server, version):
    name, topic = server.name(), server.topic()
    pub = server.peer(version, 1)
    sub = server.peer(version, client_id=name, **kept(version))
    sub.subscribe(topic)
    ids = []
    for i in range(3):
        pub.publish(topic, b'%d' % i, 2)
        ids.append(sub.expect(wire.PUBLISH).packet_id)
    for packet_id in ids[:2]:
        sub.send(ack(version, wire.PUBREC, packet_id))
        sub.expect(wire.PUBREL, packet_id=packet_id)
    sub.close()
    for _ in range(2):
        sub = server.peer(version, client_id=name, **kept(version))
        sub.expect_bytes(ack(version, wire.PUBREL, ids[0]))
        sub.expect_bytes(ack(version, wire.PUBREL, ids[1]))
        sub.expect(wire.PUBLISH, payload=b'2', dup=True, packet_id=ids[2])
        sub.close()
    sub = server.peer(version, client_id=name, **kept(version))
    for packet_id in ids[:2]:
        sub.expect(wire.PUBREL, packet_id=packet_id)
        sub.send(ack(version, wire.PUBCOMP, packet_id))
    sub.take(topic, b'2', dup=True)
    sub.ping()


def test_what_a_clean_start_has_ended_does_not_come_again(server, version):
    name, topic = server.name(), server.topic()
    pub = server.peer(version, 1)
    sub = server.peer(version, client_id=name, **kept(version))
    sub.subscribe(topic)
    pub.publish(topic, b'x', 1)
    sub.expect(wire.PUBLISH)
    sub.close()
    sub = server.peer(version, client_id=name, clean=True)
    sub.ping()


def test_messages_of_one_client_arrive_in_their_order(server, version):
    for qos in range(3):
        pub, sub = server.pair(version)
        topic = server.topic()
        sub.subscribe(topic)
        pub.send(*[publish(version, topic, b'%d' % i, qos, i + 1 if qos else None)
                   for i in range(120)])
        for i in range(120):
            got = sub.expect(wire.PUBLISH, payload=b'%d' % i, qos=qos)
            if qos == 1:
                sub.send(ack(version, wire.PUBACK, got.packet_id))
        for i in range(120 if qos else 0):
            pub.expect(wire.PUBACK if qos == 1 else wire.PUBREC, packet_id=i + 1)


def test_answers_leave_in_the_order_of_the_messages(server, version):
    pub = server.peer(version)
    topic = server.topic()
    pub.send(*[publish(version, topic, b'', 1 + i % 2, i + 1) for i in range(50)])
    for i in range(50):
        pub.expect(wire.PUBREC if i % 2 else wire.PUBACK, packet_id=i + 1)
    pub.send(*[ack(version, wire.PUBREL, i + 1) for i in range(1, 50, 2)])
    for i in range(1, 50, 2):
        pub.expect(wire.PUBCOMP, packet_id=i + 1)


def test_a_message_reaches_every_session_that_has_subscribed(server, version):
    """Here and away, on whichever worker, of either version."""
    topic = server.topic()
    subs = [server.peer(v, shard) for v in (4, 5) for shard in (0, 1)]
    away = [server.peer(v, shard, **kept(v)) for v in (4, 5) for shard in (0, 1)]
    for sub in subs + away:
        sub.subscribe(topic)
    for sub in away:
        sub.disconnect()
    server.peer(version, 1).publish(topic, b'x', 2)
    for sub in subs:
        sub.take(topic, b'x', qos=2)
    for sub in away:
        server.peer(sub.version, client_id=sub.client_id, **kept(sub.version)).take(topic, b'x',
                                                                                    qos=2)


@pytest.mark.parametrize('size', [1000, 2047, 2048, 2049, 70_000, 5_000_000])
def test_payloads_of_any_size_and_content_arrive(server, version, size):
    pub, sub = server.pair(version)
    topic = server.topic()
    sub.subscribe(topic)
    payload = bytes(range(256)) * (size // 256 + 1)
    pub.publish(topic, payload, 1)
    sub.take(topic, payload)


def test_who_may_not_publish_is_not_told_but_nobody_gets_it(processes, tmp_path, version):
    """3.1.1 has no way to refuse: the message is acknowledged and dropped. 5.0 says so."""
    acl = tmp_path / 'acl'
    acl.write_text('topic read open/#\ntopic readwrite mine/#\n')
    _process, port = processes.broker('--acl', acl, '--workers', 2)
    server = wire.Server(port, 2)
    try:
        pub, sub = server.pair(version)
        assert sub.subscribe('open/#', 'mine/#') == [2, 2]
        pub.send(publish(version, 'open/a', b'no'))
        for qos in (1, 2):
            answer = pub.publish('open/a', b'no', qos, retain=True)
            assert answer.reason == (wire.NOT_AUTHORIZED if version == 5 else 0)
        pub.publish('mine/a', b'yes', 1)
        sub.take('mine/a', b'yes')
        assert server.peer(version).subscribe('other/#') == [0x87 if version == 5 else 0x80]
        late = server.peer(version)
        late.subscribe('open/#')
        late.ping()
    finally:
        server.close()
