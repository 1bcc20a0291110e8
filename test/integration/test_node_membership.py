"""Nodes become validators and leave again, and exchange their keys, while reports and requests flow."""
import collections
import json
import sqlite3
import threading

import pytest

import pygateway
import sealmq_chain
import sealmq_network
import sealmq_reader
import sealmq_testlib as lib
from pygateway import DataRequest, DescribeRequest, reading


class Load(threading.Thread):
    """A gateway that reports, and writes each report to the chain; it goes on until it is stopped."""

    def __init__(self, network, client_id, letter):
        super().__init__(daemon=True)
        self.gateway, self.node = network.gateway(client_id, letter), network.node_id(letter)
        self.id, self.receipted, self.error, self.stopping = self.gateway.id, 0, None, False

    def run(self):
        try:
            code = self.gateway.request(DescribeRequest(self.id, 1, [
                (1, 'D1', 'CS', 'temperature', 'double', 'C')])).code
            assert code == pygateway.OK, code
            n = 0
            while not self.stopping:
                n += 1
                row = reading('21.5', 'temperature')
                reply = self.gateway.report(n, [row])
                assert reply.code == pygateway.OK, reply.code
                made = DataRequest(self.id, n + 1, [('D1', 1, row.time_us, '21.5')], n,
                                   [(n, 'a', self.node, reply.report)])
                self.gateway.send_request(made)
                receipt = self.gateway.next_receipt(30)
                assert receipt.code == pygateway.OK, receipt.code
                self.receipted = made.number
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def stop(self):
        self.stopping = True
        self.join(60)
        self.gateway.close()
        assert self.error is None and not self.is_alive(), self.error


@pytest.fixture
def network(tmp_path):
    made = sealmq_network.Network(tmp_path)
    made.start()
    made.wait_for_company()
    yield made
    made.close()


def wait_for_set(network, size, letters):
    def decided():
        return all(len(network.chain(letter)['peers']) == size - 1 and network.chain(letter)['votes']
                   for letter in letters)
    lib.wait_until(decided, f'{size} validators on {letters}', 30, 0.2)


def whole_chain(network, letter):
    """A node's blocks, each checked by a second implementation, set after set from the genesis."""
    chain = sealmq_chain.Chain(sealmq_reader.Genesis(
        (network.folder / 'genesis.json').read_bytes()))
    chain.numbers = collections.defaultdict(set)
    uri = f'file:{network.data(letter)}/blocks.db?mode=ro'
    connection = sqlite3.connect(uri, uri=True, timeout=10)
    for header, body, certificate in connection.execute(
            'SELECT header, body, certificate FROM blocks ORDER BY height'):
        block = chain.append(sealmq_reader.string(2, header) + body, certificate)
        for request in block.requests:
            chain.numbers[request.sender].add(request.number)
    connection.close()
    return chain


def check_policies(network, chain):
    """A checkpoint is held to the policy of its own set, and of no other; so are proofs and audits."""
    network.stop('a')
    wanted, size = [], 0
    while size < len(chain.headers):
        size += 1
        following = chain.headers[size - 1].next_validators
        if not wanted or wanted[-1][0] != following:
            wanted.append((following, size))
    policies = {network.offline('a', 'policy', size).stdout.split('\n', 2)[2]
                for _, size in wanted}
    assert len(policies) == len(wanted)
    for height in (3, len(chain.headers) - 2):
        proof, policy = (network.folder / f'{kind}-{height}' for kind in ('proof', 'policy'))
        made = network.offline('a', 'proof', 'block', height, '-o', proof)
        assert made.returncode == 0, made.stderr
        size = int(proof.read_text().split('\n\n', 1)[1].split('\n')[1])
        policy.write_text(network.offline('a', 'policy', size).stdout)
        assert lib.run_sealmq('verify', '--policy', policy, proof).returncode == 0
    assert lib.run_sealmq('verify', '--policy', network.folder / 'policy-3',
                          proof).returncode != 0


