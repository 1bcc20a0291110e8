"""What a node does with reports: accepts, answers, stores and republishes good ones; refuses bad ones
with a reason, counts them, and is disturbed by nothing else."""
import json
import re
import secrets
import time

import pytest

import pygateway
import sealmq_testlib as lib
from pygateway import AgreementRefused, Row, reading
from sealmq_testlib import MqttClient

ROWS = 'SELECT device, service, item, value, unit, datatype FROM readings ' \
    'WHERE gateway = ? AND report_n = ? ORDER BY row'
_numbers = iter(range(1, 1000))


@pytest.fixture
def gateway(network):
    """A gateway with a session key at node a, of its own for each test."""
    made = network.gateway(f'plant-r/gw{next(_numbers)}')
    yield made
    made.close()


@pytest.fixture
def keyless(network):
    """A registered gateway that has not agreed on a key."""
    with network.connect(network.register(f'plant-r/gw{next(_numbers)}')) as made:
        yield made


def devices(network):
    return network.status()['devices']


def stored(network, gateway, n, letter='a'):
    return network.rows(letter, ROWS, gateway.id, n)


def rows_of(content):
    """All rows of a report's JSON, in order, however they share services."""
    return [(device['deviceId'], service['serviceId'], service['eventtime'], item['name'],
             item['datatype'], item['val'], item['unit'])
            for device in content['devices'] for service in device['services']
            for item in service['data']]


# ---- key agreement ----

def test_the_first_report_on_a_topic_is_answered_with_datas_and_later_ones_with_success(
        network, gateway):
    levels = [(topic, gateway.report(n, [reading()], topic).level)
              for n, topic in enumerate(('RealTime', 'RealTime', '5/4/Slow', 'RealTime', '5/4/Slow'), 1)]
    assert levels == [('RealTime', 'datas'), ('RealTime', 'success'), ('5/4/Slow', 'datas'),
                      ('RealTime', 'success'), ('5/4/Slow', 'success')]
    gateway.agree()  # a new key begins anew
    assert gateway.report(6, [reading()]).level == 'datas'


def test_a_key_agreement_is_counted(network, keyless):
    before = devices(network)['handshakes']
    keyless.agree()
    assert devices(network)['handshakes'] == before + 1
    assert keyless.session.expires_s > time.time() + 80000


@pytest.mark.parametrize('wrong, code', [
    (dict(signer='stranger'), pygateway.SIGNATURE), (dict(node='node/b'), pygateway.SIGNATURE),
    (dict(cut=104), pygateway.MALFORMED), (dict(cut=0), pygateway.MALFORMED)],
    ids=['wrong-key', 'for-another-node', 'cut', 'empty'])
def test_a_bad_hello_is_refused(network, keyless, wrong, code):
    if 'signer' in wrong:
        wrong = dict(signer=network.identity(keyless.id))
    before = devices(network)['handshakes_refused']
    with pytest.raises(AgreementRefused) as refusal:
        keyless.agree(**wrong)
    assert refusal.value.code == code
    network.wait_for_log('a', rf'refused from {keyless.id} on {keyless.id}/key: ')
    assert devices(network)['handshakes_refused'] == before + 1
    keyless.agree()  # nothing else is disturbed


def test_a_handshake_number_that_does_not_grow_is_refused(network, keyless):
    keyless.agree(number=7)
    for number in (7, 3, 0):
        with pytest.raises(AgreementRefused) as refusal:
            keyless.agree(number=number)
        assert (refusal.value.code, refusal.value.number) == (pygateway.REPLAY, number)
    assert keyless.report(1, [reading()]).level == 'datas'


def test_a_key_of_small_order_is_refused(network, keyless):
    hello, _secret = keyless.send_hello()
    fields = hello[:9] + bytes(32)
    fields = fields[:1] + (2).to_bytes(8, 'big') + fields[9:]
    signature = keyless.identity.sign(b'sealmq/key/1', fields + pygateway.str8(keyless.id) +
                                      pygateway.str8('node/a'))
    keyless._next('key')
    keyless.mqtt.publish(f'{keyless.id}/key', fields + signature, 1)
    _topic, below, _payload = keyless._next('key')
    assert below == 'key/fail'


