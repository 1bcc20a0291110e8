"""Enhanced authentication with SCRAM-SHA-256, packet by packet, against a client of its own."""
import base64
import re
import signal

import pytest

import sealmq_testlib as lib
from mqtt_wire import (AUTH, BAD_METHOD, BAD_PASSWORD, CONNACK, CONTINUE, NOT_AUTHORIZED,
                       PROTOCOL_ERROR, REAUTHENTICATE, Peer, connect, ending)
from scram_client import METHOD, Scram
from sealmq_testlib import MqttClient, MqttError

USERS = {'ann': 'secret', 'a,b=c': 'pencil', 'bob': 'with spaces ~!'}
ITERATIONS = 4096


def add_user(path, user, password, *options):
    result = lib.run_sealmq('passwd', path, user, '-b', password, *options)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('scram')
    for user, password in USERS.items():
        add_user(path / 'passwords', user, password, '--scram', '--iterations', str(ITERATIONS))
    add_user(path / 'passwords', 'argon', 'other')
    return path


@pytest.fixture
def server(processes, folder):
    process, port = processes.broker('--passwords', folder / 'passwords', anonymous=False)
    process.port = port
    return process


def begin(peer, scram, client_id='c', method=METHOD, **options):
    """CONNECT with client-first; returns what comes of it with server-first."""
    peer.send(connect(5, client_id, auth_method=method, auth_data=scram.first.encode(), **options))
    asked = peer.expect(AUTH, reason=CONTINUE)
    assert asked.props['auth_method'] == METHOD
    return scram.take(asked.props['auth_data'])


def answer(peer, data, reason=CONTINUE, method=METHOD):
    data = data.encode() if isinstance(data, str) else data
    peer.send(ending(5, AUTH, reason, auth_method=method, auth_data=data))


def log_in(peer, user='ann', password=None, **options):
    scram = begin(peer, Scram(user, password or USERS[user]), **options)
    answer(peer, scram.final())
    connack = peer.expect(CONNACK, reason=0)
    assert connack.props['auth_method'] == METHOD
    scram.check(connack.props['auth_data'])
    return scram


@pytest.mark.parametrize('user', USERS)
def test_a_user_and_the_server_prove_themselves_to_each_other(server, user):
    peer = Peer(server.port)
    log_in(peer, user)
    assert peer.subscribe('a/#') == [2]
    peer.publish('a/b', b'x')
    peer.take('a/b', b'x')
    peer.disconnect()


def test_a_client_that_waits_to_be_asked_is_asked(server):
    peer, scram = Peer(server.port), Scram('ann', 'secret')
    peer.send(connect(5, 'c', auth_method=METHOD))
    assert 'auth_data' not in peer.expect(AUTH, reason=CONTINUE).props
    answer(peer, scram.first)
    scram.take(peer.expect(AUTH, reason=CONTINUE).props['auth_data'])
    answer(peer, scram.final())
    scram.check(peer.expect(CONNACK, reason=0).props['auth_data'])


def test_the_same_line_takes_an_ordinary_password(server):
    for v5 in (False, True):
        with MqttClient(server.port, 'c', 'ann', 'secret', v5=v5) as client:
            assert client.subscribe('x', 0) == 0
        with pytest.raises(MqttError):
            MqttClient(server.port, 'c', 'ann', 'secres', v5=v5)
        MqttClient(server.port, 'c', 'argon', 'other', v5=v5).close()


@pytest.mark.parametrize('user, password', [
    ('ann', 'Secret'), ('ann', ''), ('nobody', 'secret'), ('argon', 'other')])
def test_a_wrong_password_and_an_unknown_user_look_the_same(server, user, password):
    peer = Peer(server.port)
    scram = begin(peer, Scram(user, password))
    assert scram.iterations == ITERATIONS and len(scram.salt) == 16
    answer(peer, scram.final())
    refused = peer.expect(CONNACK, reason=BAD_PASSWORD)
    assert refused.props == {'reason_string': 'wrong user name or password'}
    peer.expect_closed()


def test_the_salt_of_a_user_who_is_not_there_stays_the_same(processes, server, folder):
    def salt(port, user, client_id):
        peer = Peer(port)
        salt = begin(peer, Scram(user, 'x'), client_id).salt
        peer.close()
        return salt
    _other, port = processes.broker('--passwords', folder / 'passwords', anonymous=False)
    salts = {salt(p, 'nobody', f'c{i}') for p in (server.port, port) for i in range(4)}
    assert len(salts) == 1 and salt(port, 'nobodx', 'c') not in salts


