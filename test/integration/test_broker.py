"""`sealmq broker`, the plain MQTT server, as its clients see it."""
import os
import resource
import signal
import socket
import struct
import subprocess
import time

import pytest

import sealmq_testlib as lib
from sealmq_testlib import MqttClient, MqttError, RawConnection

MALFORMED = 0x81
PROTOCOL_ERROR = 0x82
BAD_USER_NAME_OR_PASSWORD = 0x86
NOT_AUTHORIZED = 0x87
SHUTTING_DOWN = 0x8b
KEEP_ALIVE_TIMEOUT = 0x8d
TAKEN_OVER = 0x8e
PACKET_TOO_LARGE = 0x95


@pytest.fixture
def broker(processes):
    """A broker with two workers that lets everybody in: its port."""
    _process, port = processes.broker('--workers', 2)
    return port


@pytest.fixture(params=[False, True], ids=['3.1.1', '5.0'])
def v5(request):
    return request.param


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack('!H', len(data)) + data


def packet(first, body=b''):
    length, n = b'', len(body)
    while True:
        n, digit = n >> 7, n & 0x7f
        length += bytes([digit | (0x80 if n else 0)])
        if not n:
            return bytes([first]) + length + body


def connect_packet(client_id='raw', v5=True, keep_alive_s=0, flags=0x02, after=b''):
    properties = b'\0' if v5 else b''
    return packet(0x10, string('MQTT') + bytes([5 if v5 else 4, flags]) +
                  struct.pack('!H', keep_alive_s) + properties + string(client_id) + after)


def connected(port, client_id='raw', v5=True, **options):
    """A raw connection whose CONNECT was accepted."""
    connection = RawConnection(port)
    connection.send(connect_packet(client_id, v5, **options))
    first, body = connection.receive_packet()
    assert (first, body[1]) == (0x20, 0)
    return connection


# --- messages -----------------------------------------------------------------------------------

@pytest.mark.parametrize('qos', [0, 1])
def test_a_message_reaches_a_subscriber_at_the_lower_of_the_two_qos(broker, v5, qos):
    with MqttClient(broker, 'sub', v5=v5) as sub, MqttClient(broker, 'pub', v5=v5) as pub:
        assert sub.subscribe('plant/#', qos) == qos
        pub.publish('plant/a', b'36', qos=1)
        pub.publish('plant/b', b'6', qos=0)
        first, second = sub.next_message(), sub.next_message()
        assert (first.topic, first.payload, first.qos) == ('plant/a', b'36', qos)
        assert (second.topic, second.payload, second.qos) == ('plant/b', b'6', 0)


def test_many_messages_keep_their_order(broker, v5):
    with MqttClient(broker, 'sub', v5=v5) as sub, MqttClient(broker, 'pub', v5=v5) as pub:
        sub.subscribe('order', 1)
        for i in range(500):
            pub.paho.publish('order', str(i), qos=1)
        assert [int(sub.next_message().payload) for _ in range(500)] == list(range(500))


@pytest.mark.parametrize('topic_filter, matches, others', [
    ('+/temperature', ['a/temperature', '/temperature'], ['a/b/temperature', 'temperature']),
    ('a/+/c', ['a/b/c', 'a//c'], ['a/c', 'a/b/c/d']),
    ('a/#', ['a', 'a/b', 'a/b/c'], ['ab', 'b/a']),
    ('#', ['a', '/a'], ['$SYS/a']),
    ('+', ['a'], ['$a', 'a/b']),
])
def test_wildcards_match_as_the_standard_says(broker, topic_filter, matches, others):
    with MqttClient(broker, 'sub') as sub, MqttClient(broker, 'pub') as pub:
        sub.subscribe(topic_filter)
        for topic in others + matches:
            pub.publish(topic, b'x', qos=1)
        assert [sub.next_message().topic for _ in matches] == matches
        sub.expect_nothing(0.3)


def test_an_unsubscribed_topic_is_silent(broker, v5):
    with MqttClient(broker, 'c', v5=v5) as client:
        client.subscribe('t', 1)
        client.publish('t', b'1', qos=1)
        assert client.next_message().payload == b'1'
        client.unsubscribe('t')
        client.publish('t', b'2', qos=1)
        client.expect_nothing(0.3)


