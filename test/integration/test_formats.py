"""What SealMQ writes, read by programs that share no code with it: test/lib/c2sp_reader.py knows the
public formats alone, test/lib/sealmq_reader.py what docs/spec says of ours. First the frozen vectors,
then a real network."""
import json
import sqlite3
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import c2sp_reader as c2sp
import pygateway
import sealmq_chain
import sealmq_network
import sealmq_reader as reader
import sealmq_testlib as lib
from c2sp_reader import Refused
from sealmq_messages import LABELS, TOPICS, Message

VECTORS = Path(__file__).resolve().parents[1] / 'vectors'
PROOFS = ('block', 'describe', 'data', 'receipt', 'register', 'record', 'row')


def vectors(name):
    return json.loads((VECTORS / name).read_text())


def unhex(*values):
    return [bytes.fromhex(value) for value in values]


# ---- the public formats ----

@pytest.fixture(scope='module')
def proofs():
    made = vectors('proof.json')
    made['policy'] = made['policy'].encode()
    made['proofs'] = {name: text.encode() for name, text in made['proofs'].items()}
    return made


def test_frozen_paths_lead_from_each_leaf_to_the_root():
    merkle = vectors('merkle.json')
    roots = [bytes.fromhex(tree['root']) for tree in merkle['trees']]
    leaves = [c2sp.leaf_hash(bytes.fromhex(tree['leaf'])) for tree in merkle['trees'][1:]]
    for one in merkle['inclusion']:
        size, index, path = one['size'], one['index'], unhex(*one['path'])
        c2sp.verify_inclusion(leaves[index], index, size, path, roots[size])
        for wrong in (path + [bytes(32)], path[:-1] if path else [bytes(32)]):
            with pytest.raises(Refused):
                c2sp.verify_inclusion(leaves[index], index, size, wrong, roots[size])
    for one in merkle['consistency']:
        first, second, path = one['from'], one['to'], unhex(*one['path'])
        c2sp.verify_consistency(first, second, roots[first], roots[second], path)
        for wrong in (path + [bytes(32)], path[:-1] if path else [roots[first]]):
            with pytest.raises(Refused):
                c2sp.verify_consistency(first, second, roots[first], roots[second], wrong)
        with pytest.raises(Refused):
            c2sp.verify_consistency(first, second, roots[first - 1], roots[second], path)


def test_the_frozen_note_satisfies_its_policy_and_each_cosigner_counts_once():
    note = vectors('note.json')
    policy = c2sp.Policy(note['policy'].encode())
    lines = [validator['lines'] for validator in note['validators']]
    strangers = note['stranger'] + note['long_stranger']

    def check(chosen):
        return policy.check((note['text'] + '\n' + ''.join(chosen) + strangers).encode())
    checkpoint, witnesses = check(lines)
    assert (checkpoint.origin, checkpoint.size) == (b'sealmq/plant', note['size'])
    assert checkpoint.root.hex() == note['root']
    assert list(witnesses.values()) == [note['time'] + i for i in range(4)]
    assert len(check(lines[1:])[1]) == 3
    for too_few in (lines[:2], lines[:1] * 4, []):
        with pytest.raises(Refused):
            check(too_few)


def test_frozen_consistency_proofs_are_what_a_witness_takes():
    growth = vectors('consistency.json')
    policy = c2sp.Policy(growth['policy'].encode())
    seen = [c2sp.Checkpoint(proof['since'].encode()) for proof in growth['proofs']]
    for proof, old in zip(growth['proofs'], seen):
        made = c2sp.Growth(proof['file'].encode())
        assert made.verify(policy, old).size == 7
        for other in seen:
            if other.size != old.size:
                with pytest.raises(Refused):
                    made.verify(policy, other)


@pytest.mark.parametrize('name', PROOFS)
def test_a_frozen_proof_is_a_tlog_proof_and_holds(proofs, name):
    policy = c2sp.Policy(proofs['policy'])
    extra = reader.verify_proof(proofs['proofs'][name], policy, bytes.fromhex(proofs['genesis']))
    assert extra.header.hash.hex() == proofs['block_hash']
    if name in ('data', 'receipt', 'record', 'row'):
        assert extra.request.hash.hex() == proofs['request_hash']
    with pytest.raises(Refused):
        c2sp.Proof(proofs['proofs'][name]).verify(policy, extra.header.encoded + b'\0')


