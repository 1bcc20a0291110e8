"""`sealmq broker --config`: settings from a file, access rules, reload."""
import hashlib
import signal
import socket
import ssl
import subprocess
import threading

import pytest

import sealmq_testlib as lib
from sealmq_testlib import MqttClient, MqttError

BAD_USER_NAME_OR_PASSWORD = 0x86
NOT_AUTHORIZED = 0x87
PACKET_TOO_LARGE = 0x95
CONFIG = 78


def write(path, text):
    path.write_text(text)
    return path


def password_file(path, **users):
    for user, password in users.items():
        assert lib.run_sealmq('passwd', path, user, '-b', password).returncode == 0
    return path


class Server:
    """A broker with a configuration file in tmp_path, whose first listener is `port`."""

    def __init__(self, processes, folder, text, **more):
        self.folder, self.port = folder, lib.free_port()
        self.path = folder / 'broker.yaml'
        self.write(text, **more)
        self.process = processes.sealmq('broker', '-c', self.path, port=self.port)

    def write(self, text, listener=''):
        self.path.write_text(f'listeners:\n  - address: 127.0.0.1\n    port: {self.port}\n'
                             f'{listener}{text}')

    def reload(self, expect='broker: reloaded'):
        before = len(self.process.stderr)
        self.process.signal(signal.SIGHUP)
        lib.wait_until(lambda: expect in self.process.stderr[before:],
                       lambda: f'{expect!r}:\n{self.process.output_tail()}')


def refusal(port, *arguments, **options):
    with pytest.raises(MqttError) as refused:
        MqttClient(port, *arguments, **options)
    return refused.value.code


def test_a_file_is_served_with_its_limits_rules_and_listeners(processes, tmp_path):
    second = lib.free_port()
    password_file(tmp_path / 'passwords', ann='secret')
    write(tmp_path / 'acl', 'user ann\ntopic read here/#\n')
    server = Server(processes, tmp_path,
                    f'  - name: open\n    address: 127.0.0.1\n    port: {second}\n'
                    '    anonymous: yes\n'
                    'passwords: passwords\nacl: acl\nworkers: 2\n'
                    'limits:\n  packet_bytes: 5000\n  topic_bytes: 20\n')
    assert refusal(server.port, 'c', v5=True) == NOT_AUTHORIZED
    MqttClient(second, 'c').close()
    with MqttClient(server.port, 'c', 'ann', 'secret', v5=True) as ann:
        assert ann.connack_properties.MaximumPacketSize == 5000
        assert ann.subscribe('here/x', 0) == 0
        with pytest.raises(MqttError):
            ann.subscribe('there/x', 0)


def test_a_configuration_is_tested_without_serving(tmp_path):
    password_file(tmp_path / 'passwords', ann='secret')
    path = write(tmp_path / 'b.yaml', 'passwords: passwords\nacl: acl\n')
    result = lib.run_sealmq('broker', '--config', path, '--test-config')
    assert result.returncode == CONFIG and f'{tmp_path}/acl' in result.stderr
    write(tmp_path / 'acl', 'user ann\n\ntopic raed x\n')
    result = lib.run_sealmq('broker', '--config', path, '--test-config')
    assert result.returncode == CONFIG and f'{tmp_path}/acl:3: ' in result.stderr
    write(tmp_path / 'acl', 'user ann\n\ntopic read x\n')
    result = lib.run_sealmq('broker', '--config', path, '--test-config')
    assert (result.returncode, result.stdout) == (0, f'{path}: OK\n')
    write(tmp_path / 'passwords', 'ann:plain\n')
    result = lib.run_sealmq('broker', '--config', path, '--test-config')
    assert result.returncode == CONFIG and f'{tmp_path}/passwords:1: ' in result.stderr


