"""MQTT 5.0, section 3.3: properties of PUBLISH and topic aliases."""
import pytest

import mqtt_wire as wire
from mqtt_wire import ack, packet, publish, text

FORWARDED = {'payload_format': 1, 'content_type': 'text/plain; \u00e4', 'response_topic': 'a/b c',
             'correlation_data': b'\0\xff\1', 'user_property': [('b', '2'), ('a', '1'), ('b', '2'),
                                                                ('', '')]}
SINGLE = {'payload_format': 1, 'message_expiry': 7, 'content_type': 'x', 'response_topic': 'r',
          'correlation_data': b'c', 'topic_alias': 1}
MISPLACED = {'session_expiry': 1, 'will_delay': 1, 'receive_maximum': 1, 'auth_method': 'x',
             'reason_string': 'x', 'server_reference': 'x', 'maximum_packet_size': 9,
             'request_problem_info': 1, 'assigned_client_id': 'x', 'topic_alias_maximum': 1}


# --- properties ---------------------------------------------------------------------------------

@pytest.mark.parametrize('qos', [0, 1, 2])
def test_properties_of_a_message_arrive_unaltered_and_in_order(server, qos):
    topic = server.topic()
    pub, sub = server.pair()
    away = server.peer(session_expiry=600)
    for peer in sub, away:
        peer.subscribe(topic)
    away.disconnect()
    pub.publish(topic, b'text', qos, retain=True, **FORWARDED)
    assert sub.take(topic, b'text', qos=qos).props == FORWARDED
    late = server.peer()
    late.subscribe(topic)
    assert late.take(topic, b'text').props == FORWARDED
    if qos:
        again = server.peer(client_id=away.client_id, clean=False)
        assert again.take(topic, b'text').props == FORWARDED


def test_properties_of_a_will_arrive_unaltered_and_in_order(server):
    topic = server.topic()
    watch = server.peer()
    watch.subscribe(topic)
    server.peer(shard=1, will=(topic, b'gone', 1, False), will_properties=FORWARDED).close()
    assert watch.take(topic, b'gone').props == FORWARDED


def test_properties_are_left_out_for_clients_of_3_1_1(server):
    topic = server.topic()
    old = server.peer(4)
    old.subscribe(topic)
    server.peer(5, 1).publish(topic, b'x', 1, **FORWARDED)
    got = old.take(topic, b'x')
    assert len(got.raw) == 2 + 2 + len(topic) + 2 + 1


@pytest.mark.parametrize('name', SINGLE)
def test_a_property_of_publish_may_come_only_once(server, name):
    peer = server.peer()
    peer.send(publish(5, 't', b'x', **{name: [SINGLE[name]] * 2}))
    peer.expect_end(wire.PROTOCOL_ERROR)


@pytest.mark.parametrize('name', MISPLACED)
def test_a_property_that_does_not_belong_into_publish_is_refused(server, name):
    peer = server.peer()
    peer.send(publish(5, 't', b'x', **{name: MISPLACED[name]}))
    peer.expect_end(wire.MALFORMED)


def test_a_subscription_identifier_from_a_client_is_a_protocol_error(server):
    peer = server.peer()
    peer.send(publish(5, 't', b'x', subscription_id=[1]))
    peer.expect_end(wire.PROTOCOL_ERROR)


@pytest.mark.parametrize('topic', ['', 'a/+', '#', 'a/#'])
def test_a_response_topic_is_a_topic_name(server, topic):
    peer = server.peer()
    peer.send(publish(5, 't', b'x', response_topic=topic))
    peer.expect_end((wire.TOPIC_INVALID, wire.PROTOCOL_ERROR))


def test_a_payload_format_other_than_0_and_1_is_a_protocol_error(server):
    peer = server.peer()
    peer.send(publish(5, 't', b'x', payload_format=2))
    peer.expect_end(wire.PROTOCOL_ERROR)


def test_a_payload_said_to_be_text_is_text(server):
    """Otherwise it is refused, the connection stays, and nobody gets it."""
    pub, sub = server.pair()
    topic = server.topic()
    sub.subscribe(topic)
    for bad in (b'\xff', b'a\xc0\x80', b'\xed\xa0\x80'):
        for qos in (1, 2):
            assert pub.publish(topic, bad, qos, payload_format=1).reason == wire.FORMAT_INVALID
        pub.publish(topic, bad, 0, payload_format=1)
    server.silent(pub, sub)
    for good, payload_format in (('\u00e4\u20ac'.encode(), 1), (b'', 1), (b'\xff', 0)):
        pub.publish(topic, good, 1, payload_format=payload_format)
        assert sub.take(topic, good).props == {'payload_format': payload_format}
    peer = server.raw()
    peer.send(wire.connect(5, server.name(), will=(topic, b'\xff', 0, False),
                           will_properties={'payload_format': 1}))
    peer.expect_refusal(wire.FORMAT_INVALID)


def test_request_and_response_find_each_other(server):
    base = server.topic()
    asks, answers = server.pair()
    asks.subscribe(f'{base}/answers/#')
    answers.subscribe(f'{base}/questions')
    for i in range(3):
        asks.publish(f'{base}/questions', b'%d' % i, 1, response_topic=f'{base}/answers/{i}',
                     correlation_data=b'no %d' % i)
        props = answers.take(f'{base}/questions').props
        answers.publish(props['response_topic'], b'yes', 1,
                        correlation_data=props['correlation_data'])
        assert asks.take(f'{base}/answers/{i}', b'yes').props == {'correlation_data': b'no %d' % i}


