"""Who may connect to a node, and what for."""
import re
import signal
import time

import pytest

import pygateway
import sealmq_network
import sealmq_testlib as lib
from sealmq_testlib import MqttClient, MqttError

BAD_USER_NAME_OR_PASSWORD = 0x86
NOT_AUTHORIZED = 0x87
ADMINISTRATIVE_ACTION = 0x98
USER, PASSWORD = 'anna', 'a word that nobody guesses'


@pytest.fixture(scope='module')
def node(network):
    """Node a of the network takes log-ins by password."""
    network.stop('a')
    result = lib.run_sealmq('passwd', network.folder / 'passwords', USER, '-b', PASSWORD)
    assert result.returncode == 0, result.stderr
    with open(network.config_path('a'), 'a') as file:
        file.write('passwords: ../passwords\n')
    network.start('a')
    network.wait_for_company()
    time.sleep(1.1)  # tokens of a second that has begun before the node are refused
    return network


@pytest.fixture(scope='module')
def gateway(node):
    """The identity of a registered gateway."""
    return node.register('plant-a/gw1')


@pytest.fixture
def listener(node):
    """An ordinary client, logged in by password."""
    with MqttClient(node.port('a'), 'listener', USER, PASSWORD, v5=True) as client:
        yield client


def login(node, identity, token, client_id=None, letter='a', v5=True):
    return MqttClient(node.port(letter), client_id or identity.id, identity.id, token, v5=v5)


def refused(node, identity, token, words, client_id=None, v5=True, code=BAD_USER_NAME_OR_PASSWORD):
    """The log-in is refused with these words, in the answer and in the log, and is counted."""
    before = node.status()['mqtt']['logins_refused']
    with pytest.raises(MqttError) as problem:
        login(node, identity, token, client_id, v5=v5)
    if v5:
        assert problem.value.code == code
        assert re.search(words, problem.value.words)
    who = re.escape(client_id or identity.id)
    node.wait_for_log('a', rf'refused "{who}" from 127\.0\.0\.1:\d+: .*{words}')
    assert node.status()['mqtt']['logins_refused'] == before + 1


# ---- tokens ----

@pytest.mark.parametrize('v5', [False, True], ids=['3.1.1', '5.0'])
def test_a_registered_gateway_logs_in_with_a_token(node, gateway, v5):
    login(node, gateway, gateway.token('node/a'), v5=v5).close()
    login(node, gateway, gateway.token('*'), v5=v5).close()


def test_the_program_makes_tokens_too(node, gateway, tmp_path):
    path = gateway.write_file(tmp_path / 'gateway.key')
    result = lib.run_sealmq('token', '-k', path, '--network', 'plant', '--node', 'node/a')
    assert result.returncode == 0, result.stderr
    login(node, gateway, result.stdout.strip()).close()


def test_a_token_is_good_for_one_login(node, gateway):
    token = gateway.token('node/a')
    login(node, gateway, token).close()
    refused(node, gateway, token, 'used before')


def test_an_expired_token_is_refused(node, gateway):
    now = int(time.time())
    refused(node, gateway, gateway.token('node/a', iat=now - 120, exp=now - 60), 'expired')


def test_a_token_from_the_future_is_refused(node, gateway):
    now = int(time.time())
    refused(node, gateway, gateway.token('node/a', iat=now + 120, exp=now + 180), 'future')


def test_a_token_that_lives_too_long_is_refused(node, gateway):
    now = int(time.time())
    refused(node, gateway, gateway.token('node/a', exp=now + 3600), 'lives too long')


def test_a_token_older_than_the_nodes_start_is_refused(node, gateway):
    started = node.status()['started']
    seconds = time.mktime(time.strptime(started[:19], '%Y-%m-%dT%H:%M:%S')) - time.timezone
    refused(node, gateway, gateway.token('node/a', iat=int(seconds) - 5), "older than this node's")


def test_a_token_for_another_network_is_refused(node, gateway):
    refused(node, gateway, gateway.token(aud='other:node/a'), 'another network or node')


def test_a_token_for_another_node_is_refused(node, gateway):
    refused(node, gateway, gateway.token('node/b'), 'another network or node')