def test_the_old_key_works_until_the_new_one_is_used(network, gateway):
    old = gateway.session
    gateway.report(1, [reading()])
    new = gateway.agree()
    gateway.send_report(2, [reading()], session=old)
    assert gateway.next_reply(session=old).code == pygateway.OK
    assert gateway.report(3, [reading()]).code == pygateway.OK
    gateway.send_report(4, [reading()], session=old)
    assert gateway.next_hint() == ('forbidden', {
        'code': 'KEY', 'words': 'no such session key, or it has expired'})
    assert gateway.session is new


# ---- good reports ----

def test_a_report_is_stored_republished_and_acknowledged(network, gateway):
    rows = [reading('36'), Row('D1', 'CS', 'running', 'bool', 'true', '', 1594046911000000),
            Row('D2', 'PLC.1', 'count', 'int', '-0042', 'pieces', 1594046911500000),
            Row('D2', 'PLC.1', 'word', 'string', 'Grüße/\u4f60 "x"\n', '°C', 1594046911000001)]
    with network.connect(network.register(f'plant-r/reader{next(_numbers)}')) as reader:
        reader.mqtt.paho.on_message = reader.mqtt._on_message
        reader.mqtt.subscribe('#', 1)
        reply = gateway.report(1, rows, 'Line/1')
        assert reply == ('datas', 1, pygateway.report_hash(gateway.id, 'Line/1', 1, rows), 0,
                         'stored')
        message = reader.mqtt.next_on(f'verified/{gateway.id}/Line/1')
        assert rows_of(json.loads(message.payload)) == rows_of(pygateway.report_json(rows))
        # The sealed one and its answer are nobody else's, however broad the subscription.
        gateway.report(2, rows, 'Line/1')
        topics = set()
        while f'verified/{gateway.id}/Line/1' not in topics:
            topics.add(reader.mqtt.next_message().topic)
        assert not any(topic.startswith(gateway.id) for topic in topics)
    assert stored(network, gateway, 1) == [
        ('D1', 'CS', 'temperature', 36, 'C', 'double'), ('D1', 'CS', 'running', 'true', '', 'bool'),
        ('D2', 'PLC.1', 'count', '-0042', 'pieces', 'int'),
        ('D2', 'PLC.1', 'word', 'Grüße/\u4f60 "x"\n', '°C', 'string')]


def test_what_a_gateway_did_not_sign_is_not_republished(network, gateway):
    """The signature is over the rows; the JSON around them may hold anything."""
    rows = [reading('1')]
    content = pygateway.report_json(rows)
    content['unsigned'] = 'x'
    content['devices'][0]['services'][0]['data'][0]['comment'] = 'unsigned'
    with network.connect(network.register(f'plant-r/reader{next(_numbers)}')) as reader:
        reader.mqtt.subscribe('verified/#', 1)
        reader.mqtt.paho.on_message = reader.mqtt._on_message
        assert gateway.report(1, rows, value=content).code == pygateway.OK
        message = reader.mqtt.next_message()
        assert b'unsigned' not in message.payload
        assert rows_of(json.loads(message.payload)) == rows_of(content)


def test_ordinary_clients_with_a_password_see_live_readings(network, gateway, tmp_path):
    """Node b takes passwords from here on; its gateways reach the readers of node b."""
    network.stop('b')
    lib.run_sealmq('passwd', network.folder / 'passwords-b', 'anna', '-b', 'word')
    with open(network.config_path('b'), 'a') as file:
        file.write('passwords: ../passwords-b\n')
    network.start('b')
    network.wait_for_company()
    time.sleep(1.1)
    with MqttClient(network.port('b'), 'reader', 'anna', 'word') as reader, \
            network.connect(gateway.identity, 'b') as there:
        reader.subscribe('verified/#', 1)
        there.agree()
        assert there.report(1, [reading('1')]).level == 'datas'
        message = reader.next_message()
        assert (message.topic, message.qos) == (f'verified/{gateway.id}/RealTime', 1)
        assert json.loads(message.payload)['devices'][0]['services'][0]['data'][0]['val'] == '1'


def test_a_compressed_report_is_the_same_report(network, gateway):
    rows = [reading(str(i), f'item{i}') for i in range(2000)]
    reply = gateway.report(1, rows, compress=True)
    assert (reply.level, reply.code) == ('datas', pygateway.OK)
    assert len(stored(network, gateway, 1)) == 2000


def test_what_a_report_has_besides_does_not_fail_it(network, gateway):
    value = pygateway.report_json([reading()])
    value['version'] = 7
    value['devices'][0]['extra'] = {'deep': [1, 2]}
    value['devices'][0]['services'][0]['data'][0]['quality'] = 'good'
    assert gateway.report(1, [reading()], value=value).code == pygateway.OK