@pytest.mark.parametrize('name, stride', [('block', 7), ('row', 31), ('register', 31)])
def test_two_verifiers_agree_on_what_is_damaged(proofs, name, stride, tmp_path):
    """Single bits of a proof, and of its policy: what the program takes the reader takes, and so
    with what it refuses."""
    genesis, whole = bytes.fromhex(proofs['genesis']), proofs['proofs'][name]
    policy, policy_path = c2sp.Policy(proofs['policy']), tmp_path / 'policy'
    policy_path.write_bytes(proofs['policy'])
    path = tmp_path / 'damaged.tlog-proof'
    taken = refused = 0
    for at in range(0, len(whole), stride):
        damaged = whole[:at] + bytes([whole[at] ^ 1 << at % 7]) + whole[at + 1:]
        path.write_bytes(damaged)
        status = lib.run_sealmq('verify', '--policy', policy_path, '--genesis', genesis.hex(),
                                path).returncode
        try:
            reader.verify_proof(damaged, policy, genesis)
            taken += 1
            assert status == 0, at
        except Refused:
            refused += 1
            assert status == 1, at
    assert refused > 4 * taken  # a line of a key that the policy does not know may be anything


# ---- our own formats ----

@pytest.fixture(scope='module')
def chain_vectors():
    return vectors('chain.json')


def test_the_frozen_genesis_has_its_canonical_form(chain_vectors):
    wanted = chain_vectors['genesis']
    genesis = reader.Genesis(wanted['json'])
    assert genesis.form.hex() == wanted['form']
    assert genesis.hash.hex() == wanted['hash']
    assert genesis.validators_hash.hex() == wanted['validators_hash']


def test_the_frozen_chain_follows_block_by_block(chain_vectors):
    genesis = reader.Genesis(chain_vectors['genesis']['json'])
    chain = sealmq_chain.Chain(genesis)
    assert chain.headers[0].hash.hex() == chain_vectors['blocks'][0]['hash']
    for block in chain_vectors['blocks'][1:]:
        made = chain.append(bytes.fromhex(block['wire']))
        assert made.header.hash.hex() == block['hash']
        assert [r.hash.hex() for r in made.requests] == [r['hash'] for r in block['requests']]
        for entry in block['entries']:
            assert chain.state.entries[entry['key'].encode()].hex() == entry['value']
        assert chain.state.root().hex() == block['state_root_after']
        assert chain.log_root().hex() == block['log_root_after']
    with pytest.raises(Refused):  # no block twice, and none for another place
        chain.append(bytes.fromhex(chain_vectors['blocks'][-1]['wire']))
    certificate = chain_vectors['certificate']
    held = reader.Certificate(bytes.fromhex(certificate['wire']))
    held.verify(certificate['label'], genesis.validators, genesis.validators_hash, genesis.hash)
    with pytest.raises(Refused):
        held.verify('sealmq/prepare/1', genesis.validators, genesis.validators_hash, genesis.hash)


def test_every_frozen_consensus_message_is_read_and_its_signature_holds():
    frozen = vectors('consensus.json')
    genesis, validators_hash = unhex(frozen['genesis'], frozen['validators_hash'])
    keys = [Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(
        Encoding.Raw, PublicFormat.Raw) for seed in unhex(*frozen['seeds'])]
    ids = [b'broker/' + bytes((letter,)) for letter in b'abcd']
    for wanted in frozen['messages']:
        data = bytes.fromhex(wanted['wire'])
        message = Message(wanted['kind'], data)
        assert TOPICS[wanted['kind'] - 1] == wanted['topic']
        if wanted['kind'] == 1:
            continue
        by_id = wanted['kind'] in (8, 9)
        assert (ids.index(message.id) if by_id else message.sender) == wanted['sender']
        message.verify(keys, validators_hash, genesis, ids)
        for wrong in (data[:-1], data + b'\0', b'\2' + data[1:], data[:1] + b'\0' + data[2:]):
            with pytest.raises(Refused):
                Message(wanted['kind'], wrong)
        if wanted['kind'] in LABELS:
            with pytest.raises(Refused):
                message.verify(keys, genesis, validators_hash, ids)
            with pytest.raises(Refused):
                message.verify(keys[::-1], validators_hash, genesis, ids)
    assert {wanted['kind'] for wanted in frozen['messages']} == set(range(1, 11))


def test_state_roots_and_paths_are_the_frozen_ones():
    frozen, entries = vectors('statetree.json'), {}
    for step in frozen['steps']:
        key = step['key'].encode()
        if step['op'] == 'set':
            entries[key] = bytes.fromhex(step['value'])
        else:
            entries.pop(key, None)
        assert reader.state_root(entries).hex() == step['root']
    root = reader.state_root(entries)
    for proven in frozen['proofs']:
        cursor = reader.Cursor(bytes.fromhex(proven['path']))
        path = [(cursor.number(1), cursor.take(32)) for _ in range(cursor.number(2))]
        cursor.end()
        key = proven['key'].encode()
        reader.verify_state_entry(key, entries[key], path, root)
        for wrong in (path[:-1], path[::-1] + path):
            with pytest.raises(Refused):
                reader.verify_state_entry(key, entries[key], wrong, root)
        with pytest.raises(Refused):
            reader.verify_state_entry(key, entries[key] + b'x', path, root)