def test_a_token_of_another_id_is_refused(node, gateway):
    refused(node, gateway, gateway.token(iss='plant-a/other'), 'signed itself')


def test_a_token_signed_by_another_key_is_refused(node, gateway):
    stranger = node.identity(gateway.id)
    refused(node, gateway, gateway.token('node/a', signer=stranger), 'signature')
    # Nor does showing a key of its own help: this id's is registered.
    refused(node, gateway, stranger.token('node/a', with_key=True), 'signature')


def test_an_unsigned_token_is_refused(node, gateway):
    head, claims, _signature = gateway.token('node/a').split('.')
    none = pygateway.b64url(b'{"alg":"none","typ":"JWT"}')
    refused(node, gateway, f'{none}.{claims}.', '.')
    refused(node, gateway, f'{head}.{claims}.{pygateway.b64url(bytes(64))}', 'signature')


def test_claims_changed_after_signing_are_refused(node, gateway):
    head, _claims, signature = gateway.token('node/a').split('.')
    claims = gateway.token('node/a').split('.')[1]
    refused(node, gateway, f'{head}.{claims}.{signature}', 'signature')


def test_a_registered_id_needs_a_token_and_not_a_password(node, gateway):
    refused(node, gateway, PASSWORD, 'token')
    # Nor does a right password for another name lend anyone the id.
    with pytest.raises(MqttError) as problem:
        MqttClient(node.port('a'), gateway.id, USER, PASSWORD, v5=True)
    assert problem.value.code == BAD_USER_NAME_OR_PASSWORD


@pytest.mark.parametrize('client_id', ['node/b', 'admin/ops'])
def test_nobody_gets_the_id_of_a_node_or_an_operator(node, client_id):
    stranger = node.identity(client_id)
    refused(node, stranger, stranger.token('node/a', with_key=True), 'signature')
    refused(node, stranger, PASSWORD, 'token')


def test_an_unknown_id_without_a_key_in_its_token_is_refused(node):
    stranger = node.identity('plant-a/keyless')
    refused(node, stranger, stranger.token('node/a'), 'not registered')


# ---- passwords and nobody ----

@pytest.mark.parametrize('v5', [False, True], ids=['3.1.1', '5.0'])
def test_an_ordinary_client_logs_in_with_its_password(node, v5):
    MqttClient(node.port('a'), 'anna-1', USER, PASSWORD, v5=v5).close()


def test_a_wrong_password_is_refused_and_counted(node):
    before = node.status()['mqtt']['logins_refused']
    for user, password in ((USER, 'wrong'), ('nobody', PASSWORD), (USER, '')):
        with pytest.raises(MqttError) as problem:
            MqttClient(node.port('a'), 'anna-2', user, password, v5=True)
        assert problem.value.code == BAD_USER_NAME_OR_PASSWORD
        node.wait_for_log('a', rf'refused user "{user}".*: wrong user name or password')
    assert node.status()['mqtt']['logins_refused'] == before + 3


def test_a_node_without_a_password_file_says_so(node):
    with pytest.raises(MqttError) as problem:
        MqttClient(node.port('b'), 'anna-3', USER, PASSWORD, v5=True)
    assert problem.value.code == BAD_USER_NAME_OR_PASSWORD
    assert 'no password file' in problem.value.words


@pytest.mark.parametrize('v5', [False, True], ids=['3.1.1', '5.0'])
def test_anonymous_clients_are_refused_by_default(node, v5):
    with pytest.raises(MqttError) as problem:
        MqttClient(node.port('a'), 'nobody', v5=v5)
    assert problem.value.code == (NOT_AUTHORIZED if v5 else 5)
    node.wait_for_log('a', r'refused "nobody" from .*anonymous access is off')


