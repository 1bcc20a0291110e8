"""Server redirection (5.0 section 4.11) and response information, from the configuration."""
import signal

import pytest

import sealmq_testlib as lib
from mqtt_wire import (AUTH, BAD_PASSWORD, CONNACK, CONTINUE, DISCONNECT, REAUTHENTICATE, Peer,
                       connect, ending)
from scram_client import METHOD, Scram

CONFIG = 78
USE_ANOTHER_SERVER, SERVER_MOVED, SHUTTING_DOWN = 0x9c, 0x9d, 0x8b
ELSEWHERE = 'other.example.org:8883'


class Server:
    def __init__(self, processes, folder, text):
        self.path, self.port = folder / 'broker.yaml', lib.free_port()
        self.write(text)
        self.process = processes.sealmq('broker', '-c', self.path, port=self.port)

    def write(self, text):
        self.path.write_text(f'listeners:\n  - address: 127.0.0.1\n    port: {self.port}\n'
                             f'workers: 2\n{text}')

    def reload(self, text):
        before = len(self.process.stderr)
        self.write(text)
        self.process.signal(signal.SIGHUP)
        lib.wait_until(lambda: 'broker: reloaded' in self.process.stderr[before:],
                       self.process.output_tail)

    def peer(self, version=5):
        return Peer(self.port, version)


def redirect(when, permanent=None):
    line = '' if permanent is None else f'  permanent: {permanent}\n'
    return f'redirect:\n  to: {ELSEWHERE}\n  when: {when}\n{line}'


def expect_redirection(peer, reason=USE_ANOTHER_SERVER):
    refused = peer.expect(CONNACK, session_present=False, reason=reason)
    assert refused.props['server_reference'] == ELSEWHERE
    peer.expect_closed()


def add_user(folder, *options):
    result = lib.run_sealmq('passwd', folder / 'passwords', 'ann', '-b', 'secret', *options)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize('permanent, reason', [
    (None, USE_ANOTHER_SERVER), ('no', USE_ANOTHER_SERVER), ('yes', SERVER_MOVED)])
def test_everybody_is_sent_elsewhere(processes, tmp_path, permanent, reason):
    server = Server(processes, tmp_path, redirect('always', permanent))
    for client_id in ('a', 'b', 'c', 'd', ''):
        peer = server.peer()
        peer.send(connect(5, client_id))
        expect_redirection(peer, reason)
        old = server.peer(4)
        old.send(connect(4, client_id))
        old.expect_refusal(reason, return_code=3)


def test_only_who_has_logged_in_learns_where_to_go(processes, tmp_path):
    add_user(tmp_path)
    server = Server(processes, tmp_path, 'passwords: passwords\n' + redirect('always'))
    peer = server.peer()
    peer.send(connect(5, 'c', user='ann', password='wrong'))
    refused = peer.expect(CONNACK, reason=BAD_PASSWORD)
    assert 'server_reference' not in refused.props
    peer = server.peer()
    peer.send(connect(5, 'c', user='ann', password='secret'))
    expect_redirection(peer)


def test_a_reload_turns_it_on_and_off_and_cuts_nobody(processes, tmp_path):
    add_user(tmp_path, '--scram', '--iterations', '4096')
    server = Server(processes, tmp_path, 'passwords: passwords\n')
    stays, scram = server.peer(), Scram('ann', 'secret')
    stays.send(connect(5, 'stays', auth_method=METHOD, auth_data=scram.first.encode()))
    scram.take(stays.expect(AUTH, reason=CONTINUE).props['auth_data'])
    stays.send(ending(5, AUTH, CONTINUE, auth_method=METHOD, auth_data=scram.final().encode()))
    stays.expect(CONNACK, reason=0)
    server.reload('passwords: passwords\n' + redirect('always'))
    peer = server.peer()
    peer.send(connect(5, 'c', user='ann', password='secret'))
    expect_redirection(peer)
    peer, scram = server.peer(), Scram('ann', 'secret')
    peer.send(connect(5, 'd', auth_method=METHOD, auth_data=scram.first.encode()))
    scram.take(peer.expect(AUTH, reason=CONTINUE).props['auth_data'])
    peer.send(ending(5, AUTH, CONTINUE, auth_method=METHOD, auth_data=scram.final().encode()))
    expect_redirection(peer)
    again = Scram('ann', 'secret')
    stays.send(ending(5, AUTH, REAUTHENTICATE, auth_method=METHOD,
                      auth_data=again.first.encode()))
    again.take(stays.expect(AUTH, reason=CONTINUE).props['auth_data'])
    stays.send(ending(5, AUTH, CONTINUE, auth_method=METHOD, auth_data=again.final().encode()))
    stays.expect(AUTH, reason=0)
    server.reload('passwords: passwords\n')
    server.peer().connect('c', user='ann', password='secret')
    stays.ping()


