"""A node's ordinary clients that prove themselves by SCRAM-SHA-256, without and with a certificate."""
import ssl

import pytest

import sealmq_network
import sealmq_testlib as lib
from mqtt_wire import (AUTH, BAD_METHOD, BAD_PASSWORD, CONTINUE, NOT_AUTHORIZED,
                       REAUTHENTICATE, Peer, connect)
from scram_client import METHOD, Scram
from sealmq_pki import Pki
from sealmq_testlib import MqttClient, MqttError
from test_broker_scram import add_user, answer, begin, log_in

USERS = {'ann': 'secret', 'bob': 'pencil'}

LISTENERS = """listeners:
  - address: 127.0.0.1
    port: {secure}
    tls: {{cert: pki/server.pem, key: pki/server.key, ca: pki/ca.pem, identity: common_name}}
  - {{address: 127.0.0.1, port: {tokens}, log_in: [token]}}
"""


@pytest.fixture(scope='module')
def node(tmp_path_factory):
    """One node, with a listener for certificates and one for tokens alone beside its own."""
    network = sealmq_network.Network(tmp_path_factory.mktemp('scram'), nodes=1)
    path = network.config_path('a')
    for user, password in USERS.items():
        add_user(path.parent / 'passwords', user, password, '--scram', '--iterations', '4096')
    network.pki = Pki(path.parent / 'pki')
    network.pki.make('server', names=[lib.HOST])
    for user in USERS:
        network.pki.make(user)
    network.secure, network.tokens = lib.free_port(), lib.free_port()
    text = path.read_text()
    assert text.count('listeners:\n') == 1
    path.write_text(text.replace('listeners:\n', LISTENERS.format(
        secure=network.secure, tokens=network.tokens)) + 'passwords: passwords\n')
    network.start()
    yield network
    network.close()


def certificate_of(node, user):
    context = ssl.create_default_context(cafile=node.pki.path('ca.pem'))
    if user is not None:
        context.load_cert_chain(node.pki.path(f'{user}.pem'), node.pki.path(f'{user}.key'))
    return context


def refused(node):
    return node.status()['mqtt']['logins_refused']


def test_a_user_comes_in_and_may_what_ordinary_clients_may(node):
    before = refused(node)
    peer = Peer(node.port('a'))
    log_in(peer, 'ann', 'secret', client_id='panel')
    assert peer.subscribe(('verified/#', 1), ('chain/#', 1)) == [1, 0x87]
    peer.disconnect()
    assert refused(node) == before


def test_a_wrong_proof_is_refused_counted_and_logged(node):
    before = refused(node)
    for user, password in (('ann', 'secres'), ('nobody', 'secret')):
        peer = Peer(node.port('a'))
        scram = begin(peer, Scram(user, password), client_id='guesser')
        answer(peer, scram.final())
        peer.expect_refusal(BAD_PASSWORD)
    assert refused(node) == before + 2
    node.wait_for_log('a', r'refused "guesser" from 127\.0\.0\.1:\d+: wrong user name or password')


@pytest.mark.parametrize('client_id', ['node/a', 'admin/ops'])
def test_an_id_that_signs_does_not_come_in_by_a_users_proof(node, client_id):
    before = refused(node)
    peer = Peer(node.port('a'))
    scram = begin(peer, Scram('ann', 'secret'), client_id=client_id)
    answer(peer, scram.final())
    peer.expect_refusal(BAD_PASSWORD)
    assert refused(node) == before + 1
    node.wait_for_log('a', f'refused "{client_id}" from .*must log in with a token')


def test_a_listener_for_tokens_has_no_such_method(node):
    peer = Peer(node.tokens)
    peer.send(connect(5, 'c', auth_method=METHOD, auth_data=Scram('ann', 'secret').first.encode()))
    peer.expect_refusal(BAD_METHOD)


@pytest.mark.parametrize('user, password', [('ann', 'secres'), ('bob', 'pencil')])
def test_a_live_connection_proves_itself_again_and_stays_the_same_user(node, user, password):
    def ask(peer, scram):
        answer(peer, scram.first, REAUTHENTICATE)
        scram.take(peer.expect(AUTH, reason=CONTINUE).props['auth_data'])
        answer(peer, scram.final())
        return scram
    peer = Peer(node.port('a'))
    log_in(peer, 'ann', 'secret', client_id='again')
    scram = ask(peer, Scram('ann', 'secret'))
    scram.check(peer.expect(AUTH, reason=0).props['auth_data'])
    ask(peer, Scram(user, password))
    peer.expect_end(NOT_AUTHORIZED)


# ---- beside a certificate ----

def test_the_users_own_certificate_may_stand_beside_the_proof(node):
    for user in ('ann', None):
        peer = Peer(node.secure, tls=certificate_of(node, user))
        log_in(peer, 'ann', 'secret', client_id='sealed')
        assert peer.subscribe(('verified/#', 1)) == [1]
        peer.disconnect()


def test_a_proof_beside_somebody_elses_certificate_is_refused(node):
    before = refused(node)
    peer = Peer(node.secure, tls=certificate_of(node, 'bob'))
    scram = begin(peer, Scram('ann', 'secret'), client_id='two-faced')
    answer(peer, scram.final())
    peer.expect_refusal(BAD_PASSWORD)
    assert refused(node) == before + 1
    node.wait_for_log('a', 'refused "two-faced" from .*: the user is not that of the certificate')


def test_a_certificate_alone_is_its_user_and_nobody_else(node):
    tls = certificate_of(node, 'ann')
    MqttClient(node.secure, 'plain', v5=True, tls=tls).close()
    MqttClient(node.secure, 'plain', 'ann', v5=True, tls=tls).close()
    with pytest.raises(MqttError) as problem:
        MqttClient(node.secure, 'plain', 'bob', 'pencil', v5=True, tls=tls)
    assert problem.value.code in (BAD_PASSWORD, NOT_AUTHORIZED)
    with pytest.raises(MqttError):  # nor does it stand for an id that signs
        MqttClient(node.secure, 'node/a', v5=True, tls=tls)