def test_numbers_and_bools_may_stand_without_quotes(network, gateway):
    rows = [reading('21.5'), Row('D1', 'CS', 'on', 'bool', 'true', '', 0),
            Row('D1', 'CS', 'n', 'int', '7', '', 0)]
    value = pygateway.report_json(rows)
    text = json.dumps(value)
    for word in ('21.5', 'true', '7'):
        text = text.replace(f'"{word}"', word)
    assert gateway.report(1, rows, value=text.encode()).code == pygateway.OK
    assert [row[3] for row in stored(network, gateway, 1)][1:] == ['true', 7]


def test_the_operating_account_is_kept(network):
    identity = network.register(f'plant-r/gw{next(_numbers)}')
    with network.connect(identity, user='shift-2') as gateway:
        gateway.agree()
        gateway.report(1, [reading()])
    assert network.rows('a', 'SELECT r.account FROM reports r JOIN gateways g ON g.id = r.gateway '
                        'WHERE g.name = ?', identity.id) == [('shift-2',)]


def test_a_gateway_may_move_to_another_node(network, gateway):
    gateway.report(1, [reading()])
    with network.connect(gateway.identity, 'c') as there:
        there.agree()
        assert there.report(2, [reading()]).code == pygateway.OK
    assert len(stored(network, gateway, 2, 'c')) == 1 and not stored(network, gateway, 2, 'a')


def test_many_reports_of_several_gateways_at_once(network, gateway):
    others = [network.gateway(f'plant-r/gw{next(_numbers)}') for _ in range(3)]
    everyone, count = [gateway, *others], 150
    rows = [reading()]
    for n in range(1, count + 1):
        for one in everyone:
            one.mqtt.paho.publish(f'{one.id}/RealTime', one.sealed_report(n, rows), 1)
    for one in everyone:
        assert sorted(one.next_reply().n for _ in range(count)) == list(range(1, count + 1))
        assert network.rows('a', 'SELECT count(*) FROM readings WHERE gateway = ?',
                            one.id) == [(count,)]
    for one in others:
        one.close()


# ---- the same number again ----

def test_the_same_report_again_is_a_success_and_stored_once(network, gateway):
    rows = [reading()]
    first = gateway.report(1, rows)
    accepted = devices(network)['reports_accepted']
    with network.connect(network.register(f'plant-r/reader{next(_numbers)}')) as reader:
        reader.mqtt.paho.on_message = reader.mqtt._on_message
        reader.mqtt.subscribe(f'verified/{gateway.id}/#', 1)
        again = gateway.report(1, rows)
        reader.mqtt.expect_nothing(0.3)
    assert (first.level, first.code) == ('datas', pygateway.OK)
    assert (again.level, again.code) == ('success', pygateway.STORED_BEFORE)
    assert again.report == first.report
    assert len(stored(network, gateway, 1)) == 1
    assert devices(network)['reports_accepted'] == accepted


def test_another_report_with_the_same_number_is_a_conflict(network, gateway):
    first = gateway.report(1, [reading('1')])
    before = network.status()['history']['conflicts']
    other = gateway.report(1, [reading('2')])
    assert (other.level, other.code) == ('error', pygateway.CONFLICT)
    assert other.report == first.report  # what is there
    network.wait_for_log('a', rf'refused report 1 of {gateway.id}: another report')
    assert network.status()['history']['conflicts'] == before + 1
    assert [row[3] for row in stored(network, gateway, 1)] == [1]


# ---- bad ones ----

def damaged(where, **changes):
    """A report whose JSON differs at one place."""
    value = pygateway.report_json([reading()])
    service = value['devices'][0]['services'][0]
    place = {'device': value['devices'][0], 'service': service, 'item': service['data'][0]}[where]
    for name, new in changes.items():
        if new is None:
            del place[name]
        else:
            place[name] = new
    return value