def test_a_retained_message_waits_for_subscribers_until_it_is_cleared(broker, v5):
    with MqttClient(broker, 'pub', v5=v5) as pub:
        pub.publish('state/door', b'open', qos=1, retain=True)
        pub.publish('state/door', b'shut', qos=1, retain=True)
        for i in range(4):  # on whichever worker
            with MqttClient(broker, f'late-{i}', v5=v5) as late:
                late.subscribe('state/+', 1)
                message = late.next_message()
                assert (message.payload, message.retain) == (b'shut', True)
                pub.publish('state/door', b'shut', qos=1, retain=True)
                assert not late.next_message().retain
        pub.publish('state/door', b'', qos=1, retain=True)
        with MqttClient(broker, 'last', v5=v5) as last:
            last.subscribe('state/+', 1)
            last.expect_nothing(0.3)


def test_a_large_payload_arrives_whole(broker, v5):
    payload = os.urandom(700_000)
    with MqttClient(broker, 'sub', v5=v5) as sub, MqttClient(broker, 'pub', v5=v5) as pub:
        sub.subscribe('big', 1)
        pub.publish('big', payload, qos=1)
        assert sub.next_message(30).payload == payload


def test_request_properties_of_5_0_reach_the_subscriber(broker):
    with MqttClient(broker, 'sub', v5=True) as sub, MqttClient(broker, 'pub', v5=True) as pub:
        sub.subscribe('ask', 1)
        pub.publish('ask', b'?', qos=1, ResponseTopic='answer/1', CorrelationData=b'\x01\x02',
                    UserProperty=('k', 'v'))
        properties = sub.next_message().properties
        assert properties.ResponseTopic == 'answer/1'
        assert properties.CorrelationData == b'\x01\x02'
        assert properties.UserProperty == [('k', 'v')]


def test_versions_talk_to_each_other(broker):
    with MqttClient(broker, 'old') as old, MqttClient(broker, 'new', v5=True) as new:
        old.subscribe('x')
        new.subscribe('x')
        new.publish('x', b'1', qos=1, UserProperty=('k', 'v'))
        assert (old.next_message().payload, new.next_message().payload) == (b'1', b'1')
        old.publish('x', b'2', qos=1)
        assert (old.next_message().payload, new.next_message().payload) == (b'2', b'2')


def test_a_suback_holds_on_every_worker(broker):
    """Subscriber and publisher on all pairs of 8 ids, so on both workers and across them."""
    clients = [MqttClient(broker, f'spread-{i}') for i in range(8)]
    try:
        for i, sub in enumerate(clients):
            for j, pub in enumerate(clients):
                topic = f'pair/{i}/{j}'
                sub.subscribe(topic, 1)
                pub.paho.publish(topic, b'x', qos=0)
                assert sub.next_on(topic).payload == b'x'
    finally:
        for client in clients:
            client.close()


# --- sessions -----------------------------------------------------------------------------------

def test_a_will_is_published_when_the_connection_is_cut(broker, v5):
    with MqttClient(broker, 'watch', v5=v5) as watch:
        watch.subscribe('will/#', 1)
        client = MqttClient(broker, 'dies', v5=v5, will=('will/dies', b'gone', 1, False))
        client.cut()
        message = watch.next_message()
        assert (message.topic, message.payload) == ('will/dies', b'gone')


def test_a_client_that_says_goodbye_leaves_no_will(broker, v5):
    with MqttClient(broker, 'watch', v5=v5) as watch:
        watch.subscribe('will/#', 1)
        MqttClient(broker, 'leaves', v5=v5, will=('will/leaves', b'gone', 1, False)).close()
        watch.expect_nothing(0.5)


def test_a_client_that_keeps_quiet_for_too_long_is_dropped_with_its_will(broker):
    with MqttClient(broker, 'watch') as watch:
        watch.subscribe('will/#', 1)
        will = string('will/quiet') + string('late')
        # 3.1.1: no properties before the will's topic
        connection = connected(broker, 'quiet', v5=False, keep_alive_s=1, flags=0x06, after=will)
        start = time.monotonic()
        assert watch.next_message(10).payload == b'late'
        assert 1.3 < time.monotonic() - start
        assert connection.receive_all() == b''