@pytest.mark.parametrize('text, line, words', [
    ('listeners:\n  - {address: 0.0.0.0, port: 1}\n', 2, 'nobody could log in on listeners[0]'),
    ('workers: 1\nbananas: 2\n', 2, 'bananas'),
    ('limits:\n  inflight: 0\n', 2, 'it must be 1 to 65535'),
    ('tokens:\n  keys: k\n  audience: here\n', 3, 'plant:broker/a'),
    ('listeners:\n  - address: ::1\n    port: 1\n    tls: {key: k}\n', 4, 'cert'),
])
def test_wrong_files_are_refused_with_line_and_mend(tmp_path, text, line, words):
    path = write(tmp_path / 'b.yaml', text)
    result = lib.run_sealmq('broker', '-c', path, '--test-config')
    assert result.returncode == CONFIG
    assert f'{path}:{line}: ' in result.stderr and words in result.stderr
    result = lib.run_sealmq('broker', '-c', path)
    assert result.returncode == CONFIG and f'{path}:{line}: ' in result.stderr


def test_certificates_that_are_not_there_are_named(tmp_path):
    path = write(tmp_path / 'b.yaml', 'listeners:\n  - address: 127.0.0.1\n    port: 8883\n'
                                      '    tls: {cert: none.pem, key: none.key}\n')
    result = lib.run_sealmq('broker', '-c', path, '--test-config')
    assert result.returncode == CONFIG and 'listeners[0]: ' in result.stderr


def test_what_is_printed_is_a_configuration_with_the_same_meaning(tmp_path):
    path = write(tmp_path / 'b.yaml', 'limits: {inflight: 7}\nworkers: 3\n')
    printed = lib.run_sealmq('broker', '-c', path, '--print-config').stdout
    assert '  inflight: 7 ' in printed and 'workers: 3' in printed and 'port: 1883' in printed
    again = write(tmp_path / 'again.yaml', printed)
    assert lib.run_sealmq('broker', '-c', again, '--print-config').stdout == printed


def test_options_of_the_simple_case_do_not_go_with_a_file(tmp_path):
    path = write(tmp_path / 'b.yaml', 'workers: 1\n')
    result = lib.run_sealmq('broker', '-c', path, '-p', '1')
    assert result.returncode == 2 and '--port cannot be given besides --config' in result.stderr