@pytest.mark.parametrize('text, reason', [
    ('', SHUTTING_DOWN), (redirect('draining'), USE_ANOTHER_SERVER),
    (redirect('draining', 'yes'), SERVER_MOVED)])
def test_a_server_that_stops_says_where_to_go(processes, tmp_path, text, reason):
    server = Server(processes, tmp_path, text)
    peers = [server.peer() for _ in range(4)]
    for i, peer in enumerate(peers):
        peer.connect(f'c{i}')
    old = server.peer(4)
    old.connect('old')
    server.process.signal(signal.SIGTERM)
    for peer in peers:
        props = peer.expect(DISCONNECT, reason=reason).props
        assert props.get('server_reference') == (ELSEWHERE if text else None)
        peer.expect_closed()
    old.expect_closed()
    assert server.process.wait() == 0


def test_a_reference_that_does_not_fit_is_left_out(processes, tmp_path):
    server = Server(processes, tmp_path, redirect('always'))
    peer = server.peer()
    peer.send(connect(5, 'c', maximum_packet_size=20))
    refused = peer.expect(CONNACK, reason=USE_ANOTHER_SERVER)
    assert len(refused.raw) <= 20 and 'server_reference' not in refused.props


def test_who_asks_is_told_where_to_have_answers(processes, tmp_path):
    server = Server(processes, tmp_path, 'response_information: answers/here\n')
    asking = server.peer()
    connack = asking.connect('c', request_response_info=1)
    assert connack.props['response_info'] == 'answers/here/c'
    for options in ({}, {'request_response_info': 0}):
        assert 'response_info' not in server.peer().connect('d', **options).props
    connack = server.peer().connect('', request_response_info=1)
    assert connack.props['response_info'] == \
        'answers/here/' + connack.props['assigned_client_id']
    server.peer(4).connect('old')


def test_without_the_key_nobody_is_told(processes, tmp_path):
    server = Server(processes, tmp_path, '')
    assert 'response_info' not in server.peer().connect('c', request_response_info=1).props


def test_changed_response_information_takes_a_restart(processes, tmp_path):
    server = Server(processes, tmp_path, 'response_information: answers\n')
    server.write('response_information: others\n')
    server.process.signal(signal.SIGHUP)
    server.process.wait_for_output('response_information has changed, which takes a restart')


def test_the_settings_are_printed(tmp_path):
    path = tmp_path / 'b.yaml'
    path.write_text('response_information: answers\n' + redirect('draining', 'yes'))
    printed = lib.run_sealmq('broker', '-c', path, '--print-config').stdout
    assert f'redirect:\n  to: "{ELSEWHERE}"\n  permanent: yes\n  when: draining\n' in printed
    assert 'response_information: "answers"\n' in printed


@pytest.mark.parametrize('text, line, words', [
    ('redirect:\n  when: always\n', 2, 'to'),
    ('redirect:\n  to: x\n', 2, 'when'),
    ('redirect:\n  to: x\n  when: never\n', 3, 'when'),
    ('redirect:\n  when: always\n  to: "a\\nb"\n', 3, 'control characters'),
    ('response_information: $SYS\n', 1, 'begin of a topic'),
    ('response_information: a/+\n', 1, 'begin of a topic'),
    ('response_information: "a#"\n', 1, 'begin of a topic'),
    ('response_information: a/\n', 1, 'begin of a topic'),
])
def test_what_makes_no_sense_is_refused_with_its_line(tmp_path, text, line, words):
    path = tmp_path / 'b.yaml'
    path.write_text(text)
    result = lib.run_sealmq('broker', '-c', path, '--test-config')
    assert result.returncode == CONFIG and words in result.stderr, result.stderr
    assert f'{path}:{line}: ' in result.stderr, result.stderr
