"""/metrics and /healthz over HTTP: what they say, and that nobody can harm the server there."""
import http.client
import os
import re
import socket
import time

import pytest

import prometheus_text
import sealmq_network
import sealmq_testlib as lib
from sealmq_testlib import MqttClient

CONNECTION_S = 10  # HTTP_CONNECTION_MS of src/http/server.h
CONNECTIONS_MAX = 32


@pytest.fixture
def watched(processes):
    """A broker with two workers: its process, its MQTT port, and its HTTP port."""
    http_port = lib.free_port()
    process, port = processes.broker('--workers', 2, '--sys-interval', 0, '--metrics',
                                     f'127.0.0.1:{http_port}')
    lib.wait_for_port(http_port, process)
    return process, port, http_port


def ask(port, path='/metrics', method='GET', body=None, headers=None):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=15)
    connection.request(method, path, body=body, headers=headers or {})
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response, data


def metrics(port):
    response, data = ask(port)
    assert response.status == 200
    return prometheus_text.parse(data)


def raw(port, data, limit_s=15.0):
    """What comes back for `data` until the server closes."""
    with socket.create_connection(('127.0.0.1', port), timeout=limit_s) as s:
        got = b''
        try:
            s.sendall(data)
            while True:
                piece = s.recv(65536)
                if not piece:
                    break
                got += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
        return got


# --- what is said -------------------------------------------------------------------------------

def test_metrics_are_in_the_form_that_prometheus_reads(watched):
    response, data = ask(watched[2])
    assert response.status == 200
    assert response.getheader('Content-Type') == 'text/plain; version=0.0.4; charset=utf-8'
    families = prometheus_text.parse(data)
    for name, family in families.items():
        assert name.startswith(('sealmq_', 'process_')), name
        assert family.help.endswith('.'), name


@pytest.mark.parametrize('broken', [
    b'# HELP x y.\n# TYPE x gauge\nx 1', b'x 1\n', b'# HELP x y.\nx 1\n',
    b'# HELP x y.\n# TYPE x gauge\nx 1\nx 2\n', b'# HELP x y.\n# TYPE x counter\nx 1\n',
    b'# HELP x y.\n# TYPE x gauge\nx one\n', b'# HELP x y.\n# TYPE x gauge\nx{a="1} 1\n',
    b'# HELP x y.\n# TYPE x gauge\nx{a="\xff"} 1\n', b'# HELP x y.\n# TYPE x gauge\n'])
def test_the_reader_of_metrics_is_strict(broken):
    with pytest.raises((prometheus_text.MetricsError, UnicodeDecodeError)):
        prometheus_text.parse(broken)


def test_metrics_count_what_clients_do(watched):
    _process, port, http_port = watched
    before = metrics(http_port)
    with MqttClient(port, 'sub') as sub, MqttClient(port, 'pub') as pub:
        sub.subscribe('plant/#', 1)
        for i in range(5):
            pub.publish('plant/a', b'1234', qos=1)
            assert sub.next_message().payload == b'1234'
        pub.publish('plant/kept', b'k', qos=0, retain=True)
        assert sub.next_message().payload == b'k'
        now = metrics(http_port)

        def grown(name, **labels):
            return now[name].value(**labels) - before[name].value(**labels)
        assert grown('sealmq_connects_total', result='accepted') == 2
        assert grown('sealmq_packets_received_total', type='connect') == 2
        assert grown('sealmq_packets_received_total', type='publish') == 6
        assert grown('sealmq_packets_sent_total', type='puback') == 5
        assert grown('sealmq_messages_received_total', qos='1') == 5
        assert grown('sealmq_messages_sent_total', qos='0') == 1
        assert grown('sealmq_payload_received_bytes_total') == 21
        assert grown('sealmq_retained_messages') == 1
        assert grown('sealmq_received_bytes_total') > 60
        assert now['sealmq_sessions'].value(state='online') == 2
        assert now['sealmq_subscriptions'].value() == 1

    def all_gone():
        return metrics(http_port)['sealmq_sessions'].value(state='online') == 0
    lib.wait_until(all_gone, 'the sessions to end')


