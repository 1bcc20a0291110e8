"""The gateway program: its sources, its way to the nodes, and what it survives. Every reading that was
acknowledged to a device is in a history, once; the nodes are those of sealmq_network."""
import json
import os
import resource
import signal
import time

import pytest

import sealmq_testlib as lib
from sealmq_testlib import MqttClient, MqttError, RawConnection

FINGERPRINT = r'fingerprint (SHA256:\S+);'
READINGS = 'SELECT device, service, item, CAST(value AS TEXT), unit, datatype FROM readings ' \
    'WHERE gateway = ?'
_numbers = iter(range(1, 1000))

QUOTA_EXCEEDED, BAD_PAYLOAD, OTHER_ERROR = 0x97, 0x99, 0x83


class Gateway:
    """`sealmq gateway` with a listener for devices, at a network."""

    def __init__(self, network, processes, folder, sources='', **settings):
        self.network, self.processes = network, processes
        self.id = f'plant-g/gw{next(_numbers)}'
        self.folder = folder / self.id.replace('/', '-')
        self.folder.mkdir()
        self.port = lib.free_port()
        self.settings = {'report_interval': 100, 'anchor_interval': 1000, 'status': 'status.json',
                         **settings}
        self.sources = sources or (f'  - type: mqtt\n    port: {self.port}\n    anonymous: true\n')
        self.process = None
        result = lib.run_sealmq('keygen', '-o', self.folder / 'gateway.key', self.id)
        assert result.returncode == 0, result.stderr
        self.write_config()

    @property
    def config(self):
        return self.folder / 'gateway.yaml'

    def write_config(self, more=''):
        network = self.network.folder
        lines = [f'id: {self.id}', 'key: gateway.key', f'genesis: {network}/genesis.json',
                 f'policy: {network}/policy', 'data: data',
                 *(f'{name}: {value}' for name, value in self.settings.items())]
        self.config.write_text('\n'.join(lines) + f'\nsources:\n{self.sources}{more}')

    def start(self, listens=True):
        number = 1 + sum(1 for _ in self.processes.folder.glob('gateway-*.err'))
        self.process = self.processes.sealmq('gateway', '-c', self.config, '-v',
                                             name=f'gateway-{number}',
                                             port=self.port if listens else None)
        return self.process

    def approve(self):
        fingerprint = self.process.wait_for_output(FINGERPRINT)[1]
        lib.wait_until(lambda: self.id in self.network.devices(), 'the announcement')
        result = self.network.sealmq('device', 'approve', self.id, '--fingerprint', fingerprint)
        assert result.returncode == 0, result.stderr

    def ready(self):
        """Started, approved, and with a session key."""
        self.start()
        self.approve()
        self.process.wait_for_output('session key agreed')
        return self

    def status(self):
        try:
            return json.loads((self.folder / 'status.json').read_text())
        except FileNotFoundError:
            return {}

    def wait_for_status(self, condition, what, limit_s=20.0):
        lib.wait_until(lambda: condition(self.status()),
                       lambda: f'{what}, but the status is {self.status()}', limit_s, 0.1)
        return self.status()

    def device(self, **options):
        return MqttClient(self.port, **options)

    def rows(self, letters=None):
        """Its readings in the histories of these nodes (all)."""
        return [row for letter in letters or self.network.letters
                for row in self.network.rows(letter, READINGS, self.id)]

    def wait_for_rows(self, expected, letters=None, limit_s=20.0):
        lib.wait_until(lambda: set(expected) <= set(self.rows(letters)),
                       lambda: f'{set(expected) - set(self.rows(letters))}', limit_s, 0.1)


@pytest.fixture
def gateway(network, processes, tmp_path):
    return Gateway(network, processes, tmp_path).ready()


@pytest.fixture
def make(network, processes, tmp_path):
    return lambda **options: Gateway(network, processes, tmp_path, **options)


