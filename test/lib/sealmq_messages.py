"""Consensus messages, read and verified from docs/spec/consensus.md alone.

Message     of a kind: its fields, and whether the signatures on it are those of the validators
"""
from sealmq_reader import (Block, Certificate, Cursor, Request, demand, is_id, sha256, u,
                           verify)

REQUEST, PRE_PREPARE, PREPARE, COMMIT, CHECKPOINT, VIEW_CHANGE, NEW_VIEW, STATUS, FETCH, BLOCKS = \
    range(1, 11)
TOPICS = ('request', 'pre-prepare', 'prepare', 'commit', 'checkpoint', 'view-change', 'new-view',
          'sync/status', 'sync/fetch', 'sync/blocks')
LABELS = {PRE_PREPARE: 'prepare', PREPARE: 'prepare', COMMIT: 'commit', VIEW_CHANGE: 'view-change',
          NEW_VIEW: 'new-view', STATUS: 'status', FETCH: 'fetch'}


def bounded(number, least=0):
    demand(least <= number < 2 ** 63 - 1, 'a number out of range')
    return number


def flag(cursor):
    value = cursor.number(1)
    demand(value <= 1, 'neither yes nor no')
    return value == 1


class Message:
    def __init__(self, kind, data):
        self.kind = kind
        cursor = Cursor(data)
        if kind == REQUEST:
            self.request = Request(data)
            return
        self._read(cursor)
        cursor.end()

    def _read(self, cursor):
        self._start = cursor.at
        demand(cursor.number(1) == 1 and cursor.number(1) == self.kind, 'version or kind')
        self.sender = cursor.number(1)
        needs_none, may_have_none = self.kind in (STATUS, FETCH), self.kind in (STATUS, FETCH, BLOCKS)
        demand(self.sender == 255 if needs_none else
               self.sender < 128 or (may_have_none and self.sender == 255), 'no such sender')
        if self.kind <= COMMIT:
            self._read_vote(cursor)
        elif self.kind == CHECKPOINT:
            self.size, self.root, self.lines = bounded(cursor.number(8)), cursor.take(32), cursor.string(2)
            demand(len(self.lines) <= 1024, 'lines too long')
        elif self.kind == BLOCKS:
            self.blocks = [(cursor.string(4), cursor.string(4)) for _ in range(cursor.number(2))]
        else:
            self._read_signed(cursor)
            self.block = cursor.string(4) if self.kind in (VIEW_CHANGE, NEW_VIEW) else b''
            demand(self.kind != NEW_VIEW or bool(self.block) == self.again, 'a block for nothing')
            demand(self.kind != VIEW_CHANGE or not self.block or self.prepared, 'a block for nothing')

    def _read_vote(self, cursor):
        self.view, self.height = bounded(cursor.number(8)), bounded(cursor.number(8), 1)
        self.header, self.signature = cursor.take(32), cursor.take(64)
        if self.kind == PRE_PREPARE:
            self.block = Block(cursor.string(4))
            demand(self.block.header.hash == self.header, 'another block')

    def _read_signed(self, cursor):
        fields = Cursor(cursor.string(4))
        self.covered = cursor.data[self._start:cursor.at]
        self.signature = cursor.take(64)
        {VIEW_CHANGE: self._read_view_change, NEW_VIEW: self._read_new_view,
         STATUS: self._read_status, FETCH: self._read_fetch}[self.kind](fields)
        fields.end()

    def _read_view_change(self, fields):
        self.view, self.tip = bounded(fields.number(8), 1), bounded(fields.number(8))
        tip = fields.string(4)
        demand((self.tip == 0) == (tip == b''), 'a certificate of the genesis')
        self.tip_certificate = Certificate(tip) if tip else None
        self.prepared = flag(fields)
        if self.prepared:
            self.prepared_certificate = Certificate(fields.string(4))

    def _read_new_view(self, fields):
        self.view, self.view_changes = bounded(fields.number(8), 1), []
        for _ in range(fields.number(1)):
            part = Cursor(fields.string(4))
            change = Message.__new__(Message)
            change.kind, change._start = VIEW_CHANGE, 0
            demand((part.number(1), part.number(1)) == (1, VIEW_CHANGE), 'not a VIEW-CHANGE')
            change.sender = part.number(1)
            change._read_signed(part)
            part.end()
            self.view_changes.append(change)
        senders = [change.sender for change in self.view_changes]
        demand(senders and senders == sorted(set(senders)), 'senders out of order')
        demand(all(change.view == self.view for change in self.view_changes), 'another view')
        self.again = flag(fields)
        if self.again:
            self.vote = fields.take(64)

    def _read_id(self, fields):
        self.id = fields.string(1)
        demand(is_id(self.id), 'an id')

    def _read_status(self, fields):
        self._read_id(fields)
        self.tip, self.view = bounded(fields.number(8)), bounded(fields.number(8))
        self.flags, self.checkpoint_size = fields.number(1), bounded(fields.number(8))
        self.lowest_body = bounded(fields.number(8))
        demand(self.flags <= 7, 'flags')

    def _read_fetch(self, fields):
        self._read_id(fields)
        self.first, self.count = bounded(fields.number(8)), fields.number(2)
        self.wanted = fields.take(32) if flag(fields) else None
        demand(self.count == 0 or self.first > 0, 'everyone has the genesis')

    def verify(self, keys, validators_hash, genesis, ids=()):
        """`keys` of the validators in order of `ids`. What is signed otherwise (lines, certificates,
        requests) is not looked at."""
        if self.kind in LABELS:
            label = f'sealmq/{LABELS[self.kind]}/1'
            rest = (u(8, self.view) + u(8, self.height) + self.header if self.kind <= COMMIT
                    else sha256(self.covered))
            sender = self.sender
            if self.kind in (STATUS, FETCH):
                demand(self.id in ids, 'no such member')
                sender, validators_hash = list(ids).index(self.id), bytes(32)
            demand(sender < len(keys), 'no such validator')
            verify(keys[sender], label, genesis, validators_hash + rest, self.signature)
        for change in self.view_changes if self.kind == NEW_VIEW else ():
            change.verify(keys, validators_hash, genesis)
