"""MQTT 5.0, sections 3.4 to 3.7 and 4.9: flow control, packet sizes and reason codes."""
import pytest

import mqtt_wire as wire
from mqtt_wire import ack, publish


# --- flow control -------------------------------------------------------------------------------

@pytest.mark.parametrize('qos', [1, 2])
@pytest.mark.parametrize('window', [1, 2, 10])
def test_no_more_than_the_clients_receive_maximum_is_open(server, qos, window):
    topic = server.topic()
    pub, sub = server.pair(receive_maximum=window)
    sub.subscribe(topic)
    for i in range(30):
        pub.publish(topic, b'%d' % i, qos)
    waiting = [sub.expect(wire.PUBLISH, payload=b'%d' % i) for i in range(window)]
    sub.ping()  # no more comes, and other packets are not held back
    assert sub.subscribe(server.topic()) == [2]
    pub.publish(topic, b'unbound', 0)  # QoS 0 does not count
    sub.take(topic, b'unbound', qos=0)
    for i in range(window, 30 + window):
        first = waiting.pop(0)
        if qos == 1:
            sub.send(ack(5, wire.PUBACK, first.packet_id))
        else:
            sub.send(ack(5, wire.PUBREC, first.packet_id))
            sub.expect(wire.PUBREL, packet_id=first.packet_id)
            sub.ping()  # still open, until PUBCOMP
            sub.send(ack(5, wire.PUBCOMP, first.packet_id))
        if i < 30:
            waiting.append(sub.expect(wire.PUBLISH, payload=b'%d' % i))
    sub.ping()


def test_a_pubrec_with_an_error_makes_room_too(server):
    topic = server.topic()
    pub, sub = server.pair(receive_maximum=1)
    sub.subscribe(topic)
    for i in range(3):
        pub.publish(topic, b'%d' % i, 2)
    for i in range(3):
        packet_id = sub.expect(wire.PUBLISH, payload=b'%d' % i).packet_id
        sub.send(ack(5, wire.PUBREC, packet_id, 0x80))
    sub.ping()  # and no PUBREL comes for it


def test_a_window_holds_on_the_next_connection_as_well(server):
    topic = server.topic()
    pub, sub = server.pair(session_expiry=600)
    sub.subscribe(topic)
    for i in range(6):
        pub.publish(topic, b'%d' % i, 1)
        sub.expect(wire.PUBLISH)
    sub.close()
    sub = server.peer(client_id=sub.client_id, clean=False, receive_maximum=2)
    first = [sub.expect(wire.PUBLISH, payload=b'%d' % i, dup=True) for i in range(2)]
    sub.ping()
    for i in range(2, 6):
        sub.send(ack(5, wire.PUBACK, first[i % 2].packet_id))
        first[i % 2] = sub.expect(wire.PUBLISH, payload=b'%d' % i, dup=True)


def test_a_client_that_exceeds_the_servers_receive_maximum_is_ended(server):
    pub = server.peer()
    most = pub.connack.props.get('receive_maximum', 65535)
    topic = server.topic()
    pub.send(*[publish(5, topic, b'', 2, i) for i in range(1, most + 1)])
    for i in range(1, most + 1):
        pub.expect(wire.PUBREC, packet_id=i)
    pub.ping()  # at the maximum all is well
    pub.send(ack(5, wire.PUBREL, 1))
    pub.expect(wire.PUBCOMP, packet_id=1, reason=0)
    pub.send(publish(5, topic, b'', 2, most + 1))
    pub.expect(wire.PUBREC, packet_id=most + 1)
    pub.send(publish(5, topic, b'', 2, most + 2))
    pub.expect_end(wire.RECEIVE_MAXIMUM_EXCEEDED)


# --- packet sizes -------------------------------------------------------------------------------

def test_a_message_too_large_for_a_client_is_left_out_for_it_alone(server):
    topic = server.topic()
    pub, small = server.pair(maximum_packet_size=100)
    large = server.peer()
    for sub in small, large:
        sub.subscribe(topic)
    overhead = len(publish(5, topic, b'', 1, 1))
    for qos in range(3):
        pub.publish(topic, bytes(200), qos)
        large.take(topic, bytes(200), qos=qos)
    pub.publish(topic, bytes(100 - overhead), 1)
    got = small.take(topic, bytes(100 - overhead))
    assert len(got.raw) == 100
    pub.publish(topic, bytes(101 - overhead), 1)
    pub.publish(topic, b'end', 2)
    small.take(topic, b'end')