def puback(port, topic, payload, v5=True):
    """Publishes once at QoS 1; the reason code of PUBACK (None: disconnected without one)."""
    def utf8(text):
        return len(text).to_bytes(2, 'big') + text

    def packet(kind, body):
        size, n = b'', len(body)
        while True:
            size += bytes([n % 128 | (0x80 if n > 127 else 0)])
            n //= 128
            if n == 0:
                return bytes([kind]) + size + body
    with RawConnection(port) as connection:
        properties = b'\0' if v5 else b''
        connection.send(packet(0x10, utf8(b'MQTT') + bytes([5 if v5 else 4, 2, 0, 60]) +
                               properties + utf8(b'raw')))
        assert connection.receive_packet()[0] == 0x20
        connection.send(packet(0x32, utf8(topic.encode()) + b'\0\1' + properties + payload))
        try:
            answer = connection.receive_packet()
        except ConnectionError:
            return None
        if answer is None or answer[0] != 0x40:
            return None
        return answer[1][2] if len(answer[1]) > 2 else 0


# ---- the whole way ----

def test_readings_of_devices_reach_history_subscribers_and_chain(network, gateway):
    with gateway.device(v5=True) as device:
        device.publish('D1/temperature', '21.5', qos=1)
        device.publish('D1', '{"ok":true,"mode":"auto","pressure":3}', qos=1)
        device.publish('D2/motor', '{"rpm":1450}', qos=0)
    gateway.wait_for_rows([('D1', 'data', 'temperature', '21.5', '', 'double'),
                           ('D1', 'data', 'ok', 'true', '', 'bool'),
                           ('D1', 'data', 'mode', 'auto', '', 'string'),
                           ('D1', 'data', 'pressure', '3', '', 'double'),
                           ('D2', 'motor', 'rpm', '1450', '', 'double')])
    status = gateway.wait_for_status(lambda s: s.get('records', 0) >= 5 and s['receipts'] >= 3,
                                     'records and receipts')
    assert status['state'] == 'ready' and status['outbox'] == 0
    assert status['acknowledged'] == status['reports']
    assert gateway.process.wait_for_output(r'receipt for request \d+ \(data\) at block \d+')


def test_a_report_of_a_device_keeps_its_names_units_and_times(network, gateway):
    report = {'devices': [{'deviceId': 'D3343134IE3B', 'services': [
        {'code': 200, 'count': 1, 'msg': '', 'topic': '', 'serviceId': 'CS', 'data': [
            {'name': 'device_temperature', 'datatype': 'double', 'val': '36', 'unit': '°C',
             'comment': 'temperature'}], 'eventtime': '20200706T144831Z'}]}]}
    with gateway.device() as device:
        device.publish('any/topic/at/all', json.dumps(report), qos=1)
    gateway.wait_for_rows([('D3343134IE3B', 'CS', 'device_temperature', '36', '°C', 'double')])


def test_this_machine_is_a_device(make):
    gateway = make(sources='  - type: system\n    interval: 200\n    device: box\n')
    gateway.start(listens=False)
    gateway.approve()
    gateway.wait_for_status(lambda s: s.get('acknowledged', 0) > 2, 'reports of the machine')
    rows = gateway.rows()
    assert {('box', 'load', 'load_1'), ('box', 'memory', 'total'), ('box', 'uptime', 'uptime')} <= \
        {row[:3] for row in rows}
    total = next(row for row in rows if row[2] == 'total')
    with open('/proc/meminfo') as file:
        assert int(total[3]) == int(file.readline().split()[1]) * 1024
    assert total[4:] == ('bytes', 'int')


# ---- bad input ----

@pytest.mark.parametrize('topic, payload', [
    ('D1/t', b''), ('D1/t', b'[1]'), ('D1', b'{"t":'), ('D1', b'{"t":{}}'), ('D1', b'21'),
    ('D 1/t', b'1'), ('a/b/c/d', b'1'), ('D1/t', b'\xff\xfe'), ('D1', b'{"devices":[{}]}')])
def test_what_is_no_reading_is_refused_with_a_reason(network, gateway, topic, payload):
    assert puback(gateway.port, topic, payload) == BAD_PAYLOAD
    gateway.process.wait_for_output(rf'refused from raw on {topic}: ')
    assert puback(gateway.port, topic, payload, v5=False) == 0  # 3.1.1 knows no other answer
    assert puback(gateway.port, 'D1/good', b'1') == 0
    gateway.wait_for_rows([('D1', 'data', 'good', '1', '', 'double')])
    status = gateway.wait_for_status(lambda s: s['sources'][0]['refused'] == 2, '2 refused')
    assert status['sources'][0]['readings'] == 1


