"""MQTT 3.1.1 and 5.0, sections 3.8 to 3.14 and 4.7: subscriptions, topics, PINGREQ, DISCONNECT."""
import struct

import pytest

import mqtt_wire as wire
from mqtt_wire import ack, ending, packet, subscribe, text, unsubscribe

# --- SUBSCRIBE ----------------------------------------------------------------------------------


def test_subscribe_and_unsubscribe_name_at_least_one_filter(server, version):
    for data in (subscribe(version, 1), unsubscribe(version, 1)):
        peer = server.peer(version)
        peer.send(data)
        peer.expect_end(wire.PROTOCOL_ERROR)


@pytest.mark.parametrize('options', [3, 0x40, 0x80, 0xc0])
def test_a_qos_of_3_and_reserved_option_bits_are_refused(server, version, options):
    peer = server.peer(version)
    peer.send(subscribe(version, 1, ('t', options)))
    peer.expect_end(wire.PROTOCOL_ERROR if options == 3 else wire.MALFORMED)


def test_options_of_5_0_are_reserved_bits_in_3_1_1(server):
    for bit in (0x04, 0x08, 0x10, 0x20):
        peer = server.peer(4)
        peer.send(subscribe(4, 1, ('t', bit)))
        peer.expect_closed()


def test_a_filter_without_options_is_malformed(server, version):
    peer = server.peer(version)
    body = b'\0\1' + (b'\0' if version == 5 else b'') + text('a') + b'\0' + text('b')
    peer.send(packet(0x82, body))
    peer.expect_end(wire.MALFORMED)
    peer = server.peer(version)
    peer.send(packet(0x82, body[:-3] + b'\0\7b'))
    peer.expect_end(wire.MALFORMED)


INVALID = ['', 'a/#/b', '#/a', 'a#', 'a/b#', '##', '+a', 'a+', 'a/+b/c', '++', 'a/++']


@pytest.mark.parametrize('topic_filter', INVALID)
def test_a_filter_with_misplaced_wildcards_is_refused(server, version, topic_filter):
    for data in (subscribe(version, 1, (topic_filter, 0)), unsubscribe(version, 1, topic_filter),
                 subscribe(version, 1, ('good', 0), (topic_filter, 0))):
        peer = server.peer(version)
        peer.send(data)
        peer.expect_end(wire.FILTER_INVALID)


def test_each_filter_gets_its_code_in_its_place(server, version):
    """Granted is what was asked for. One packet is as good as one for each filter."""
    base = server.topic()
    sub = server.peer(version)
    filters = [(f'{base}/{i}', i % 3) for i in range(100)]
    assert sub.subscribe(*filters) == [i % 3 for i in range(100)]
    pub = server.peer(version, 1)
    for i in range(100):
        pub.publish(f'{base}/{i}', b'', 2)
        sub.take(f'{base}/{i}', qos=i % 3)


def test_refused_filters_do_not_hurt_the_others_of_their_packet(server, version):
    base = server.topic()
    sub = server.peer(version)
    failed = wire.FILTER_INVALID if version == 5 else 0x80
    deep = '/'.join('x' * 300)  # more levels than the server takes
    assert sub.subscribe((f'{base}/a', 1), (deep, 0), (f'{base}/b', 2)) == [1, failed, 2]
    pub = server.peer(version, 1)
    pub.publish(f'{base}/a', b'', 2)
    pub.publish(f'{base}/b', b'', 2)
    sub.take(f'{base}/a', qos=1)
    sub.take(f'{base}/b', qos=2)


def test_the_suback_carries_the_identifier_and_one_code_each(server, version):
    sub = server.peer(version)
    topic = server.topic()
    sub.send(subscribe(version, 4711, (f'{topic}/a', 0), (f'{topic}/b', 1), (f'{topic}/c', 2)))
    sub.expect_bytes(packet(wire.SUBACK << 4, struct.pack('!H', 4711) +
                            (b'\0' if version == 5 else b'') + b'\0\1\2'))


@pytest.mark.parametrize('granted', [0, 1, 2])
def test_messages_come_at_the_lower_of_their_qos_and_the_granted_one(server, version, granted):
    pub, sub = server.pair(version)
    topic = server.topic()
    assert sub.subscribe((topic, granted)) == [granted]
    for qos in range(3):
        pub.publish(topic, b'%d' % qos, qos)
        sub.take(topic, b'%d' % qos, qos=min(qos, granted))