def test_sighup_reads_the_passwords_again_and_keeps_the_old_ones_when_they_are_bad(node):
    path = node.folder / 'passwords'
    good = path.read_text()
    assert lib.run_sealmq('passwd', path, 'berta', '-b', 'second').returncode == 0
    with pytest.raises(MqttError):
        MqttClient(node.port('a'), 'berta-1', 'berta', 'second')
    node.nodes['a'].signal(signal.SIGHUP)
    node.wait_for_log('a', 'passwords, ACL and certificates were read again')
    MqttClient(node.port('a'), 'berta-1', 'berta', 'second').close()

    path.write_text('no colon in this line\n')
    node.nodes['a'].signal(signal.SIGHUP)
    node.wait_for_log('a', r'passwords, ACL and certificates stay as they were: .*passwords:1: ')
    MqttClient(node.port('a'), 'berta-1', 'berta', 'second').close()

    path.write_text(good)
    node.nodes['a'].signal(signal.SIGHUP)
    lib.wait_until(lambda: len(re.findall('were read again', node.log('a'))) == 2, 'the reload')
    with pytest.raises(MqttError):
        MqttClient(node.port('a'), 'berta-1', 'berta', 'second')


# ---- what each may do ----

def code_of_subscribe(client, topic_filter):
    try:
        return client.subscribe(topic_filter, 1)
    except MqttError as problem:
        return problem.code


def test_an_ordinary_client_reads_what_was_verified_and_nothing_else(node, listener):
    assert code_of_subscribe(listener, 'verified/#') == 1
    assert code_of_subscribe(listener, 'verified/plant-a/gw1/#') == 1
    for topic_filter in ('plant-a/gw1/#', 'plant-a/+/key', 'chain/plant/#', 'chain/plant/request',
                         'chain/plant/nodes', '$SYS/#', 'other'):
        assert code_of_subscribe(listener, topic_filter) == NOT_AUTHORIZED, topic_filter
    # Broad filters match something that may be read, and bring nothing else.
    assert code_of_subscribe(listener, '#') == 1


def pubacks(port, client_id, user, password, topics):
    """The reason codes of PUBACKs, by topic; paho does not tell them."""
    def string(text):
        return len(text.encode()).to_bytes(2, 'big') + text.encode()

    def packet(first, body):
        length, n = b'', len(body)
        while n or not length:
            n, digit = n >> 7, n & 0x7f
            length += bytes([digit | (0x80 if n else 0)])
        return bytes([first]) + length + body
    codes = {}
    with lib.RawConnection(port) as raw:
        raw.send(packet(0x10, string('MQTT') + b'\x05\xc2\0\x3c\0' + string(client_id) +
                        string(user) + string(password)))
        first, body = raw.receive_packet()
        assert (first, body[1]) == (0x20, 0), body
        for topic in topics:
            raw.send(packet(0x32, string(topic) + b'\0\1\0x'))
            first, body = raw.receive_packet()
            assert first == 0x40
            codes[topic] = body[2] if len(body) > 2 else 0
    return codes


FORBIDDEN_TOPICS = ['verified/plant-a/gw1/x', 'verified/x', 'chain/plant/commit',
                    'chain/plant/announce', 'chain/plant/nodes', 'plant-a/other/x', '$SYS/x']


def assert_may_not_publish(node, role, client_id, user, password, topics):
    before = node.status()['mqtt']['denied']
    codes = pubacks(node.port('a'), client_id, user, password, topics)
    assert codes == {topic: NOT_AUTHORIZED for topic in topics}
    assert node.status()['mqtt']['denied'] == before + len(topics)
    for topic in topics:
        node.wait_for_log('a', rf'refused {role} "{client_id}" to publish on "{re.escape(topic)}"')


def test_an_ordinary_client_publishes_nothing(node):
    assert_may_not_publish(node, 'client', 'writer', USER, PASSWORD, FORBIDDEN_TOPICS + [
        'chain/plant/request', 'plant-a/gw1/RealTime', 'anything'])


def test_a_gateway_publishes_on_its_own_topics_alone(node, gateway):
    assert_may_not_publish(node, 'gateway', gateway.id, gateway.id, gateway.token('node/a'),
                           FORBIDDEN_TOPICS + ['chain/plant/query', 'plant-a/gw1'])