def test_a_message_too_large_does_not_take_a_place_in_the_window(server):
    topic = server.topic()
    pub, small = server.pair(maximum_packet_size=100, receive_maximum=1)
    small.subscribe(topic)
    pub.publish(topic, b'first', 1)
    first = small.expect(wire.PUBLISH, payload=b'first')
    for _ in range(3):
        pub.publish(topic, bytes(200), 1)
    pub.publish(topic, b'last', 1)
    small.send(ack(5, wire.PUBACK, first.packet_id))
    small.take(topic, b'last')


def test_a_packet_over_the_servers_maximum_is_refused(processes):
    _process, port = processes.broker('--max-packet', 5000)
    server = wire.Server(port)
    try:
        peer = server.peer()
        assert peer.connack.props['maximum_packet_size'] == 5000
        topic = server.topic()
        peer.subscribe(topic)
        most = 5000 - len(publish(5, topic, b'')) - 1  # the remaining length takes two bytes
        peer.publish(topic, bytes(most))
        assert len(peer.take(topic, bytes(most)).raw) == 5000
        peer.send(publish(5, topic, bytes(most + 1)))
        peer.expect_end(wire.TOO_LARGE)
    finally:
        server.close()


# --- reason codes -------------------------------------------------------------------------------

def test_an_answer_says_when_nobody_has_subscribed(server):
    pub, sub = server.pair()
    topic = server.topic()
    for qos in (1, 2):
        assert pub.publish(topic, b'', qos).reason == wire.NO_SUBSCRIBERS
    sub.subscribe(topic)
    for qos in (1, 2):
        assert pub.publish(topic, b'', qos).reason == 0
        sub.take(topic)


@pytest.mark.parametrize('kind', [wire.PUBACK, wire.PUBREC])
def test_an_answer_with_an_error_completes_the_message(server, kind):
    """It is not sent again, to nobody; not even on the next connection."""
    topic = server.topic()
    pub, sub = server.pair(session_expiry=600)
    sub.subscribe(topic)
    for reason in (0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99):
        pub.publish(topic, b'no', 1 if kind == wire.PUBACK else 2)
        got = sub.expect(wire.PUBLISH, payload=b'no')
        sub.send(ack(5, kind, got.packet_id, reason, reason_string='not wanted',
                     user_property=('a', 'b')))
        sub.ping()
    sub.disconnect()
    server.peer(client_id=sub.client_id, clean=False).ping()


def test_answers_of_the_client_may_have_reasons_and_properties(server):
    topic = server.topic()
    pub, sub = server.pair()
    sub.subscribe(topic)
    pub.publish(topic, b'', 1)
    sub.send(ack(5, wire.PUBACK, sub.expect(wire.PUBLISH).packet_id, 0x10, reason_string='x'))
    pub.publish(topic, b'', 2)
    packet_id = sub.expect(wire.PUBLISH).packet_id
    sub.send(ack(5, wire.PUBREC, packet_id, 0, user_property=[('a', '1'), ('a', '1')]))
    sub.expect(wire.PUBREL, packet_id=packet_id)
    sub.send(ack(5, wire.PUBCOMP, packet_id, 0, reason_string='done'))
    sub.ping()


@pytest.mark.parametrize('kind', [wire.PUBACK, wire.PUBREC, wire.PUBREL, wire.PUBCOMP],
                         ids=lambda kind: wire.NAMES[kind])
def test_answers_with_reasons_that_are_not_theirs_are_a_protocol_error(server, kind):
    for reason in (0x01, 0x04, 0x7f, 0x81, 0x92 if kind in (wire.PUBACK, wire.PUBREC) else 0x97):
        peer = server.peer()
        peer.send(ack(5, kind, 1, reason))
        peer.expect_end(wire.PROTOCOL_ERROR)


@pytest.mark.parametrize('kind', [wire.PUBACK, wire.PUBREC, wire.PUBREL, wire.PUBCOMP],
                         ids=lambda kind: wire.NAMES[kind])
def test_answers_with_properties_that_are_not_theirs_are_refused(server, kind):
    for props, reason in (({'topic_alias': 1}, wire.MALFORMED),
                          ({'reason_string': ['a', 'b']}, wire.PROTOCOL_ERROR)):
        peer = server.peer()
        peer.send(ack(5, kind, 1, 0, **props))
        peer.expect_end(reason)


