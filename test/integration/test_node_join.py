"""A new node that keeps only part of the chain begins with a snapshot of the others, and has the
headers before it afterwards."""
import shutil
import sqlite3
import subprocess

import pytest

import sealmq_testlib as lib
from sealmq_network import Network

BLOCKS, SNAPSHOT = 4500, 4096


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    program = lib.program().parents[2] / 'bench/make_chain'
    if not program.is_file():
        pytest.skip(f'{program} is not built')
    made = Network(tmp_path_factory.mktemp('join'))
    subprocess.run([program, made.folder, made.data('a'), str(BLOCKS)], check=True,
                   timeout=120 * lib.PATIENCE)
    for letter in 'bc':
        shutil.copy(made.data('a') / 'blocks.db', made.data(letter) / 'blocks.db')
    with open(made.config_path('d'), 'a') as file:
        file.write('role: light\n')
    yield made
    made.close()


def heights(network, table):
    connection = sqlite3.connect(f'file:{network.data("d")}/blocks.db?mode=ro', uri=True)
    try:
        return connection.execute(f'SELECT min(height), max(height), count(*) FROM {table}'
                                  ).fetchone()
    finally:
        connection.close()


def test_a_light_node_begins_with_a_snapshot(network):
    network.start()
    network.wait_for_log('d', rf'begins with the snapshot at block {SNAPSHOT}', limit_s=40)
    network.wait_for_height(BLOCKS, 'd', limit_s=40)
    assert network.chain('d')['lowest_block'] == SNAPSHOT + 1
    assert network.chain('d')['role'] == 'light'


def test_it_gets_the_headers_before_it(network):
    network.wait_for_log('d', r'all headers of the chain are here', limit_s=60)
    assert heights(network, 'headers') == (1, BLOCKS, BLOCKS)
    assert heights(network, 'bodies')[0] == SNAPSHOT + 1
    # the path of a header goes through all others
    result = network.offline('d', 'proof', '-o', network.folder / 'x', 'record', BLOCKS - 5, 0, 0)
    assert result.returncode == 0, result.stderr
    verified = lib.run_sealmq('verify', '--policy', network.policy, network.folder / 'x')
    assert verified.returncode == 0, verified.stderr
    result = network.offline('d', 'proof', '-o', network.folder / 'y', 'record', 100, 0, 0)
    assert 'ask a node that does' in result.stderr


def test_it_goes_on_and_starts_again(network):
    network.register('plant-j/gw1')
    network.wait_for_height(BLOCKS + 1)
    assert network.stop('d') == [0]
    network.start('d')
    assert network.chain('d')['height'] >= BLOCKS + 1
    assert network.chain('d')['lowest_block'] == SNAPSHOT + 1
