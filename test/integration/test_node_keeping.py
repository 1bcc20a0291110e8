"""What nodes keep of a long chain: starts from snapshots, catching up from others of whom one has
damaged blocks, pruning that others must make up for, and the warning when few keep everything.

The chain is made by bench/make_chain, which signs it with the network's keys."""
import shutil
import sqlite3
import subprocess

import pytest

import sealmq_testlib as lib
from sealmq_network import Network

BLOCKS = 9000           # two snapshots: at 4096 and 8192
KEPT_FROM = 8193        # by whoever retains fewer than BLOCKS - 8192
DAMAGED = range(1000, 4000)


def make_chain():
    program = lib.program().parents[2] / 'bench/make_chain'
    if not program.is_file():
        pytest.skip(f'{program} is not built')
    return program


def edit(path, change):
    connection = sqlite3.connect(path)
    with connection:
        change(connection)
    connection.close()


def damage(connection):
    """The last vote of each certificate, as if the node lied about it."""
    for height in DAMAGED:
        wire = bytearray(connection.execute('SELECT certificate FROM headers WHERE height = ?',
                                            (height,)).fetchone()[0])
        wire[-1] ^= 1
        connection.execute('UPDATE headers SET certificate = ? WHERE height = ?',
                           (bytes(wire), height))


def retain(network, letter, blocks):
    with open(network.config_path(letter), 'a') as file:
        file.write(f'retain:\n  blocks: {blocks}\n')


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    made = Network(tmp_path_factory.mktemp('keeping'))
    subprocess.run([make_chain(), made.folder, made.data('a'), str(BLOCKS)], check=True,
                   timeout=120 * lib.PATIENCE)
    for letter in 'bc':
        shutil.copy(made.data('a') / 'blocks.db', made.data(letter) / 'blocks.db')
    edit(made.data('b') / 'blocks.db', damage)
    yield made
    made.close()


def test_a_new_node_fetches_the_chain_from_all_and_gets_round_damaged_blocks(network):
    network.start('abc')
    network.wait_for_company('abc')
    network.start('d')
    network.wait_for_height(BLOCKS, 'd', limit_s=90)
    network.wait_for_log('d', r'behind: fetching blocks up to 9000')
    network.wait_for_log('d', r'refused a message from node/b: .*block to catch up with')
    network.wait_for_log('d', r'caught up at block 9000: fetched \d+ blocks from other nodes in '
                              r'[\d.]+ s, \d+ blocks/s')
    assert network.chain('d')['lowest_block'] == 1
    assert 'catch_up' not in network.chain('d')


def test_a_chain_of_snapshots_and_new_blocks_goes_on(network):
    gateway = network.register('plant-k/gw1')
    assert gateway is not None
    assert network.chain('d')['height'] == BLOCKS + 1


def test_all_full_nodes_are_counted(network):
    lib.wait_until(lambda: network.chain('a')['full_nodes'] == 4, 'four full nodes')
    assert network.chain('a')['role'] == 'full'
    assert network.chain('a')['few_full_nodes'] is False


def test_bodies_go_when_two_others_keep_them(network):
    proof = network.folder / 'before.tlog-proof'
    result = network.offline('a', 'proof', '-o', proof, 'record', 100, 0, 0)
    assert result.returncode == 0, result.stderr
    assert network.stop('a') == [0]
    retain(network, 'a', 500)
    network.start('a')
    network.wait_for_log('a', rf'bodies of blocks \d+ to {KEPT_FROM - 1} are no longer kept here')
    lib.wait_until(lambda: network.chain('a')['lowest_block'] == KEPT_FROM, 'bodies to go')
    # a proof from before stays valid, and a new one is to be had elsewhere
    verified = lib.run_sealmq('verify', '--policy', network.policy, proof)
    assert verified.returncode == 0, verified.stderr
    result = network.offline('a', 'proof', '-o', network.folder / 'x', 'record', 100, 0, 0)
    assert result.returncode != 0
    assert 'ask a node that does' in result.stderr
    result = network.offline('c', 'proof', '-o', network.folder / 'y', 'record', 100, 0, 0)
    assert result.returncode == 0, result.stderr
    result = network.sealmq('block', '--data', network.data('a'), 100)
    assert result.returncode != 0
    # headers stay: the path of a block that is kept goes through those of all others
    result = network.offline('a', 'proof', '-o', network.folder / 'z', 'record', 8990, 0, 0)
    assert result.returncode == 0, result.stderr


def test_a_pruned_node_starts_again(network):
    assert network.stop('a') == [0]
    network.start('a')
    assert network.chain('a')['height'] >= BLOCKS + 1
    assert network.chain('a')['lowest_block'] == KEPT_FROM
    network.wait_for_company('abcd')


def test_nothing_goes_that_fewer_than_two_others_keep(network):
    """Of the others only b keeps everything: a does not any more, and d is down."""
    assert network.stop('cd') == [0, 0]
    retain(network, 'c', 500)
    network.start('c')
    network.wait_for_company('abc')
    network.wait_for_log('c', r'blocks below 8193 are kept although `retain` says otherwise')
    lib.wait_until(lambda: network.chain('c')['prune_refused'] is True, 'the status to say so')
    assert network.chain('c')['lowest_block'] == 1
    people = network.sealmq('status', '--node', 'node/c').stdout
    assert 'fewer than two other nodes keep them' in people


def test_it_is_said_when_few_nodes_keep_everything(network):
    network.wait_for_log('a', r'\d full nodes are reachable, this one included; below 3')
    lib.wait_until(lambda: network.chain('a')['few_full_nodes'] is True, 'the status to say so')
    assert network.chain('a')['full_nodes'] == 2
    assert 'too few, keep at least three' in network.sealmq('status', '--node', 'node/a').stdout


def test_they_go_once_two_others_are_back(network):
    network.start('d')
    network.wait_for_log('c', rf'bodies of blocks \d+ to {KEPT_FROM - 1} are no longer kept here')
    lib.wait_until(lambda: network.chain('c')['lowest_block'] == KEPT_FROM, 'bodies to go')
    assert network.chain('c')['prune_refused'] is False


def test_whoever_was_away_is_given_old_blocks_by_those_who_keep_them(network):
    """d begins anew: a and c do not have what it lacks first, b has some of it damaged, and is asked no
    further than that."""
    assert network.stop('d') == [0]
    for path in network.data('d').glob('blocks.db*'):
        path.unlink()
    network.start('d')
    network.wait_for_height(DAMAGED[0] - 64, 'd', limit_s=60)
    network.wait_for_log('d', r'refused a message from node/b: .*block to catch up with')
    assert network.chain('d')['height'] < DAMAGED[-1]   # nobody has the next one whole
    assert network.stop('d') == [0]
