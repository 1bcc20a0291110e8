"""MQTT 5.0, sections 3.1, 3.2 and 4.12: what CONNECT, CONNACK and AUTH have that 3.1.1 has not."""
import pytest

import mqtt_wire as wire
from mqtt_wire import connect, ending, packet, publish, text


def refused(server, reason, **options):
    peer = server.raw()
    peer.send(connect(5, server.name(), **options))
    peer.expect_refusal(reason)


# --- properties of CONNECT and of the will ------------------------------------------------------

ONCE = {'session_expiry': 1, 'receive_maximum': 10, 'maximum_packet_size': 1000,
        'topic_alias_maximum': 3, 'request_response_info': 1, 'request_problem_info': 1}
WILL_ONCE = {'will_delay': 0, 'payload_format': 0, 'message_expiry': 9, 'content_type': 'x',
             'response_topic': 'r', 'correlation_data': b'c'}
NOT_IN_CONNECT = {'assigned_client_id': 'x', 'server_keep_alive': 1, 'response_info': 'x',
                  'server_reference': 'x', 'reason_string': 'x', 'topic_alias': 1,
                  'maximum_qos': 1, 'retain_available': 1, 'wildcard_available': 1,
                  'subscription_ids_available': 1, 'shared_available': 1, 'subscription_id': [1],
                  'will_delay': 1, 'payload_format': 1, 'message_expiry': 1, 'content_type': 'x'}


def test_all_properties_of_a_connect_are_taken(server):
    server.peer(**ONCE, user_property=[('a', 'b'), ('a', 'b')])
    server.peer(will=('w/x', b'', 0, False), will_properties=dict(
        WILL_ONCE, user_property=[('a', 'b'), ('a', 'b')]))


@pytest.mark.parametrize('name', ONCE)
def test_a_property_of_connect_may_come_only_once(server, name):
    refused(server, wire.PROTOCOL_ERROR, **{name: [ONCE[name]] * 2})


@pytest.mark.parametrize('name', WILL_ONCE)
def test_a_property_of_the_will_may_come_only_once(server, name):
    refused(server, wire.PROTOCOL_ERROR, will=('w', b'', 0, False),
            will_properties={name: [WILL_ONCE[name]] * 2})


@pytest.mark.parametrize('name', NOT_IN_CONNECT)
def test_a_property_that_does_not_belong_into_connect_is_refused(server, name):
    refused(server, wire.MALFORMED, **{name: NOT_IN_CONNECT[name]})


@pytest.mark.parametrize('properties', [
    {'receive_maximum': 0}, {'maximum_packet_size': 0}, {'request_response_info': 2},
    {'request_problem_info': 2}, {'auth_data': b'x'}], ids=lambda p: next(iter(p)))
def test_values_that_are_not_defined_are_a_protocol_error(server, properties):
    refused(server, wire.PROTOCOL_ERROR, **properties)


def test_an_unknown_property_is_malformed(server):
    for number in (0x00, 0x04, 0x14, 0x20, 0x2b, 0x7f):
        peer = server.raw()
        body = text('MQTT') + b'\5\2\0\0' + wire.properties(bytes([number, 0])) + text('c')
        peer.send(packet(0x10, body))
        peer.expect_refusal(wire.MALFORMED)


def test_properties_longer_than_the_packet_are_malformed(server):
    peer = server.raw()
    peer.send(packet(0x10, text('MQTT') + b'\5\2\0\0\x30' + text('c')))
    peer.expect_refusal(wire.MALFORMED)


def test_a_password_needs_no_user_name(server):
    server.peer(password=b'\0\xff token')


# --- what CONNACK says --------------------------------------------------------------------------

def test_an_assigned_identifier_is_returned_and_nobody_elses(server):
    names = {server.peer(client_id='').client_id for _ in range(30)}
    assert len(names) == 30 and '' not in names
    kept = server.peer(client_id='', session_expiry=600)
    topic = server.topic()
    kept.subscribe(topic)
    kept.disconnect()
    server.peer(shard=1).publish(topic, b'x', 1)
    again = server.peer(client_id=kept.client_id, clean=False, session_expiry=600)
    assert again.connack.session_present  # it is an identifier like any other
    assert 'assigned_client_id' not in again.connack.props
    again.take(topic, b'x')
    assert 'assigned_client_id' not in server.peer().connack.props


