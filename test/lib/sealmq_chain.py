"""A second implementation of the rules of docs/spec/state.md and block.md: what a request does to the
state, and which block is the next one of a chain. It reads with sealmq_reader.

State          entries, root, and what a request does to them
Chain          blocks one after another, each checked against all before it
"""
from sealmq_reader import (
    ACTIVE, Block, CONFIGURE, Certificate, Cursor, DATA, DESCRIBE, GATEWAY, Header, Item,
    Member, PENDING, REGISTER, REVOKE, REVOKED, ROTATE, VALIDATOR, check_admins_signed,
    check_value, decode_admins, decode_parameters, decode_validators, demand, encode_validators,
    merkle_root, sha256, state_root, string, u)


class State:
    """`before` is what holds for the block under way, `entries` what its requests have made of it."""

    def __init__(self, genesis):
        self.genesis, self.entries = genesis, genesis.state()
        self.begin([])

    def begin(self, log_leaves):
        self.before, self.log_leaves, self.changed = dict(self.entries), log_leaves, set()

    def _change(self, what):
        demand(what not in self.changed, f'{what!r} changes twice in a block')
        self.changed.add(what)

    def _new_key(self, key, use, name):
        """A key that nobody ever had; those of members are in their entries."""
        demand(key not in self._all_keys(), 'a key that somebody had')
        if use is not None:
            self.entries[b'key/' + key.hex().encode()] = u(1, use) + string(1, name)

    def _new_keys(self, request):
        for key, use in zip(request.keys, (None, 2, 3)):
            self._new_key(key, use, request.id)

    def _change_set(self, name, validator=None):
        self._change(b'validators')
        validators = decode_validators(self.before[b'validators'])
        removed = validators.pop(name, None)
        demand(validator is not None or (removed and len(validators) >= 4), 'too few validators')
        if validator is not None:
            validators[name] = validator
        demand(len(validators) <= 128, 'too many validators')
        self.entries[b'validators'] = encode_validators(validators)

    def root(self):
        return state_root(self.entries)

    def _member(self, name):
        demand(b'member/' + name in self.entries, f'{name!r} is no member')
        return Member.decode(self.entries[b'member/' + name])

    def _all_keys(self):
        keys = set()
        for name, value in self.entries.items():
            if name.startswith(b'key/'):
                keys.add(bytes.fromhex(name[4:].decode()))
            if name.startswith(b'member/'):
                keys |= {key for key, _, _ in Member.decode(value).keys}
        return keys

    def execute(self, request, height):
        self._check_signatures(request, height)
        self._use_number(request)
        act = {DATA: self._data, DESCRIBE: self._describe, REGISTER: self._register,
               REVOKE: self._revoke, ROTATE: self._rotate, CONFIGURE: self._configure}
        act[request.kind](request, height)

    def _check_signatures(self, request, height):
        if request.by_member():
            key = self._member(request.sender).key_at(height)
            request.verify(request.sender, key, self.genesis.hash)
        else:
            check_admins_signed(request, *decode_admins(self.before[b'admins']), self.genesis.hash)
        request.verify_proof(self.genesis.hash)

    def _use_number(self, request):
        name = b'window/' + request.sender
        cursor = Cursor(self.entries.get(name, u(8, 1) + u(8, 0)))
        lowest, bitmap = cursor.number(8), cursor.number(8)
        used = bitmap << 1  # bit i: lowest + i
        place = request.number - lowest
        demand(0 <= place < 64 and not used >> place & 1, 'a number that is used, or too far ahead')
        used |= 1 << place
        while used & 1:
            lowest, used = lowest + 1, used >> 1
        self.entries[name] = u(8, lowest) + u(8, used >> 1)

    def _data(self, request, _height):
        name = b'history/' + request.sender
        cursor = Cursor(self.entries.get(name, u(8, 1) + u(4, 0)))
        following = cursor.number(8)
        pending = {cursor.number(8) for _ in range(cursor.number(4))}
        demand(request.start == following, 'an interval that does not follow')
        for leaf in request.leaves:
            if leaf.n < request.start:
                demand(leaf.n in pending, 'resolves what is not pending')
                pending.remove(leaf.n)
            elif leaf.status == PENDING:
                pending.add(leaf.n)
        demand(len(pending) <= 4096, 'too much is pending')
        for record in request.records:
            item_name = b'item/%s/%d' % (request.sender, record.num)
            demand(item_name in self.entries, 'an item that was not described')
            item = Item(Cursor(self.entries[item_name]))
            demand(item.device == record.device, 'another device')
            check_value(item.datatype, record.value)
        if request.leaves:
            self.entries[name] = u(8, request.stop + 1) + u(4, len(pending)) + b''.join(
                u(8, n) for n in sorted(pending))

    def _describe(self, request, _height):
        prefix = b'item/' + request.sender + b'/'
        known = {name: Item(Cursor(value)) for name, value in self.entries.items()
                 if name.startswith(prefix)}
        for num, item in request.items:
            name = prefix + b'%d' % num
            if name in known:
                demand(known[name].encoded == item.encoded, 'an item that is redefined')
                continue
            demand(all((i.device, i.service, i.name) != (item.device, item.service, item.name)
                       for i in known.values()), 'an item with two numbers')
            self.entries[name] = item.encoded

    def _register(self, request, height):
        if request.role == VALIDATOR:
            demand(height - 10000 <= request.height < height, 'a header that is not recent')
            demand(self.log_leaves[request.height] == request.seen, 'a header of another chain')
        member = Member(request.role, REVOKED, 0, [])
        if b'member/' + request.id in self.entries:
            member = self._member(request.id)
        if member.status == ACTIVE:
            self._change_role(member, request)
        else:
            self._new_keys(request)
            demand(len(member.keys) < 32, 'too many keys')
            member.keys.append((request.key, height + 1, 0))
            if request.role == VALIDATOR:
                self._change_set(request.id, (*request.keys, request.url))
        self._change(b'member/' + request.id)
        member.role, member.status, member.revoked = request.role, ACTIVE, 0
        self.entries[b'member/' + request.id] = member.encode()

    def _change_role(self, member, request):
        demand(member.keys[-1][0] == request.key and member.role != request.role, 'an id in use')
        if request.role == GATEWAY:
            self._change_set(request.id)
            return
        for key, use in zip(request.keys[1:], (2, 3)):
            name = b'key/' + key.hex().encode()
            if self.entries.get(name) != u(1, use) + string(1, request.id):
                self._new_key(key, use, request.id)
        self._change_set(request.id, (*request.keys, request.url))

    def _revoke(self, request, height):
        member = self._member(request.id)
        demand(member.status == ACTIVE, 'not active')
        self._change(b'member/' + request.id)
        if member.role == VALIDATOR:
            self._change_set(request.id)
        key, start, _ = member.keys[-1]
        member.keys[-1] = (key, start, height + 1)
        member.status, member.revoked = REVOKED, height
        self.entries[b'member/' + request.id] = member.encode()

    def _rotate(self, request, height):
        demand(not request.by_member() or request.sender == request.id, 'somebody else\'s key')
        member = self._member(request.id)
        demand(member.status == ACTIVE and member.role == request.role, 'not active in that role')
        self._change(b'member/' + request.id)
        self._new_keys(request)
        demand(len(member.keys) < 32, 'too many keys')
        key, start, _ = member.keys[-1]
        member.keys[-1] = (key, start, height + 1)
        member.keys.append((request.key, height + 1, 0))
        if request.role == VALIDATOR:
            self._change_set(request.id, (*request.keys, request.url))
        self.entries[b'member/' + request.id] = member.encode()

    def _configure(self, request, _height):
        name = b'parameters' if request.what == 1 else b'admins'
        self._change(name)
        demand(request.value != self.before[name], 'as it is')
        if request.what == 2:
            _, now = decode_admins(self.before[name])
            for admin, key in decode_admins(request.value)[1].items():
                if now.get(admin) != key:
                    self._new_key(key, 4, admin)
        self.entries[name] = request.value


