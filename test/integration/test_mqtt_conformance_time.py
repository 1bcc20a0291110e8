"""MQTT 3.1.1 and 5.0: what happens when time passes: keep alive, expiry, delayed wills.

Times are in whole seconds on the wire, so these tests wait for some; each waits once for many.
"""
import time

import pytest

import mqtt_wire as wire
import sealmq_testlib as lib
from mqtt_wire import ack, packet


@pytest.fixture(scope='module')
def shared_broker(tmp_path_factory):
    """Two workers are enough here."""
    processes = lib.Processes(tmp_path_factory.mktemp('shared-broker'))
    yield processes.broker('--workers', 2)[1], 2
    processes.close()


def wait(seconds):
    """Lets that time pass at the server; its length is what these tests are about."""
    time.sleep(seconds)


# --- keep alive ---------------------------------------------------------------------------------

def test_a_client_that_keeps_silent_for_half_as_long_again_is_ended(server):
    """As if the network had failed: with its will. Any packet of its counts, not only PINGREQ."""
    topic = server.topic()
    watch = server.peer()
    watch.subscribe(topic)
    silent = [server.peer(version, shard, keep_alive=1, will=(topic, b'gone', 1, False))
              for version in (4, 5) for shard in (0, 1)]
    lively = [server.peer(version, keep_alive=1) for version in (4, 5)]
    forever = [server.peer(version, keep_alive=0) for version in (4, 5)]
    begin = time.monotonic()
    for i in range(4):
        wait(0.7)
        for peer in lively:
            if i % 2:
                peer.ping()
            else:
                peer.publish(server.topic(), b'', 1)
        if i == 0:
            for peer in silent:  # once a second would do: these are in time until now
                peer.send(packet(0xc0))
                peer.expect(wire.PINGRESP)
    for peer in silent:
        peer.expect_end(wire.KEEP_ALIVE_TIMEOUT)
        watch.take(topic, b'gone')
    assert 0.7 + 1.5 <= time.monotonic() - begin <= 0.7 + 1.5 + 2 * lib.PATIENCE
    for peer in lively + forever:
        peer.ping()


def test_what_the_server_sends_does_not_keep_a_client_alive(server):
    topic = server.topic()
    pub, sub = server.pair(keep_alive=1)
    sub.subscribe((topic, 0))
    for _ in range(8):
        pub.publish(topic, b'x')
        wait(0.3)
    while (got := sub.receive()).kind == wire.PUBLISH:
        pass
    assert (got.kind, got.reason) == (wire.DISCONNECT, wire.KEEP_ALIVE_TIMEOUT)
    sub.expect_closed()


# --- sessions -----------------------------------------------------------------------------------

def test_sessions_last_as_long_as_they_were_to(server):
    """Not shorter than a connection; to the end of their expiry interval; not longer."""
    ended = [server.peer(), server.peer(session_expiry=0), server.peer(session_expiry=1),
             server.peer(session_expiry=600)]
    lasting = [server.peer(session_expiry=600), server.peer(session_expiry=0xffffffff),
               server.peer(session_expiry=1), server.peer(4, clean=False)]
    topic = server.topic()
    for peer in ended + lasting:
        peer.subscribe(topic)
    for peer in ended[:3] + lasting[:2] + lasting[3:]:
        peer.disconnect()
    ended[3].disconnect(0, session_expiry=1)
    lasting[2].disconnect(0, session_expiry=600)  # what DISCONNECT says counts
    connected = server.peer(session_expiry=1)
    wait(2.2)
    for peer in ended:
        again = server.peer(client_id=peer.client_id, clean=False)
        assert not again.connack.session_present
        again.ping()
    for peer in lasting:
        again = server.peer(peer.version, client_id=peer.client_id, clean=False)
        assert again.connack.session_present
    connected.ping()
    again = server.peer(client_id=connected.client_id, clean=False, session_expiry=1)
    assert again.connack.session_present


def test_an_expired_session_has_its_will_published(server):
    """At the end of the session, or of the delay, whichever comes first."""
    topic = server.topic()
    watch = server.peer()
    watch.subscribe(topic)
    begin = time.monotonic()
    server.peer(shard=1, session_expiry=1, will=(topic, b'session', 1, False),
                will_properties={'will_delay': 600}).close()
    watch.take(topic, b'session')
    assert time.monotonic() - begin >= 0.9
    server.peer(shard=1, will=(topic, b'at once', 1, False),
                will_properties={'will_delay': 600}).close()
    watch.take(topic, b'at once')


