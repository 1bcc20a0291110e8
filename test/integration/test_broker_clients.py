"""Clients that others have written (test/lib/mqtt_clients.py) against `sealmq broker`: each over
each transport that it has, MQTT 5.0 over all, 3.1.1 over some."""
import hashlib
import os
import signal

import pytest

import mqtt_clients
import sealmq_testlib as lib
from mqtt_clients import KINDS, Clients, Refused
from sealmq_pki import Pki

CONFIG = """
anonymous: yes
passwords: passwords
workers: 2
limits: {{packet_bytes: 16777216}}
persistence: {{folder: state}}
listeners:
  - {{name: tcp, address: 127.0.0.1, port: {tcp}}}
  - {{name: tls, address: 127.0.0.1, port: {tls}, tls: {{cert: server.pem, key: server.key}}}}
  - {{name: ws, address: 127.0.0.1, port: {ws}, transport: websocket}}
  - {{name: wss, address: 127.0.0.1, port: {wss}, transport: websocket,
      tls: {{cert: server.pem, key: server.key}}}}
  - {{name: unix, unix: socket}}
"""
LARGE = 5_000_000


class Site:
    def __init__(self, folder):
        self.folder, self.processes = folder, lib.Processes(folder / 'processes')
        pki = Pki(folder)
        pki.make('server', names=['localhost', lib.HOST])
        self.authority, self.socket = pki.path('ca.pem'), folder / 'socket'
        self.port = {name: lib.free_port() for name in ('tcp', 'tls', 'ws', 'wss')}
        lib.run_sealmq('passwd', folder / 'passwords', 'ann', '-b', 'right')
        (folder / 'broker.yaml').write_text(CONFIG.format(**self.port))
        self.start()

    def start(self):
        self.process = self.processes.sealmq('broker', '--config', self.folder / 'broker.yaml',
                                             port=self.port['tcp'])


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    made = Site(tmp_path_factory.mktemp('site'))
    yield made
    made.processes.close()


@pytest.fixture
def clients(site):
    made = Clients(site)
    yield made
    made.close()


def need(kind):
    missing = mqtt_clients.missing(kind)
    if missing:
        pytest.skip(missing)


# Over TLS and WebSocket the versions do not differ but in MQTT's own bytes: 3.1.1 is held to TCP there.
WAYS = [(kind, transport, version) for kind, transports in KINDS.items()
        for transport in transports for version in (4, 5)
        if version == 5 or transport == 'tcp' or kind == 'mosquitto']


@pytest.fixture(params=WAYS, ids=lambda way: '-'.join(map(str, way)))
def way(request):
    """(kind of client, transport, version of MQTT)"""
    need(request.param[0])
    return request.param


@pytest.fixture
def name(way):
    """For client ids and topics, which no other test has."""
    return '-'.join(map(str, way))


def test_messages_pass_at_every_qos(clients, way, name):
    subscriber = clients.start(*way, f'{name}-s', filters=[(f'qos/{name}/+', 2)])
    publisher = clients.start(*way, f'{name}-p')
    for qos in (0, 1, 2):
        publisher.publish(f'qos/{name}/{qos}', bytes([0, 255, qos]), qos)
        got = subscriber.next_message()
        assert (got.topic, got.payload, got.qos, got.retain) == \
            (f'qos/{name}/{qos}', bytes([0, 255, qos]), qos, False)


def test_properties_pass_unchanged(clients, way, name):
    if way[2] != 5:
        pytest.skip('MQTT 3.1.1 has no properties')
    client = clients.start(*way, name, filters=[(f'properties/{name}', 1)])
    client.publish(f'properties/{name}', b'ask', 1, response=f'answers/{name}',
                   correlation=b'no.7', pair='site=north')
    got = client.next_message()
    assert (got.payload, got.response, got.correlation, got.pair) == \
        (b'ask', f'answers/{name}', b'no.7', 'site=north')


def test_a_retained_message_waits_for_its_reader(clients, way, name):
    clients.start(*way, f'{name}-p').publish(f'retained/{name}', b'kept', 1, retain=True)
    got = clients.start(*way, f'{name}-s', filters=[(f'retained/{name}', 1)]).next_message()
    assert (got.payload, got.retain) == (b'kept', True)
    clients.start(*way, f'{name}-q').publish(f'retained/{name}', b'', 1, retain=True)
    late = clients.start(*way, f'{name}-t', filters=[(f'retained/{name}', 1)])
    late.publish(f'retained/{name}', b'new', 1)
    assert late.next_message().payload == b'new'


def test_the_will_of_one_that_is_killed_is_published(clients, way, name):
    watcher = clients.start(*way, f'{name}-w', filters=[(f'will/{name}', 1)])
    clients.start(*way, f'{name}-d', will=(f'will/{name}', b'gone')).kill()
    got = watcher.next_message()
    assert (got.topic, got.payload) == (f'will/{name}', b'gone')