def test_a_ping_keeps_a_quiet_client(broker):
    with connected(broker, 'pings', keep_alive_s=1) as connection:
        for _ in range(4):
            time.sleep(0.7)
            connection.send(b'\xc0\0')
            assert connection.receive_packet() == (0xd0, b'')


def test_the_end_of_keep_alive_is_told_in_5_0(broker):
    with connected(broker, 'quiet5', keep_alive_s=1) as connection:
        first, body = connection.receive_packet()
        assert (first, body[0]) == (0xe0, KEEP_ALIVE_TIMEOUT)
        assert connection.receive_packet() is None


def test_a_newer_connection_takes_over_its_id(broker):
    with MqttClient(broker, 'twin', v5=True) as older:
        with MqttClient(broker, 'twin', v5=True) as newer:
            assert older.wait_for_disconnect() == TAKEN_OVER
            newer.subscribe('t', 1)
            newer.publish('t', b'alive', qos=1)
            assert newer.next_message().payload == b'alive'


def test_a_session_keeps_what_comes_while_its_client_is_away(broker, v5):
    kept = {'properties': {'SessionExpiryInterval': 600}} if v5 else {}
    with MqttClient(broker, 'sleeper', v5=v5, clean=False, **kept) as client:
        assert not client.session_present
        client.subscribe('news/#', 1)
    with MqttClient(broker, 'pub', v5=v5) as pub:
        for i in range(20):
            pub.publish(f'news/{i}', str(i), qos=1)
    with MqttClient(broker, 'sleeper', v5=v5, clean=False, **kept) as client:
        assert client.session_present
        assert [int(client.next_message().payload) for _ in range(20)] == list(range(20))
    with MqttClient(broker, 'sleeper', v5=v5, clean=True) as client:
        assert not client.session_present
        client.expect_nothing(0.3)


def test_a_client_without_id_is_given_one(broker):
    with MqttClient(broker, '', v5=True) as client:
        assert client.connack_properties.AssignedClientIdentifier
        client.subscribe('t')
        client.publish('t', b'x', qos=1)
        assert client.next_message().payload == b'x'


# --- log-in and access --------------------------------------------------------------------------

@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / 'passwords'
    for user, password in (('ann', 'secret'), ('bob', 'other')):
        assert lib.run_sealmq('passwd', path, user, '-b', password).returncode == 0
    assert path.stat().st_mode & 0o777 == 0o600
    return path


def refusal(port, *arguments, **options):
    with pytest.raises(MqttError) as refused:
        MqttClient(port, *arguments, **options)
    return refused.value.code


def test_only_right_passwords_get_in(processes, password_file, v5):
    _process, port = processes.broker('--passwords', password_file, anonymous=False)
    MqttClient(port, 'c', 'ann', 'secret', v5=v5).close()
    MqttClient(port, 'c', 'bob', 'other', v5=v5).close()
    wrong = BAD_USER_NAME_OR_PASSWORD if v5 else 4
    assert refusal(port, 'c', 'ann', 'Secret', v5=v5) == wrong
    assert refusal(port, 'c', 'ann', 'other', v5=v5) == wrong
    assert refusal(port, 'c', 'eve', 'secret', v5=v5) == wrong
    assert refusal(port, 'c', 'ann', None, v5=v5) == wrong
    assert refusal(port, 'c', v5=v5) == (NOT_AUTHORIZED if v5 else 5)


def test_anonymous_and_passwords_together(processes, password_file):
    _process, port = processes.broker('--passwords', password_file)
    MqttClient(port, 'c').close()
    MqttClient(port, 'c', 'ann', 'secret').close()
    assert refusal(port, 'c', 'ann', 'wrong') == 4


def test_loopback_alone_needs_no_password(processes):
    _process, port = processes.broker(anonymous=False)
    MqttClient(port, 'c').close()