def test_a_gateway_reads_its_own_topics_and_what_is_public(node, gateway):
    with login(node, gateway, gateway.token('node/a')) as client:
        for topic_filter in ('plant-a/gw1/#', 'plant-a/gw1/key/success', 'verified/#',
                             'chain/plant/nodes', 'chain/plant/head',
                             'chain/plant/reply/plant-a/gw1'):
            assert code_of_subscribe(client, topic_filter) == 1, topic_filter
        for topic_filter in ('plant-a/gw2/#', 'plant-a/gw2/key', 'chain/plant/reply/plant-a/gw2',
                             'chain/plant/request', 'chain/plant/commit', '$SYS/#'):
            assert code_of_subscribe(client, topic_filter) == NOT_AUTHORIZED, topic_filter
    node.wait_for_log('a', rf'refused gateway "{gateway.id}" to subscribe to "plant-a/gw2/#"')


def test_an_applicant_reaches_the_announcement_its_key_and_the_hints(node):
    stranger = node.identity('plant-a/applicant')
    with login(node, stranger, stranger.token('node/a', with_key=True)) as client:
        assert code_of_subscribe(client, f'{stranger.id}/#') == 1
        for topic_filter in ('verified/#', 'chain/plant/nodes', 'plant-a/gw1/#', 'chain/#'):
            assert code_of_subscribe(client, topic_filter) == NOT_AUTHORIZED, topic_filter
    assert_may_not_publish(node, 'applicant', stranger.id, stranger.id,
                           stranger.token('node/a', with_key=True),
                           ['chain/plant/request', f'{stranger.id}/RealTime', 'chain/plant/query'])


def test_an_unknown_id_that_asks_for_a_key_is_told_that_it_is_unknown(node):
    stranger = node.identity('plant-a/unknown')
    with node.connect(stranger) as client:
        before = node.status()['devices']['hints']
        client.send_hello()
        assert client.next_hint() == ('unauth', {'code': 'UNKNOWN', 'words': 'not registered'})
        assert node.status()['devices']['hints'] == before + 1
        client.send_hello()  # hints are limited in rate
        client.expect_no('hint')
        node.wait_for_log('a', rf'refused from {stranger.id} on {stranger.id}/key: .*'
                               'not registered')


# ---- announcements ----

def test_an_announced_id_waits_on_every_node_and_is_registered_on_every_node(node):
    stranger = node.identity('plant-b/new')
    with node.connect(stranger, 'c') as client:
        client.announce()
        for letter in 'abcd':
            device = lib.wait_until(lambda: node.devices(letter).get(stranger.id), 'the news')
            assert (device['status'], device['fingerprint']) == ('pending', stranger.fingerprint)
        height = node.chain()['height']

        result = node.sealmq('device', 'approve', stranger.id, '--fingerprint', 'SHA256:other')
        assert result.returncode == 77
        assert stranger.fingerprint in result.stderr

        result = node.sealmq('device', 'approve', stranger.id, '--node', 'node/b')
        assert result.returncode == 0, result.stderr
        assert f'since block {height + 1}' in result.stdout
        # What it may do was decided when it logged in.
        assert client.mqtt.wait_for_disconnect() == ADMINISTRATIVE_ACTION
    node.wait_for_height(height + 1)
    for letter in 'abcd':
        assert node.devices(letter)[stranger.id]['status'] == 'active'
    again = node.sealmq('device', 'approve', stranger.id)
    assert again.returncode != 0 and 'registered already' in again.stderr
    for letter in 'abcd':
        with node.connect(stranger, letter) as client:
            client.agree()


def test_an_id_that_two_keys_announce_is_contested_and_approved_by_fingerprint_only(node):
    """Whoever comes first must not get the id for it, nor may whoever comes last."""
    first, second = node.identity('plant-b/contested'), node.identity('plant-b/contested')
    for stranger in first, second:
        with node.connect(stranger) as client:
            client.announce()
            client.announce()  # again: no news
    listed = node.sealmq('device', 'list').stdout
    for stranger in first, second:
        assert re.search(rf'^contested +{stranger.id} +{re.escape(stranger.fingerprint)}$', listed, re.M)
    result = node.sealmq('device', 'approve', first.id)
    assert result.returncode == 77
    assert 'different keys' in result.stderr and '--fingerprint' in result.stderr
    result = node.sealmq('device', 'approve', first.id, '--fingerprint', second.fingerprint)
    assert result.returncode == 0, result.stderr
    assert node.devices()[first.id]['status'] == 'active'
    assert node.devices()[first.id]['fingerprint'] == second.fingerprint