class Chain:
    """Starts with the genesis block, which every node makes itself."""

    def __init__(self, genesis):
        self.genesis, self.state = genesis, State(genesis)
        first = (u(2, 1) + string(1, genesis.network) + u(8, 0) + genesis.hash + merkle_root([]) +
                 merkle_root([]) + self.state.root() + 2 * genesis.validators_hash +
                 u(8, genesis.created_us) + u(8, 0) + string(1, b'') + u(4, 0) + u(1, 0) + u(8, 0))
        self.headers = [Header(first)]

    def log_root(self, size=None):
        return merkle_root([header.leaf for header in self.headers[:size]])

    def append(self, wire, certificate=None):
        block, tip, genesis = Block(wire), self.headers[-1], self.genesis
        header = block.header
        self.state.begin([each.leaf for each in self.headers])
        before = self.state.before
        validators = decode_validators(before[b'validators'])
        validators = [(name, validators[name][0]) for name in validators]
        validators_hash = sha256(b'sealmq/validators/1\0' + before[b'validators'])
        wanted = (genesis.network, tip.height + 1, tip.hash, self.log_root(), self.state.root(),
                  validators_hash, decode_parameters(before[b'parameters']))
        found = (header.network, header.height, header.parent, header.log_root, header.state_root,
                 header.validators, header.difficulty)
        demand(found == wanted, f'block {header.height} does not follow')
        demand(header.zero_bits() >= header.difficulty, 'too little work')
        proposer = validators[header.view % len(validators)][0]
        demand(header.proposer == proposer, 'not that view\'s primary')
        demand(header.time_us > tip.time_us, 'not later than its parent')
        if certificate is not None:
            votes = Certificate(certificate)
            demand((votes.height, votes.header) == (header.height, header.hash), 'another block\'s')
            votes.verify('sealmq/commit/1', validators, validators_hash, genesis.hash)
        for request in block.requests:
            self.state.execute(request, header.height)
        demand(header.next_validators ==
               sha256(b'sealmq/validators/1\0' + self.state.entries[b'validators']),
               'another next set of validators')
        self.headers.append(header)
        return block
