"""Every way into `sealmq broker`: TLS, WebSocket, Unix sockets, the PROXY protocol, and their
combinations, with clients that others have written and with bytes that no client would send."""
import hashlib
import os
import signal
import socket
import ssl
import struct
import subprocess
import time

import pytest

import sealmq_testlib as lib
from sealmq_pki import Pki
from sealmq_testlib import HOST, MqttClient, RawConnection

KEY = 'c0ffee00' * 4
PROXY_SIGNATURE = b'\r\n\r\n\0\r\nQUIT\n'

CONFIG = """
anonymous: yes
acl: acl
workers: 2
limits: {{connect_timeout_ms: 3000, packet_bytes: 16777216}}
listeners:
  - {{name: plain, address: 127.0.0.1, port: {plain}}}
  - {{name: tls, address: 127.0.0.1, port: {tls}, tls: {{cert: server.pem, key: server.key, sni: [
      {{name: second.example, cert: second.pem, key: second.key}},
      {{name: "*.third.example", cert: third.pem, key: third.key}}]}}}}
  - {{name: tls13, address: 127.0.0.1, port: {tls13},
      tls: {{cert: server.pem, key: server.key, min_version: "1.3"}}}}
  - name: certificates
    address: 127.0.0.1
    port: {certificates}
    tls: {{cert: server.pem, key: server.key, ca: ca.pem, crl: crl.pem, require_certificate: yes,
          identity: common_name}}
  - {{name: psk, address: 127.0.0.1, port: {psk}, tls: {{psk_file: psk, psk_hint: plant}}}}
  - {{name: ws, address: 127.0.0.1, port: {ws}, transport: websocket}}
  - {{name: wss, address: 127.0.0.1, port: {wss}, transport: websocket,
      tls: {{cert: server.pem, key: server.key}}}}
  - {{name: few, address: 127.0.0.1, port: {few}, connections: 2}}
  - {{name: local, unix: socket, mode: "0600"}}
  - {{name: proxy, address: 127.0.0.1, port: {proxy}, proxy_protocol: yes,
      proxy_certificate: yes}}
  - {{name: distrust, address: 127.0.0.1, port: {distrust}, proxy_protocol: yes}}
  - {{name: everything, address: 127.0.0.1, port: {everything}, proxy_protocol: yes,
      transport: websocket, tls: {{cert: server.pem, key: server.key}}}}
"""
ACL = """topic readwrite open/#
pattern readwrite open/#
pattern readwrite own/%u/#
"""
PORTS = ['plain', 'tls', 'tls13', 'certificates', 'psk', 'ws', 'wss', 'proxy', 'everything',
         'few', 'distrust']
STREAMS = ['plain', 'tls', 'ws', 'wss', 'local', 'proxy', 'everything']


class Site:
    """A broker with all listeners, and what its clients need."""

    def __init__(self, folder, processes):
        self.folder, self.processes = folder, processes
        self.pki = Pki(folder)
        self.pki.make('server', names=['localhost', HOST])
        self.pki.make('second', names=['second.example'])
        self.pki.make('third', names=['x.third.example'])
        for name in ('pump-7', 'gone'):
            self.pki.make(name)
        self.pki.make('old', expired=True)
        self.pki.revoke('gone')
        self.others = Pki(folder / 'others', 'Other CA')
        self.others.make('stranger')
        self.port = {name: lib.free_port() for name in PORTS}
        (folder / 'acl').write_text(ACL)
        (folder / 'psk').write_text(f'# keys\npump-8:{KEY}\n')
        (folder / 'psk').chmod(0o600)
        (folder / 'broker.yaml').write_text(CONFIG.format(**self.port))
        self.start()

    def start(self):
        self.process = self.processes.sealmq('broker', '--config', self.folder / 'broker.yaml',
                                             port=self.port['plain'])

    def client_tls(self):
        return ssl.create_default_context(cafile=self.pki.path('ca.pem'))

    def only(self, version):
        """The environment in which OpenSSL speaks this version and no other (mosquitto's
        --tls-version names the lowest one)."""
        path = self.folder / version
        path.write_text('openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n'
                        f'[c]\nMinProtocol = {version}\nMaxProtocol = {version}\n')
        return {'OPENSSL_CONF': str(path)}

    def paho(self, listener, client_id, **options):
        if listener in ('tls', 'tls13', 'wss'):
            options['tls'] = self.client_tls()
        return MqttClient(self.port[listener], client_id, websocket=listener in ('ws', 'wss'),
                          **options)

    def stream(self, listener):
        return Stream(self, listener)


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp('site')
    processes = lib.Processes(folder / 'processes')
    made = Site(folder, processes)
    yield made
    processes.close()