def test_refused_clients_are_counted_by_reason(processes):
    http_port = lib.free_port()
    users = processes.folder / 'users'
    users.write_text('')
    os.chmod(users, 0o600)
    process, port = processes.broker('--passwords', users, '--metrics', f'127.0.0.1:{http_port}',
                                     anonymous=False)
    lib.wait_for_port(http_port, process)
    with pytest.raises(lib.MqttError):
        MqttClient(port, 'nobody')
    with pytest.raises(lib.MqttError):
        MqttClient(port, 'somebody', user='eve', password='guess')
    connects = metrics(http_port)['sealmq_connects_total']
    assert connects.value(result='not_authorized') == 1
    assert connects.value(result='bad_credentials') == 1
    assert connects.value(result='accepted') == 0


def test_metrics_of_the_process_are_plausible(watched):
    process, _port, http_port = watched
    now = metrics(http_port)
    with open(f'/proc/{process.pid}/statm') as statm:
        resident = int(statm.read().split()[1]) * os.sysconf('SC_PAGESIZE')
    assert resident / 2 < now['process_resident_memory_bytes'].value() < resident * 2
    assert abs(now['process_start_time_seconds'].value() - time.time()) < 60
    descriptors = len(os.listdir(f'/proc/{process.pid}/fd'))
    assert abs(now['process_open_fds'].value() - descriptors) <= 2
    for worker in ('0', '1'):
        assert 0 <= now['sealmq_worker_latency_seconds'].value(worker=worker) <= 1
        assert now['sealmq_worker_cpu_seconds_total'].value(worker=worker) > 0


def test_healthz_says_ok_while_all_is_well(watched):
    response, data = ask(watched[2], '/healthz')
    assert (response.status, data) == (200, b'ok\n')


# --- HTTP ---------------------------------------------------------------------------------------

def test_head_has_the_same_head_and_no_body(watched):
    for path in ('/metrics', '/healthz'):
        response, data = ask(watched[2], path, 'HEAD')
        assert response.status == 200
        assert data == b''
        assert int(response.getheader('Content-Length')) >= 3


@pytest.mark.parametrize('path', ['/', '/metric', '/metrics/', '/healthz/../metrics', '//metrics',
                                  '/%00', '/metrics%00', '/%6detrics'])
def test_other_paths_are_not_found(watched, path):
    response, data = ask(watched[2], path)
    assert (response.status, data) == (404, b'not found\n')


def test_a_query_does_not_matter(watched):
    assert ask(watched[2], '/healthz?verbose=1')[0].status == 200


@pytest.mark.parametrize('method', ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'BREW'])
def test_other_methods_are_not_allowed(watched, method):
    response, _data = ask(watched[2], '/metrics', method)
    assert response.status == 405
    assert response.getheader('Allow') == 'GET, HEAD'


@pytest.mark.parametrize('headers', [{'Content-Length': '5'}, {'Transfer-Encoding': 'chunked'}])
def test_a_body_is_refused(watched, headers):
    response, _data = ask(watched[2], '/metrics', headers=headers)
    assert response.status == 413


def test_each_connection_is_for_one_request(watched):
    request = b'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
    answer = raw(watched[2], request * 20)
    assert answer.count(b'HTTP/1.1 200') == 1
    assert b'\r\nConnection: close\r\n' in answer


def test_only_the_given_address_is_listened_on(processes):
    for address in ('localhost:80', '127.0.0.1', '127.0.0.1:70000', '::1:80', '[127.0.0.1]:80', ':80',
                    '127.0.0.1:', '127.0.0.1:8x'):
        process = processes.sealmq('broker', '-p', '0', '--metrics', address)
        assert process.wait() == 2
        assert '--metrics' in process.stderr


def test_a_port_in_use_is_said_at_the_start(processes):
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen()
        taken = s.getsockname()[1]
        process = processes.sealmq('broker', '-p', '0', '--metrics', f'127.0.0.1:{taken}')
        assert process.wait() == 69
        assert f'127.0.0.1:{taken}' in process.stderr and 'in use' in process.stderr


# --- hostile ------------------------------------------------------------------------------------