def test_acl_decides_who_reads_and_writes_what(processes, password_file, tmp_path):
    acl = tmp_path / 'acl'
    acl.write_text('topic read open/#\n'
                   'user ann\n'
                   'topic readwrite plant/#\n'
                   'topic deny plant/secret\n'
                   'pattern readwrite own/%u/#\n')
    _process, port = processes.broker('--passwords', password_file, '--acl', acl)
    with MqttClient(port, 'ann', 'ann', 'secret', v5=True) as ann, \
            MqttClient(port, 'bob', 'bob', 'other', v5=True) as bob, \
            MqttClient(port, 'nobody', v5=True) as nobody:
        ann.subscribe('plant/#', 1)
        ann.subscribe('own/ann/#', 1)
        for client, topic in ((bob, 'plant/a'), (nobody, 'plant/a'), (ann, 'plant/secret'),
                              (bob, 'own/ann/a'), (nobody, 'open/a')):
            client.paho.publish(topic, b'no', qos=0)
            client.publish(topic, b'no', qos=1)
        ann.publish('plant/a', b'yes', qos=1)
        ann.publish('own/ann/a', b'yes', qos=1)
        assert [ann.next_message()[:2] for _ in range(2)] == [('plant/a', b'yes'),
                                                              ('own/ann/a', b'yes')]
        ann.expect_nothing(0.3)


def test_dollar_topics_cannot_be_written_without_an_acl(broker):
    with MqttClient(broker, 'c', v5=True) as client:
        with connected(broker, 'raw') as raw:
            raw.send(packet(0x32, string('$SYS/x') + b'\0\1\0x'))
            first, body = raw.receive_packet()
            assert (first, body[2]) == (0x40, NOT_AUTHORIZED)
        client.publish('ok', b'', qos=1)


def test_sighup_takes_new_passwords_without_dropping_clients(processes, password_file):
    process, port = processes.broker('--passwords', password_file, anonymous=False)
    with MqttClient(port, 'stays', 'ann', 'secret') as stays:
        stays.subscribe('t', 1)
        lib.run_sealmq('passwd', password_file, 'eve', '-b', 'new')
        assert lib.run_sealmq('passwd', password_file, 'ann', '-D').returncode == 0
        assert refusal(port, 'c', 'eve', 'new') == 4
        process.signal(signal.SIGHUP)
        process.wait_for_output('broker: reloaded')
        lib.wait_until(lambda: refused_or_in(port, 'eve', 'new'), 'eve to be let in')
        assert refusal(port, 'c', 'ann', 'secret') == 4
        stays.publish('t', b'still here', qos=1)
        assert stays.next_message().payload == b'still here'

        password_file.write_text('eve:plain text\n')
        process.signal(signal.SIGHUP)
        process.wait_for_output(r'not reloaded.*passwords:1: ')
        MqttClient(port, 'c', 'eve', 'new').close()  # the old ones stay


def refused_or_in(port, user, password):
    try:
        MqttClient(port, 'probe', user, password).close()
    except MqttError:
        return False
    return True


# --- hostile and broken clients -----------------------------------------------------------------

def assert_disconnected_with(connection, reason):
    first, body = connection.receive_packet()
    assert (first, body[0]) == (0xe0, reason)
    assert connection.receive_packet() is None


@pytest.mark.parametrize('name, data, reason', [
    ('reserved type', b'\x00\x00', MALFORMED),
    ('reserved flags', b'\x83\x05\0\1\0\0\0', MALFORMED),
    ('QoS 3', b'\x36\x05\0\1a\0\1', MALFORMED),
    ('remaining length of five bytes', b'\x30\xff\xff\xff\xff\x01', MALFORMED),
    ('wildcard in a topic name', packet(0x30, string('a/#') + b'\0'), None),
    ('bad UTF-8', packet(0x30, string(b'\xc0\x80') + b'\0'), None),
    ('topic longer than the packet', b'\x30\x03\0\x09a', MALFORMED),
    ('packet identifier 0', packet(0x32, string('a') + b'\0\0\0'), None),
    ('second CONNECT', connect_packet(), PROTOCOL_ERROR),
    ('a packet for clients', b'\x20\x03\0\0\0', None),
])
def test_a_malformed_packet_ends_the_connection_with_its_reason(broker, name, data, reason):
    with connected(broker) as connection, MqttClient(broker, 'bystander') as bystander:
        # What follows, and is never read, must not turn the answer into a reset.
        connection.send(data + b'\xc0\0' * 100_000)
        first, body = connection.receive_packet()
        assert first == 0xe0
        assert body[0] == reason if reason is not None else body[0] in (0x81, 0x82, 0x90)
        assert connection.receive_packet() is None
        bystander.subscribe('t')
        bystander.publish('t', b'x', qos=1)
        assert bystander.next_message().payload == b'x'