# --- raw streams --------------------------------------------------------------------------------

def frame(payload, first=0x82, masked=True):
    n = len(payload)
    length = bytes([n]) if n < 126 else b'\x7e' + struct.pack('!H', n)
    if not masked:
        return bytes([first]) + length + payload
    mask = b'\x37\xfa\x21\x3d'
    return (bytes([first, length[0] | 0x80]) + length[1:] + mask +
            bytes(c ^ mask[i % 4] for i, c in enumerate(payload)))


def upgrade(path='/mqtt', protocol='mqtt', version='13', method='GET'):
    return (f'{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\n'
            f'Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
            f'Sec-WebSocket-Version: {version}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n').encode()


def proxy_header(source='192.0.2.7', port=4711, command=0x21, options=b''):
    return (PROXY_SIGNATURE + bytes([command, 0x11]) + struct.pack('!H', 12 + len(options)) +
            socket.inet_aton(source) + socket.inet_aton('198.51.100.1') +
            struct.pack('!HH', port, 1883) + options)


def proxy_option(kind, value):
    return bytes([kind]) + struct.pack('!H', len(value)) + value


class Stream(RawConnection):
    """MQTT's bytes over a listener, with no client in between. send_raw() takes what the
    transport has: frames for WebSocket."""

    def __init__(self, site, listener):
        limit_s = 20 * lib.PATIENCE
        if listener == 'local':
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(limit_s)
            self.socket.connect(str(site.folder / 'socket'))
        else:
            super().__init__(site.port[listener], limit_s=limit_s)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if listener in ('proxy', 'everything'):
            self.socket.sendall(proxy_header())
        if listener in ('tls', 'wss', 'everything'):
            self.socket = site.client_tls().wrap_socket(self.socket, server_hostname='localhost')
        self.is_websocket = listener in ('ws', 'wss', 'everything')
        self.received = b''
        if self.is_websocket:
            self.send_raw(upgrade())
            assert b' 101 ' in self.receive_head()

    def send_raw(self, data):
        self.socket.sendall(data)

    def send(self, data):
        self.send_raw(frame(data) if self.is_websocket else data)

    def receive_exactly(self, count):
        return RawConnection.receive(self, count)

    def receive_head(self):
        head = b''
        while not head.endswith(b'\r\n\r\n'):
            head += self.receive_exactly(1)
        return head

    def receive_frame(self):
        first, length = self.receive_exactly(2)
        if length >= 126:
            length = int.from_bytes(self.receive_exactly(2 if length == 126 else 8), 'big')
        return first, self.receive_exactly(length)

    def receive(self, count):
        if not self.is_websocket:
            return self.receive_exactly(count)
        while len(self.received) < count:
            first, payload = self.receive_frame()
            assert first == 0x82
            self.received += payload
        data, self.received = self.received[:count], self.received[count:]
        return data


def string(text):
    return struct.pack('!H', len(text)) + text.encode()


def packet(first, body):
    n, length = len(body), b''
    while True:
        n, digit = n >> 7, n & 0x7f
        length += bytes([digit | (0x80 if n else 0)])
        if not n:
            return bytes([first]) + length + body


def connect(client_id):
    return packet(0x10, string('MQTT') + b'\x04\x02\0\0' + string(client_id))


CONNACK = (0x20, b'\0\0')
PINGREQ, PINGRESP = b'\xc0\0', (0xd0, b'')


def subscribe(topic_filter, qos=0):
    return packet(0x82, b'\0\x01' + string(topic_filter) + bytes([qos]))


def mosquitto(program, *arguments, env=None):
    argv = [program, '-h', 'localhost', '-V', 'mqttv5', *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60 * lib.PATIENCE,
                          env={**os.environ, **(env or {})})


