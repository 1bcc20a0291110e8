"""A second reader of SealMQ's own formats: genesis, requests, blocks, certificates, the state with
its rules, and proofs. Written from docs/spec alone, so that a page which does not say enough is seen
to say too little; what the C2SP formats say is left to c2sp_reader.

Genesis        from its file; the canonical form and its hash
Request        wire form -> head, signatures, records, leaves
Header, Block, Certificate
state_root     of the entries of the state, whose rules are in sealmq_chain
verify_proof   a .tlog-proof file: record -> request -> block -> log -> checkpoint

Everything that is malformed or does not hold raises Refused.
"""
import base64
import decimal
import hashlib
import json
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import c2sp_reader as c2sp
from c2sp_reader import Refused, leaf_hash, node_hash

DATA, DESCRIBE, REGISTER, REVOKE, ROTATE, CONFIGURE = 1, 2, 3, 4, 5, 6
ACKNOWLEDGED, DROPPED, PENDING = 1, 2, 3
INT, DOUBLE, BOOL, STRING = 1, 2, 3, 4
GATEWAY, VALIDATOR = 1, 2
ACTIVE, REVOKED = 1, 2
MICROSECONDS_END = 253402300800 * 1000000  # the year 10000


def sha256(data):
    return hashlib.sha256(data).digest()


def demand(condition, words):
    if not condition:
        raise Refused(words)


def verify(key, label, genesis, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(
            signature, label.encode() + b'\0' + genesis + message)
    except InvalidSignature as error:
        raise Refused(f'{label}: the signature does not verify') from error


# --- numbers, strings, names ---

class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        demand(self.at + n <= len(self.data), 'too short')
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, size, signed=False):
        return int.from_bytes(self.take(size), 'big', signed=signed)

    def string(self, size):
        return self.take(self.number(size))

    def hashes(self):
        n = self.number(1)
        demand(n <= 64, 'a path of more than 64 hashes')
        return [self.take(32) for _ in range(n)]

    def left(self):
        return len(self.data) - self.at

    def end(self):
        demand(self.left() == 0, f'{self.left()} bytes too many')


def u(size, value):
    return value.to_bytes(size, 'big')


def string(size, data):
    return u(size, len(data)) + data


def text(data, most):
    demand(len(data) <= most and b'\0' not in data, 'a text too long, or with a NUL')
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Refused('not UTF-8') from error


def is_id(data):
    return re.fullmatch(rb'[A-Za-z0-9_-]{1,64}/[A-Za-z0-9_-]{1,64}', data) is not None


def is_url(data):
    return re.fullmatch(rb'(mqtts?://[!#-\[\]-~]+)?', data) is not None


def is_name(data):
    return re.fullmatch(rb'[A-Za-z0-9_.-]{1,64}', data) is not None


def check_value(datatype, value):
    shown = text(value, 4096)
    if datatype == INT:
        good = re.fullmatch('-?[0-9]+', shown) and -2 ** 63 <= int(shown) < 2 ** 63
    elif datatype == DOUBLE:
        good = re.fullmatch(r'-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?', shown)
        with decimal.localcontext() as context:
            context.prec, context.Emax, context.Emin = 5000, 10 ** 17, -10 ** 17
            good = good and abs(decimal.Decimal(shown)) < decimal.Decimal('1.7976931348623158e308')
    elif datatype == BOOL:
        good = shown in ('true', 'false')
    else:
        good = datatype == STRING
    demand(good, f'{shown[:80]!r} is no value of datatype {datatype}')


# --- lists: the root, without paths ---

def merkle_root(leaves):
    if not leaves:
        return sha256(b'')
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return node_hash(merkle_root(leaves[:k]), merkle_root(leaves[k:]))


# --- the state's tree ---

