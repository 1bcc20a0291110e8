"""Any bytes on the topics of the agreement: refused, counted, attributed, and the chain goes on."""
import random
import urllib.request

import pytest

import prometheus_text
import pygateway
import sealmq_network
import sealmq_testlib as lib

TOPICS = ('request', 'pre-prepare', 'prepare', 'commit', 'checkpoint', 'view-change', 'new-view',
          'sync/status', 'sync/fetch', 'sync/blocks')


@pytest.fixture(scope='module')
def hostile(tmp_path_factory):
    """Four nodes of which the last is not running: who has its key speaks in its place."""
    http_port = lib.free_port()
    network = sealmq_network.Network(tmp_path_factory.mktemp('hostile'))
    with open(network.config_path('a'), 'a') as file:
        file.write(f'metrics:\n  address: 127.0.0.1\n  port: {http_port}\n')
    network.http_port = http_port
    network.start('abc')
    network.wait_for_company('abc')
    yield network
    network.close()


def counters(network):
    with urllib.request.urlopen(f'http://127.0.0.1:{network.http_port}/metrics', timeout=15) as answer:
        return prometheus_text.parse(answer.read())


def liar(network):
    identity = pygateway.Identity.from_file(network.folder / 'node-d/node.key', network.genesis)
    return lib.MqttClient(network.port('a'), identity.id, identity.id, identity.token('node/a'),
                          v5=True)


def goes_on(network, client_id):
    gateway = network.gateway(client_id)
    items = [(1, 'D1', 'CS', 'x', 'int', '')]
    assert gateway.request(pygateway.DescribeRequest(gateway.id, 1, items)).code == pygateway.OK
    gateway.close()


def test_what_a_node_sends_is_refused_counted_and_held_against_it(hostile):
    made = random.Random(4)
    before = hostile.chain()['bad_messages']
    with liar(hostile) as client:
        for level in TOPICS:
            for size in (0, 1, 3, 40, 115, 116, 400, 70000):
                version = 2 if size == 400 else 1
                start = bytes((version, TOPICS.index(level) + 1, made.randrange(4)))
                client.publish(f'chain/plant/{level}', (start + made.randbytes(size))[:size], 1)
        client.publish('chain/plant/no-such-topic', b'x', 1)
    lib.wait_until(lambda: hostile.chain()['bad_messages'] >= before + 60,
                   lambda: f'60 refusals after {before}: {hostile.chain()}')
    shown = counters(hostile)
    assert shown['sealmq_chain_messages_refused_by_sender_total'].value(sender='node/d') >= 60
    for reason in ('SHORT', 'VERSION'):
        assert shown['sealmq_chain_messages_refused_total'].value(reason=reason) > 0, reason
    assert 'refused a message from node/d: ' in hostile.log('a')
    goes_on(hostile, 'plant-h/gw1')


def test_a_nodes_flood_does_not_stop_the_chain(hostile):
    with liar(hostile) as client:
        for n in range(3000):
            client.publish('chain/plant/prepare', bytes((1, 3, 3)) + bytes(7) + b'\1' * 105, 0)
        goes_on(hostile, 'plant-h/gw2')
    assert hostile.chain()['view'] == hostile.chain('b')['view']


def test_strangers_and_gateways_reach_none_of_it(hostile):
    gateway = hostile.register('plant-h/gw3')
    denied = hostile.status()['mqtt']['denied']
    bad = hostile.chain()['bad_messages']
    with lib.MqttClient(hostile.port('a'), gateway.id, gateway.id, gateway.token('node/a'),
                        v5=True) as client:
        for level in TOPICS[1:]:
            client.publish(f'chain/plant/{level}', bytes(115), 1)
    stranger = hostile.identity('plant-h/nobody')
    with lib.MqttClient(hostile.port('a'), stranger.id, stranger.id,
                        stranger.token('node/a', with_key=True),
                        v5=True) as client:
        for level in TOPICS:
            client.publish(f'chain/plant/{level}', bytes(115), 1)
    # A member may say where it is and ask for blocks: these two were read, and were nothing.
    assert hostile.chain()['bad_messages'] == bad + 2
    assert hostile.status()['mqtt']['denied'] >= denied + 17