def test_an_empty_identifier_may_also_keep_its_session(server):
    peer = server.peer(client_id='', clean=False, session_expiry=600)
    assert not peer.connack.session_present and peer.connack.props['assigned_client_id']


def test_every_qos_and_retain_are_available_so_they_are_not_mentioned(server):
    props = server.peer().connack.props
    for name in ('maximum_qos', 'retain_available', 'wildcard_available',
                 'subscription_ids_available'):
        assert props.get(name, 1) == 1
    peer = server.peer(will=(server.topic(), b'x', 2, True))
    assert peer.subscribe(*[(server.topic(), qos) for qos in range(3)]) == [0, 1, 2]


def test_an_accepted_keep_alive_is_the_clients_own(server):
    for seconds in (0, 1, 60, 65535):
        assert server.peer(keep_alive=seconds).connack.props.get('server_keep_alive',
                                                                 seconds) == seconds


def test_response_information_is_given_only_on_request(server):
    for options in ({}, {'request_response_info': 0}):
        assert 'response_info' not in server.peer(**options).connack.props


def test_a_client_without_method_hears_nothing_of_authentication(server):
    props = server.peer().connack.props
    assert 'auth_method' not in props and 'auth_data' not in props


def test_a_refusal_says_why_in_words(server):
    peer = server.raw()
    peer.send(connect(5, 'a' * 1025))
    got = peer.expect(wire.CONNACK, reason=wire.CLIENT_ID_INVALID, session_present=False)
    assert got.props['reason_string']
    peer.expect_closed()


def test_words_are_left_out_of_a_connack_that_would_get_too_large(server):
    peer = server.raw()
    peer.send(connect(5, 'a' * 1025, maximum_packet_size=20))
    got = peer.expect(wire.CONNACK, reason=wire.CLIENT_ID_INVALID)
    assert len(got.raw) <= 20 and got.props == {}
    peer.expect_closed()


def test_no_packet_goes_out_that_is_larger_than_the_client_takes(server):
    """Not even the CONNACK; then there is nothing to be said."""
    peer = server.raw()
    peer.send(connect(5, server.name(), maximum_packet_size=4))
    peer.expect_closed()


def test_only_the_newest_client_of_a_name_stays(server):
    """The older ones are told, whatever their number."""
    name = server.name()
    peers = [server.peer(client_id=name) for _ in range(5)]
    for older in peers[:-1]:
        older.expect_end(wire.TAKEN_OVER)
    peers[-1].ping()


# --- enhanced authentication --------------------------------------------------------------------

def test_an_unknown_authentication_method_is_refused(server):
    refused(server, wire.BAD_METHOD, auth_method='NOT-A-METHOD')
    refused(server, wire.BAD_METHOD, auth_method='NOT-A-METHOD', auth_data=b'first')
    refused(server, wire.BAD_METHOD, auth_method='')


def test_auth_without_a_method_in_connect_is_a_protocol_error(server):
    for reason in (wire.CONTINUE, wire.REAUTHENTICATE):
        peer = server.peer()
        peer.send(ending(5, wire.AUTH, reason, auth_method='x'))
        peer.expect_end(wire.PROTOCOL_ERROR)


def test_auth_with_a_reason_of_others_is_a_protocol_error(server):
    for reason in (0x00, 0x01, 0x80, 0x1a):
        peer = server.peer()
        peer.send(ending(5, wire.AUTH, reason, auth_method='x'))
        peer.expect_end(wire.PROTOCOL_ERROR)


def test_auth_without_its_method_is_a_protocol_error(server):
    for data in (ending(5, wire.AUTH, wire.CONTINUE), ending(5, wire.AUTH),
                 ending(5, wire.AUTH, wire.CONTINUE, auth_data=b'x')):
        peer = server.peer()
        peer.send(data)
        peer.expect_end(wire.PROTOCOL_ERROR)


def test_data_behind_a_refused_connect_are_not_looked_at(server):
    topic = server.topic()
    watch = server.peer(shard=1)
    watch.subscribe(topic)
    peer = server.raw()
    peer.send(connect(5, server.name(), auth_method='NOT-A-METHOD') +
              publish(5, topic, b'no') + packet(0xc0))
    peer.expect_refusal(wire.BAD_METHOD)
    server.silent(server.peer(), watch)
