"""A node that cannot start says why, names the file and the mend, and ends with the status of
sysexits.h; one that is asked to end does so in order."""
import json
import re
import shutil
import signal
import sqlite3
import time

import pytest

import pygateway
import sealmq_network
import sealmq_testlib as lib
from pygateway import reading

USAGE, DATAERR, NOINPUT, CANTCREAT, IOERR, NOPERM, CONFIG = 2, 65, 66, 73, 74, 77, 78


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """The folder of a network of one node that has run, with a block and a report."""
    made = sealmq_network.Network(tmp_path_factory.mktemp('whole'), nodes=1)
    made.start()
    gateway = made.gateway('plant-a/gw1')
    for n in range(1, 40):
        assert gateway.report(n, [reading('word' * 200, datatype='string')]).code == pygateway.OK
    gateway.close()
    made.close()
    return made


@pytest.fixture
def copy(whole, tmp_path):
    """The folder of a copy of it that may be damaged."""
    return shutil.copytree(whole.folder, tmp_path / 'copy')


def start(folder, *arguments):
    return lib.run_sealmq('node', '-c', folder / 'node-a/node.yaml', '--test-config', *arguments)


def assert_refused(folder, status, *words):
    """It refuses with that status, and says these words on one line."""
    result = start(folder)
    assert result.returncode == status, result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith('sealmq node: '), result.stderr
    for word in words:
        assert str(word) in last, result.stderr


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_whole_configuration_is_fine(copy):
    result = start(copy)
    assert result.returncode == 0, result.stderr
    assert 'node node/a of network plant' in result.stdout


# ---- the configuration ----

@pytest.mark.parametrize('old, new, words', [
    ('id: node/a', 'id: node/a\ncolour: red', ['node.yaml', 'colour']),
    ('id: node/a', 'id: node-a', ['node.yaml', 'two words', 'broker/a']),
    ('id: node/a', 'id: node/ä', ['node.yaml', 'two words']),
    ('id: node/a', '', ['node.yaml', 'id']),
    ('id: node/a', 'id: node/other', ['node.key', 'node/a', 'node/other']),
    ('key: node.key', 'key:', ['node.yaml']),
    ('    port: ', '    port: x', ['node.yaml', 'port']),
    ('    port: ', '    port: 99999', ['node.yaml', 'port']),
    ('  - address: 127.0.0.1', '  - address: localhost', ['listeners[0].address', 'numeric']),
    ('  - address: 127.0.0.1', '  - address: 0.0.0.0\n    anonymous: true', ['node.yaml']),
    ('id: node/a', 'id: node/a\nworkers: 99', ['workers', '16']),
    ('id: node/a', 'id: node/a\nsession_life: 5', ['session_life', '10']),
    ('id: node/a', 'id: node/a\nview_timeout: 7', ['view_timeout', '50']),
    ('id: node/a', 'id: [node/a', ['node.yaml']),
    ('id: node/a', 'id: node/a\nid: node/a', ['node.yaml']),
    ('listeners:', 'listeners: []\nold:', ['node.yaml']),
], ids=lambda value: value.replace('\n', ' ') if isinstance(value, str) else None)
def test_a_bad_configuration_is_refused(copy, old, new, words):
    edit(copy / 'node-a/node.yaml', old, new)
    assert_refused(copy, CONFIG, *words)


def test_anonymous_access_beyond_loopback_is_refused(copy):
    edit(copy / 'node-a/node.yaml', '  - address: 127.0.0.1', '  - address: 0.0.0.0')
    edit(copy / 'node-a/node.yaml', 'id: node/a', 'id: node/a\nanonymous: true')
    assert_refused(copy, CONFIG, 'anonymous', 'loopback', 'sealmq passwd')


@pytest.mark.parametrize('name', ['node-a/node.yaml', 'node-a/node.key', 'genesis.json'])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    assert_refused(copy, NOINPUT, name)


def test_missing_password_and_acl_files_are_named(copy):
    with open(copy / 'node-a/node.yaml', 'a') as file:
        file.write('passwords: nowhere\n')
    assert_refused(copy, NOINPUT, 'nowhere')
    edit(copy / 'node-a/node.yaml', 'passwords: nowhere', 'acl: acl')
    (copy / 'node-a/acl').write_text('topic read verified/#\n\ntopic read a/#/b\n')
    assert_refused(copy, CONFIG, 'acl:3: ')


def test_a_file_in_place_of_the_data_folder_is_named(copy):
    edit(copy / 'node-a/node.yaml', 'data: data', 'data: node.key')
    result = start(copy)
    assert result.returncode in (CANTCREAT, IOERR, CONFIG, NOINPUT), result.stderr
    assert 'node.key' in result.stderr