def round_trip(topic, *options, env=None):
    """mosquitto_pub leaves a retained message, mosquitto_sub fetches it."""
    payload = os.urandom(8).hex()
    sent = mosquitto('mosquitto_pub', *options, '-t', topic, '-m', payload, '-r', '-q', 1, env=env)
    assert sent.returncode == 0, sent.stderr
    got = mosquitto('mosquitto_sub', *options, '-t', topic, '-C', 1,
                    '-W', int(20 * lib.PATIENCE), env=env)
    assert got.stdout.strip() == payload, got.stderr


# --- TLS ----------------------------------------------------------------------------------------

@pytest.mark.parametrize('version', ['TLSv1.2', 'TLSv1.3'])
def test_mosquitto_speaks_tls(site, version):
    round_trip('open/tls', '-p', site.port['tls'], '--cafile', site.pki.path('ca.pem'),
               env=site.only(version))


def test_a_listener_of_1_3_refuses_1_2(site):
    options = ['-p', site.port['tls13'], '--cafile', site.pki.path('ca.pem')]
    round_trip('open/tls13', *options, env=site.only('TLSv1.3'))
    refused = mosquitto('mosquitto_pub', *options, '-t', 'open/a', '-n', env=site.only('TLSv1.2'))
    assert refused.returncode != 0
    site.process.wait_for_output('TLS handshake failed: unsupported protocol')


def certificate_options(site, pki, name):
    return ['-p', site.port['certificates'], '--cafile', site.pki.path('ca.pem'),
            '--cert', pki.path(f'{name}.pem'), '--key', pki.path(f'{name}.key')]


def test_a_client_certificate_is_the_user(site):
    options = certificate_options(site, site.pki, 'pump-7')
    round_trip('own/pump-7/a', *options)
    other = mosquitto('mosquitto_sub', *options, '-t', 'own/pump-8/#', '-C', 1, '-W', 3)
    assert 'denied' in other.stderr


@pytest.mark.parametrize('authority, name, words', [
    ('pki', 'gone', 'certificate revoked'),
    ('pki', 'old', 'certificate has expired'),
    ('others', 'stranger', 'unable to get local issuer certificate'),
])
def test_other_client_certificates_are_refused(site, authority, name, words):
    options = certificate_options(site, getattr(site, authority), name)
    refused = mosquitto('mosquitto_pub', *options, '-t', 'open/a', '-m', 'x', '-q', 1)
    assert refused.returncode != 0
    site.process.wait_for_output('client certificate refused: ' + words)


def test_no_client_certificate_is_refused_where_one_is_required(site):
    refused = mosquitto('mosquitto_pub', '-p', site.port['certificates'], '--cafile',
                        site.pki.path('ca.pem'), '-t', 'open/a', '-m', 'x', '-q', 1)
    assert refused.returncode != 0
    site.process.wait_for_output('peer did not return a certificate')


@pytest.mark.parametrize('asked, shown', [
    ('second.example', 'second'), ('SECOND.example', 'second'), ('a.third.example', 'third'),
    ('a.b.third.example', 'server'), ('third.example', 'server'), ('localhost', 'server')])
def test_the_server_name_chooses_the_certificate(site, asked, shown):
    context = site.client_tls()
    context.check_hostname = False
    with socket.create_connection((HOST, site.port['tls']), timeout=20) as tcp:
        with context.wrap_socket(tcp, server_hostname=asked) as tls:
            names = dict(part[0] for part in tls.getpeercert()['subject'])
            assert names['commonName'] == shown


def test_alpn_mqtt_is_accepted_and_another_ignored(site):
    for offered, chosen in [(['h2', 'mqtt'], 'mqtt'), (['h2'], None)]:
        context = site.client_tls()
        context.set_alpn_protocols(offered)
        with socket.create_connection((HOST, site.port['tls']), timeout=20) as tcp:
            with context.wrap_socket(tcp, server_hostname='localhost') as tls:
                assert tls.selected_alpn_protocol() == chosen