def test_options_open_tls_and_websocket_listeners(processes, tmp_path):
    make_ca(tmp_path)
    make_certificate(tmp_path, 'server', 'localhost')
    websocket = lib.free_port()
    _process, port = processes.broker('--tls-cert', tmp_path / 'server.pem', '--tls-key',
                                      tmp_path / 'server.key', '--websocket', websocket)
    assert publish_by_tls(tmp_path, port).returncode == 0
    context = ssl.create_default_context(cafile=tmp_path / 'ca.pem')
    with socket.create_connection((lib.HOST, websocket)) as plain, \
            context.wrap_socket(plain, server_hostname='localhost') as secure:
        secure.sendall(b'GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n'
                       b'Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
                       b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n')
        assert secure.recv(1000).startswith(b'HTTP/1.1 101 ')
    result = lib.run_sealmq('broker', '--tls-cert', 'x')
    assert result.returncode == 2 and '--tls-cert needs --tls-key' in result.stderr


def test_a_pre_shared_key_and_a_unix_socket_show_who_it_is(processes, tmp_path):
    write(tmp_path / 'psk', 'pump:00112233445566778899aabbccddeeff\n')
    write(tmp_path / 'acl', 'user pump\ntopic write a/#\n')
    server = Server(processes, tmp_path, '  - {unix: mqtt.sock}\nacl: acl\n',
                    listener='    tls: {psk_file: psk}\n    log_in: [psk]\n')

    def publish(key):
        return subprocess.run(['mosquitto_pub', '-h', '127.0.0.1', '-p', str(server.port), '-V', '5',
                               '--psk-identity', 'pump', '--psk', key, '--tls-version', 'tlsv1.2',
                               '-q', '1', '-t', 'a/x', '-m', 'x'],
                              capture_output=True, text=True, timeout=20 * lib.PATIENCE)
    done = publish('00112233445566778899aabbccddeeff')
    assert done.returncode == 0 and 'uthorized' not in done.stderr, done.stderr
    assert publish('00112233445566778899aabbccddee00').returncode != 0
    with socket.socket(socket.AF_UNIX) as local:
        local.connect(str(tmp_path / 'mqtt.sock'))
        local.sendall(b'\x10\x0d\0\4MQTT\4\2\0\0\0\1c')
        assert local.recv(4) == b'\x20\x02\0\0'  # anonymous: it is this machine


# --- reload ---------------------------------------------------------------------------------------

def test_sighup_changes_rules_and_limits_for_clients_that_stay(processes, tmp_path):
    write(tmp_path / 'acl', 'topic readwrite a/#\n')
    server = Server(processes, tmp_path, 'anonymous: yes\nacl: acl\n')
    with MqttClient(server.port, 'c', v5=True) as client:
        client.subscribe('a/#', 1)
        client.publish('a/x', b'1', qos=1)
        assert client.next_message().payload == b'1'
        write(tmp_path / 'acl', 'topic readwrite b/#\n')
        server.write('anonymous: yes\nacl: acl\nlimits: {topic_bytes: 4}\n')
        server.reload()
        client.publish('a/x', b'2', qos=1)
        client.subscribe('b/#', 1)
        client.publish('b/x', b'3', qos=1)
        assert client.next_message().payload == b'3'
        with pytest.raises(MqttError):
            client.subscribe('b/toolong', 1)


@pytest.mark.parametrize('text, why', [
    ('anonymous: yes\nacl: nowhere\n', 'nowhere'),
    ('anonymous: yes\nworkers: 1\nacl: acl2\n', 'workers has changed, which takes a restart'),
    ('  - {address: 127.0.0.1, port: 1, anonymous: yes}\nacl: acl2\n', 'listeners were added'),
    ('anonymous: yes\nacl: acl2\nlimits: {packet_bytes: 3000}\n', 'limits.packet_bytes has changed'),
    ('anonymous: yes\nacl: acl2\nlimits: {inflight: 0}\n', 'limits.inflight is 0'),
    ('anonymous: yes\nacl: acl2\npasswords: bad\n', 'bad:1: '),
])
def test_a_wrong_reload_changes_nothing_and_says_why(processes, tmp_path, text, why):
    write(tmp_path / 'acl', 'topic readwrite a/#\n')
    write(tmp_path / 'acl2', 'topic readwrite b/#\n')
    write(tmp_path / 'bad', 'no hash\n')
    server = Server(processes, tmp_path, 'anonymous: yes\nworkers: 2\nacl: acl\n')
    server.write(text if 'workers' in text else text + 'workers: 2\n')
    server.reload('broker: not reloaded, everything stays as it was: ')
    assert why in server.process.stderr.splitlines()[-1]
    with MqttClient(server.port, 'c', v5=True) as client:
        client.subscribe('a/x')
        with pytest.raises(MqttError):
            client.subscribe('b/x')


def test_reloads_under_load_lose_no_client_and_no_message(processes, tmp_path):
    write(tmp_path / 'acl', 'topic readwrite a/#\n')
    server = Server(processes, tmp_path, 'anonymous: yes\nworkers: 2\nacl: acl\n')
    count = 600
    with MqttClient(server.port, 'reader', v5=True) as reader, \
            MqttClient(server.port, 'writer', v5=True) as writer:
        reader.subscribe('a/#', 1)

        def write_all():
            for i in range(count):
                writer.publish('a/x', b'%d' % i, qos=1)
        thread = threading.Thread(target=write_all)
        thread.start()
        reloads = 0
        while thread.is_alive() and reloads < 100:
            server.reload()
            reloads += 1
        thread.join()
        assert reloads > 1
        assert [int(reader.next_message().payload) for _ in range(count)] == list(range(count))
        assert not reader.was_disconnected and not writer.was_disconnected


# --- log-in ---------------------------------------------------------------------------------------

def token(key, audience='plant', node='broker/a'):
    return lib.run_sealmq('token', '-k', key, '--network', audience, '--node', node).stdout.strip()


def test_a_token_of_a_listed_key_lets_in_once_under_its_own_name(processes, tmp_path):
    for name in 'ann', 'eve':
        result = lib.run_sealmq('keygen', '-o', tmp_path / f'{name}.key', f'plant/{name}')
        assert result.returncode == 0, result.stderr
    public = (tmp_path / 'ann.key.pub').read_text().split('key: ')[1].strip()
    write(tmp_path / 'operators', f'# who may\nplant/ann {public}\n')
    write(tmp_path / 'acl', 'user plant/ann\ntopic read hers\n')
    server = Server(processes, tmp_path,
                    'acl: acl\ntokens:\n  keys: operators\n  audience: plant:broker/a\n')
    ann = tmp_path / 'ann.key'
    used = token(ann)
    with MqttClient(server.port, 'any id', 'plant/ann', used, v5=True) as client:
        client.subscribe('hers')
        with pytest.raises(MqttError):
            client.subscribe('his')
    for user, password in (('plant/ann', used), ('plant/bob', token(ann)),
                           ('plant/ann', token(ann, 'other')), ('plant/ann', 'a.b.c'),
                           ('plant/ann', token(ann, node='broker/b')),
                           ('plant/eve', token(tmp_path / 'eve.key'))):
        assert refusal(server.port, 'c', user, password, v5=True) == BAD_USER_NAME_OR_PASSWORD
    assert refusal(server.port, 'c', v5=True) == NOT_AUTHORIZED


# --- certificates ---------------------------------------------------------------------------------

def openssl(*words, cwd):
    subprocess.run(['openssl', *words], cwd=cwd, check=True, capture_output=True)


def make_ca(folder):
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
            '-subj', '/CN=test ca', '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', cwd=folder)


