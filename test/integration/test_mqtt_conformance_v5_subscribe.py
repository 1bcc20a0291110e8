"""MQTT 5.0, sections 3.8 to 3.14 and 4.8: subscription options, identifiers, groups, DISCONNECT."""
import pytest

import mqtt_wire as wire
from mqtt_wire import ack, ending, packet, publish, subscribe, unsubscribe

NO_LOCAL, AS_PUBLISHED = 0x04, 0x08
HANDLING = {0: 0x00, 1: 0x10, 2: 0x20}


# --- options ------------------------------------------------------------------------------------

def test_retain_handling_says_when_retained_messages_come(server):
    topic = server.topic()
    server.peer(shard=1).publish(topic, b'kept', 1, retain=True)
    for handling, at_first, again in ((0, True, True), (1, True, False), (2, False, False)):
        sub = server.peer()
        for expected in (at_first, again):
            sub.subscribe((topic, 1 | HANDLING[handling]))
            if expected:
                sub.take(topic, b'kept', retain=True)
            sub.ping()
        sub.unsubscribe(topic)
        sub.subscribe((topic, 1 | HANDLING[handling]))  # it is new again
        if at_first:
            sub.take(topic, b'kept', retain=True)
        sub.ping()


def test_retain_handling_1_counts_a_subscription_of_the_session_as_existing(server):
    topic = server.topic()
    server.peer(shard=1).publish(topic, b'kept', 1, retain=True)
    sub = server.peer(session_expiry=600)
    sub.subscribe((topic, 1 | HANDLING[1]))
    sub.take(topic, b'kept')
    sub.disconnect()
    sub = server.peer(client_id=sub.client_id, clean=False, session_expiry=600)
    sub.subscribe((topic, 1 | HANDLING[1]))
    sub.ping()


def test_retain_as_published_keeps_the_flag(server):
    topic = server.topic()
    pub = server.peer(shard=1)
    plain, keeps = server.peer(), server.peer()
    plain.subscribe((topic, 1))
    keeps.subscribe((topic, 1 | AS_PUBLISHED))
    for retain in (True, False):
        pub.publish(topic, b'x', 1, retain=retain)
        plain.take(topic, b'x', retain=False)
        keeps.take(topic, b'x', retain=retain)
    late = server.peer()
    late.subscribe((topic, 1))  # what comes from the store is always retained
    late.take(topic, b'x', retain=True)


def test_no_local_keeps_a_clients_own_messages_from_it(server):
    topic = server.topic()
    own, other = server.peer(), server.peer(shard=1)
    own.subscribe((topic, 2 | NO_LOCAL))
    other.subscribe((topic, 2))
    for qos in range(3):
        own.publish(topic, b'mine', qos)
        other.take(topic, b'mine', qos=qos)
    own.ping()
    other.send(publish(5, topic, b'theirs', 1, 50))
    own.take(topic, b'theirs')
    own.subscribe((topic, 2))  # replaced: without the option
    own.send(publish(5, topic, b'mine', 0))
    own.take(topic, b'mine')


def test_no_local_goes_by_the_client_identifier_over_connections(server):
    topic = server.topic()
    own = server.peer(session_expiry=600)
    own.subscribe((topic, 1 | NO_LOCAL))
    own.disconnect()
    own = server.peer(client_id=own.client_id, clean=False, session_expiry=600)
    assert own.publish(topic, b'mine', 1) is not None
    own.ping()


def test_no_local_of_one_subscription_does_not_hold_back_the_others(server):
    base = server.topic()
    own = server.peer()
    own.subscribe((f'{base}/+', 1 | NO_LOCAL), subscription_id=[1])
    own.subscribe((f'{base}/#', 0), subscription_id=[2])
    own.send(publish(5, f'{base}/a', b'x', 1, 9))
    got = [own.receive(), own.receive()]
    message = next(each for each in got if each.kind == wire.PUBLISH)
    assert (message.qos, message.props['subscription_id']) == (0, [2])


def test_no_local_on_a_shared_subscription_is_a_protocol_error(server):
    peer = server.peer()
    peer.send(subscribe(5, 1, ('$share/g/t', NO_LOCAL)))
    peer.expect_end(wire.PROTOCOL_ERROR)


def test_retain_handling_3_is_a_protocol_error(server):
    peer = server.peer()
    peer.send(subscribe(5, 1, ('t', 0x30)))
    peer.expect_end(wire.PROTOCOL_ERROR)


# --- subscription identifiers -------------------------------------------------------------------

@pytest.mark.parametrize('number', [1, 127, 128, 16384, 268_435_455])
def test_a_subscription_identifier_comes_with_the_messages(server, number):
    topic = server.topic()
    pub, sub = server.pair()
    pub.publish(topic, b'kept', 1, retain=True)
    sub.subscribe((topic, 2), subscription_id=[number])
    assert sub.take(topic, b'kept').props == {'subscription_id': [number]}
    for qos in range(3):
        pub.publish(topic, b'x', qos)
        assert sub.take(topic, b'x', qos=qos).props == {'subscription_id': [number]}


