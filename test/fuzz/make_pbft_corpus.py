#!/usr/bin/python3
"""Writes the seeds of fuzz_pbft_message into corpus/pbft_message. See there for the form."""
import struct
from pathlib import Path

OUT = Path(__file__).parent / 'corpus' / 'pbft_message'
(REQUEST, PRE_PREPARE, PREPARE, COMMIT, CHECKPOINT,
 VIEW_CHANGE, NEW_VIEW, STATUS, FETCH, BLOCKS) = range(1, 11)
HASH = bytes(range(32))


def message(kind, how, data):
    return struct.pack('>BBH', kind, how, len(data)) + data


def vote(view, height, block=b''):
    return struct.pack('>QQ', view, height) + HASH + block


def str32(data):
    return struct.pack('>I', len(data)) + data


def view_change(view, height=0, tip=b'', prepared=None):
    return (struct.pack('>QQ', view, height) + str32(tip) +
            (b'\0' if prepared is None else b'\1' + str32(prepared)))


def certificate(view, height, votes=3):
    return (struct.pack('>QQ', view, height) + HASH + bytes([votes]) +
            b''.join(bytes([i]) + bytes(64) for i in range(votes)))


def status(height, view, flags=0, size=0):
    return struct.pack('>QQBQ', height, view, flags, size)


HEADER = (struct.pack('>H', 1) + b'\4fuzz' + struct.pack('>Q', 1) + 6 * HASH +
          struct.pack('>qQ', 2000000, 0) + b'\x09broker/n0' + struct.pack('>IBQ', 1, 0, 0))
BLOCK = struct.pack('>H', len(HEADER)) + HEADER + struct.pack('>I', 1) + str32(b'a request')
BLOCKS_OF_1 = b'\1\x0a\0' + struct.pack('>H', 1) + str32(BLOCK) + str32(certificate(0, 1))

SEEDS = {
    'votes': b''.join(message(kind, who, vote(0, 1)) for kind in (PREPARE, COMMIT)
                      for who in (1, 3, 4)),
    'votes-ahead': b''.join(message(COMMIT, 1, vote(view, height)) for view in (0, 1, 5, 9)
                            for height in (1, 2, 3)),
    'two-votes': message(PREPARE, 3, vote(0, 1)) + message(PREPARE, 3, vote(0, 1)[:-1] + b'x'),
    'proposal': message(PRE_PREPARE, 1, vote(0, 1, BLOCK)) + message(PREPARE, 3, vote(0, 1)),
    'proposal-ahead': message(PRE_PREPARE, 1, vote(0, 2, BLOCK)),
    'join': message(VIEW_CHANGE, 3, view_change(1)) + message(VIEW_CHANGE, 4, view_change(1)),
    'join-far': message(VIEW_CHANGE, 3, view_change(2)) + message(VIEW_CHANGE, 4, view_change(3)) +
                message(STATUS, 1, status(0, 3, 1)),
    'prepared': message(VIEW_CHANGE, 3, view_change(4, 7, certificate(2, 7), certificate(3, 8))),
    'new-view': message(NEW_VIEW, 1, struct.pack('>QB', 4, 3) + 3 * str32(b'x') + b'\0'),
    'status': b''.join(message(STATUS, who, status(9, who, 2, 8)) for who in (1, 3, 4)),
    'fetch': message(FETCH, 1, struct.pack('>QHB', 1, 64, 0)) +
             message(FETCH, 3, struct.pack('>QHB', 1, 0, 1) + HASH),
    'blocks': message(BLOCKS, 0, BLOCKS_OF_1),
    'checkpoint': message(CHECKPOINT, 0, b'\1\5\0' + struct.pack('>Q', 2) + HASH + b'\0\5lines'),
    'request': message(REQUEST, 0, str32(b'\1\1') + b'\0'),
    'raw': message(VIEW_CHANGE, 0, b'\1\6\2' + str32(b'') + bytes(68)) + message(99, 0, b'x'),
}

OUT.mkdir(parents=True, exist_ok=True)
for name, data in SEEDS.items():
    (OUT / name).write_bytes(data)