BAD_JSON = {
    'count too big': (damaged('service', count=2), pygateway.COUNT, 'reports_malformed'),
    'count too small': (damaged('service', count=0), pygateway.COUNT, 'reports_malformed'),
    'no count': (damaged('service', count=None), pygateway.MALFORMED, 'reports_malformed'),
    'not an int': (damaged('item', datatype='int', val='21.5'), pygateway.TYPE,
                   'reports_malformed'),
    'not a double': (damaged('item', val='warm'), pygateway.TYPE, 'reports_malformed'),
    'not a bool': (damaged('item', datatype='bool', val='yes'), pygateway.TYPE,
                   'reports_malformed'),
    'no such type': (damaged('item', datatype='float'), pygateway.TYPE, 'reports_malformed'),
    'NaN': (damaged('item', val='NaN'), pygateway.TYPE, 'reports_malformed'),
    'no data': (damaged('service', data=None), pygateway.MALFORMED, 'reports_malformed'),
    'bad time': (damaged('service', eventtime='2020-07-06 14:48'), pygateway.MALFORMED,
                 'reports_malformed'),
    'slash in a name': (damaged('item', name='a/b'), pygateway.MALFORMED, 'reports_malformed'),
    'long name': (damaged('device', deviceId='D' * 65), None, 'reports_malformed'),
    'long value': (damaged('item', datatype='string', val='v' * 4097), pygateway.LIMIT,
                   'reports_malformed'),
    'empty': (b'', pygateway.MALFORMED, 'reports_malformed'),
    'not JSON': (b'{"devices":', pygateway.MALFORMED, 'reports_malformed'),
    'a list': (b'[]', pygateway.MALFORMED, 'reports_malformed'),
    'deep': (b'{"devices":' + b'[' * 10000 + b']' * 10000 + b'}', None, 'reports_malformed'),
    'not UTF-8': (b'{"devices":[{"deviceId":"\xff"}]}', pygateway.MALFORMED, 'reports_malformed'),
    'two values': (b'{"devices":[]} {}', pygateway.MALFORMED, 'reports_malformed'),
}


def test_a_report_that_is_not_as_it_should_be_is_refused_with_the_reason(network, gateway):
    for n, (name, (value, code, counter)) in enumerate(BAD_JSON.items(), 1):
        before = devices(network)
        reply = gateway.report(n, [reading()], value=value)
        assert (reply.level, reply.n) == ('error', n), name
        assert code is None or reply.code == code, (name, reply)
        after = devices(network)
        assert after[counter] == before[counter] + 1, name
        assert after['reports_accepted'] == before['reports_accepted'], name
        assert not stored(network, gateway, n), name
    network.wait_for_log('a', rf'refused from {gateway.id} on {gateway.id}/RealTime: count does not '
                         r'match: devices\[0\]\.services\[0\]')
    # The gateway and everyone else go on.
    assert gateway.report(1, [reading()]).code == pygateway.OK


def test_a_wrong_signature_is_refused(network, gateway):
    before = devices(network)['reports_bad_signature']
    rows = [reading()]
    for n, wrong in enumerate((dict(signer=network.identity(gateway.id)),
                               dict(hashed=[reading('22')]), dict(hashed=[]),
                               dict(hashed=rows + rows)), 1):
        reply = gateway.report(n, rows, **wrong)
        assert (reply.level, reply.code, reply.n) == ('error', pygateway.SIGNATURE, n)
        assert not stored(network, gateway, n)
    network.wait_for_log('a', rf'refused from {gateway.id} on .*signature does not verify')
    assert devices(network)['reports_bad_signature'] == before + 4
    assert gateway.report(1, rows).code == pygateway.OK


def test_a_replayed_message_is_refused_and_settles_nothing(network, gateway):
    before = devices(network)['reports_replayed']
    sealed = gateway.sealed_report(1, [reading()])
    gateway.mqtt.publish(f'{gateway.id}/RealTime', sealed, 1)
    assert gateway.next_reply().code == pygateway.OK
    gateway.mqtt.publish(f'{gateway.id}/RealTime', sealed, 1)
    reply = gateway.next_reply()
    assert (reply.level, reply.code) == ('error', pygateway.REPLAY)
    # Whoever sends a recorded message again must not make the gateway drop a report.
    assert (reply.n, reply.report) == (0, bytes(32))
    assert gateway.report(2, [reading()], counter=0).code == pygateway.REPLAY
    network.wait_for_log('a', rf'refused from {gateway.id} on .*counter was used before')
    assert devices(network)['reports_replayed'] == before + 2
    assert not stored(network, gateway, 2)
    assert gateway.report(2, [reading()]).code == pygateway.OK


def test_capture_number_0_is_refused(network, gateway):
    assert gateway.report(0, [reading()]).code == pygateway.MALFORMED