def test_a_session_is_resumed_by_its_ticket(site):
    context = site.client_tls()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # where Python can see the ticket at once
    session = None
    for attempt in range(2):
        with socket.create_connection((HOST, site.port['tls']), timeout=20) as tcp:
            with context.wrap_socket(tcp, server_hostname='localhost', session=session) as tls:
                assert tls.session_reused == (attempt == 1)
                tls.sendall(connect(f'ticket-{attempt}'))
                assert tls.recv(4) == b'\x20\x02\0\0'
                session = tls.session


@pytest.mark.parametrize('version', ['TLSv1.2', 'TLSv1.3'])
def test_a_pre_shared_key_names_the_user(site, version):
    env = site.only(version)
    options = ['-p', site.port['psk'], '--psk-identity', 'pump-8']
    round_trip('own/pump-8/a', *options, '--psk', KEY, env=env)
    for identity, key in [('pump-8', 'deadbeef' * 4), ('pump-9', KEY)]:
        refused = mosquitto('mosquitto_pub', '-p', site.port['psk'], '--psk-identity', identity,
                            '--psk', key, '-t', 'open/a', '-n', env=env)
        assert refused.returncode != 0


def test_what_is_not_tls_is_refused_without_noise(site):
    with RawConnection(site.port['tls']) as raw:
        raw.send(connect('plain'))
        raw.receive_all()
    site.process.wait_for_output('info  net: .*TLS handshake failed: wrong version')