def make_certificate(folder, name, common_name):
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj',
            f'/CN={common_name}', '-keyout', f'{name}.key', '-out', f'{name}.csr', cwd=folder)
    (folder / 'extensions').write_text('subjectAltName=DNS:localhost,IP:127.0.0.1\n')
    openssl('x509', '-req', '-in', f'{name}.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-days', '2',
            '-CAcreateserial', '-extfile', 'extensions', '-out', f'{name}.pem', cwd=folder)


TLS = """    tls:
      cert: server.pem
      key: server.key
      ca: ca.pem
      identity: common_name
"""


def publish_by_tls(folder, port, *more):
    """mosquitto_pub's result for a QoS 1 message on a/x."""
    return subprocess.run(['mosquitto_pub', '-h', '127.0.0.1', '-p', str(port), '-V', '5', '--cafile',
                           folder / 'ca.pem', '-q', '1', '-t', 'a/x', '-m', 'x', *more],
                          capture_output=True, text=True, timeout=20 * lib.PATIENCE)


def serial_of_server(port):
    with socket.create_connection((lib.HOST, port)) as plain:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain) as secure:
            return hashlib.sha256(secure.getpeercert(binary_form=True)).hexdigest()


def test_the_name_of_a_certificate_is_the_user(processes, tmp_path):
    make_ca(tmp_path)
    for name, common_name in ('server', 'localhost'), ('ann', 'ann'), ('eve', 'eve'):
        make_certificate(tmp_path, name, common_name)
    write(tmp_path / 'acl', 'user ann\ntopic write a/#\n')
    server = Server(processes, tmp_path, 'acl: acl\n', listener=TLS)
    ann = '--cert', tmp_path / 'ann.pem', '--key', tmp_path / 'ann.key'
    eve = '--cert', tmp_path / 'eve.pem', '--key', tmp_path / 'eve.key'
    done = publish_by_tls(tmp_path, server.port, *ann)
    assert done.returncode == 0 and 'Not authorized' not in done.stderr, done.stderr
    done = publish_by_tls(tmp_path, server.port, *ann, '-u', 'ann')
    assert done.returncode == 0 and 'Not authorized' not in done.stderr, done.stderr
    assert publish_by_tls(tmp_path, server.port, *ann, '-u', 'eve', '-P', 'x').returncode != 0
    assert 'uthorized' in publish_by_tls(tmp_path, server.port, *eve).stderr
    assert publish_by_tls(tmp_path, server.port).returncode != 0  # without a certificate


def test_sighup_renews_a_certificate_and_keeps_clients(processes, tmp_path):
    make_ca(tmp_path)
    make_certificate(tmp_path, 'server', 'localhost')
    plain = lib.free_port()
    text = f'  - {{address: 127.0.0.1, port: {plain}}}\nanonymous: yes\n'
    server = Server(processes, tmp_path, text, listener=TLS)
    before = serial_of_server(server.port)
    with MqttClient(plain, 'stays') as stays:
        make_certificate(tmp_path, 'server', 'localhost')
        server.reload()
        after = serial_of_server(server.port)
        assert after != before
        (tmp_path / 'server.key').write_text('no key')
        server.reload('not reloaded')
        assert serial_of_server(server.port) == after
        stays.publish('a', b'', qos=1)