def test_the_list_of_members_is_retained_for_gateways(node, gateway):
    with login(node, gateway, gateway.token('node/a')) as client:
        client.subscribe('chain/plant/nodes', 1)
        text = client.next_on('chain/plant/nodes').payload.decode()
        assert f'"id":"{gateway.id}"' in text and '"id":"node/d"' in text


@pytest.mark.parametrize('changes', [
    {'sign': pygateway.b64(bytes(64))}, {'id': 'plant-b/forged'}, {'key': pygateway.b64(bytes(32))},
    {'key': 'short'}, {'id': 'no id'}, {'id': None}, {'id': 'x/' + 'y' * 2000}],
    ids=lambda changes: ' '.join(changes))
def test_a_forged_announcement_is_refused(node, changes):
    stranger = node.identity('plant-b/forger')
    with node.connect(stranger) as client:
        client.announce(**changes)
        node.wait_for_log('a', f'refused an announcement of {stranger.id}: ')
    assert not {'plant-b/forged', stranger.id} & set(node.devices())


def test_announcing_for_somebody_else_is_refused(node):
    one, other = node.identity('plant-b/one'), node.identity('plant-b/other')
    with node.connect(one) as client:
        client.mqtt.publish('chain/plant/announce', other.announcement(), 1)
        node.wait_for_log('a', f'refused an announcement of {one.id}: not authorized')
    assert other.id not in node.devices()


# ---- an ACL file ----

def test_an_acl_file_decides_for_ordinary_clients_and_sighup_reads_it_again(tmp_path):
    network = sealmq_network.Network(tmp_path, nodes=1)
    acl = network.folder / 'acl'
    acl.write_text(f'user {USER}\ntopic read verified/plant-a/#\ntopic readwrite notes/#\n'
                   'topic write verified/#\ntopic write chain/#\n')
    for user in (USER, 'berta'):
        lib.run_sealmq('passwd', network.folder / 'passwords', user, '-b', 'word')
    with open(network.config_path('a'), 'a') as file:
        file.write('passwords: ../passwords\nacl: ../acl\n')
    network.start()
    gateways = [network.gateway(f'plant-{letter}/gw1') for letter in 'ab']
    reader = MqttClient(network.port('a'), 'anna-1', USER, 'word')
    nobody = MqttClient(network.port('a'), 'berta-1', 'berta', 'word')
    for topic_filter in ('verified/#', 'notes/#'):
        assert code_of_subscribe(reader, topic_filter) == 1
        assert code_of_subscribe(nobody, topic_filter) >= 0x80
    for gateway in gateways:
        assert gateway.report(1, [pygateway.reading()]).code == pygateway.OK
    assert reader.next_message().topic == 'verified/plant-a/gw1/RealTime'
    reader.publish('notes/today', b'fine', 1)
    assert reader.next_message().topic == 'notes/today'
    # No file opens what is the network's own.
    codes = pubacks(network.port('a'), 'anna-2', USER, 'word',
                    ['verified/plant-a/x', 'chain/plant/commit', 'chain/other', 'notes/x'])
    assert [code == NOT_AUTHORIZED for code in codes.values()] == [True, True, True, False]
    assert reader.next_message().topic == 'notes/x'

    acl.write_text(f'user {USER}\ntopic read verified/plant-b/#\n')
    network.nodes['a'].signal(signal.SIGHUP)
    network.wait_for_log('a', 'passwords, ACL and certificates were read again')
    for gateway in gateways:
        assert gateway.report(2, [pygateway.reading()]).code == pygateway.OK
    assert reader.next_message().topic == 'verified/plant-b/gw1/RealTime'
    for client in (*gateways, reader, nobody):
        client.close()
    network.close()