# ---- a real network ----

class Written:
    """Four nodes with blocks of every kind of request, and what they say of it."""

    def __init__(self, folder):
        self.network = sealmq_network.Network(folder)
        self.network.start()
        self.network.wait_for_company()
        gateway = self.network.gateway('plant-f/gw1')
        node = self.network.node_id('a')
        items = [(1, 'D1', 'CS', 'temperature', 'double', '°C'), (2, 'D1', 'CS', 'on', 'bool', '')]
        assert gateway.request(pygateway.DescribeRequest(gateway.id, 1, items)).code == pygateway.OK
        rows = [pygateway.reading('21.5', 'temperature'), pygateway.reading('60', 'humidity')]
        self.receipts, leaves = [], []
        for n in range(1, 4):
            leaves = [(n, 'a', node, gateway.report(n, rows).report)]
            records = [('D1', 1, rows[0].time_us, f'2{n}.5'), ('D1', 2, rows[0].time_us, 'true')]
            receipt = gateway.request(pygateway.DataRequest(gateway.id, n + 1, records, n, leaves))
            assert receipt.code == pygateway.OK
            self.receipts.append(receipt)
        gateway.close()
        result = self.network.sealmq('device', '--node', node, 'revoke', gateway.id, '--reason', 'lost')
        assert result.returncode == 0, result.stderr
        height = self.network.chain()['height']
        self.network.wait_for_height(height)
        self.policy = c2sp.Policy(self.network.policy.read_bytes())
        self.genesis = reader.Genesis((self.network.folder / 'genesis.json').read_bytes())

    def stored(self, letter, query):
        uri = f'file:{self.network.data(letter)}/blocks.db?mode=ro'
        connection = sqlite3.connect(uri, uri=True, timeout=10)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def chain(self, letter):
        """A node's whole chain, checked from its genesis on."""
        chain = sealmq_chain.Chain(self.genesis)
        for header, body, certificate in self.stored(
                letter, 'SELECT header, body, certificate FROM blocks ORDER BY height'):
            chain.append(reader.string(2, header) + body, certificate)
        return chain


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    made = Written(tmp_path_factory.mktemp('written'))
    yield made
    made.network.close()


def test_every_nodes_chain_follows_by_the_rules_of_the_specification(written):
    tips = set()
    for letter in 'abcd':
        chain = written.chain(letter)
        assert chain.headers[-1].height >= 6
        tips.add(chain.headers[6].hash)
        assert b'item/plant-f/gw1/2' in chain.state.entries
        assert reader.Member.decode(chain.state.entries[b'member/plant-f/gw1']).status == \
            reader.REVOKED
    assert len(tips) == 1


def test_every_checkpoint_is_of_the_log_and_consistent_with_the_next(written):
    chain, before = written.chain('b'), None
    notes = written.stored('b', 'SELECT size, note FROM checkpoints ORDER BY size')
    assert notes
    for size, note in notes:
        note = note.encode() if isinstance(note, str) else note
        checkpoint, witnesses = written.policy.check(note)
        assert checkpoint.size == size and len(witnesses) >= 3
        assert checkpoint.root == chain.log_root(size)
        before = before or checkpoint
        assert checkpoint.size >= before.size


def test_a_receipt_is_a_proof_that_others_can_check(written):
    for number, receipt in enumerate(written.receipts, 2):
        extra = reader.verify_proof(receipt.proof, written.policy, written.genesis.hash)
        assert (extra.kind, extra.request.number) == (2, number)


@pytest.mark.parametrize('what', [('record', 'newest'), ('row', 'plant-f/gw1', 2, 1), ('block', 3),
                                  ('block', 0)])
def test_a_proof_file_is_one_that_others_can_check(written, tmp_path, what):
    path = tmp_path / 'made.tlog-proof'
    result = written.network.offline('a', 'proof', '-o', path, *what)
    assert result.returncode == 0, result.stderr
    extra = reader.verify_proof(path.read_bytes(), written.policy, written.genesis.hash)
    assert extra.kind == {'block': 1, 'record': 3, 'row': 4}[what[0]]
    if extra.kind == 3:
        assert extra.record.value in (b'23.5', b'true')
    if extra.kind == 4:
        assert (extra.name, extra.value, extra.leaf.n) == (b'humidity', b'60', 2)
    other = sealmq_network.Network(tmp_path, nodes=4)
    with pytest.raises(Refused):
        reader.verify_proof(path.read_bytes(), c2sp.Policy(other.policy.read_bytes()),
                            written.genesis.hash)
    other.close()