@pytest.mark.parametrize('data', [
    b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', b'\x00' * 64, b'\x30\x03\0\1a', b'\x10\xff\xff\xff\xff\xff',
    b'\x10\x00', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', os.urandom(200)],
    ids=['http', 'zeros', 'publish', 'length', 'empty', 'tls', 'random'])
def test_what_does_not_begin_with_a_connect_is_cut(broker, data):
    with RawConnection(broker) as connection:
        connection.send(data)
        connection.socket.shutdown(socket.SHUT_WR)
        answer = connection.receive_all()
        assert answer == b'' or answer[0] == 0x20 and answer[3 if len(answer) > 4 else 3] != 0
    MqttClient(broker, 'after').close()


def test_every_prefix_of_a_conversation_may_be_cut_off(broker):
    talk = connect_packet('cut') + packet(0x82, b'\0\1\0' + string('a/#') + b'\1') + \
        packet(0x32, string('a/b') + b'\0\2\0hello') + b'\xc0\0'
    for end in range(len(talk)):
        with RawConnection(broker) as connection:
            connection.send(talk[:end])
    MqttClient(broker, 'after').close()


def test_an_unsupported_protocol_version_is_told(broker):
    with RawConnection(broker) as connection:
        connection.send(packet(0x10, string('MQTT') + b'\x06\x02\0\0\0' + string('x')))
        first, body = connection.receive_packet()
        assert (first, body[1]) == (0x20, 0x84)
    with RawConnection(broker) as connection:  # 3.1
        connection.send(packet(0x10, string('MQIsdp') + b'\x03\x02\0\0' + string('x')))
        first, body = connection.receive_packet()
        assert (first, body[1]) == (0x20, 1)


def test_a_packet_over_the_limit_is_refused(processes):
    _process, port = processes.broker('--max-packet', 10000)
    with connected(port) as connection:
        connection.send(packet(0x30, string('a') + b'\0' + bytes(10_000)))
        assert_disconnected_with(connection, PACKET_TOO_LARGE)
    with MqttClient(port, 'c', v5=True) as client:
        client.subscribe('a')
        client.publish('a', bytes(9900), qos=1)
        assert len(client.next_message().payload) == 9900


def test_a_slow_reader_does_not_hold_up_the_others(broker):
    """One subscriber never reads; its queue is bounded, and the other one gets everything."""
    with connected(broker, 'stuck') as stuck, MqttClient(broker, 'reads') as reads, \
            MqttClient(broker, 'pub') as pub:
        stuck.send(packet(0x82, b'\0\1\0' + string('flood') + b'\0'))
        reads.subscribe('flood', 1)
        payload = bytes(100_000)
        for _ in range(400):
            pub.publish('flood', payload, qos=1)
        for _ in range(400):
            assert len(reads.next_message().payload) == len(payload)


# --- the process --------------------------------------------------------------------------------

@pytest.mark.limit_s(240)
def test_a_thousand_clients_get_the_same_message(processes):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2500:
        pytest.skip('fewer than 2500 file descriptors')
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2500), hard))
    _process, port = processes.broker('--workers', 2)
    connections = []
    try:
        for i in range(1000):
            connection = RawConnection(port, limit_s=60)
            connection.send(connect_packet(f'many-{i}') +
                            packet(0x82, b'\0\1\0' + string('all') + b'\0'))
            connections.append(connection)
        for connection in connections:
            assert connection.receive_packet()[0] == 0x20
            assert connection.receive_packet()[0] == 0x90
        with connected(port, 'one') as one:  # paho cannot have descriptors above 1023
            one.send(packet(0x30, string('all') + b'\0hello'))
        for connection in connections:
            first, body = connection.receive_packet()
            assert (first, body[-5:]) == (0x30, b'hello')
    finally:
        for connection in connections:
            connection.socket.close()


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_with_0(processes, number):
    process, port = processes.broker('--workers', 2)
    clients = [MqttClient(port, f'c{i}', v5=True) for i in range(4)]
    old = MqttClient(port, 'old')
    start = time.monotonic()
    process.signal(number)
    assert process.wait() == 0
    assert time.monotonic() - start < 4 * lib.PATIENCE
    for client in clients:
        assert client.wait_for_disconnect() == SHUTTING_DOWN
        client.close()
    old.wait_for_disconnect()
    old.close()