def test_the_same_filter_again_replaces_the_subscription(server, version):
    pub, sub = server.pair(version)
    topic = server.topic()
    for granted in (0, 2, 1, 0):
        sub.subscribe((topic, granted))
        pub.publish(topic, b'x', 2)
        sub.take(topic, b'x', qos=granted)
    server.silent(pub, sub)
    sub.unsubscribe(topic)
    pub.publish(topic, b'y', 1)
    server.silent(pub, sub)


def test_replacing_a_subscription_loses_no_message(server, version):
    pub, sub = server.pair(version)
    topic = server.topic()
    sub.subscribe((topic, 1))
    count = 60
    for i in range(count):
        pub.send(wire.publish(version, topic, b'%d' % i, 1, i + 1))
        if i % 7 == 0:
            sub.send(subscribe(version, 100 + i, (topic, 1)))
    for i in range(count):
        pub.expect(wire.PUBACK, packet_id=i + 1)
    seen = []
    while len(seen) < count:
        got = sub.receive()
        if got.kind == wire.PUBLISH:
            sub.send(ack(version, wire.PUBACK, got.packet_id))
            seen.append(int(got.payload))
    assert seen == list(range(count))


def test_overlapping_subscriptions_bring_one_copy_at_the_highest_qos(server, version):
    base = server.topic()
    pub, sub = server.pair(version)
    sub.subscribe((f'{base}/#', 0), (f'{base}/+', 2), (f'{base}/a', 1))
    pub.publish(f'{base}/a', b'x', 2)
    sub.take(f'{base}/a', b'x', qos=2)
    sub.unsubscribe(f'{base}/+')
    pub.publish(f'{base}/a', b'y', 2)
    sub.take(f'{base}/a', b'y', qos=1)
    server.silent(pub, sub)


# --- UNSUBSCRIBE --------------------------------------------------------------------------------

def test_unsubscribe_takes_exactly_the_filters_that_it_names(server, version):
    base = server.topic()
    pub, sub = server.pair(version)
    sub.subscribe(f'{base}/a', f'{base}/+', f'{base}/A', f'{base}/#')
    codes = sub.unsubscribe(f'{base}/+', f'{base}/b', f'{base}/#')
    assert codes == ([0, wire.NO_SUBSCRIPTION, 0] if version == 5 else [])
    for rest in ('b', 'c/d', 'a', 'A'):
        pub.publish(f'{base}/{rest}', b'x', 1)
    sub.take(f'{base}/a')
    sub.take(f'{base}/A')
    server.silent(pub, sub)


def test_unsubscribe_is_answered_also_when_there_was_nothing(server, version):
    peer = server.peer(version)
    for _ in range(2):
        peer.send(unsubscribe(version, 77, server.topic(), server.topic()))
        peer.expect_bytes(packet(wire.UNSUBACK << 4, b'\0\x4d' +
                                 (b'\0\x11\x11' if version == 5 else b'')))


def test_nothing_new_comes_after_the_unsuback_but_what_was_begun_is_completed(server, version):
    pub, sub = server.pair(version)
    topic = server.topic()
    sub.subscribe(topic)
    pub.publish(topic, b'one', 2)
    first = sub.expect(wire.PUBLISH, payload=b'one', qos=2)
    sub.unsubscribe(topic)
    pub.publish(topic, b'late', 2)
    sub.send(ack(version, wire.PUBREC, first.packet_id))
    sub.expect(wire.PUBREL, packet_id=first.packet_id)
    sub.send(ack(version, wire.PUBCOMP, first.packet_id))
    server.silent(pub, sub)


def test_what_was_begun_before_an_unsubscribe_is_completed_on_the_next_connection(server, version):
    options = {'clean': False, **({'session_expiry': 600} if version == 5 else {})}
    name, topic = server.name(), server.topic()
    pub = server.peer(version, 1)
    sub = server.peer(version, client_id=name, **options)
    sub.subscribe(topic)
    pub.publish(topic, b'one', 1)
    first = sub.expect(wire.PUBLISH)
    sub.unsubscribe(topic)
    sub.close()
    sub = server.peer(version, client_id=name, **options)
    sub.take(topic, b'one', dup=True, packet_id=first.packet_id)
    sub.ping()