def bit_of(key_hash, bit):
    return key_hash[bit // 8] >> (7 - bit % 8) & 1


def state_root(entries):
    """Of {key: value}."""
    def tree(leaves, bit):
        if len(leaves) == 1:
            return sha256(b'\0' + leaves[0][0] + leaves[0][1])
        while len({bit_of(key, bit) for key, _ in leaves}) == 1:
            bit += 1
        sides = [[leaf for leaf in leaves if bit_of(leaf[0], bit) == side] for side in (0, 1)]
        return sha256(b'\1' + u(1, bit) + tree(sides[0], bit + 1) + tree(sides[1], bit + 1))
    if not entries:
        return bytes(32)
    return tree([(sha256(key), sha256(value)) for key, value in entries.items()], 0)


def verify_state_entry(key, value, path, root):
    at, last = sha256(b'\0' + sha256(key) + sha256(value)), 256
    for bit, sibling in path:
        demand(bit < last, 'bits that do not fall')
        last = bit
        pair = (sibling, at) if bit_of(sha256(key), bit) else (at, sibling)
        at = sha256(b'\1' + u(1, bit) + pair[0] + pair[1])
    demand(at == root, 'a state entry under another root')


# --- genesis ---

class Genesis:
    def __init__(self, data):
        value = json.loads(data)

        def key(encoded):
            public = base64.b64decode(encoded, validate=True)
            demand(len(public) == 32, 'a key of another length')
            return public

        def by_id(entry):
            return entry['id'].encode()
        self.network = value['network'].encode()
        self.created_us = parse_time(value['created'].encode())
        validators = sorted(value['validators'], key=by_id)
        self.validators = [(by_id(v), key(v['key'])) for v in validators]
        self.validators_form = u(1, len(validators)) + b''.join(
            string(1, by_id(v)) + key(v['key']) + key(v['logKey']) + key(v['cosignerKey']) +
            string(1, v['url'].encode()) for v in validators)
        self.other_keys = {key(v[use]): (number, by_id(v)) for v in validators
                           for use, number in (('logKey', 2), ('cosignerKey', 3))}
        admins = sorted(value['admins']['keys'], key=by_id)
        self.threshold = value['admins']['threshold']
        self.admins = {by_id(a): key(a['key']) for a in admins}
        self.other_keys.update({public: (4, name) for name, public in self.admins.items()})
        self.admins_form = u(1, self.threshold) + u(1, len(admins)) + b''.join(
            string(1, by_id(a)) + key(a['key']) for a in admins)
        self.difficulty = value['parameters']['difficulty']
        self.parameters_form = (u(1, self.difficulty) +
                                u(4, value['parameters']['anchorIntervalMs']))
        self.form = (b'sealmq/genesis/1\0' + string(1, self.network) + u(8, self.created_us) +
                     self.validators_form + self.admins_form + self.parameters_form)
        self.hash = sha256(self.form)
        self.validators_hash = sha256(b'sealmq/validators/1\0' + self.validators_form)

    def state(self):
        entries = {b'validators': self.validators_form, b'admins': self.admins_form,
                   b'parameters': self.parameters_form}
        for name, key in self.validators:
            entries[b'member/' + name] = Member(VALIDATOR, ACTIVE, 0, [(key, 0, 0)]).encode()
        for key, (use, name) in self.other_keys.items():
            entries[b'key/' + key.hex().encode()] = u(1, use) + string(1, name)
        return entries


def parse_time(data):
    """Microseconds of yyyymmddThhmmss[.f]Z."""
    match = re.fullmatch(rb'(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(?:\.(\d{0,5}[1-9]))?Z', data)
    demand(match, f'not a time: {data!r}')
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    months = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    demand(year >= 1970 and 1 <= month <= 12 and 1 <= day <= months[month - 1] and hour < 24 and
           minute < 60 and second < 60, f'no such time: {data!r}')
    before = year - 1
    days = 365 * before + before // 4 - before // 100 + before // 400 - 719162
    days += sum(months[:month - 1]) + day - 1
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    return seconds * 1000000 + int((match[7] or b'').ljust(6, b'0'))


# --- requests ---

class Record:
    def __init__(self, data):
        parts = data.split(b'/', 5)
        demand(len(parts) == 6, 'a record has five slashes or more')
        self.gateway = parts[0] + b'/' + parts[1]
        demand(is_id(self.gateway) and is_name(parts[2]), 'a record of nobody')
        demand(re.fullmatch(rb'[1-9][0-9]*', parts[3]) and int(parts[3]) < 2 ** 32, 'an item number')
        self.device, self.num, self.value = parts[2], int(parts[3]), parts[5]
        self.time_us = parse_time(parts[4])
        text(self.value, 4096)


class Leaf:
    """Of a history interval."""

    def __init__(self, cursor):
        start = cursor.at
        self.n, self.status, self.node = cursor.number(8), cursor.number(1), cursor.string(1)
        self.report = cursor.take(32)
        self.encoded = cursor.data[start:cursor.at]
        demand(ACKNOWLEDGED <= self.status <= PENDING, 'a leaf\'s status')
        demand(is_id(self.node) if self.status == ACKNOWLEDGED else not self.node, 'a leaf\'s node')


class Item:
    def __init__(self, cursor):
        start = cursor.at
        self.device, self.service, self.name = (cursor.string(1) for _ in range(3))
        self.datatype, self.unit = cursor.number(1), cursor.string(1)
        self.encoded = cursor.data[start:cursor.at]
        demand(all(map(is_name, (self.device, self.service, self.name))), 'an item\'s names')
        demand(INT <= self.datatype <= STRING, 'an item\'s datatype')
        text(self.unit, 32)


class Request:
    """`wire` is the whole request; with `is_leaf`, head and signatures alone, as in a proof."""

    def __init__(self, wire, is_leaf=False):
        demand(len(wire) <= 4 * 1024 * 1024, 'a request too long')
        cursor = Cursor(wire)
        self.head = cursor.string(4)
        self._read_head(Cursor(self.head))
        self.signatures = {}
        for _ in range(cursor.number(1)):
            signer = cursor.string(1)
            demand(is_id(signer) and all(signer > other for other in self.signatures), 'signers')
            self.signatures[signer] = cursor.take(64)
        demand(1 <= len(self.signatures) <= 16 and self.sender in self.signatures, 'signers')
        demand(not self.by_member() or len(self.signatures) == 1, 'signers')
        self.leaf = wire[:cursor.at]
        self.hash = leaf_hash(self.leaf)
        if not is_leaf:
            self._read_beside(cursor)
        cursor.end()

    def by_member(self):
        return self.kind in (DATA, DESCRIBE) or (self.kind == ROTATE and
                                                 not self.sender.startswith(b'admin/'))

    def _read_claim(self, cursor):
        start = cursor.at
        self.id, self.role, self.key = cursor.string(1), cursor.number(1), cursor.take(32)
        demand(self.role in (GATEWAY, VALIDATOR), 'a role')
        self.keys, self.proof = [self.key], None
        if self.role == VALIDATOR:
            self.keys += [cursor.take(32), cursor.take(32)]
            self.url = cursor.string(1)
            demand(is_url(self.url), 'a URL')
            if self.kind == REGISTER:
                self.height, self.seen = cursor.number(8), cursor.take(32)
                demand(self.height < 2 ** 63, 'a height')
        demand(len(set(self.keys)) == len(self.keys) and bytes(32) not in self.keys, 'the keys')
        if self.role == VALIDATOR or self.kind == ROTATE:
            self.proven, self.proof = cursor.data[start:cursor.at], cursor.take(64)

    def verify_proof(self, genesis):
        """The new key's own signature."""
        if self.kind in (REGISTER, ROTATE) and self.proof is not None:
            label = 'sealmq/join/1' if self.kind == REGISTER else 'sealmq/rotate/1'
            verify(self.key, label, genesis, self.proven, self.proof)

    def _read_head(self, cursor):
        demand(cursor.number(1) == 1, 'the version of a request')
        self.kind, self.sender, self.number = cursor.number(1), cursor.string(1), cursor.number(8)
        demand(is_id(self.sender) and 1 <= self.number < 2 ** 63, 'sender or number')
        if self.kind == DATA:
            self.record_count, self.records_root = cursor.number(4), cursor.take(32)
            self.start, self.stop = cursor.number(8), cursor.number(8)
            self.leaf_count, self.interval_root = cursor.number(4), cursor.take(32)
            demand(self.record_count <= 4096 and self.leaf_count <= 65536, 'too much in a request')
            demand(1 <= self.start and self.start - 1 <= self.stop < 2 ** 63, 'the interval')
        elif self.kind == DESCRIBE:
            self.items = [(cursor.number(4), Item(cursor)) for _ in range(cursor.number(2))]
            numbers = [num for num, _ in self.items]
            names = {(i.device, i.service, i.name) for _, i in self.items}
            demand(1 <= len(numbers) <= 1024 and len(names) == len(numbers), 'the items')
            demand(numbers[0] >= 1 and numbers == sorted(set(numbers)), 'the items\' numbers')
        elif self.kind in (REGISTER, ROTATE):
            self._read_claim(cursor)
        elif self.kind == REVOKE:
            self.id, self.reason = cursor.string(1), cursor.string(1)
            text(self.reason, 255)
        elif self.kind == CONFIGURE:
            self.what, self.value = cursor.number(1), cursor.take(cursor.left())
            demand(self.what in (1, 2), 'a configuration of what?')
            (decode_parameters if self.what == 1 else decode_admins)(self.value)
        else:
            raise Refused(f'a request of kind {self.kind}')
        if self.kind in (REGISTER, REVOKE, ROTATE):
            demand(is_id(self.id) and not self.id.startswith(b'admin/'), 'an id')
        cursor.end()

    def _read_beside(self, cursor):
        self.records, self.leaves = [], []
        if self.kind != DATA:
            return
        texts = [cursor.string(2) for _ in range(self.record_count)]
        self.records = [Record(each) for each in texts]
        demand(all(r.gateway == self.sender for r in self.records), 'another gateway\'s record')
        demand(merkle_root([leaf_hash(each) for each in texts]) == self.records_root, 'records root')
        self.leaves = [Leaf(cursor) for _ in range(self.leaf_count)]
        demand(merkle_root([leaf_hash(each.encoded) for each in self.leaves]) ==
               self.interval_root, 'interval root')
        numbers = [leaf.n for leaf in self.leaves]
        older = [leaf for leaf in self.leaves if leaf.n < self.start]
        demand(numbers == sorted(set(numbers)) and all(x.status != PENDING for x in older) and
               numbers[len(older):] == list(range(self.start, self.stop + 1)), 'the leaves')

    def verify(self, signer, key, genesis):
        verify(key, 'sealmq/request/1', genesis, self.head, self.signatures[signer])


# --- blocks ---

class Header:
    def __init__(self, data):
        demand(len(data) <= 512, 'a header too long')
        cursor = Cursor(data)
        demand(cursor.number(2) == 1, 'the version of a header')
        self.network, self.height, self.parent = cursor.string(1), cursor.number(8), cursor.take(32)
        self.requests_root, self.log_root, self.state_root, self.validators, \
            self.next_validators = (cursor.take(32) for _ in range(5))
        self.time_us, self.view = cursor.number(8, signed=True), cursor.number(8)
        self.proposer, self.requests = cursor.string(1), cursor.number(4)
        self.difficulty, self.nonce = cursor.number(1), cursor.number(8)
        cursor.end()
        demand(re.fullmatch(rb'[a-z0-9-]{1,32}', self.network), 'a network\'s name')
        demand(self.height < 2 ** 63 and self.time_us >= 0 and self.requests <= 4096, 'a header')
        demand(is_id(self.proposer) if self.height else self.proposer == b'', 'a proposer')
        self.encoded, self.hash, self.leaf = data, sha256(data), leaf_hash(data)

    def zero_bits(self):
        return 256 - int.from_bytes(self.hash, 'big').bit_length()


class Block:
    def __init__(self, data):
        cursor = Cursor(data)
        self.header = Header(cursor.string(2))
        count = cursor.number(4)
        demand(count == self.header.requests, 'another number of requests')
        demand(cursor.left() <= 8 * 1024 * 1024, 'a block too long')
        self.requests = [Request(cursor.string(4)) for _ in range(count)]
        cursor.end()
        demand(merkle_root([r.hash for r in self.requests]) == self.header.requests_root,
               'requests root')


class Certificate:
    def __init__(self, data):
        cursor = Cursor(data)
        self.view, self.height, self.header = cursor.number(8), cursor.number(8), cursor.take(32)
        self.votes = [(cursor.number(1), cursor.take(64)) for _ in range(cursor.number(1))]
        cursor.end()

    def verify(self, label, validators, validators_hash, genesis):
        """`validators`: [(id, key)] in order of ids."""
        n = len(validators)
        indexes = [index for index, _ in self.votes]
        demand(len(indexes) >= (n + (n - 1) // 3) // 2 + 1, 'too few votes')
        demand(indexes == sorted(set(indexes)) and indexes[-1] < n, 'votes of whom?')
        vote = validators_hash + u(8, self.view) + u(8, self.height) + self.header
        for index, signature in self.votes:
            verify(validators[index][1], label, genesis, vote, signature)


# --- the state ---

class Member:
    def __init__(self, role, status, revoked, keys):
        self.role, self.status, self.revoked, self.keys = role, status, revoked, list(keys)

    @classmethod
    def decode(cls, data):
        cursor = Cursor(data)
        made = cls(cursor.number(1), cursor.number(1), cursor.number(8), [])
        made.keys = [(cursor.take(32), cursor.number(8), cursor.number(8))
                     for _ in range(cursor.number(1))]
        cursor.end()
        return made

    def encode(self):
        return (u(1, self.role) + u(1, self.status) + u(8, self.revoked) + u(1, len(self.keys)) +
                b''.join(key + u(8, start) + u(8, stop) for key, start, stop in self.keys))

    def key_at(self, height):
        for key, start, stop in self.keys:
            if start <= height and (stop == 0 or height < stop):
                return key
        raise Refused('no key at this height')


def decode_admins(data):
    cursor = Cursor(data)
    threshold = cursor.number(1)
    listed = [(cursor.string(1), cursor.take(32)) for _ in range(cursor.number(1))]
    cursor.end()
    admins = dict(listed)
    demand(1 <= threshold <= len(listed) <= 16, 'the threshold')
    demand([name for name, _ in listed] == sorted(admins) and all(
        is_id(name) and name.startswith(b'admin/') for name in admins), 'admins')
    demand(len(set(admins.values())) == len(admins) and bytes(32) not in admins.values(),
           'admins\' keys')
    return threshold, admins


def decode_parameters(data):
    cursor = Cursor(data)
    difficulty, interval = cursor.number(1), cursor.number(4)
    cursor.end()
    demand(difficulty <= 48 and 1 <= interval <= 24 * 60 * 60 * 1000, 'parameters')
    return difficulty


def decode_validators(data):
    """{id: (key, log key, cosigner key, url)}, in order."""
    cursor = Cursor(data)
    made = {}
    for _ in range(cursor.number(1)):
        name = cursor.string(1)
        demand(all(name > other for other in made), 'the order of validators')
        made[name] = (cursor.take(32), cursor.take(32), cursor.take(32), cursor.string(1))
    cursor.end()
    return made


def encode_validators(validators):
    return u(1, len(validators)) + b''.join(
        string(1, name) + b''.join(validators[name][:3]) + string(1, validators[name][3])
        for name in sorted(validators))


def check_admins_signed(request, threshold, admins, genesis):
    demand(request.sender in admins and len(request.signatures) >= threshold, 'too few admins')
    for signer in request.signatures:
        demand(signer in admins, 'not an admin')
        request.verify(signer, admins[signer], genesis)


# --- proofs ---

class Extra:
    """The binary part of a proof file."""

    def __init__(self, data):
        cursor = Cursor(data)
        demand(cursor.number(1) == 1, 'the version of a proof')
        self.kind = cursor.number(1)
        demand(1 <= self.kind <= 4, 'the kind of a proof')
        self.header, self.states = Header(cursor.string(2)), []
        if self.kind >= 2:
            self.request = Request(cursor.string(4), is_leaf=True)
            self.request_index, self.request_path = cursor.number(4), cursor.hashes()
        if self.kind == 3:
            self.index, self.text, self.path = cursor.number(4), cursor.string(2), cursor.hashes()
            self.record = Record(self.text)
        if self.kind == 4:
            self._read_row(cursor)
        if self.kind >= 2:
            for _ in range(cursor.number(1)):
                key, value = cursor.string(2), cursor.string(2)
                path = [(cursor.number(1), cursor.take(32)) for _ in range(cursor.number(2))]
                self.states.append((key, value, path))
            demand(len(self.states) <= 4, 'too many state entries')
        cursor.end()

    def _read_row(self, cursor):
        self.index, self.leaf, self.path = cursor.number(4), Leaf(cursor), cursor.hashes()
        self.topic, self.rows, self.head_path = cursor.string(2), cursor.number(4), cursor.hashes()
        text(self.topic, 1024)
        self.row_number, start = cursor.number(4), cursor.at
        self.device, self.service, self.name = (cursor.string(1) for _ in range(3))
        self.datatype, self.unit = cursor.number(1), cursor.string(1)
        self.time_us, self.value = cursor.number(8, signed=True), cursor.string(2)
        self.row, self.row_path = cursor.data[start:cursor.at], cursor.hashes()
        demand(self.rows <= 65536 and self.row_number < self.rows, 'a row beyond its report')
        demand(all(map(is_name, (self.device, self.service, self.name))), 'a row\'s names')
        text(self.unit, 32)
        demand(0 <= self.time_us < MICROSECONDS_END, 'a row\'s time')
        check_value(self.datatype, self.value)


def verify_proof(data, policy, genesis):
    """`policy` is a c2sp.Policy, `genesis` the network's genesis hash. The proof's Extra."""
    proof = c2sp.Proof(data)
    demand(proof.extra is not None, 'no extra line')
    extra = Extra(proof.extra)
    header = extra.header
    checkpoint, _ = proof.verify(policy, header.encoded)
    demand(not checkpoint.extensions and checkpoint.origin == b'sealmq/' + header.network,
           'another network\'s checkpoint')
    demand(header.height == proof.index, 'the height is not the index')
    if extra.kind == 1:
        return extra
    request = extra.request
    c2sp.verify_inclusion(request.hash, extra.request_index, header.requests, extra.request_path,
                          header.requests_root)
    states = _check_states(extra)
    _check_signer(extra, states, genesis)
    if extra.kind == 3:
        _check_record(extra, states)
    if extra.kind == 4:
        _check_row(extra)
    return extra


def _sender_key(request):
    return b'member/' + request.sender if request.by_member() else b'admins'


def _check_states(extra):
    needed = [_sender_key(extra.request)]
    if extra.kind == 3:
        needed.append(b'item/%s/%d' % (extra.request.sender, extra.record.num))
    given = {key: value for key, value, _ in extra.states}
    demand(len(given) == len(extra.states) and set(given) <= set(needed), 'state entries')
    demand(extra.kind == 2 or set(given) == set(needed), 'a state entry is missing')
    for key, value, path in extra.states:
        verify_state_entry(key, value, path, extra.header.state_root)
    return given


def _check_signer(extra, states, genesis):
    request, value = extra.request, states.get(_sender_key(extra.request))
    if value is None:
        return  # a receipt
    if not request.by_member():
        check_admins_signed(request, *decode_admins(value), genesis)
        return
    member = Member.decode(value)
    demand(member.status == ACTIVE, 'revoked')
    request.verify(request.sender, member.key_at(extra.header.height), genesis)


def _check_record(extra, states):
    request, record = extra.request, extra.record
    demand(request.kind == DATA and record.gateway == request.sender, 'another gateway\'s record')
    c2sp.verify_inclusion(leaf_hash(extra.text), extra.index, request.record_count, extra.path,
                          request.records_root)
    item = Item(Cursor(states[b'item/%s/%d' % (request.sender, record.num)]))
    demand(item.device == record.device, 'another device')
    check_value(item.datatype, record.value)


def _check_row(extra):
    request, leaf = extra.request, extra.leaf
    demand(request.kind == DATA and leaf.status == ACKNOWLEDGED, 'acknowledged by nobody')
    c2sp.verify_inclusion(leaf_hash(leaf.encoded), extra.index, request.leaf_count, extra.path,
                          request.interval_root)
    head = (b'sealmq-report-1\0' + string(1, request.sender) + string(2, extra.topic) +
            u(8, leaf.n) + u(4, extra.rows))
    c2sp.verify_inclusion(leaf_hash(head), 0, extra.rows + 1, extra.head_path, leaf.report)
    c2sp.verify_inclusion(leaf_hash(extra.row), extra.row_number + 1, extra.rows + 1,
                          extra.row_path, leaf.report)