def test_wrong_use_of_the_command(copy):
    assert lib.run_sealmq('node').returncode == USAGE
    assert lib.run_sealmq('node', '-c', 'x', 'more').returncode == USAGE
    assert lib.run_sealmq('node', '--colour').returncode == USAGE
    assert lib.run_sealmq('node', '--help').returncode == 0


# ---- genesis and key ----

@pytest.mark.parametrize('old, new', [
    ('"network": "plant"', '"network": "Plant"'), ('"network": "plant"', '"network": "plant", "x": 1'),
    ('{', '['), ('"threshold": 1', '"threshold": 2'), ('"key": "', '"key": "AAAA'),
    ('"created": "', '"created": "x'), ('"url": "mqtt:', '"url": "http:')])
def test_a_corrupt_genesis_is_refused(copy, old, new):
    path = copy / 'genesis.json'
    path.write_text(path.read_text().replace(old, new, 1))
    result = start(copy)
    assert result.returncode in (CONFIG, DATAERR), result.stderr
    assert 'genesis.json: ' in result.stderr


def test_another_networks_genesis_is_refused(copy, tmp_path):
    other = sealmq_network.Network(tmp_path, nodes=1)
    shutil.copy(other.folder / 'genesis.json', copy / 'genesis.json')
    result = start(copy)
    assert result.returncode in (CONFIG, DATAERR), result.stderr
    assert 'is of another network' in result.stderr
    shutil.copy(other.folder / 'node-a/node.key', copy / 'node-a/node.key')
    result = start(copy)
    assert result.returncode == DATAERR, result.stderr
    assert 'blocks.db' in result.stderr and 'another' in result.stderr


def test_a_key_file_that_others_may_read_is_refused(copy):
    (copy / 'node-a/node.key').chmod(0o640)
    assert_refused(copy, NOPERM, 'node.key', 'chmod 600')


@pytest.mark.parametrize('text', ['', 'sealmq-secret-key-1\n', 'id: node/a\nseed: AAAA\n',
                                  'sealmq-secret-key-1\nid: node/a\nseed: AAAA\n', '\0' * 100])
def test_a_corrupt_key_file_is_refused(copy, text):
    path = copy / 'node-a/node.key'
    path.write_text(text)
    result = start(copy)
    assert result.returncode in (CONFIG, DATAERR), result.stderr
    assert 'node.key' in result.stderr
    assert 'seed' not in result.stderr or 'AAAA' not in result.stderr  # secrets are not shown


# ---- databases ----

