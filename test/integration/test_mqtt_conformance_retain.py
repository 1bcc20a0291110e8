"""MQTT 3.1.1 and 5.0: retained messages (section 3.3.1.3) and wills (section 3.1.2.5)."""
import pytest

import mqtt_wire as wire
from mqtt_wire import publish


def got_by_new_subscriber(server, version, topic, shard=0, options=2):
    """What a new subscription brings from the store: its PUBLISH packets."""
    sub, end = server.peer(version, shard), server.topic('end')
    sub.subscribe((end, 0))
    sub.subscribe((topic, options))
    sub.publish(end, b'')
    packets = []
    while True:
        packets.append(sub.expect(wire.PUBLISH))
        if packets[-1].topic == end:
            return packets[:-1]


# --- what is kept -------------------------------------------------------------------------------

@pytest.mark.parametrize('qos', [0, 1, 2])
def test_the_last_retained_message_and_its_qos_are_kept_for_later_subscribers(server, version, qos):
    topic = server.topic()
    pub = server.peer(version, 1)
    pub.publish(topic, b'old', 2, retain=True)
    pub.publish(topic, b'new', qos, retain=True)
    pub.ping()
    for shard in (0, 1):
        (got,) = got_by_new_subscriber(server, version, topic, shard)
        assert (got.payload, got.qos, got.retain, got.dup) == (b'new', qos, True, False)
        (got,) = got_by_new_subscriber(server, version, topic, shard, options=0)
        assert (got.payload, got.qos, got.retain) == (b'new', 0, True)


def test_a_subscription_brings_the_retained_message_of_each_matching_topic(server, version):
    base = server.topic()
    pub = server.peer(version, 1)
    for rest in ('a', 'b/c', 'b/d', 'b/c/e'):
        pub.publish(f'{base}/{rest}', rest.encode(), 1, retain=True)
    pub.publish(base, b'root', 1, retain=True)

    def topics(topic_filter):
        return {got.topic.removeprefix(base) for got in
                got_by_new_subscriber(server, version, base + topic_filter)}
    assert topics('/#') == {'', '/a', '/b/c', '/b/d', '/b/c/e'}
    assert topics('/+') == {'/a'}
    assert topics('/+/+') == topics('/b/+') == {'/b/c', '/b/d'}
    assert topics('/b/c') == {'/b/c'}
    assert topics('') == {''}


def test_an_empty_retained_message_is_delivered_and_removes(server, version):
    pub, sub = server.pair(version)
    topic = server.topic()
    pub.publish(topic, b'kept', 1, retain=True)
    sub.subscribe((topic, 1))
    sub.take(topic, b'kept', retain=True)
    pub.publish(topic, b'', 1, retain=True)
    sub.take(topic, b'', retain=False)
    for shard in (0, 1):
        assert got_by_new_subscriber(server, version, topic, shard) == []
    pub.publish(topic, b'', 1, retain=True)  # nothing there any more: that is fine
    assert got_by_new_subscriber(server, version, topic) == []


def test_a_message_that_is_not_retained_changes_nothing_that_is(server, version):
    topic = server.topic()
    pub = server.peer(version, 1)
    pub.publish(topic, b'not kept', 1)
    assert got_by_new_subscriber(server, version, topic) == []
    pub.publish(topic, b'kept', 1, retain=True)
    pub.publish(topic, b'other', 1)
    pub.publish(topic, b'', 1)
    (got,) = got_by_new_subscriber(server, version, topic)
    assert got.payload == b'kept'


def test_who_has_subscribed_already_gets_it_without_the_retain_flag(server, version):
    pub, sub = server.pair(version)
    topic = server.topic()
    sub.subscribe(topic)
    for qos in range(3):
        pub.publish(topic, b'x', qos, retain=True)
        sub.take(topic, b'x', qos=qos, retain=False)


def test_a_subscription_made_again_brings_the_retained_messages_again(server, version):
    pub, sub = server.pair(version)
    topic = server.topic()
    pub.publish(topic, b'x', 1, retain=True)
    for granted in (2, 0, 1, 2):
        assert sub.subscribe((topic, granted)) == [granted]
        sub.take(topic, b'x', retain=True, qos=min(granted, 1))
    pub.publish(topic, b'live', 2)  # and is one subscription still
    sub.take(topic, b'live', qos=2, retain=False)
    server.silent(pub, sub)