def test_a_reader_that_is_slow_gets_everything_in_order(site):
    count, size = 150, 60_000
    with site.stream('tls') as slow, site.paho('plain', 'fast') as fast:
        slow.send(connect('slow'))
        assert slow.receive_packet() == CONNACK
        slow.send(subscribe('open/slow', 1))
        assert slow.receive_packet()[0] == 0x90
        for i in range(count):
            fast.publish('open/slow', struct.pack('!I', i) * (size // 4), qos=1)
        for i in range(count):
            first, body = slow.receive_packet()
            assert first & 0xf6 == 0x32
            at = 2 + len('open/slow')
            assert body[at + 2:] == struct.pack('!I', i) * (size // 4)
            slow.send(packet(0x40, body[at:at + 2]))


@pytest.mark.parametrize('listener', ['tls', 'wss'])
def test_connections_come_and_go_in_every_state(site, listener):
    for i in range(60):
        raw = RawConnection(site.port[listener])
        if i % 5 == 0:
            raw.send(b'\x16\x03\x01\x02\x00\x01\x00')  # a ClientHello begins
            raw.socket.close()
            continue
        raw.socket.close()
        stream = site.stream(listener)
        if i % 5 >= 2:
            stream.send(connect(f'churn-{i % 7}'))
        if i % 5 >= 3:
            assert stream.receive_packet() == CONNACK
            stream.send(subscribe('open/#'))
        if i % 5 == 4:
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        stream.socket.close()
    with site.paho(listener, 'after') as client:
        client.publish('open/after', b'x', qos=1)


# --- all transports -----------------------------------------------------------------------------

@pytest.mark.parametrize('listener', STREAMS)
def test_packets_may_be_split_at_every_byte(site, listener):
    name = f'split-{listener}'
    packets = connect(name) + subscribe(f'open/{name}') + packet(0x30, string(f'open/{name}') + b'!')
    with site.stream(listener) as stream:
        for i in range(len(packets)):
            stream.send(packets[i:i + 1])
        assert stream.receive_packet() == CONNACK
        assert stream.receive_packet()[0] == 0x90
        assert stream.receive_packet() == (0x30, string(f'open/{name}') + b'!')
    with site.stream(listener) as stream:  # and all at once
        stream.send(packets + PINGREQ)
        answers = [stream.receive_packet() for _ in range(4)]
        assert answers[0] == CONNACK and PINGRESP in answers


@pytest.mark.parametrize('listener', ['ws', 'wss', 'everything'])
def test_frames_may_be_split_at_every_byte(site, listener):
    packets = connect(f'frames-{listener}') + PINGREQ
    frames = frame(packets[:3], 0x02) + frame(b'', 0) + frame(b'?', 0x89) + frame(packets[3:], 0x80)
    with site.stream(listener) as stream:
        for i in range(len(frames)):
            stream.send_raw(frames[i:i + 1])
        assert stream.receive_frame() == (0x8a, b'?')
        assert stream.receive_packet() == CONNACK
        assert stream.receive_packet() == PINGRESP


@pytest.mark.parametrize('listener', ['plain', 'tls', 'tls13', 'ws', 'wss'])
def test_a_payload_of_megabytes_passes_both_ways(site, listener):
    payload = os.urandom(3_000_000)
    topic = f'open/large/{listener}'
    with site.paho(listener, f'large-{listener}', limit_s=60) as client:
        client.subscribe(topic, 1)
        client.publish(topic, payload, qos=1)
        got = client.next_message(60).payload
        assert hashlib.sha256(got).digest() == hashlib.sha256(payload).digest()
        for i in range(300):  # and many small ones
            client.paho.publish(topic, str(i), qos=1)
        assert [int(client.next_message(60).payload) for _ in range(300)] == list(range(300))


@pytest.mark.parametrize('listener', ['tls', 'ws', 'wss', 'everything'])
def test_an_unfinished_handshake_is_cut_in_time(site, listener):
    with RawConnection(site.port[listener], limit_s=60) as raw:
        if listener == 'ws':
            raw.send(b'GET /mqtt HTTP/1.1\r\n')
        begin = time.monotonic()
        raw.receive_all()
        assert time.monotonic() - begin > 1.5
    waits_for = {'ws': 'WebSocket request', 'everything': 'PROXY header'}
    site.process.wait_for_output(f"no {waits_for.get(listener, 'TLS handshake')} in time")


def test_a_listener_has_no_more_connections_than_it_may(site):
    def is_let_in(stream, name):
        stream.send(connect(name))
        return stream.receive_packet() == CONNACK

    with site.stream('few') as first, site.stream('few') as second:
        assert is_let_in(first, 'few-1') and is_let_in(second, 'few-2')
        with site.stream('few') as third:
            assert third.receive_all() == b''
        second.socket.close()

        def another():
            with site.stream('few') as again:
                try:
                    return is_let_in(again, 'few-3')
                except OSError:
                    return False
        lib.wait_until(another, 'the place of one who has left')


# --- WebSocket ----------------------------------------------------------------------------------

@pytest.mark.parametrize('path', ['/', '/mqtt', '/a/b?c=d'])
def test_any_path_is_served_where_none_is_named(site, path):
    with RawConnection(site.port['ws']) as raw:
        raw.send(upgrade(path))
        assert raw.receive(12) == b'HTTP/1.1 101'


@pytest.mark.parametrize('request_, status', [
    (upgrade(protocol='chat'), 400), (upgrade(version='8'), 426),
    (upgrade(method='POST'), 405), (b'GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n', 426),
    (b'GET /mqtt HTTP/1.1\r\n\r\n', 400), (connect('no-http'), 400),
    (b'GET /mqtt HTTP/1.1\r\nHost: x\r\nCookie: ' + b'c' * 9000, 431)])
def test_other_requests_are_answered_and_the_connection_closed(site, request_, status):
    with RawConnection(site.port['ws']) as raw:
        raw.send(request_)
        answer = raw.receive_all()
    assert answer.startswith(f'HTTP/1.1 {status} '.encode())
    head, body = answer.split(b'\r\n\r\n', 1)
    assert f'Content-Length: {len(body)}'.encode() in head


@pytest.mark.parametrize('listener', ['ws', 'wss'])
@pytest.mark.parametrize('wrong, code', [
    (frame(b'text', 0x81), 1003), (frame(b'bare', masked=False), 1002), (frame(b'x', 0x80), 1002),
    (frame(b'x', 0xc2), 1002), (frame(b'x', 0x83), 1002), (frame(b'x', 0x88), 1002)])
def test_violations_are_answered_with_a_close_code(site, listener, wrong, code):
    with site.stream(listener) as stream:
        stream.send(connect(f'wrong-{listener}'))
        assert stream.receive_packet() == CONNACK
        stream.send_raw(wrong)
        assert stream.receive_frame() == (0x88, struct.pack('!H', code))
        assert stream.receive_all() == b''


@pytest.mark.parametrize('listener', ['ws', 'wss'])
def test_a_close_is_answered_and_publishes_the_will(site, listener):
    with site.paho('plain', 'heir') as heir, site.stream(listener) as stream:
        heir.subscribe('open/will', 1)
        body = string('MQTT') + b'\x04\x06\0\0' + string('testator') + string('open/will')
        stream.send(packet(0x10, body + string('gone')))
        assert stream.receive_packet() == CONNACK
        stream.send_raw(frame(struct.pack('!H', 1001), 0x88))
        assert stream.receive_frame() == (0x88, struct.pack('!H', 1001))
        assert stream.receive_all() == b''
        assert heir.next_message().payload == b'gone'


def test_a_disconnect_ends_with_a_close_frame(site):
    with site.stream('ws') as stream:
        stream.send(connect('polite'))
        assert stream.receive_packet() == CONNACK
        stream.send(b'\xe0\0')
        assert stream.receive_frame() == (0x88, struct.pack('!H', 1000))


# --- PROXY --------------------------------------------------------------------------------------

def test_the_address_that_a_proxy_tells_is_the_peer(site):
    with RawConnection(site.port['proxy']) as raw:
        raw.send(proxy_header('203.0.113.9', 1234) + connect('behind'))
        assert raw.receive_packet() == CONNACK
    site.process.wait_for_output('203.0.113.9:1234')


@pytest.mark.parametrize('listener, verdict, granted', [
    ('proxy', 0, 0), ('proxy', 1, 0x80), ('distrust', 0, 0x80)])
def test_a_certificate_that_the_proxy_has_verified_is_the_user(site, listener, verdict, granted):
    tls = proxy_option(0x20, b'\x03' + struct.pack('!I', verdict) + proxy_option(0x22, b'pump-5'))
    with RawConnection(site.port[listener]) as raw:
        raw.send(proxy_header(options=tls) + connect('proxied') + subscribe('own/pump-5/#'))
        assert raw.receive_packet() == CONNACK
        assert raw.receive_packet() == (0x90, bytes([0, 1, granted]))


def test_a_local_command_keeps_the_address_of_the_proxy(site):
    with RawConnection(site.port['proxy']) as raw:
        raw.send(proxy_header(command=0x20) + connect('checker'))
        assert raw.receive_packet() == CONNACK
    site.process.wait_for_output('checker.*127.0.0.1')


@pytest.mark.parametrize('begin, words', [
    (b'PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n', 'unsupported version'),
    (b'', 'protocol violation'), (proxy_header(command=0x2f), 'malformed input')])
def test_without_a_header_of_version_2_nobody_comes_in(site, begin, words):
    with RawConnection(site.port['proxy']) as raw:
        raw.send(begin + connect('sneaky'))
        assert raw.receive_all() == b''
    site.process.wait_for_output('PROXY header refused: ' + words)


# --- Unix sockets -------------------------------------------------------------------------------

def test_a_unix_socket_has_its_mode_and_tells_who_comes(site):
    assert (site.folder / 'socket').stat().st_mode & 0o777 == 0o600
    with site.stream('local') as stream:
        stream.send(connect('neighbour'))
        assert stream.receive_packet() == CONNACK
    site.process.wait_for_output(f'neighbour.*unix:uid={os.getuid()}')


def test_a_socket_file_is_replaced_only_when_nobody_listens(tmp_path, processes):
    config, path = tmp_path / 'broker.yaml', tmp_path / 'socket'
    config.write_text('anonymous: yes\nlisteners:\n  - {unix: socket}\n')

    def answers():
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(path))
            client.sendall(connect('x'))
            return client.recv(4) == b'\x20\x02\0\0'

    first = processes.sealmq('broker', '--config', config)
    lib.wait_until(path.exists, 'the socket')
    lib.wait_until(answers, 'an answer')
    second = lib.run_sealmq('broker', '--config', config)
    assert second.returncode != 0 and 'in use' in second.stderr
    assert answers()
    first.signal(signal.SIGKILL)
    lib.wait_until(lambda: first.returncode is not None, 'the end')
    assert path.exists()
    third = processes.sealmq('broker', '--config', config)
    third.wait_for_output('listening')
    assert answers()
    third.stop()
    assert not path.exists()
    path.write_text('precious')
    fourth = lib.run_sealmq('broker', '--config', config)
    assert fourth.returncode != 0 and 'no socket' in fourth.stderr
    assert path.read_text() == 'precious'
