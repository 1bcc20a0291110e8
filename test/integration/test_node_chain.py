"""From a signed request to a block on every node, a receipt, a proof that anyone can check, and an
audit."""
import json
import shutil
import sqlite3

import pytest

import pygateway
import sealmq_network
import sealmq_testlib as lib
from pygateway import DataRequest, DescribeRequest, reading

ADMINISTRATIVE_ACTION = 0x98
_numbers = iter(range(1, 1000))


class Writer:
    """A gateway that reports and writes to the chain, keeping count as a gateway does."""

    def __init__(self, network, letter='a'):
        self.network = network
        self.gateway = network.gateway(f'plant-w/gw{next(_numbers)}', letter)
        self.id, self.node = self.gateway.id, network.node_id(letter)
        self.n = self.request = 0
        self.start = 1
        self.leaves = []

    def describe(self, names=('temperature',)):
        self.request += 1
        return self.gateway.request(DescribeRequest(self.id, self.request, [
            (num, 'D1', 'CS', name, 'double', 'C') for num, name in enumerate(names, 1)]))

    def report(self, *values, names=('temperature',)):
        """Reports the values, one row each, and keeps the leaf for the next interval."""
        self.n += 1
        rows = [reading(value, name) for value, name in zip(values, names)]
        reply = self.gateway.report(self.n, rows)
        assert reply.code == pygateway.OK
        self.leaves.append((self.n, 'a', self.node, reply.report))
        return rows

    def data_request(self, records=()):
        """One with these records, and the interval of all reports since the last."""
        self.request += 1
        made = DataRequest(self.id, self.request, records, self.start, self.leaves)
        self.start, self.leaves = self.n + 1, []
        return made

    def write(self, records=()):
        return self.gateway.request(self.data_request(records))


@pytest.fixture
def writer(network):
    made = Writer(network)
    yield made
    made.gateway.close()


@pytest.fixture(scope='module')
def written(network):
    """A gateway with reports and records on the chain; for reading only."""
    made = Writer(network)
    names = ('temperature', 'humidity')
    assert made.describe(names).code == pygateway.OK
    made.rows = [row for _ in range(3) for row in made.report('21.5', '60', names=names)]
    time_us = made.rows[0].time_us
    made.receipt = made.write([('D1', 1, time_us, '21.5'), ('D1', 2, time_us, '60')])
    assert made.receipt.code == pygateway.OK
    made.height = network.chain()['height']
    yield made
    made.gateway.close()


def verify(network, path, *arguments):
    return lib.run_sealmq('verify', '--policy', network.policy, *arguments, path)