def test_one_copy_names_the_identifiers_of_all_matching_subscriptions(server):
    base = server.topic()
    pub, sub = server.pair()
    sub.subscribe((f'{base}/#', 0), subscription_id=[10])
    sub.subscribe((f'{base}/+', 2), subscription_id=[20])
    sub.subscribe((f'{base}/a', 1))
    sub.subscribe((f'{base}/b', 1), subscription_id=[30])
    pub.publish(f'{base}/a', b'x', 2)
    assert sorted(sub.take(f'{base}/a', qos=2).props['subscription_id']) == [10, 20]
    pub.publish(f'{base}/b', b'x', 2)
    assert sorted(sub.take(f'{base}/b', qos=2).props['subscription_id']) == [10, 20, 30]
    pub.publish(f'{base}/a/b', b'x', 2)
    assert sub.take(f'{base}/a/b', qos=0).props == {'subscription_id': [10]}
    server.silent(pub, sub)


def test_an_identifier_belongs_to_its_subscription_and_is_replaced_with_it(server):
    topic = server.topic()
    pub, sub = server.pair(session_expiry=600)
    sub.subscribe((topic, 1), subscription_id=[1])
    sub.subscribe((topic, 1), subscription_id=[2])
    pub.publish(topic, b'x', 1)
    assert sub.take(topic).props == {'subscription_id': [2]}
    sub.disconnect()
    pub.publish(topic, b'away', 1)
    sub = server.peer(client_id=sub.client_id, clean=False, session_expiry=600)
    assert sub.take(topic, b'away').props == {'subscription_id': [2]}
    sub.subscribe((topic, 1))
    pub.publish(topic, b'x', 1)
    assert sub.take(topic).props == {}


def test_an_identifier_of_zero_or_two_of_them_are_a_protocol_error(server):
    for numbers in ([0], [1, 2]):
        peer = server.peer()
        peer.send(subscribe(5, 1, ('t', 0), subscription_id=numbers))
        peer.expect_end(wire.PROTOCOL_ERROR)


def test_subscribe_and_unsubscribe_take_user_properties_and_no_others(server):
    peer = server.peer()
    topic = server.topic()
    peer.subscribe((topic, 0), user_property=[('a', 'b'), ('a', 'b')])
    peer.send(unsubscribe(5, 9, topic, user_property=('a', 'b')))
    peer.expect(wire.UNSUBACK, codes=[0])
    for build in (subscribe, unsubscribe):
        peer = server.peer()
        peer.send(build(5, 1, *[('t', 0) if build is subscribe else 't'], reason_string='x'))
        peer.expect_end(wire.MALFORMED)


# --- shared subscriptions -----------------------------------------------------------------------

@pytest.mark.parametrize('topic_filter', [
    '$share/g', '$share/g/', '$share//t', '$share/', '$share/+/t', '$share/#/t', '$share/g+/t',
    '$share/g/a#', '$share/g#/t'])
def test_a_group_has_a_name_and_a_filter(server, topic_filter):
    for data in (subscribe(5, 1, (topic_filter, 0)), unsubscribe(5, 1, topic_filter)):
        peer = server.peer()
        peer.send(data)
        peer.expect_end(wire.FILTER_INVALID)


def drained(peers):
    """What each has got by now, all acknowledged; the counterpart of a barrier message."""
    taken = []
    for peer in peers:
        got = []
        while True:
            message = peer.expect(wire.PUBLISH)
            if message.payload == b'end':
                break
            got.append(message)
            if message.qos == 1:
                peer.send(ack(5, wire.PUBACK, message.packet_id))
        taken.append(got)
    return taken


@pytest.mark.parametrize('qos', [0, 1])
def test_each_message_goes_to_one_member_of_a_group(server, qos):
    """To one of each group, and to each ordinary subscription, wherever they are served."""
    topic, end = server.topic(), server.topic('end')
    pub = server.peer(shard=1)
    first = [server.peer(shard=i) for i in range(4)]
    second = [server.peer(shard=i) for i in range(2)]
    ordinary = server.peer()
    for peer in first:
        peer.subscribe(f'$share/first/{topic}')
    for peer in second:
        peer.subscribe(f'$share/second/{topic}')
    ordinary.subscribe(topic)
    for peer in first + second + [ordinary]:
        peer.subscribe((end, 0 if qos == 0 else 1))
    for i in range(40):
        pub.publish(topic, b'%d' % i, qos)
    pub.publish(end, b'end', qos)
    everything = sorted(b'%d' % i for i in range(40))
    for group in (first, second, [ordinary]):
        taken = drained(group)
        assert sorted(each.payload for got in taken for each in got) == everything
        assert all(got for got in taken), 'one member gets nothing'


def test_members_of_a_group_get_their_own_granted_qos(server):
    topic = server.topic()
    pub = server.peer(shard=1)
    for granted in range(3):
        sub = server.peer()
        sub.subscribe((f'$share/{server.name()}/{topic}', granted))
        pub.publish(topic, b'x', 2)
        sub.take(topic, b'x', qos=granted)