HOSTILE = {
    'zeros': b'\0' * 500,
    'all bytes': bytes(range(256)) * 4,
    'TLS': b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'A' * 200,
    'MQTT': b'\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00',
    'no path': b'GET\r\n\r\n',
    'no such version': b'GET / HTTP/9.9\r\n\r\n',
    'negative length': b'GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
    'endless length': b'GET /metrics HTTP/1.1\r\nContent-Length: ' + b'9' * 23 + b'\r\n\r\n',
    'header without name': b'GET /metric HTTP/1.1\r\n: \r\n\r\n',
    'empty lines': b'\r\n' * 3000,
    'long path': b'GET ' + b'/' * 100000 + b' HTTP/1.1\r\n\r\n',
    'long header': b'GET /metrics HTTP/1.1\r\nX: ' + b'y' * 100000 + b'\r\n\r\n',
    'many headers': b'GET /metrics HTTP/1.1\r\n' + b'A: b\r\n' * 20000 + b'\r\n',
}


@pytest.mark.parametrize('name', HOSTILE)
def test_what_is_no_request_harms_nobody(watched, name):
    process, port, http_port = watched
    with socket.create_connection(('127.0.0.1', http_port), timeout=15) as s:
        try:
            s.sendall(HOSTILE[name])
            s.shutdown(socket.SHUT_WR)
            answer = s.recv(65536)
        except OSError:  # cut, perhaps before all was sent
            answer = b''
        assert not answer.startswith(b'HTTP/1.1 200')
    assert ask(http_port, '/healthz')[1] == b'ok\n'
    assert process.returncode is None


def test_a_slow_sender_is_cut_whatever_it_sends(watched):
    http_port = watched[2]
    began = time.monotonic()
    with socket.create_connection(('127.0.0.1', http_port), timeout=30) as s:
        s.sendall(b'GET /metrics HTTP/1.1\r\n')
        s.settimeout(0.5)
        with pytest.raises((ConnectionError, EOFError)):
            while time.monotonic() - began < 3 * CONNECTION_S * lib.PATIENCE:
                s.sendall(b'A: b\r\n')
                try:
                    if not s.recv(1000):
                        raise EOFError
                except TimeoutError:
                    pass
    assert time.monotonic() - began > CONNECTION_S - 1


def test_silent_connections_do_not_keep_others_out_for_long(watched):
    _process, port, http_port = watched
    began = time.monotonic()
    silent = [socket.create_connection(('127.0.0.1', http_port)) for _ in range(CONNECTIONS_MAX + 20)]
    try:
        with MqttClient(port, 'c') as client:
            client.subscribe('x')  # MQTT goes on meanwhile

        def is_answered():
            try:
                return ask(http_port, '/healthz')[1] == b'ok\n'
            except OSError:
                return False
        lib.wait_until(is_answered, 'an answer beside silent connections',
                       limit_s=4 * CONNECTION_S * lib.PATIENCE)
    finally:
        for s in silent:
            s.close()
    assert time.monotonic() - began < 4 * CONNECTION_S * lib.PATIENCE


def test_a_reader_that_does_not_read_is_cut(watched):
    """With a small window, many answers are not taken; the server goes on."""
    http_port = watched[2]
    stuck = []
    for _ in range(CONNECTIONS_MAX - 1):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        s.connect(('127.0.0.1', http_port))
        s.sendall(b'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n')
        stuck.append(s)
    assert ask(http_port, '/healthz')[1] == b'ok\n'
    for s in stuck:
        s.close()


# --- a node -------------------------------------------------------------------------------------

def test_a_node_tells_of_its_chain_history_and_devices(tmp_path):
    network = sealmq_network.Network(tmp_path / 'network',
                                     config='workers: 2\nmetrics:\n  port: 0\n')
    try:
        network.start()
        network.wait_for_company()
        found = re.search(r'metrics on port (\d+)', network.log('a'))
        port = int(found.group(1))
        assert ask(port, '/healthz')[1] == b'ok\n'
        now = metrics(port)
        assert now['sealmq_chain_validators'].value() == 4
        assert now['sealmq_chain_peers_connected'].value() == 3
        assert len(now['sealmq_chain_peer_connected'].samples) == 3
        assert now['sealmq_history_failures_total'].value() == 0
        assert now['sealmq_device_reports_refused_total'].value(reason='replay') == 0
    finally:
        network.close()