def test_who_does_not_want_problem_information_gets_none_in_answers(server):
    """Only PUBLISH, CONNACK and DISCONNECT may bring a reason string or user properties then."""
    peer = server.peer(request_problem_info=0)
    for answer in (peer.publish(server.topic(), b'', 1), peer.publish(server.topic(), b'', 2)):
        assert answer.reason == wire.NO_SUBSCRIBERS and answer.props == {}
    peer.send(ack(5, wire.PUBREL, 99))
    assert peer.expect(wire.PUBCOMP, reason=wire.ID_NOT_FOUND).props == {}
    peer.send(wire.subscribe(5, 1, ('/'.join('x' * 300), 0)))
    assert peer.expect(wire.SUBACK, codes=[wire.FILTER_INVALID]).props == {}
    peer.send(wire.unsubscribe(5, 2, server.topic()))
    assert peer.expect(wire.UNSUBACK, codes=[wire.NO_SUBSCRIPTION]).props == {}


def test_an_answer_for_nothing_has_a_reason_and_words_where_they_fit(server):
    for kind, answered in ((wire.PUBREC, wire.PUBREL), (wire.PUBREL, wire.PUBCOMP)):
        peer = server.peer()
        peer.send(ack(5, kind, 4711))
        got = peer.expect(answered, packet_id=4711, reason=wire.ID_NOT_FOUND)
        assert got.props['reason_string']
        bare = ack(5, answered, 4711, wire.ID_NOT_FOUND)
        for size in (len(peer.connack.raw), len(got.raw) - 1):
            small = server.peer(maximum_packet_size=size)
            small.send(ack(5, kind, 4711))
            small.expect_bytes(bare)
        exact = server.peer(maximum_packet_size=len(got.raw))
        exact.send(ack(5, kind, 4711))
        exact.expect_bytes(got.raw)


def guarded(processes, tmp_path):
    """A server where only topics below mine/ may be written, and nothing below hidden/ be read."""
    acl = tmp_path / 'acl'
    acl.write_text('topic readwrite mine/#\ntopic read open/#\n')
    _process, port = processes.broker('--acl', acl, '--workers', 2)
    return wire.Server(port, 2)


def test_words_are_left_out_of_answers_that_would_get_too_large(processes, tmp_path):
    """Each refusal fits into the smallest packets that the client can do with."""
    server = guarded(processes, tmp_path)
    try:
        peer = server.peer()
        for qos in (1, 2):
            assert peer.publish('open/x', b'', qos).props['reason_string']
        peer.send(wire.subscribe(5, 1, ('hidden/#', 0)), wire.unsubscribe(5, 2, 'nothing'))
        assert peer.expect(wire.SUBACK, codes=[wire.NOT_AUTHORIZED]).props['reason_string']
        assert peer.expect(wire.UNSUBACK, codes=[wire.NO_SUBSCRIPTION]).packet_id == 2
        most = len(peer.connack.raw)
        peer = server.peer(maximum_packet_size=most)
        for qos in (1, 2):
            answer = peer.publish('open/x', b'', qos)
            assert answer.reason == wire.NOT_AUTHORIZED and len(answer.raw) <= most
        filters = [('hidden/#', 0)] * (most - 5)
        peer.send(wire.subscribe(5, 1, *filters))
        answer = peer.expect(wire.SUBACK, codes=[wire.NOT_AUTHORIZED] * len(filters))
        assert len(answer.raw) == most and answer.props == {}
        peer.send(wire.unsubscribe(5, 2, *['nothing'] * (most - 5)))
        answer = peer.expect(wire.UNSUBACK, codes=[wire.NO_SUBSCRIPTION] * (most - 5))
        assert len(answer.raw) == most and answer.props == {}
    finally:
        server.close()


def test_an_identifier_is_free_again_after_a_refusal(processes, tmp_path):
    server = guarded(processes, tmp_path)
    try:
        pub, sub = server.pair()
        sub.subscribe('mine/#')
        for payload in (b'one', b'two'):
            pub.send(publish(5, 'open/x', b'no', 2, 7))
            pub.expect(wire.PUBREC, packet_id=7, reason=wire.NOT_AUTHORIZED)
            pub.send(publish(5, 'mine/x', payload, 2, 7))
            pub.expect(wire.PUBREC, packet_id=7, reason=0)
            sub.take('mine/x', payload)
            pub.send(ack(5, wire.PUBREL, 7))
            pub.expect(wire.PUBCOMP, packet_id=7, reason=0)
    finally:
        server.close()