# --- topics -------------------------------------------------------------------------------------

@pytest.mark.parametrize('topic_filter, matching, others', [
    ('a/+', ['a/b', 'a/'], ['a', 'a/b/c', 'b/a']),
    ('+/a', ['x/a', '/a'], ['a', 'x/y/a']),
    ('+/+', ['a/b', '/b', '/'], ['a', 'a/b/c']),
    ('a/+/c', ['a/b/c', 'a//c'], ['a/c', 'a/b/d/c']),
    ('a/#', ['a', 'a/', 'a/b', 'a/b/c'], ['ab', 'b']),
    ('/+', ['/a', '/'], ['a', '/a/b']),
    ('+/#', ['a', 'a/b', '/', '/a/b'], []),
    ('/#', ['/', '/a', '/a/b'], ['a']),
    ('a b/+', ['a b/c d'], ['a/b']),
], ids=lambda value: value if isinstance(value, str) else '')
def test_wildcards_match_whole_levels(server, version, topic_filter, matching, others):
    """Below a level of the test's own, so `` stands for that level itself."""
    base = server.topic()
    pub, sub = server.pair(version)
    sub.subscribe(f'{base}/{topic_filter}')
    for topic in others:
        pub.publish(f'{base}/{topic}', b'', 1)
    for topic in matching:
        full = f'{base}/{topic}' if topic else base
        pub.publish(full, b'', 1)
        sub.take(full)
    server.silent(pub, sub)


def test_wildcards_at_the_start_do_not_match_dollar_topics(processes, tmp_path, version):
    acl = tmp_path / 'acl'
    acl.write_text('topic readwrite #\ntopic readwrite $own/#\n')
    _process, port = processes.broker('--acl', acl, '--workers', 2)
    server = wire.Server(port, 2)
    try:
        pub, every, dollar = server.peer(version, 1), server.peer(version), server.peer(version)
        every.subscribe('#', '+/x', '+')
        assert dollar.subscribe(('$own/#', 1), ('$own/+', 1)) == [1, 1]
        pub.publish('$own/x', b'1', 1, retain=True)
        dollar.take('$own/x', b'1', retain=False)
        server.silent(pub, every)
        late = server.peer(version)
        late.subscribe('#', '+/x')
        server.silent(pub, late)
    finally:
        server.close()


def test_topics_are_compared_byte_for_byte(server, version):
    base = server.topic()
    pub, sub = server.pair(version)
    names = ['a', 'A', ' a', 'a ', '\u00c5', 'A\u030a', '%41', 'a/', '/a', '//a', './a', '../a']
    sub.subscribe(*[f'{base}/{name}' for name in names])
    for name in names:
        pub.publish(f'{base}/{name}', name.encode(), 1)
        sub.take(f'{base}/{name}', name.encode())
    server.silent(pub, sub)


def test_topics_may_be_long_and_have_many_levels(server, version):
    pub, sub = server.pair(version)
    for topic in (server.topic('x' * 65000), server.topic('/' * 190)):
        sub.subscribe(topic)
        pub.publish(topic, b'x', 1)
        sub.take(topic, b'x')


def test_a_topic_over_the_servers_limit_is_refused(server, version):
    for topic in ('/' * 200, '/' * 65535):
        peer = server.peer(version)
        peer.send(wire.publish(version, topic, b''))
        peer.expect_end(wire.TOPIC_INVALID)
        peer = server.peer(version)
        assert peer.subscribe((topic, 0)) == [wire.FILTER_INVALID if version == 5 else 0x80]


# --- PINGREQ and DISCONNECT ---------------------------------------------------------------------

def test_each_ping_is_answered(server, version):
    peer = server.peer(version)
    for _ in range(3):
        peer.ping()
    peer.send(packet(0xc0) * 10)
    for _ in range(10):
        peer.expect_bytes(packet(0xd0))


def test_after_disconnect_nothing_is_taken_and_nothing_is_sent(server, version):
    topic = server.topic()
    watch, peer = server.peer(version), server.peer(version, 1)
    watch.subscribe(topic)
    peer.subscribe(topic)
    peer.send(ending(version) + wire.publish(version, topic, b'late') + packet(0xc0))
    peer.expect_closed()
    server.silent(server.peer(version, 1), watch)