def test_devices_write_and_do_not_listen(gateway):
    with gateway.device(v5=True) as device, pytest.raises(MqttError):
        device.subscribe('#')


def test_devices_with_passwords(network, processes, make, tmp_path):
    port = lib.free_port()
    gateway = make(sources=f'  - type: mqtt\n    port: {port}\n    passwords: devices\n')
    gateway.port = port
    passwords = gateway.folder / 'devices'
    assert lib.run_sealmq('passwd', passwords, 'pump', '-b', 'secret').returncode == 0
    gateway.start()
    for name, password in ((None, None), ('pump', 'wrong'), ('other', 'secret')):
        with pytest.raises(MqttError):
            gateway.device(user=name, password=password, v5=True)
    with gateway.device(user='pump', password='secret') as device:
        device.publish('pump/t', '1', qos=1)
    gateway.process.wait_for_output("user 'pump': wrong user name or password")
    assert lib.run_sealmq('passwd', passwords, 'other', '-b', 'secret').returncode == 0
    gateway.process.signal(signal.SIGHUP)
    gateway.process.wait_for_output('devices: read again')
    gateway.device(user='other', password='secret').close()
    passwords.write_text('no hash\n')
    gateway.process.signal(signal.SIGHUP)
    gateway.process.wait_for_output('not reloaded, the old passwords stay: .*devices:1: ')
    gateway.device(user='other', password='secret').close()


def test_configurations_are_refused_with_file_and_mend(make):
    gateway = make()
    good = gateway.config.read_text()
    for text, words, status in (
            (good.replace('key: gateway.key', 'key: nowhere.key'), 'nowhere.key', 66),
            (good + 'policies:\n  - pattern: "*"\n    periodic: 100\n', 'longer than the report', 78),
            (good + 'colour: red\n', 'colour', 78),
            (good.replace(f'id: {gateway.id}', 'id: plant-g/other'), 'is the key of', 78),
            (good + 'nodes:\n  - id: node/x\n    url: mqtt://127.0.0.1:1\n', 'no node of the genesis',
             78)):
        gateway.config.write_text(text)
        result = lib.run_sealmq('gateway', '-c', gateway.config)
        assert result.returncode == status and words in result.stderr, result.stderr
    gateway.config.write_text(good)
    result = lib.run_sealmq('gateway', '-c', gateway.config, '--test-config')
    assert result.returncode == 0 and gateway.id in result.stdout


def test_one_outbox_is_for_one_gateway_at_a_time(gateway):
    second = lib.run_sealmq('gateway', '-c', gateway.config)
    assert second.returncode != 0 and 'gateway.db' in second.stderr, second.stderr


# ---- what it survives ----

def publish_many(gateway, count, name):
    """Acknowledged values 0 to count - 1 of D1/<name>."""
    with gateway.device() as device:
        sent = [device.paho.publish(f'D1/{name}', str(i), 1) for i in range(count)]
        for info in sent:
            info.wait_for_publish(20)
            assert info.is_published()
    return [str(i) for i in range(count)]


def values(gateway, name):
    return sorted((row[3] for row in gateway.rows() if row[2] == name), key=float)


def test_a_killed_gateway_loses_and_doubles_no_acknowledged_reading(gateway):
    expected = []
    for number in range(5):
        sent = publish_many(gateway, 40, f'v{number}')
        gateway.process.kill()  # at once: most are in no report yet
        gateway.start()
        expected.append(sent)
    gateway.wait_for_status(lambda s: s.get('state') == 'ready' and s['outbox'] == 0, 'all delivered')
    for number, sent in enumerate(expected):
        lib.wait_until(lambda: values(gateway, f'v{number}') == sent, lambda: f'v{number}', 20, 0.1)


def test_sigterm_delivers_what_was_taken(gateway):
    sent = publish_many(gateway, 100, 'last')
    assert gateway.process.stop() == 0
    assert values(gateway, 'last') == sent
    assert gateway.status()['outbox'] == 0


