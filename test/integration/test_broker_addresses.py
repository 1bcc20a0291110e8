"""The limit of connections of one source address."""
import socket
import struct

import pytest

import sealmq_testlib as lib
from sealmq_testlib import HOST
from test_broker_transports import proxy_header
from test_metrics import metrics

MOST = 3
TOLD = 8  # SOURCES_TOLD_MOST of src/net/sources.h

CONFIG = """
anonymous: yes
workers: 2
limits: {{connections_per_address: {most}}}
metrics: {{port: {metrics}}}
listeners:
  - {{address: 127.0.0.1, port: {plain}}}
  - {{address: 127.0.0.1, port: {proxy}, proxy_protocol: yes}}
  - {{unix: socket}}
"""


@pytest.fixture
def site(processes, tmp_path):
    ports = {name: lib.free_port() for name in ('plain', 'proxy', 'metrics')}
    (tmp_path / 'broker.yaml').write_text(CONFIG.format(most=MOST, **ports))
    process = processes.sealmq('broker', '-c', tmp_path / 'broker.yaml')
    lib.wait_for_port(ports['metrics'], process)
    metrics(ports['metrics'])  # answered when all serve; a try of the others would count
    process.port, process.folder = ports, tmp_path
    return process


def connect_packet(client_id, version=5):
    body = (b'\0\4MQTT' + bytes([version, 2, 0, 60]) + (b'\0' if version == 5 else b'') +
            struct.pack('!H', len(client_id)) + client_id.encode())
    return bytes([0x10, len(body)]) + body


class Visitor:
    """One connection; `ends()` is what comes until the server closes."""
    count = 0

    def __init__(self, site, source='127.0.0.1', listener='plain', head=b''):
        if listener == 'unix':
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(str(site.folder / 'socket'))
        else:
            self.socket = socket.create_connection((HOST, site.port[listener]), 20 * lib.PATIENCE,
                                                   source_address=(source, 0))
        if head:
            self.socket.sendall(head)

    def ask(self, version=5):
        Visitor.count += 1
        try:
            self.socket.sendall(connect_packet(f'visitor-{Visitor.count}', version))
            return self.socket.recv(4096)
        except (ConnectionResetError, BrokenPipeError):
            return b''

    def comes_in(self):
        answer = self.ask()
        assert answer[:1] == b"\x20", answer
        return answer[3] == 0

    def close(self):
        self.socket.close()


def close_all(*visitors):
    for visitor in visitors:
        visitor.close()


def test_above_the_limit_an_address_is_told_and_others_come_in(site):
    inside = [Visitor(site) for _ in range(MOST)]
    assert all(visitor.comes_in() for visitor in inside)
    refused = Visitor(site)
    answer = refused.ask()
    assert answer[0] == 0x20 and answer[3] == 0x97 and b'too many connections' in answer
    old = Visitor(site)
    assert old.ask(version=4) == b'\x20\2\0\3'
    other = Visitor(site, '127.0.0.2')
    assert other.comes_in()
    local = [Visitor(site, listener='unix') for _ in range(2 * MOST)]
    assert all(visitor.comes_in() for visitor in local)
    assert metrics(site.port['metrics'])['sealmq_connections_refused_total'].value() == 2
    assert metrics(site.port['metrics'])['sealmq_connects_total'].value(result='over_limit') == 2
    inside[0].close()

    def there_is_room_again():
        visitor = Visitor(site)
        came_in = visitor.comes_in()
        visitor.close()
        return came_in
    lib.wait_until(there_is_room_again, 'the place of one that has gone')
    close_all(refused, old, other, *inside, *local)


def test_those_that_say_nothing_count_and_a_flood_is_closed_at_once(site):
    silent = [Visitor(site) for _ in range(MOST + TOLD)]
    assert Visitor(site).socket.recv(1) == b''
    other = Visitor(site, '127.0.0.3')
    assert other.comes_in()
    close_all(other, *silent)


def test_behind_a_proxy_the_address_that_it_tells_counts(site):
    def via(address):
        return Visitor(site, listener='proxy', head=proxy_header(address))
    one = [via('192.0.2.1') for _ in range(MOST)]
    two = [via('192.0.2.2') for _ in range(MOST)]
    assert all(visitor.comes_in() for visitor in one + two)
    assert via('192.0.2.1').ask()[3] == 0x97
    flood = [via('192.0.2.2') for _ in range(TOLD)]
    assert [visitor.ask()[3:4] for visitor in flood] == [b'\x97'] * TOLD
    # The proxy's own connections, by which it looks whether the server is there, are not counted.
    checks = [Visitor(site, listener='proxy', head=proxy_header(command=0x20))
              for _ in range(2 * MOST)]
    assert all(visitor.comes_in() for visitor in checks)
    close_all(*one, *two, *flood, *checks)


def test_a_flood_behind_a_proxy_gets_no_answer(site):
    head = proxy_header('192.0.2.9')
    silent = [Visitor(site, listener='proxy', head=head) for _ in range(MOST + TOLD)]

    def is_closed():
        visitor = Visitor(site, listener='proxy', head=head)
        return visitor.ask() == b''
    lib.wait_until(is_closed, 'the limit to be reached')
    close_all(*silent)