def test_one_that_says_goodbye_leaves_no_will_unless_it_asks_for_it(clients, way, name):
    watcher = clients.start(*way, f'{name}-w', filters=[(f'will/{name}', 1)])
    clients.start(*way, f'{name}-d', will=(f'will/{name}', b'gone')).close()
    if way[0] == 'mosquitto' and way[2] == 5:  # ends with 0x04, Disconnect with Will Message
        assert watcher.next_message().payload == b'gone'
    watcher.publish(f'will/{name}', b'nothing before this', 1)
    assert watcher.next_message().payload == b'nothing before this'


def test_a_session_keeps_what_comes_while_its_client_is_away(clients, way, name):
    filters = [(f'session/{name}', 2)]
    before = clients.start(*way, f'{name}-s', clean=False, filters=filters)
    before.close()
    publisher = clients.start(*way, f'{name}-p')
    for i, qos in enumerate((1, 2, 1, 2)):
        publisher.publish(f'session/{name}', str(i).encode(), qos)
    back = clients.start(*way, f'{name}-s', clean=False,
                         filters=filters if way[0] == 'mosquitto' else [])
    assert back.session_present in (True, None)
    got = [back.next_message() for _ in range(4)]
    for qos, payloads in ((1, [b'0', b'2']), (2, [b'1', b'3'])):  # clients show QoS 2 at PUBREL
        assert [message.payload for message in got if message.qos == qos] == payloads


@pytest.mark.parametrize('qos', [0, 1, 2])
def test_a_payload_of_5_megabytes_arrives_whole(clients, way, name, qos):
    if qos != 1 and (way[1] in ('ws', 'tls') or way[2] == 4):
        pytest.skip('other levels are shown over the first and the last transport')
    payload = os.urandom(LARGE)
    client = clients.start(*way, name, filters=[(f'large/{name}', qos)], limit_s=60)
    publisher = client
    if way[:2] == ('paho_python', 'ws'):  # Paho 1.6 forgets the rest of a frame that is sent in part
        publisher = clients.start('paho_python', 'tcp', way[2], f'{name}-p', limit_s=60)
    publisher.publish(f'large/{name}', payload, qos)
    got = client.next_message().payload
    assert hashlib.sha256(got).digest() == hashlib.sha256(payload).digest()


def test_a_shared_subscription_gives_each_message_to_one(clients, way, name):
    filters = [(f'$share/group/shared/{name}', 1)]
    members = [clients.start(*way, f'{name}-{i}', filters=filters) for i in range(2)]
    publisher = clients.start(*way, f'{name}-p')
    for i in range(10):
        publisher.publish(f'shared/{name}', str(i).encode(), 1)
    lib.wait_until(lambda: sum(m.messages_so_far() for m in members) >= 10, 'ten messages')
    counts = [m.messages_so_far() for m in members]
    got = [m.next_message().payload for m, n in zip(members, counts) for _ in range(n)]
    assert sorted(got) == [str(i).encode() for i in range(10)]
    assert min(counts) > 0


def test_a_wrong_password_is_refused_with_its_code(clients, way, name):
    with pytest.raises(Refused) as refused:
        clients.start(*way, f'{name}-w', user=('ann', 'wrong'))
    assert int(refused.value.code) == (0x86 if way[2] == 5 else 4)
    clients.start(*way, f'{name}-r', user=('ann', 'right'))


@pytest.mark.limit_s(240)
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize('kind', KINDS)
def test_clients_come_back_by_themselves_after_a_restart(site, clients, version, kind, number):
    need(kind)
    ways = KINDS[kind]
    if kind == 'mosquitto':  # mosquitto_sub ends when a server says goodbye, or TLS has no end
        if number == signal.SIGTERM and version == 5:
            pytest.skip('mosquitto_sub ends by itself at DISCONNECT')
        ways = ways if number == signal.SIGTERM else ['tcp', 'unix']
    made = {t: clients.start(kind, t, version, f'back-{kind}-{version}-{t}', clean=False,
                             filters=[(f'back/{kind}/{t}', 1)], limit_s=60) for t in ways}
    publisher = lib.MqttClient(site.port['tcp'], f'before-{kind}')
    for transport in made:
        publisher.publish(f'back/{kind}/{transport}', b'kept', 1, retain=True)
        assert made[transport].next_message().payload == b'kept'
    publisher.close()

    site.process.signal(number)
    site.process.wait()
    site.start()
    for client in made.values():
        client.wait_for_connection()
    with lib.MqttClient(site.port['tcp'], f'after-{kind}') as publisher:
        for transport in made:
            publisher.publish(f'back/{kind}/{transport}', b'after', 1)
            while made[transport].next_message().payload != b'after':
                pass  # what mosquitto_sub gets because it subscribes again
            publisher.publish(f'back/{kind}/{transport}', b'', 1, retain=True)