@pytest.mark.limit_s(180)
def test_without_nodes_readings_wait_and_are_delivered_later(network, gateway):
    rest = [letter for letter in network.letters]
    network.stop(rest)
    try:
        sent = publish_many(gateway, 30, 'offline')
        gateway.wait_for_status(lambda s: s['state'] == 'offline' and s['outbox'] > 0, 'a backlog')
        started = time.monotonic()
        assert gateway.process.stop() == 0
        assert time.monotonic() - started < 5 * lib.PATIENCE
        assert gateway.process.wait_for_output('reports are not delivered yet; they stay in data')
        gateway.start()
    finally:
        network.start()
    network.wait_for_company()
    lib.wait_until(lambda: values(gateway, 'offline') == sent, 'the backlog in the history', 40, 0.2)


@pytest.mark.limit_s(180)
def test_another_node_takes_over_from_a_killed_one(network, gateway):
    node = gateway.wait_for_status(lambda s: s.get('node'), 'a node')['node']
    letter = node[-1]
    network.kill(letter)
    try:
        sent = publish_many(gateway, 30, 'failover')
        gateway.wait_for_status(lambda s: s['state'] == 'ready' and s['node'] != node and
                                s['outbox'] == 0, 'another node')
        others = [other for other in network.letters if other != letter]
        lib.wait_until(lambda: {row[3] for row in gateway.rows(others) if row[2] == 'failover'} >=
                       set(sent), 'the readings at other nodes', 20, 0.2)
        before = gateway.status()['receipts']
        gateway.wait_for_status(lambda s: s['receipts'] > before, 'receipts of three nodes', 40)
    finally:
        network.start([letter])
    network.wait_for_company()


@pytest.mark.limit_s(180)
def test_a_full_disk_refuses_readings_until_it_has_room(gateway):
    publish_many(gateway, 5, 'before')
    pid, limits = gateway.process.pid, (4096, resource.RLIM_INFINITY)
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
    # The first one may be on its way to the disk when it turns out to be full: it waits for it.
    with gateway.device() as waiting:
        info = waiting.paho.publish('D1/waits', '1', 1)
        gateway.wait_for_status(lambda s: s['disk'] != 'good', 'a disk that fails')
        assert not info.is_published()
        assert puback(gateway.port, 'D1/refused', b'1') in (QUOTA_EXCEEDED, OTHER_ERROR)
        assert puback(gateway.port, 'D1/refused', b'1', v5=False) is None
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        info.wait_for_publish(20)
        assert info.is_published()
    sent = publish_many(gateway, 20, 'after')
    gateway.wait_for_status(lambda s: s['disk'] == 'good' and s['state'] == 'ready' and
                            s['outbox'] == 0, 'everything delivered', 40)
    lib.wait_until(lambda: values(gateway, 'after') == sent, 'all of them', 20, 0.1)
    assert values(gateway, 'waits') == ['1'] and values(gateway, 'refused') == []


def test_a_damaged_outbox_is_refused_with_words(gateway):
    gateway.process.stop()
    database = gateway.folder / 'data' / 'gateway.db'
    size = database.stat().st_size
    with open(database, 'r+b') as file:
        file.seek(size // 2)
        file.write(os.urandom(size - size // 2))
    result = lib.run_sealmq('gateway', '-c', gateway.config)
    assert result.returncode == 65 and 'gateway.db' in result.stderr, result.stderr


def test_a_revoked_gateway_says_so_and_keeps_its_readings(network, gateway):
    result = network.sealmq('device', 'revoke', gateway.id, '--reason', 'test')
    assert result.returncode == 0, result.stderr
    gateway.wait_for_status(lambda s: s['state'] != 'ready', 'no session key')
    publish_many(gateway, 3, 'revoked')
    gateway.wait_for_status(lambda s: s['outbox'] > 0, 'a backlog')
    assert values(gateway, 'revoked') == []
    assert gateway.process.returncode is None


def test_a_session_key_that_expires_costs_nothing(network, gateway):
    """The node forgets its keys when it starts anew: agreed again, everything delivered."""
    with gateway.device() as device:
        for i in range(30):
            device.publish('D1/steady', str(i), qos=1)
            if i == 10:
                letter = gateway.status()['node'][-1]
                network.stop([letter])
                network.start([letter])
    network.wait_for_company()
    lib.wait_until(lambda: set(values(gateway, 'steady')) == {str(i) for i in range(30)},
                   'all of them', 30, 0.2)
    assert gateway.process.returncode is None
    gateway.process.signal(signal.SIGINT)
    assert gateway.process.wait() == 0