def test_a_clean_start_ends_the_session_and_so_publishes_its_delayed_will(server):
    topic = server.topic()
    watch = server.peer()
    watch.subscribe(topic)
    options = {'session_expiry': 600, 'will': (topic, b'gone', 1, False),
               'will_properties': {'will_delay': 600}}
    peer = server.peer(shard=1, **options)
    peer.close()
    server.peer(client_id=peer.client_id)
    watch.take(topic, b'gone')


# --- wills --------------------------------------------------------------------------------------

def test_a_will_waits_for_its_delay_and_not_if_the_client_comes_back(server):
    topic = server.topic()
    watch = server.peer()
    watch.subscribe(topic)

    def leave(payload):
        peer = server.peer(shard=1, session_expiry=600, will=(topic, payload, 1, True),
                           will_properties={'will_delay': 1,
                                            'user_property': [('b', '1'), ('a', '2')]})
        peer.close()
        return peer
    begin = time.monotonic()
    leave(b'late')
    back = leave(b'came back')
    server.peer(client_id=back.client_id, clean=False, session_expiry=600)
    watch.ping()
    got = watch.take(topic, b'late')
    assert time.monotonic() - begin >= 0.9
    assert got.props == {'user_property': [('b', '1'), ('a', '2')]}  # the delay is not forwarded
    wait(0.5)
    server.silent(server.peer(shard=1), watch)
    late = server.peer()
    late.subscribe(topic)
    late.take(topic, b'late', retain=True)


# --- message expiry -----------------------------------------------------------------------------

def test_messages_expire_and_what_is_left_of_their_time_is_told(server):
    topic, kept = server.topic(), server.topic()
    pub, away = server.pair(session_expiry=600)
    away.subscribe(topic)
    away.disconnect()
    for qos in (1, 2):
        pub.publish(topic, b'short', qos, message_expiry=1)
        pub.publish(topic, b'long', qos, message_expiry=100)
        pub.publish(topic, b'unbound', qos)
    pub.publish(kept + '/short', b'short', 1, retain=True, message_expiry=1)
    pub.publish(kept + '/long', b'long', 1, retain=True, message_expiry=100)
    here = server.peer()
    here.subscribe(f'{kept}/#')
    for _ in range(2):
        assert 0 < here.take_any().props['message_expiry'] <= 100
    wait(2.2)
    away = server.peer(client_id=away.client_id, clean=False, session_expiry=600)
    for qos in (1, 2):
        got = away.expect(wire.PUBLISH, topic=topic, payload=b'long', qos=qos)
        assert 96 <= got.props['message_expiry'] <= 98
        assert away.expect(wire.PUBLISH, payload=b'unbound', qos=qos).props == {}
    away.ping()
    late = server.peer()
    late.subscribe(f'{kept}/#')
    assert 96 <= late.take(f'{kept}/long', b'long').props['message_expiry'] <= 98
    late.ping()


def test_an_immediate_delivery_has_the_whole_expiry_interval(server):
    topic = server.topic()
    pub, sub = server.pair()
    sub.subscribe(topic)
    for seconds in (60, 0xffffffff):
        pub.publish(topic, b'x', 1, message_expiry=seconds)
        assert seconds - 1 <= sub.take(topic).props['message_expiry'] <= seconds


def test_what_has_been_sent_once_does_not_expire(server):
    topic = server.topic()
    pub, sub = server.pair(session_expiry=600)
    sub.subscribe(topic)
    for qos in (1, 2):
        pub.publish(topic, b'sent', qos, message_expiry=1)
    ids = [sub.expect(wire.PUBLISH, payload=b'sent').packet_id for _ in range(2)]
    sub.close()
    wait(2.2)
    sub = server.peer(client_id=sub.client_id, clean=False, session_expiry=600)
    for packet_id in ids:
        sub.expect(wire.PUBLISH, payload=b'sent', dup=True, packet_id=packet_id)
    sub.send(ack(5, wire.PUBACK, ids[0]), ack(5, wire.PUBREC, ids[1]))
    sub.expect(wire.PUBREL, packet_id=ids[1])
    sub.send(ack(5, wire.PUBCOMP, ids[1]))
    sub.ping()


def test_a_qos_2_exchange_goes_on_though_its_message_has_expired(server):
    """The publisher's handshake: nobody is there for the message, and its time is over."""
    topic = server.topic()
    pub = server.peer()
    pub.send(wire.publish(5, topic, b'x', 2, 5, message_expiry=1))
    pub.expect(wire.PUBREC, packet_id=5)
    wait(1.2)
    pub.send(ack(5, wire.PUBREL, 5))
    pub.expect(wire.PUBCOMP, packet_id=5, reason=0)