def test_a_shared_subscription_brings_no_retained_messages(server):
    topic = server.topic()
    pub, sub = server.pair()
    pub.publish(topic, b'kept', 1, retain=True)
    assert sub.subscribe((f'$share/g/{topic}', 1)) == [1]
    server.silent(pub, sub)


def test_a_qos_2_message_of_a_group_is_completed_by_the_member_that_has_it(server):
    """Also when its connection breaks, and it comes again; no other member gets it meanwhile."""
    group, topic = server.name(), server.topic()
    pub = server.peer(shard=1)
    first = server.peer(session_expiry=600)
    first.subscribe(f'$share/{group}/{topic}')
    pub.publish(topic, b'x', 2)
    packet_id = first.expect(wire.PUBLISH, qos=2).packet_id
    other = server.peer(shard=1)
    other.subscribe(f'$share/{group}/{topic}')
    first.close()
    server.silent(pub, other)
    first = server.peer(client_id=first.client_id, clean=False, session_expiry=600)
    first.take(topic, b'x', qos=2, dup=True, packet_id=packet_id)
    server.silent(pub, other)


def test_a_sent_qos_2_message_ends_with_the_session_of_its_member(server):
    group, topic = server.name(), server.topic()
    pub, first = server.pair()
    first.subscribe(f'$share/{group}/{topic}')
    pub.publish(topic, b'x', 2)
    first.expect(wire.PUBLISH, qos=2)
    other = server.peer(shard=1)
    other.subscribe(f'$share/{group}/{topic}')
    first.disconnect()  # and its session ends
    server.silent(pub, other)


@pytest.mark.parametrize('qos', [1, 2])
def test_a_message_that_a_member_refuses_goes_to_no_other(server, qos):
    group, topic = server.name(), server.topic()
    pub, first = server.pair()
    first.subscribe(f'$share/{group}/{topic}')
    pub.publish(topic, b'x', qos)
    packet_id = first.expect(wire.PUBLISH, qos=qos).packet_id
    other = server.peer(shard=1)
    other.subscribe(f'$share/{group}/{topic}')
    first.send(ack(5, wire.PUBACK if qos == 1 else wire.PUBREC, packet_id, 0x80))
    first.ping()
    server.silent(pub, other)


# --- DISCONNECT ---------------------------------------------------------------------------------

def test_disconnect_with_will_publishes_it(server):
    for reason in (wire.WITH_WILL, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
                   0x99):
        topic = server.topic()
        watch = server.peer()
        watch.subscribe(topic)
        peer = server.peer(shard=1, will=(topic, b'gone', 1, False))
        peer.disconnect(reason, reason_string='why', user_property=('a', 'b'))
        watch.take(topic, b'gone')


def test_disconnect_with_success_in_each_form_discards_the_will(server):
    topic = server.topic()
    watch = server.peer()
    watch.subscribe(topic)
    for data in (packet(0xe0), packet(0xe0, b'\0'), packet(0xe0, b'\0\0'),
                 ending(5, reason=0, reason_string='bye')):
        peer = server.peer(shard=1, will=(topic, b'no', 1, False))
        peer.send(data)
        peer.expect_closed()
    server.silent(server.peer(shard=1), watch)


def test_disconnect_with_a_reason_of_the_server_is_a_protocol_error(server):
    for reason in (0x01, 0x10, 0x84, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x9b, 0x9c, 0x9d, 0xa2):
        peer = server.peer()
        peer.send(ending(5, reason=reason))
        peer.expect_end(wire.PROTOCOL_ERROR)


def test_disconnect_with_properties_that_are_not_its_own_is_refused(server):
    for props, reason in (({'topic_alias': 1}, wire.MALFORMED), ({'reason_string': ['a', 'b']},
                                                                 wire.PROTOCOL_ERROR)):
        peer = server.peer()
        peer.send(ending(5, reason=0, **props))
        peer.expect_end(reason)


def test_a_session_that_was_to_end_cannot_be_kept_by_disconnect(server):
    peer = server.peer()
    peer.send(ending(5, reason=0, session_expiry=10))
    peer.expect_end(wire.PROTOCOL_ERROR)
    peer = server.peer(session_expiry=600)
    peer.disconnect(0, session_expiry=0)
    assert not server.peer(client_id=peer.client_id, clean=False).connack.session_present


def test_the_servers_disconnect_says_why_and_is_the_last(server):
    peer = server.peer()
    peer.send(publish(5, 'a/#') + packet(0xc0) * 3)
    got = peer.expect(wire.DISCONNECT, reason=wire.TOPIC_INVALID)
    assert set(got.props) <= {'reason_string', 'user_property'}
    peer.expect_closed()


def test_the_servers_disconnect_keeps_to_the_clients_packet_size(server):
    peer = server.peer(maximum_packet_size=40)
    peer.send(ending(5, reason=0, session_expiry=10))
    got = peer.expect(wire.DISCONNECT, reason=wire.PROTOCOL_ERROR)
    assert len(got.raw) <= 40
    peer.expect_closed()