def test_a_recorded_proof_is_worth_nothing(server):
    first = Peer(server.port)
    recorded = log_in(first)
    final = recorded.final()
    again = Peer(server.port)
    scram = begin(again, Scram('ann', 'x', nonce=recorded.nonce), client_id='thief')
    assert scram.both != recorded.both
    answer(again, final)
    again.expect_refusal(NOT_AUTHORIZED)
    again = Peer(server.port)
    scram = begin(again, Scram('ann', 'x', nonce=recorded.nonce), client_id='thief')
    answer(again, final.replace(recorded.both, scram.both))
    again.expect_refusal(BAD_PASSWORD)


@pytest.mark.parametrize('change', [
    lambda both: both[:-1], lambda both: both + 'x', lambda both: 'x' + both[1:],
    lambda both: both[:-1] + ('A' if both[-1] != 'A' else 'B')])
def test_a_wrong_nonce_is_refused(server, change):
    peer = Peer(server.port)
    scram = begin(peer, Scram('ann', 'secret'))
    answer(peer, scram.final(both=change(scram.both)))
    peer.expect_refusal(NOT_AUTHORIZED)


def test_channel_binding_cannot_be_talked_away_on_the_way(server):
    peer = Peer(server.port)  # the client said "y", and somebody has made "n" of it
    scram = begin(peer, Scram('ann', 'secret'))
    answer(peer, scram.final(header='y,,'))
    peer.expect_refusal(NOT_AUTHORIZED)
    peer = Peer(server.port)
    log_in_with_y = begin(peer, Scram('ann', 'secret', header='y,,'))
    answer(peer, log_in_with_y.final())
    peer.expect(CONNACK, reason=0)
    peer = Peer(server.port)
    peer.send(connect(5, 'c', auth_method=METHOD,
                      auth_data=b'p=tls-exporter,,n=ann,r=abcdefgh'))
    peer.expect_refusal(NOT_AUTHORIZED)


@pytest.mark.parametrize('method', ['SCRAM-SHA-1', 'SCRAM-SHA-256-PLUS', 'scram-sha-256', 'PLAIN'])
def test_weaker_methods_are_not_to_be_had(server, method):
    peer = Peer(server.port)
    peer.send(connect(5, 'c', auth_method=method, auth_data=b'n,,n=ann,r=abcdefgh'))
    peer.expect_refusal(BAD_METHOD)


@pytest.mark.parametrize('first', [
    b'\0', b'n,,', b'n,,n=ann', b'n,,n=ann,r=', b'n,,r=abc,n=ann', b'n,,m=x,n=ann,r=abc',
    b'n,,n=a=2Xb,r=abc', b'n,a=root,n=ann,r=abc', b'n,,n=\xff,r=abc', b'n,,n=ann,r=' + b'x' * 5000])
def test_first_messages_out_of_form_are_refused(server, first):
    peer = Peer(server.port)
    peer.send(connect(5, 'c', auth_method=METHOD, auth_data=first))
    assert peer.expect(CONNACK).reason in (NOT_AUTHORIZED, BAD_PASSWORD)
    peer.expect_closed()


@pytest.mark.parametrize('final', [
    b'', b'p=', b'c=biws', b'c=biws,r=x,p=AAAA', b'n,,n=ann,r=abcdefgh', b'\xff' * 100])
def test_last_messages_out_of_form_are_refused(server, final):
    peer = Peer(server.port)
    begin(peer, Scram('ann', 'secret'))
    answer(peer, final)
    peer.expect_refusal(NOT_AUTHORIZED)


def test_another_method_in_the_middle_is_refused(server):
    peer = Peer(server.port)
    scram = begin(peer, Scram('ann', 'secret'))
    answer(peer, scram.final(), method='PLAIN')
    peer.expect_refusal(BAD_METHOD)


def test_the_user_name_of_connect_must_be_the_same_or_absent(server):
    peer, scram = Peer(server.port), Scram('ann', 'secret')
    begin(peer, scram, user='ann')
    answer(peer, scram.final())
    peer.expect(CONNACK, reason=0)
    peer = Peer(server.port)
    scram = Scram('ann', 'secret')
    begin(peer, scram, user='bob')
    answer(peer, scram.final())
    peer.expect_refusal(BAD_PASSWORD)


def test_a_live_connection_proves_itself_again(server):
    peer = Peer(server.port)
    log_in(peer)
    assert peer.subscribe('a') == [2]
    for _ in range(3):
        scram = Scram('ann', 'secret')
        answer(peer, scram.first, REAUTHENTICATE)
        scram.take(peer.expect(AUTH, reason=CONTINUE).props['auth_data'])
        peer.publish('a', b'meanwhile')
        peer.take('a', b'meanwhile')
        answer(peer, scram.final())
        done = peer.expect(AUTH, reason=0)
        scram.check(done.props['auth_data'])
        peer.ping()