def damage(path, how):
    data = path.read_bytes()
    if how == 'garbage':
        path.write_bytes(b'garbage ' * 1000)
    elif how == 'header':
        path.write_bytes(b'x' * 100 + data[100:])
    elif how == 'truncated':
        path.write_bytes(data[:len(data) // 2])
    elif how == 'other':
        path.unlink()
        connection = sqlite3.connect(path)
        connection.execute('CREATE TABLE other(x)')
        connection.commit()
        connection.close()


@pytest.mark.parametrize('how', ['garbage', 'header', 'truncated', 'other'])
@pytest.mark.parametrize('name', ['history.db', 'blocks.db'])
def test_a_corrupt_database_is_refused(copy, name, how):
    path = copy / 'node-a/data' / name
    damage(path, how)
    before = path.read_bytes()
    result = start(copy)
    assert result.returncode == DATAERR, result.stderr
    assert name in result.stderr.splitlines()[-1], result.stderr
    assert path.read_bytes() == before  # for whoever wants to rescue something


def test_a_changed_block_is_refused(copy):
    connection = sqlite3.connect(copy / 'node-a/data/blocks.db')
    body = bytearray(connection.execute('SELECT body FROM blocks WHERE height = 1').fetchone()[0])
    body[-1] ^= 1
    connection.execute('UPDATE bodies SET body = ? WHERE height = 1', (bytes(body),))
    connection.commit()
    connection.close()
    assert_refused(copy, DATAERR, 'blocks.db', '1')


def test_a_changed_certificate_is_refused(copy):
    connection = sqlite3.connect(copy / 'node-a/data/blocks.db')
    wire = bytearray(connection.execute('SELECT certificate FROM blocks').fetchone()[0])
    wire[-1] ^= 1
    connection.execute('UPDATE headers SET certificate = ?', (bytes(wire),))
    connection.commit()
    connection.close()
    assert_refused(copy, DATAERR, 'blocks.db')


def test_a_missing_history_is_begun_anew(copy):
    (copy / 'node-a/data/history.db').unlink()
    assert start(copy).returncode == 0


def test_two_nodes_on_the_same_data_are_refused(whole, tmp_path):
    """Both would sign, and contradict each other."""
    network = sealmq_network.Network(tmp_path, nodes=1)
    network.start()
    second = tmp_path / 'network/second'
    second.mkdir()
    edited = network.config_path('a').read_text().replace(str(network.port('a')),
                                                          str(lib.free_port()))
    edited = edited.replace('key: node.key', 'key: ../node-a/node.key')
    (second / 'node.yaml').write_text(edited.replace('data: data', 'data: ../node-a/data'))
    result = lib.run_sealmq('node', '-c', second / 'node.yaml', '--test-config')
    network.close()
    assert result.returncode == 75, result.stderr
    assert 'node-a/data is in use by another process' in result.stderr


def test_a_port_in_use_is_named(copy):
    text = (copy / 'node-a/node.yaml').read_text()
    port = int(text.split('port: ')[1].split()[0])
    with lib.socket.socket() as busy:
        busy.setsockopt(lib.socket.SOL_SOCKET, lib.socket.SO_REUSEADDR, 1)
        busy.bind((lib.HOST, port))
        busy.listen()
        assert_refused(copy, IOERR, f'127.0.0.1:{port}', 'in use')


# ---- the end ----

def test_sigterm_stores_what_was_taken_and_ends_with_0(whole, copy, tmp_path):
    network = sealmq_network.Network(tmp_path, nodes=1)
    network.start()
    gateway = network.gateway('plant-a/gw1')
    rows = [reading()]
    for n in range(1, 301):
        gateway.mqtt.paho.publish(f'{gateway.id}/RealTime', gateway.sealed_report(n, rows), 1)
    gateway.next_reply()
    network.nodes['a'].signal(signal.SIGTERM)
    assert network.nodes['a'].wait(10) == 0
    assert gateway.mqtt.wait_for_disconnect() == 0x8b  # server shutting down
    acknowledged = {1}
    try:
        while True:
            acknowledged.add(gateway.next_reply(0.05).n)
    except TimeoutError:
        pass
    stored = {n for n, in network.rows('a', 'SELECT n FROM reports')}
    assert acknowledged <= stored
    assert 'ending on Terminated' in network.log('a')
    gateway.close()
    network.close()


def test_sigint_ends_it_too(tmp_path):
    network = sealmq_network.Network(tmp_path, nodes=1)
    network.start()
    network.nodes['a'].signal(signal.SIGINT)
    assert network.nodes['a'].wait(10) == 0
    network.close()


def test_a_second_start_goes_on_where_the_first_ended(copy, whole):
    result = lib.run_sealmq('block', '-d', copy, '--json')
    assert json.loads(result.stdout)['height'] == 1
    assert start(copy, '-v').returncode == 0
    assert json.loads(lib.run_sealmq('block', '-d', copy, '--json').stdout)['height'] == 1
    audit = lib.run_sealmq('audit', '-d', copy, '--json')
    assert json.loads(audit.stdout)['clean'], audit.stdout


def test_a_fresh_start_says_where_it_listens(tmp_path):
    network = sealmq_network.Network(tmp_path, nodes=1)
    begin = time.monotonic()
    network.start(arguments=())
    network.wait_for_log('a', f'node node/a of network plant listens on port {network.port("a")}')
    assert time.monotonic() - begin < 5 * lib.PATIENCE
    network.close()


# ---- sealmq init --id ----

def test_a_node_gets_the_id_that_init_was_given(tmp_path):
    result = lib.run_sealmq('init', '-d', tmp_path / 'n', '--id', 'b=plant-a/gw7')
    assert result.returncode == 0, result.stderr
    assert re.search(r'plant-a/gw7 .*node-b/node.yaml', result.stdout)
    genesis = json.loads((tmp_path / 'n/genesis.json').read_text())
    ids = [validator['id'] for validator in genesis['validators']]
    assert sorted(ids) == ['node/a', 'node/c', 'node/d', 'plant-a/gw7']
    assert 'id: plant-a/gw7\n' in (tmp_path / 'n/node-b/node.yaml').read_text()
    assert 'id: plant-a/gw7\n' in (tmp_path / 'n/node-b/node.key').read_text()


@pytest.mark.parametrize('given,words', [
    (['b'], 'letter and its id'), (['b=one-word'], "'one-word' is no node's id"),
    (['b=admin/ops'], "no node's id"), (['9=plant/x'], 'letter and its id'),
    (['f=plant/x'], 'with 4 nodes there is none'), (['b=node/a'], 'two nodes have the id node/a'),
    (['b=plant/x', '--id', 'c=plant/x'], 'two nodes have the id plant/x')])
def test_an_id_that_init_cannot_give_is_refused(tmp_path, given, words):
    result = lib.run_sealmq('init', '-d', tmp_path / 'n', '--id', *given)
    assert (result.returncode, words in result.stderr) == (2, True), result.stderr
    assert not (tmp_path / 'n').exists()