def check_names_of_voters(network, chain, ids):
    """A block names those who voted for it by the set of its height; e, the fifth by name, left."""
    seen = set()
    for height in range(len(chain.headers) - 1, 0, -7):
        block = json.loads(network.offline('d', 'block', height, '--json').stdout)
        voters = block['committed_by']
        assert voters and len(set(voters)) == len(voters) and set(voters) <= set(ids), block
        seen |= set(voters)
    assert {ids[-1], ids[-2]} <= seen
    text = network.offline('d', 'block').stdout
    assert '(3 are enough)' in text and '?' not in text, text


def check_status(network, ids):
    """Validators of now are found without the genesis; f, who is not in it, by its id alone."""
    result = network.sealmq('status', '--all', '--json')
    assert result.returncode == 0, result.stderr
    assert [json.loads(line)['id'] for line in result.stdout.splitlines()] == ids
    result = network.sealmq('status', '--node', network.node_id('f'), '--json')
    assert json.loads(result.stdout)['id'] == network.node_id('f')
    result = network.sealmq('status', '--node', 'broker/nobody')
    assert result.returncode != 0 and 'broker/nobody' in result.stderr


def same_chains(network, letters):
    """Once nothing is under way: all at one tip."""
    def equal():
        return len({(network.chain(letter)['height'], network.chain(letter)['tip'])
                    for letter in letters}) == 1
    lib.wait_until(equal, f'one tip on {letters}', 30, 0.2)


def test_a_network_grows_to_seven_and_shrinks_to_four_under_load(network):
    loads = [Load(network, 'plant/a', 'a'), Load(network, 'plant/d', 'd')]
    for load in loads:
        load.start()
    for size, letter in ((5, 'e'), (6, 'f'), (7, 'g')):
        network.add_node(letter)
        lib.wait_until(lambda: network.chain(letter)['height'] > 0, f'{letter} follows', 20, 0.1)
        assert network.chain(letter)['state'] == 'following'
        network.validator('add', network.node_id(letter), network.url(letter))
        wait_for_set(network, size, 'abcdefg'[:size])
    height = network.chain()['height']
    network.wait_for_height(height + 5, 'abcdefg')
    letters = list('abcdefg')
    for gone in 'bce':
        network.validator('remove', network.node_id(gone))
        letters.remove(gone)
        wait_for_set(network, len(letters), letters)
        network.kill(gone)
    height = network.chain()['height']
    network.wait_for_height(height + 5, 'adfg')
    for load in loads:
        load.stop()
    check_status(network, [network.node_id(letter) for letter in 'adfg'])
    same_chains(network, 'adfg')
    chains = [whole_chain(network, letter) for letter in 'adfg']
    for load in loads:
        assert load.receipted > 10
        for chain in chains:  # every receipt's request is on it
            assert chain.numbers[load.id.encode()] >= set(range(1, load.receipted + 1))
    assert len({chain.headers[-1].hash for chain in chains}) == 1
    assert len({header.validators for header in chains[0].headers}) >= 6
    check_policies(network, chains[0])
    check_names_of_voters(network, chains[0], [network.node_id(letter) for letter in 'abcdefg'])


def test_a_validator_exchanges_its_key_while_reports_flow(network):
    load = Load(network, 'plant/a', 'a')
    load.start()
    folder = network.folder / 'node-c'
    key = folder / 'node.key.next'
    made = lib.run_sealmq('keygen', '-o', key, network.node_id('c'))
    assert made.returncode == 0, made.stderr
    assert network.stop(['c']) == [0]
    network.start(['c'])  # it has both keys now
    network.validator('rotate', network.node_id('c'), network.url('c'), key)
    wait_for_set(network, 4, 'abcd')
    # With another one away, its votes under the new key are needed.
    network.kill('d')
    height = network.chain()['height']
    network.wait_for_height(height + 3, 'abc')
    # The new key takes the place of the old one, and the node starts with it alone.
    assert network.stop(['c']) == [0]
    key.replace(folder / 'node.key')
    network.start(['c'])
    network.wait_for_height(height + 6, 'abc')
    load.stop()