@pytest.mark.parametrize('user, password', [('ann', 'wrong'), ('bob', None)])
def test_a_live_connection_that_fails_or_becomes_another_user_ends(server, user, password):
    peer = Peer(server.port)
    log_in(peer)
    scram = Scram(user, password or USERS[user])
    answer(peer, scram.first, REAUTHENTICATE)
    scram.take(peer.expect(AUTH, reason=CONTINUE).props['auth_data'])
    answer(peer, scram.final())
    peer.expect_end(NOT_AUTHORIZED)


def test_answers_out_of_turn_end_a_live_connection(server):
    peer = Peer(server.port)
    log_in(peer)
    answer(peer, b'c=biws,r=x,p=AAAA')
    peer.expect_end(PROTOCOL_ERROR)


def test_without_users_for_it_the_method_is_not_offered_until_a_reload(processes, tmp_path):
    path = tmp_path / 'passwords'
    add_user(path, 'ann', 'secret')
    process, port = processes.broker('--passwords', path, anonymous=False)
    peer = Peer(port)
    peer.send(connect(5, 'c', auth_method=METHOD, auth_data=Scram('ann', 'secret').first.encode()))
    peer.expect_refusal(BAD_METHOD)
    add_user(path, 'ann', 'secret', '--scram', '--iterations', '5000')
    process.signal(signal.SIGHUP)
    process.wait_for_output('broker: reloaded')
    assert log_in(Peer(port), password='secret').iterations == 5000


def test_access_rules_know_the_user(processes, folder, tmp_path):
    acl = tmp_path / 'acl'
    acl.write_text('user ann\ntopic only/ann/#\n')
    _process, port = processes.broker('--passwords', folder / 'passwords', '--acl', acl,
                                      anonymous=False)
    ann, bob = Peer(port), Peer(port)
    log_in(ann, client_id='1')
    log_in(bob, 'bob', client_id='2')
    assert ann.subscribe('only/ann/x') == [2]
    assert bob.subscribe('only/ann/x') == [NOT_AUTHORIZED]


def test_passwd_makes_lines_of_the_known_form(tmp_path):
    path = tmp_path / 'passwords'
    add_user(path, 'ann', 'secret', '--scram')
    add_user(path, 'ann', 'secret', '--scram')
    add_user(path, 'bob', 'secret')
    lines = path.read_text().splitlines()
    assert len(lines) == 3
    secret = re.fullmatch('#decoy-secret ([A-Za-z0-9+/=]+)', lines[0]).group(1)
    assert len(base64.b64decode(secret)) == 32
    part = '[A-Za-z0-9+/]+=*'
    assert re.fullmatch(rf'ann:SCRAM-SHA-256\$100000:{part}\${part}:{part}', lines[1])
    assert lines[2].startswith('bob:$argon2id$')


@pytest.mark.parametrize('arguments, words', [
    (['-b', 'schön', '--scram'], 'printable ASCII'),
    (['-b', 'x', '--scram', '--iterations', '4095'], '4096 to 2000000'),
    (['-b', 'x', '--scram', '--iterations', '2000001'], '4096 to 2000000'),
    (['-b', 'x', '--iterations', '5000'], '--iterations goes with --scram'),
    (['-D', '--scram'], 'exclude each other'),
])
def test_passwd_refuses_what_would_not_work(tmp_path, arguments, words):
    result = lib.run_sealmq('passwd', tmp_path / 'p', 'ann', *arguments)
    assert result.returncode == 2 and words in result.stderr
    assert not (tmp_path / 'p').exists()


@pytest.mark.parametrize('line', [
    'ann:SCRAM-SHA-256$4095:MTIzNDU2Nzg=$' + 'A' * 43 + '=:' + 'A' * 43 + '=',
    'ann:SCRAM-SHA-256$4096:MTIzNDU2Nzg=$' + 'A' * 43 + '=',
    'ann:SCRAM-SHA-1$4096:MTIzNDU2Nzg=$' + 'A' * 43 + '=:' + 'A' * 43 + '=',
    '#decoy-secret AAAA',
])
def test_lines_out_of_form_are_refused_with_their_number(tmp_path, line):
    (tmp_path / 'p').write_text(f'# users\n{line}\n')
    result = lib.run_sealmq('broker', '--passwords', tmp_path / 'p')
    assert result.returncode != 0 and f'{tmp_path}/p:2: ' in result.stderr