def test_retained_messages_outlive_the_session_that_made_them(server, version):
    topic = server.topic()
    pub = server.peer(version, 1)
    pub.publish(topic, b'x', 1, retain=True)
    pub.disconnect()
    server.peer(version, client_id=pub.client_id).disconnect()
    (got,) = got_by_new_subscriber(server, version, topic)
    assert got.payload == b'x'


# --- wills --------------------------------------------------------------------------------------

@pytest.mark.parametrize('qos', [0, 1, 2])
def test_a_will_is_published_when_the_connection_breaks(server, version, qos):
    topic = server.topic()
    watch = server.peer(version)
    watch.subscribe(topic)
    server.peer(version, 1, will=(topic, b'gone', qos, False)).close()
    watch.take(topic, b'gone', qos=qos, retain=False)
    assert got_by_new_subscriber(server, version, topic) == []


@pytest.mark.parametrize('cause', ['protocol error', 'malformed packet', 'second connect',
                                   'take-over'])
def test_a_will_is_published_when_the_server_ends_the_connection(server, version, cause):
    topic = server.topic()
    watch = server.peer(version)
    watch.subscribe(topic)
    peer = server.peer(version, 1, will=(topic, b'gone', 1, False))
    if cause == 'protocol error':
        peer.send(publish(version, 'a/#'))
    elif cause == 'malformed packet':
        peer.send(b'\x36\0')
    elif cause == 'second connect':
        peer.send(wire.connect(version, peer.client_id))
    else:
        server.peer(version, client_id=peer.client_id)
    watch.take(topic, b'gone')


def test_a_normal_disconnect_discards_the_will(server, version):
    topic = server.topic()
    watch, peer = server.peer(version), server.peer(version, 1, will=(topic, b'no', 1, True))
    watch.subscribe(topic)
    peer.disconnect()
    server.silent(server.peer(version, 1), watch)
    assert got_by_new_subscriber(server, version, topic) == []
    server.peer(version, client_id=peer.client_id).close()  # nor does a later connection have it
    server.silent(server.peer(version, 1), watch)


def test_a_will_is_published_once(server, version):
    topic = server.topic()
    watch = server.peer(version)
    watch.subscribe(topic)
    options = {'clean': False, **({'session_expiry': 600} if version == 5 else {})}
    peer = server.peer(version, 1, will=(topic, b'gone', 1, False), **options)
    peer.close()
    watch.take(topic, b'gone')
    server.peer(version, client_id=peer.client_id, **options).close()  # without a will
    server.peer(version, client_id=peer.client_id, **options).disconnect()
    server.silent(server.peer(version, 1), watch)


def test_a_client_without_a_will_leaves_none(server, version):
    watch = server.peer(version)
    topic = server.topic()
    watch.subscribe(topic)
    name = server.name(1)
    server.peer(version, client_id=name, will=(topic, b'no', 1, False)).disconnect()
    server.peer(version, client_id=name).close()
    server.silent(server.peer(version, 1), watch)


def test_a_will_with_the_retain_flag_is_retained(server, version):
    topic = server.topic()
    watch = server.peer(version)
    watch.subscribe(topic)
    server.peer(version, 1, will=(topic, b'gone', 1, True)).close()
    watch.take(topic, b'gone', retain=False)
    for shard in (0, 1):
        (got,) = got_by_new_subscriber(server, version, topic, shard)
        assert (got.payload, got.qos, got.retain) == (b'gone', 1, True)


def test_an_empty_will_with_the_retain_flag_removes_what_was_retained(server, version):
    topic = server.topic()
    pub, watch = server.pair(version)
    pub.publish(topic, b'kept', 1, retain=True)
    watch.subscribe(topic)
    watch.take(topic, b'kept')
    server.peer(version, 1, will=(topic, b'', 1, True)).close()
    watch.take(topic, b'')
    assert got_by_new_subscriber(server, version, topic) == []