def test_a_consistency_proof_file_is_one_that_a_witness_takes(written, tmp_path):
    seen = [note for _, note in written.stored('c', 'SELECT size, note FROM checkpoints '
                                                     'ORDER BY size')]
    for i, note in enumerate(seen[:1] + seen[-1:]):
        old = c2sp.Checkpoint(note[:note.index('\n\n') + 1].encode())
        since, path = tmp_path / f'since-{i}', tmp_path / f'growth-{i}'
        since.write_text(note)
        result = written.network.offline('c', 'proof', '-o', path, 'consistency', old.size)
        assert result.returncode == 0, result.stderr
        made = c2sp.Growth(path.read_bytes())
        now = made.verify(written.policy, old)
        result = lib.run_sealmq('verify', '--policy', written.network.policy, '--since', since,
                                '--json', path)
        assert result.returncode == 0, result.stdout
        shown = json.loads(result.stdout)
        assert (shown['from'], shown['to']) == (old.size, now.size)
    since.write_text(note.replace(f'\n{old.size}\n', f'\n{old.size - 1}\n'))
    result = lib.run_sealmq('verify', '--policy', written.network.policy, '--since', since, path)
    assert (result.returncode, 'NOT verified' in result.stdout) == (1, True)
    for size in (0, old.size + 1000):
        result = written.network.offline('c', 'proof', '-o', tmp_path / 'none', 'consistency', size)
        assert result.returncode == 66 and 'newest checkpoint is of' in result.stderr


def test_a_node_is_asked_whether_its_log_has_only_grown(written):
    operator = pygateway.Identity.from_file(written.network.folder / 'admin.key',
                                            written.network.genesis)
    chain = written.chain('d')
    with lib.MqttClient(written.network.port('d'), operator.id, operator.id,
                        operator.token('node/d'), v5=True) as client:
        def ask(**more):
            client.publish('chain/plant/query', json.dumps({'query': 'consistency', **more}).encode(), 1)
            return json.loads(client.next_message().payload)
        size = len(chain.headers)
        for start, end in ((1, 1), (1, size), (2, 5), (3, size - 1), (size, size)):
            answer = ask(**{'from': start, 'to': end})
            assert (answer['from'], answer['to']) == (start, end)
            root = c2sp.decode_hash(answer['root'].encode())
            assert root == chain.log_root(end)
            c2sp.verify_consistency(start, end, chain.log_root(start), root,
                                    [c2sp.decode_hash(h.encode()) for h in answer['path']])
        answer = ask(**{'from': 3})
        checkpoint, witnesses = written.policy.check(answer['checkpoint'].encode())
        assert (checkpoint.size, len(witnesses) >= 3) == (answer['to'], True)
        c2sp.verify_consistency(3, checkpoint.size, chain.log_root(3), checkpoint.root,
                                [c2sp.decode_hash(h.encode()) for h in answer['path']])
        for wrong, error in (({'from': 0}, 'ARG'), ({'from': 5, 'to': 4}, 'ARG'),
                             ({'from': 1, 'to': 0}, 'ARG'), ({'from': -1}, 'PARSE'),
                             ({'from': '1'}, None), ({}, 'PARSE'), ({'from': 1, 'to': 1.5}, 'PARSE'),
                             ({'from': 1, 'to': 10 ** 6}, 'NOTFOUND')):
            assert ask(**wrong).get('error') == error


# ---- blocks that need work ----

DIFFICULTY = 12


def test_blocks_that_need_work_have_it_and_survive_their_primary(tmp_path):
    network = sealmq_network.Network(tmp_path, difficulty=DIFFICULTY)
    network.start()
    network.wait_for_company()
    gateway = network.gateway('plant-f/gw1', 'b')
    items = [(1, 'D1', 'CS', 'x', 'int', '')]
    assert gateway.request(pygateway.DescribeRequest(gateway.id, 1, items)).code == pygateway.OK
    assert network.chain('b')['view'] == 0  # nobody was left for being at work
    network.kill('a')
    request = pygateway.DescribeRequest(gateway.id, 2, [(2, 'D1', 'CS', 'y', 'int', '')])
    gateway.send_request(request)
    receipt = gateway.next_receipt(20 * lib.PATIENCE)
    assert (receipt.request, receipt.code) == (2, pygateway.OK)
    gateway.close()
    network.start('a')
    network.wait_for_height(network.chain('b')['height'])
    genesis = reader.Genesis((network.folder / 'genesis.json').read_bytes())
    headers = [reader.Header(header) for header, in sqlite3.connect(
        f'file:{network.data("a")}/blocks.db?mode=ro', uri=True).execute(
            'SELECT header FROM blocks ORDER BY height')]
    assert genesis.difficulty == DIFFICULTY and len(headers) >= 3
    assert all(header.difficulty == DIFFICULTY for header in headers)
    assert all(header.zero_bits() >= DIFFICULTY for header in headers)
    assert len({header.nonce for header in headers}) == len(headers)
    network.close()