def test_mosquitto_clients_understand_it(processes, broker):
    for version in ('311', '5'):
        sub = processes.start(['stdbuf', '-oL', 'mosquitto_sub', '-h', lib.HOST, '-p', broker,
                               '-V', f'mqttv{version}', '-q', '1', '-t', f'm/{version}/#', '-v',
                               '-C', '3', '-d'],
                              name=f'sub-{version}')
        sub.wait_for_output('SUBACK')
        for i in range(3):
            done = subprocess.run(['mosquitto_pub', '-h', lib.HOST, '-p', str(broker),
                                   '-V', f'mqttv{version}', '-q', str(i % 2),
                                   '-t', f'm/{version}/{i}', '-m', f'v{i}'],
                                  capture_output=True, timeout=30 * lib.PATIENCE)
            assert done.returncode == 0, done.stderr
        assert sub.wait() == 0
        assert [line for line in sub.stdout.splitlines() if line.startswith('m/')] == \
            [f'm/{version}/{i} v{i}' for i in range(3)]


def test_a_taken_port_is_an_error_with_words(processes):
    _process, port = processes.broker()
    result = lib.run_sealmq('broker', '-p', port, '--bind', '127.0.0.1')
    assert result.returncode == 69
    assert f'127.0.0.1:{port}: Address already in use' in result.stderr


@pytest.mark.parametrize('arguments, status, words', [
    (['-p', '70000'], 2, '-p 70000: give a port, 0 to 65535'),
    (['--workers', '0'], 2, '--workers 0: give a number, 1 to 64'),
    (['--bind', 'localhost'], 2, '--bind localhost: give a numeric address'),
    (['--bind', '0.0.0.0'], 2, 'nobody could log in: give --passwords FILE'),
    (['--nonsense'], 2, "unknown option '--nonsense'"),
    (['--acl'], 2, "option '--acl' needs a value"),
    (['file'], 2, "'file': only options are taken"),
    (['--passwords', '/nonexistent/passwords'], 66, '/nonexistent/passwords'),
    (['--acl', '/nonexistent/acl'], 66, '/nonexistent/acl'),
])
def test_wrong_usage_is_named_with_the_mend(arguments, status, words):
    result = lib.run_sealmq('broker', *arguments)
    assert result.returncode == status
    assert words in result.stderr


def test_broken_files_are_named_with_their_line(tmp_path):
    passwords, acl = tmp_path / 'passwords', tmp_path / 'acl'
    passwords.write_text('# mine\nann:secret\n')
    result = lib.run_sealmq('broker', '-p', 0, '--passwords', passwords)
    assert result.returncode == 78
    assert f'{passwords}:2: ' in result.stderr and 'sealmq passwd' in result.stderr
    acl.write_text('user ann\ntopics everything\n')
    result = lib.run_sealmq('broker', '-p', 0, '--acl', acl)
    assert result.returncode == 78
    assert f'{acl}:2: ' in result.stderr


def test_unknown_commands_get_a_hint():
    result = lib.run_sealmq('brokr')
    assert result.returncode == 2
    assert "did you mean 'broker'" in result.stderr
    assert lib.run_sealmq('--version').stdout.startswith('sealmq ')
    assert 'broker' in lib.run_sealmq('--help').stdout