# --- topic aliases from the client --------------------------------------------------------------

def test_an_alias_stands_for_its_topic_until_it_is_given_to_another(server):
    pub, sub = server.pair()
    most = pub.connack.props['topic_alias_maximum']
    base = server.topic()
    sub.subscribe(f'{base}/#')
    for alias in (1, most):
        for name in ('a', 'b', 'a'):
            pub.publish(f'{base}/{name}', b'named', topic_alias=alias)
            got = sub.take(f'{base}/{name}', b'named')
            assert got.props == {}
            for qos in range(3):
                pub.publish('', b'by alias', qos, topic_alias=alias)
                sub.take(f'{base}/{name}', b'by alias', qos=qos)


def test_every_alias_up_to_the_maximum_is_accepted(server):
    pub, sub = server.pair()
    base = server.topic()
    sub.subscribe(f'{base}/+')
    aliases = range(1, pub.connack.props['topic_alias_maximum'] + 1)
    for alias in aliases:
        pub.publish(f'{base}/{alias}', b'', topic_alias=alias)
        sub.take(f'{base}/{alias}')
    for alias in aliases:
        pub.publish('', b'', topic_alias=alias)
        sub.take(f'{base}/{alias}')


def test_an_alias_of_zero_or_above_the_maximum_is_refused(server):
    for alias in (0, server.peer().connack.props['topic_alias_maximum'] + 1, 65535):
        peer = server.peer()
        peer.send(publish(5, server.topic(), b'', topic_alias=alias))
        peer.expect_end(wire.ALIAS_INVALID)


def test_an_alias_that_was_never_named_is_a_protocol_error(server):
    peer = server.peer()
    peer.send(publish(5, '', b'', topic_alias=2))
    peer.expect_end(wire.PROTOCOL_ERROR)


def test_aliases_end_with_the_connection(server):
    topic = server.topic()
    pub = server.peer(session_expiry=600)
    pub.publish(topic, b'', topic_alias=1)
    pub.disconnect()
    pub = server.peer(client_id=pub.client_id, clean=False, session_expiry=600)
    assert pub.connack.session_present
    pub.send(publish(5, '', b'', topic_alias=1))
    pub.expect_end(wire.PROTOCOL_ERROR)


def test_aliases_of_one_client_are_not_anothers(server):
    topic = server.topic()
    server.peer().publish(topic, b'', topic_alias=1)
    other = server.peer()
    other.send(publish(5, '', b'', topic_alias=1))
    other.expect_end(wire.PROTOCOL_ERROR)


# --- topic aliases towards the client -----------------------------------------------------------

def test_a_client_that_allows_no_alias_gets_none(server):
    topic = server.topic()
    pub = server.peer(shard=1)
    subs = [server.peer(), server.peer(topic_alias_maximum=0)]
    for sub in subs:
        sub.subscribe(topic)
    for _ in range(5):
        pub.publish(topic, b'x', 1)
        for sub in subs:
            assert 'topic_alias' not in sub.take(topic, b'x').props


def take_aliased(sub, known, most):
    """The next message with its topic, as the aliases so far name it."""
    got = sub.expect(wire.PUBLISH)
    alias = got.props.pop('topic_alias', None)
    if alias is not None:
        assert 1 <= alias <= most
        if got.topic:
            known[alias] = got.topic
        got.topic = known[alias]
    assert got.topic
    if got.qos == 1:
        sub.send(ack(5, wire.PUBACK, got.packet_id))
    return got


@pytest.mark.parametrize('most', [1, 3, 65535])
def test_aliases_towards_a_client_stay_within_its_maximum(server, most):
    base = server.topic()
    pub, sub = server.pair(topic_alias_maximum=most)
    sub.subscribe(f'{base}/#')
    known = {}
    for i in range(60):
        topic = f'{base}/{i % 5}'
        pub.publish(topic, b'%d' % i, i % 2)
        got = take_aliased(sub, known, most)
        assert (got.topic, got.payload) == (topic, b'%d' % i)


def test_aliases_towards_a_client_end_with_the_connection(server):
    """What is sent again names its topic, or an alias that this connection has been told."""
    topic = server.topic()
    pub, sub = server.pair(topic_alias_maximum=10, session_expiry=600)
    sub.subscribe((topic, 1))
    for i in range(3):
        pub.publish(topic, b'%d' % i, 1)
        sub.expect(wire.PUBLISH, payload=b'%d' % i)
    sub.close()
    for options, most in (({'topic_alias_maximum': 10}, 10), ({}, 0)):
        again = server.peer(client_id=sub.client_id, clean=False, session_expiry=600, **options)
        known = {}
        for i in range(3):
            got = again.expect(wire.PUBLISH, payload=b'%d' % i, dup=True)
            alias = got.props.get('topic_alias')
            assert alias is None or 1 <= alias <= most
            if got.topic:
                known[alias] = got.topic
            assert got.topic == topic or known[alias] == topic
        again.close()


def test_a_topic_of_any_bytes_but_without_a_property_length_is_malformed(server):
    peer = server.peer()
    peer.send(packet(0x32, text('t') + b'\0\1'))
    peer.expect_end(wire.MALFORMED)