def assert_no_flipped_byte_passes(network, path, folder, stride):
    """Of a proof file: whatever single byte is changed, it is refused or shows the same."""
    proof = path.read_bytes()
    good = json.loads(verify(network, path, '--json').stdout)
    damaged = folder / 'damaged.tlog-proof'
    for at in range(0, len(proof), stride):
        damaged.write_bytes(proof[:at] + bytes([proof[at] ^ 1]) + proof[at + 1:])
        result = verify(network, damaged, '--json')
        if result.returncode != 1:  # one cosignature more or less changes nothing
            shown = json.loads(result.stdout)
            assert result.returncode == 0 and shown.pop('cosigners') != [], at
            assert shown == {k: v for k, v in good.items() if k != 'cosigners'}, at
    for size in (0, 1, len(proof) // 2, len(proof) - 1):
        damaged.write_bytes(proof[:size])
        assert verify(network, damaged).returncode == 1


# ---- requests, blocks, receipts ----

def test_a_request_is_on_all_nodes_when_its_receipt_comes_or_soon_after(network, writer):
    before = network.chain()['height']
    assert writer.describe()[:2] == (1, pygateway.OK)
    height = network.chain()['height']
    assert height > before
    network.wait_for_height(height)
    assert len({network.chain(letter)['tip'] for letter in 'abcd'}) == 1
    for letter in 'abcd':
        block = json.loads(network.offline(letter, 'block', height, '--json').stdout)
        assert [(r['kind'], r['sender'], r['number']) for r in block['requests']] == \
            [('describe', writer.id, 1)]
        assert len(block['committed_by']) >= 3


def test_a_receipt_can_be_verified_offline(network, written, tmp_path):
    path = tmp_path / 'receipt.tlog-proof'
    path.write_bytes(written.receipt.proof)
    result = verify(network, path)
    assert result.returncode == 0, result.stdout
    assert f'request {written.receipt.request} of {written.id}' in result.stdout
    shown = json.loads(verify(network, path, '--json').stdout)
    assert shown['verified'] is True and shown['sender'] == written.id
    assert len(shown['cosigners']) >= 3
    assert_no_flipped_byte_passes(network, path, tmp_path, len(written.receipt.proof) // 40)


def test_another_networks_policy_verifies_nothing(network, written, tmp_path):
    other = sealmq_network.Network(tmp_path, nodes=1)
    path = tmp_path / 'receipt.tlog-proof'
    path.write_bytes(written.receipt.proof)
    result = lib.run_sealmq('verify', '--policy', other.policy, path)
    assert result.returncode == 1
    assert 'NOT verified' in result.stdout


def test_the_same_request_again_gets_its_receipt_again(network, writer):
    request = DescribeRequest(writer.id, 1, [(1, 'D1', 'CS', 'x', 'int', '')])
    first = writer.gateway.request(request)
    height = network.chain()['height']
    again = writer.gateway.request(request)
    assert (again.request, again.code) == (1, pygateway.OK)
    assert again.proof[:400] == first.proof[:400]
    assert network.chain()['height'] == height


def refused(writer, request, code, **wrong):
    before = writer.network.status()
    receipt = writer.gateway.request(request, **wrong)
    assert (receipt.code, receipt.proof) == (code, b''), receipt
    after = writer.network.status()
    counts = [(s['chain']['refused'], s['devices']['requests_refused']) for s in (before, after)]
    assert sum(counts[1]) == sum(counts[0]) + 1
    assert after['chain']['height'] == before['chain']['height']
    return receipt


def test_another_request_with_a_used_number_is_refused(network, writer):
    writer.describe()
    receipt = refused(writer, DescribeRequest(writer.id, 1, [(9, 'D1', 'CS', 'y', 'int', '')]),
                      pygateway.CONFLICT)
    assert receipt.request == 1
    network.wait_for_log('a', rf'request 1 of {writer.id} is refused: ')


def test_a_request_signed_by_another_key_is_refused(network, writer):
    refused(writer, DescribeRequest(writer.id, 1, [(1, 'D1', 'CS', 'x', 'int', '')]),
            pygateway.SIGNATURE, signer=network.identity(writer.id))
    assert writer.describe().code == pygateway.OK


def test_a_request_of_another_gateway_is_refused(network, writer):
    other = network.register(f'plant-w/gw{next(_numbers)}')
    refused(writer, DescribeRequest(other.id, 1, [(1, 'D1', 'CS', 'x', 'int', '')]), 27,
            signer=other)


@pytest.mark.parametrize('value', [{}, [], {'devices': [], 'request': 1},
                                   {'devices': [], 'request': -1, 'sender': 'a/b'}])
def test_a_request_that_cannot_be_read_is_refused(network, writer, value):
    before = network.status()['devices']['requests_refused']
    writer.gateway.send_request(DescribeRequest(writer.id, 1, []), value=value)
    receipt = writer.gateway.next_receipt()
    assert (receipt.request, receipt.code) == (0, pygateway.MALFORMED)
    network.wait_for_log('a', rf'refused from {writer.id} on chain/plant/request: ')
    assert network.status()['devices']['requests_refused'] == before + 1


def test_a_wrong_interval_root_is_refused(network, writer):
    writer.describe()
    writer.report('1')
    request = writer.data_request()
    value = request.json(writer.gateway.identity.sign(b'sealmq/request/1', request.head()),
                         f'chain/plant/reply/{writer.id}')
    value['interval']['root'] = pygateway.b64(bytes(32))
    writer.gateway.send_request(request, value=value)
    assert writer.gateway.next_receipt().code == pygateway.MALFORMED
    assert writer.gateway.request(request).code == pygateway.OK


def test_an_interval_that_was_covered_before_is_refused(network, writer):
    writer.describe()
    writer.report('1')
    assert writer.write().code == pygateway.OK
    request = DataRequest(writer.id, 3, [], 1, [(1, 'd', '', bytes(32))])
    refused(writer, request, pygateway.STALE)


def test_redefining_an_item_is_refused(network, writer):
    writer.describe()
    refused(writer, DescribeRequest(writer.id, 2, [(1, 'D1', 'CS', 'other', 'int', '')]),
            pygateway.CONFLICT)


def test_requests_come_back_in_order_of_number_however_they_were_sent(network, writer):
    for number in (3, 2, 1):
        writer.gateway.send_request(
            DescribeRequest(writer.id, number, [(number, 'D1', 'CS', f'x{number}', 'int', '')]))
    receipts = [writer.gateway.next_receipt() for _ in range(3)]
    assert sorted(receipt.request for receipt in receipts) == [1, 2, 3]
    assert all(receipt.code == pygateway.OK for receipt in receipts)


def test_a_request_sent_to_any_node_is_recorded_once(network):
    for letter in 'bcd':
        writer = Writer(network, letter)
        assert writer.describe().code == pygateway.OK
        writer.gateway.close()


def test_a_request_number_too_far_ahead_is_refused_for_now(network, writer):
    refused(writer, DescribeRequest(writer.id, 65, [(1, 'D1', 'CS', 'x', 'int', '')]),
            pygateway.LIMIT)


# ---- revocation ----

def test_revoking_cuts_a_gateway_off_everywhere(network):
    writer = Writer(network)
    elsewhere = network.connect(writer.gateway.identity, 'c')
    elsewhere.agree()
    assert elsewhere.report(1, [reading()]).code == pygateway.OK
    result = network.sealmq('device', 'revoke', writer.id, '--reason', 'stolen')
    assert result.returncode == 0, result.stderr
    assert f'{writer.id} is revoked since block' in result.stdout
    for gateway in (writer.gateway, elsewhere):
        assert gateway.mqtt.wait_for_disconnect() == ADMINISTRATIVE_ACTION
        gateway.close()
    network.wait_for_log('a', f'{writer.id} is revoked since block')
    for letter in 'abcd':
        lib.wait_until(lambda: network.devices(letter)[writer.id]['status'] == 'revoked', letter)
        with network.connect(writer.gateway.identity, letter) as again:
            again.send_hello()
            assert again.next_hint()[0] == 'unauth'
            again.session = writer.gateway.session
            again.send_request(DescribeRequest(writer.id, 1, [(1, 'D1', 'CS', 'x', 'int', '')]))
            again.expect_no('receipt', 0.1)
    network.wait_for_log('a', rf'refused applicant "{writer.id}" to publish on "chain/plant/request"')
    twice = network.sealmq('device', 'revoke', writer.id)
    assert twice.returncode == 77 and 'revoked' in twice.stderr


def test_a_revoked_id_can_return_with_a_new_key_and_never_with_the_old_one(network):
    identity = network.register(f'plant-w/gw{next(_numbers)}')
    assert network.sealmq('device', 'revoke', identity.id).returncode == 0
    with network.connect(identity) as applicant:
        applicant.announce()
    result = network.sealmq('device', 'approve', identity.id)
    assert result.returncode != 0, result.stdout
    fresh = network.register(identity.id)
    with network.connect(fresh) as gateway:
        gateway.agree()
        assert gateway.report(1, [reading()]).code == pygateway.OK


def test_revoking_an_unknown_id_is_refused(network):
    result = network.sealmq('device', 'revoke', 'plant-w/nobody')
    assert result.returncode == 77
    assert 'unknown' in result.stderr


# ---- proofs ----

def make_proof(network, path, *what, letter='a'):
    return network.offline(letter, 'proof', '-o', path, *what)


@pytest.mark.parametrize('letter', ['a', 'c'])
@pytest.mark.parametrize('what', ['record', 'newest', 'block'])
def test_any_node_proves_records_and_blocks(network, written, tmp_path, letter, what):
    network.wait_for_height(written.height, [letter])
    words = {'record': ('record', written.height, 0, 1), 'newest': ('record', 'newest'),
             'block': ('block', written.height)}[what]
    path = tmp_path / 'some.tlog-proof'
    result = lib.wait_until(lambda: (lambda r: r if r.returncode != 75 else None)(
        make_proof(network, path, *words, letter=letter)), 'a checkpoint')
    assert result.returncode == 0, result.stderr
    shown = json.loads(verify(network, path, '--json').stdout)
    if what != 'block':
        row = written.rows[1]
        assert (shown['sender'], shown['device'], shown['name'], shown['value'], shown['unit']) == \
            (written.id, row.device, row.name, row.value, row.unit)
    assert shown['height'] == written.height
    assert verify(network, path).stdout.startswith('verified: ')
    if letter == 'a':
        assert_no_flipped_byte_passes(network, path, tmp_path, path.stat().st_size // 30)


def test_a_row_of_the_history_can_be_proven(network, written, tmp_path):
    path = tmp_path / 'row.tlog-proof'
    result = make_proof(network, path, 'row', written.id, 2, 1)
    assert result.returncode == 0, result.stderr
    shown = json.loads(verify(network, path, '--json').stdout)
    assert (shown['kind'], shown['report'], shown['node'], shown['name'], shown['value']) == \
        ('row', 2, 'node/a', 'humidity', '60')
    text = verify(network, path).stdout
    assert 'humidity = 60 C' in text and 'acknowledged by node/a' in text
    assert_no_flipped_byte_passes(network, path, tmp_path, path.stat().st_size // 40)
    again = make_proof(network, path, 'row', written.id, 2, 1)
    assert again.returncode != 0 and 'exists' in again.stderr  # nothing is overwritten


def test_what_is_not_there_cannot_be_proven(network, written, tmp_path):
    for words, said in ((('row', written.id, 2, 9), 'row'), (('row', written.id, 99, 0), 'not covered'),
                        (('row', 'plant-w/nobody', 1, 0), 'not covered'),
                        (('record', written.height, 0, 9), 'records'),
                        (('record', written.height, 7, 0), 'requests'),
                        (('record', 99999, 0, 0), 'no block'), (('block', 99999), 'no block')):
        result = make_proof(network, tmp_path / 'none', *words)
        assert result.returncode == 66, words
        assert said in result.stderr, (words, result.stderr)
    for words in (('row',), ('record', 'x'), ('block', -1), ('moon',), ('row', written.id, 'x', 0)):
        assert make_proof(network, tmp_path / 'none', *words).returncode == 2, words


def test_a_row_that_was_changed_cannot_be_proven(network, written, tmp_path):
    copy = tmp_path / 'history.db'
    copy_history(network, copy)
    change(copy, "UPDATE rows SET val = 99 WHERE n = 2 AND row = 1 AND gateway = "
           "(SELECT id FROM gateways WHERE name = ?)", written.id)
    shutil.copytree(network.data('a'), tmp_path / 'data', ignore=shutil.ignore_patterns('history*'))
    shutil.copy(copy, tmp_path / 'data/history.db')
    result = network.sealmq('proof', '--data', tmp_path / 'data', '-o', tmp_path / 'none', 'row',
                            written.id, 2, 1)
    assert result.returncode == 65
    assert 'sealmq audit' in result.stderr


# ---- the block, shown ----

def test_block_shows_what_stands_in_it(network, written):
    text = network.offline('a', 'block', written.height).stdout
    assert f'block {written.height} of network plant' in text
    assert f'{written.id}/D1/1/' in text
    shown = json.loads(network.offline('a', 'block', written.height, '--json').stdout)
    assert [record.rsplit('/', 1)[1] for record in shown['requests'][0]['records']] == ['21.5', '60']
    genesis = json.loads(network.offline('a', 'block', 0, '--json').stdout)
    assert (genesis['height'], genesis['requests']) == (0, [])
    assert network.offline('a', 'block', 999999).returncode == 66


# ---- audits ----

def copy_history(network, path):
    """A copy of node a's history as it is now."""
    source = sqlite3.connect(f'file:{network.data("a")}/history.db?mode=ro', uri=True, timeout=10)
    target = sqlite3.connect(path)
    source.backup(target)
    target.close()
    source.close()


def change(path, query, *values):
    connection = sqlite3.connect(path, timeout=10)
    assert connection.execute(query, values).rowcount == 1
    connection.commit()
    connection.close()


def audit(network, gateway, *arguments):
    result = network.offline('a', 'audit', '--gateway', gateway, '--json', *arguments)
    assert result.returncode in (0, 1), result.stderr
    value = json.loads(result.stdout)
    assert value['clean'] is (result.returncode == 0)
    return value


def test_an_audit_verifies_what_was_anchored(network, written):
    value = audit(network, written.id)
    assert value['clean'] and value['findings'] == []
    assert (value['reports']['verified'], value['rows']['verified']) == (3, 6)


def test_reports_that_no_interval_covers_yet_are_not_anchored(network, writer):
    writer.describe()
    writer.report('1')
    value = audit(network, writer.id)
    assert value['clean']
    assert [name for name, count in value['reports'].items() if count == 1] == ['unanchored'] or \
        sum(value['reports'].values()) == 1
    writer.write()
    assert audit(network, writer.id)['reports']['verified'] == 1


@pytest.mark.parametrize('what, query', [
    ('modified', 'UPDATE rows SET val = 99 WHERE n = 2 AND row = 1 AND gateway = {}'),
    ('modified', 'UPDATE rows SET time_us = time_us + 1 WHERE n = 2 AND row = 1 AND gateway = {}'),
    ('modified', 'DELETE FROM rows WHERE n = 2 AND row = 1 AND gateway = {}'),
    ('missing', 'DELETE FROM reports WHERE n = 2 AND gateway = {}')],
    ids=['value', 'time', 'row-gone', 'report-gone'])
def test_an_audit_finds_what_was_changed_behind_the_nodes_back(network, written, tmp_path, what,
                                                               query):
    copy = tmp_path / 'history.db'
    copy_history(network, copy)
    change(copy, query.format('(SELECT id FROM gateways WHERE name = ?)'), written.id)
    if what == 'missing':
        connection = sqlite3.connect(copy)
        connection.execute('DELETE FROM rows WHERE n = 2 AND gateway = '
                           '(SELECT id FROM gateways WHERE name = ?)', (written.id,))
        connection.commit()
        connection.close()
    value = audit(network, written.id, '--history', copy)
    assert not value['clean']
    assert [(f['verdict'], f['gateway'], f['report']) for f in value['findings']] == \
        [(what, written.id, 2)]
    if what == 'modified':
        assert (value['findings'][0]['row'], value['findings'][0]['located']) == (1, [1])
    text = network.offline('a', 'audit', '--gateway', written.id, '--history', copy).stdout
    assert f'{what}: report 2 of {written.id}' in text and 'NOT WHAT WAS SIGNED' in text
    assert audit(network, written.id)['clean']


def test_a_running_nodes_history_can_be_changed_found_and_restored(network, written):
    path = network.data('a') / 'history.db'
    where = 'WHERE n = 3 AND row = 0 AND gateway = (SELECT id FROM gateways WHERE name = ?)'
    change(path, f'UPDATE rows SET val = 22 {where}', written.id)
    value = audit(network, written.id)
    assert [f['report'] for f in value['findings']] == [3]
    change(path, f'UPDATE rows SET val = 21.5 {where}', written.id)
    assert audit(network, written.id)['clean']