def test_a_report_under_an_unknown_key_is_answered_with_a_hint(network, gateway):
    before = devices(network)['reports_refused']
    gateway.send_report(1, [reading()], key_id=gateway.session.key_id ^ 1)
    assert gateway.next_hint()[0] == 'forbidden'
    network.wait_for_log('a', rf'refused from {gateway.id} on .*no such session key')
    assert devices(network)['reports_refused'] == before + 1
    assert gateway.report(1, [reading()]).code == pygateway.OK


def test_a_report_before_any_key_is_answered_with_a_hint(network, keyless):
    stranger = pygateway.Session(1, 0, bytes(32), bytes(32))
    keyless.send_report(1, [reading()], session=stranger)
    assert keyless.next_hint()[0] == 'forbidden'


def test_damaged_envelopes_are_refused(network, gateway):
    sealed = gateway.sealed_report(1, [reading()])
    total = sum(devices(network)[name] for name in
                ('reports_refused', 'reports_malformed', 'reports_bad_signature'))
    damages = [sealed[:i] for i in (0, 1, 13, 14, 29, len(sealed) - 1)]
    damages += [sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1:]
                for i in (0, 1, 5, 13, 14, 40, len(sealed) - 1)]
    damages.append(secrets.token_bytes(200))
    for payload in damages:
        gateway.mqtt.publish(f'{gateway.id}/RealTime', payload, 1)
    assert sum(devices(network)[name] for name in
               ('reports_refused', 'reports_malformed', 'reports_bad_signature')) == \
        total + len(damages)
    # For another topic than it was sealed for:
    gateway.mqtt.publish(f'{gateway.id}/Other', sealed, 1)
    gateway.mqtt.publish(f'{gateway.id}/RealTime', sealed, 1)  # its counter is unspent
    assert gateway.next_reply().code == pygateway.OK


def test_reserved_topics_take_no_reports(network, gateway):
    before = devices(network)['reports_accepted']
    for topic in ('key/x', 'unauth', 'forbidden/x', 'update/code', 'x/datas', 'x/y/success',
                  'error'):
        gateway.send_report(1, [reading()], topic)
    assert gateway.report(1, [reading()]).n == 1
    assert devices(network)['reports_accepted'] == before + 1
    network.wait_for_log('a', 'refused from .* on .*/x/datas: .*not a topic for reports')


def test_a_report_of_another_gateway_is_refused(network, gateway):
    """Signed by its gateway, but sealed and sent by another one."""
    other = network.gateway(f'plant-r/gw{next(_numbers)}')
    rows = [reading()]
    sealed = gateway.session.seal(
        f'{gateway.id}/RealTime', (1).to_bytes(8, 'big') + other.identity.sign(
            b'sealmq/report/1', pygateway.report_hash(other.id, 'RealTime', 1, rows)) +
        json.dumps(pygateway.report_json(rows)).encode())
    gateway.mqtt.publish(f'{gateway.id}/RealTime', sealed, 1)
    assert gateway.next_reply().code == pygateway.SIGNATURE
    other.close()


def test_a_bomb_is_refused_before_it_is_unpacked(network, gateway):
    text = b'{"devices":[' + b' ' * (16 * 1024 * 1024) + b']}'
    topic = f'{gateway.id}/RealTime'
    sealed = gateway.session.seal(topic, bytes(72) + text, compress=True)
    assert len(sealed) < 100_000
    gateway.mqtt.publish(topic, sealed, 1)
    assert gateway.next_reply().code == pygateway.LIMIT
    garbage = gateway.session.seal(topic, b'no zstd frame', flags=pygateway.FLAG_ZSTD)
    gateway.mqtt.publish(topic, garbage, 1)
    assert gateway.next_reply().code == pygateway.MALFORMED


def test_malformed_packets_are_counted_and_only_their_sender_suffers(network, gateway):
    before = network.status()['mqtt']['malformed']
    with lib.RawConnection(network.port('a')) as raw:
        raw.send(b'\xff\xff\xff\xff\xff')
        assert raw.receive_all() == b''
    lib.wait_until(lambda: network.status()['mqtt']['malformed'] == before + 1, 'the count')
    assert gateway.report(1, [reading()]).code == pygateway.OK


def test_the_totals_of_the_history_are_those_of_the_database(network, gateway):
    gateway.report(1, [reading(), reading('1', 'other')])
    history = network.status()['history']
    assert [(history['reports'], history['rows'])] == \
        network.rows('a', 'SELECT (SELECT count(*) FROM reports), (SELECT count(*) FROM rows)')
    assert re.search(rf"history  {history['reports']} reports, {history['rows']} rows",
                     network.sealmq('status').stdout)