# --- beside Mosquitto -----------------------------------------------------------------------------

ACL = """\
# before any user: for clients without a name
topic read open/#
topic write drop/box
topic deny open/secret
user ann
topic plant/#
topic deny plant/secret/#
topic read my room/+/light
topic write only/write
topic readwrite both/ways
user bob
topic read plant/+/state
topic read #
topic deny both/ways
pattern readwrite own/%u/#
pattern read id/%c
pattern write id/%c/out
pattern deny own/%u/locked
"""
TOPICS = ('open/x', 'open/secret', 'drop/box', 'plant', 'plant/a', 'plant/a/state', 'plant/secret',
          'plant/secret/x', 'my room/1/light', 'only/write', 'both/ways', 'own/ann/x',
          'own/bob/x', 'own/ann/locked', 'own/x', 'own/p/x', 'id/one', 'id/two',
          'id/one/out', 'id/two/out', 'else')
CLIENTS = (('one', 'ann'), ('two', 'bob'), ('three', None), ('a+', 'ann'), ('four', 'cid'))


def table(port):
    """{(client id, user, read or write, topic)} of what the server lets through."""
    allowed = set()
    with MqttClient(port, 'root', 'root', 'pw', v5=True) as root:
        root.subscribe('#', 1)
        for client_id, user in CLIENTS:
            with MqttClient(port, client_id, user, 'pw' if user else None, v5=True) as client:
                try:
                    client.subscribe('#', 1)
                except MqttError:
                    pass  # nothing may be read: then nothing comes either
                for topic in TOPICS:
                    client.paho.publish(topic, b'w', qos=1)
                client.paho.publish('mark/' + client_id.strip('+'), b'', qos=1)
                for topic in TOPICS:
                    root.publish(topic, b'r', qos=1)
                root.publish('end', b'end', qos=1)
                allowed |= {(client_id, user, 'write', m.topic)
                            for m in drain(root, b'end') if m.payload == b'w'}
                allowed |= {(client_id, user, 'read', m.topic)
                            for m in drain(client) if m.payload == b'r'}
    return allowed


def drain(client, last=None):
    """All that comes until the payload `last`, or until nothing comes for a while."""
    found = []
    while True:
        try:
            message = client.next_message(10 if last else 0.4)
        except TimeoutError:
            assert last is None, f'{last} did not come'
            return found
        if message.payload == last:
            return found
        found.append(message)


def test_access_rules_mean_what_they_mean_to_mosquitto(processes, tmp_path):
    acl = write(tmp_path / 'acl', ACL + 'user root\ntopic #\n')
    users = {name: 'pw' for name in ('ann', 'bob', 'cid', 'root')}
    passwords = password_file(tmp_path / 'passwords', **users)
    theirs = tmp_path / 'theirs'
    for name in users:
        subprocess.run(['mosquitto_passwd', '-b', *(() if theirs.exists() else ('-c',)), theirs,
                        name, 'pw'], check=True, capture_output=True)
    port = lib.free_port()
    config = write(tmp_path / 'mosquitto.conf',
                   f'user root\nlistener {port} 127.0.0.1\nallow_anonymous true\n'
                   f'password_file {theirs}\nacl_file {acl}\n')
    processes.start(['/usr/sbin/mosquitto', '-c', config], name='mosquitto', port=port)
    server = Server(processes, tmp_path,
                    f'anonymous: yes\npasswords: {passwords.name}\nacl: acl\n')
    ours, mosquitto = table(server.port), table(port)
    # Mosquitto leaves a client id with a wildcard out of every pattern, ours out of those with %c.
    assert ours - mosquitto == {('a+', 'ann', access, 'own/ann/x') for access in ('read', 'write')}
    assert mosquitto - ours == set()
    assert ('one', 'ann', 'write', 'plant/a') in ours and len(ours) > 30
