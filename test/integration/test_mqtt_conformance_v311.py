"""MQTT 3.1.1: what 5.0 has otherwise."""
import mqtt_wire as wire
from mqtt_wire import connect, packet, publish


def test_an_empty_identifier_with_clean_session_0_is_rejected(server):
    peer = server.raw(4)
    peer.send(connect(4, '', clean=False))
    peer.expect_refusal(None, 2)
    assert not server.peer(4, client_id='').connack.session_present


def test_a_password_without_a_user_name_is_malformed(server):
    peer = server.raw(4)
    peer.send(connect(4, server.name(), password='p'))
    peer.expect_closed()


def test_there_is_no_auth(server):
    peer = server.peer(4)
    peer.send(packet(0xf0))
    peer.expect_closed()


def test_disconnect_has_no_reason(server):
    topic = server.topic()
    watch = server.peer(4)
    watch.subscribe(topic)
    peer = server.peer(4, shard=1, will=(topic, b'gone', 1, False))
    peer.send(packet(0xe0, b'\4'))
    peer.expect_closed()
    watch.take(topic, b'gone')  # it was no DISCONNECT


def test_answers_have_no_reason(server):
    """What 5.0 says with a code is success here."""
    peer = server.peer(4)
    peer.send(publish(4, server.topic(), b'', 1, 1), publish(4, server.topic(), b'', 2, 2))
    peer.expect_bytes(b'\x40\x02\0\1')
    peer.expect_bytes(b'\x50\x02\0\2')


def test_a_longer_form_of_the_remaining_length_is_read(server):
    """Only 5.0 asks for the shortest one."""
    peer = server.peer(4)
    peer.send(b'\xc0\x80\x00', b'\xc0\x80\x80\x80\x00')
    peer.expect(wire.PINGRESP)
    peer.expect(wire.PINGRESP)


def test_a_session_of_one_version_can_be_resumed_in_the_other(server):
    topic = server.topic()
    pub, old = server.peer(5, 1), server.peer(4, clean=False)
    old.subscribe(topic)
    old.disconnect()
    pub.publish(topic, b'one', 1, user_property=('a', 'b'))
    new = server.peer(5, client_id=old.client_id, clean=False, session_expiry=600)
    assert new.connack.session_present
    assert new.take(topic, b'one').props == {'user_property': [('a', 'b')]}
    new.disconnect()
    pub.publish(topic, b'two', 2)
    old = server.peer(4, client_id=old.client_id, clean=False)
    assert old.connack.session_present
    old.take(topic, b'two', qos=2)
