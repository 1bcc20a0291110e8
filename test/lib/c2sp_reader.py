"""Reads and verifies signed notes, checkpoints, cosignatures, policies and proofs of transparency
logs, written from the public texts alone: c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature,
tlog-policy, tlog-proof and tlog-witness, RFC 6962 section 2.1 and RFC 9162 section 2.1. It knows nothing of SealMQ,
and shares neither code nor cryptographic library with it.

VerifierKey    a key as "<name>+<key id>+<base64>"
Note           a text and its signature lines
Checkpoint     origin, size, root
Policy         logs, witnesses, groups, quorum
Proof          a .tlog-proof file
Growth         a consistency proof with its checkpoint, as witnesses take it
verify_inclusion, verify_consistency

Everything that is malformed or does not hold raises Refused, with words.
"""
import base64
import binascii
import hashlib
import re
import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519, COSIGNATURE = b'\x01', b'\x04'  # signature types
HASH_SIZE = 32


class Refused(Exception):
    """Malformed, or not true."""


def decode_base64(text):
    """RFC 4648 section 4, canonical: one text for each value."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(f'not base64: {text[:80]!r}') from error
    if base64.b64encode(data) != text:
        raise Refused(f'base64 with spare bits: {text[:80]!r}')
    return data


def decode_hash(text):
    data = decode_base64(text)
    if len(data) != HASH_SIZE:
        raise Refused(f'a hash of {len(data)} bytes')
    return data


def decode_decimal(text):
    if not re.fullmatch(rb'0|[1-9][0-9]*', text):
        raise Refused(f'not a decimal: {text[:80]!r}')
    return int(text)


# --- signed-note ---

def is_key_name(name):
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return False
    return text != '' and '+' not in text and not any(c.isspace() for c in text)


class VerifierKey:
    def __init__(self, vkey):
        parts = vkey.split(b'+', 2)  # base64 may have a plus of its own
        if len(parts) != 3 or not is_key_name(parts[0]) or not re.fullmatch(rb'[0-9a-f]{8}', parts[1]):
            raise Refused(f'not a verifier key: {vkey!r}')
        self.name, self.id = parts[0], bytes.fromhex(parts[1].decode())
        tagged = decode_base64(parts[2])
        self.type, self.public = tagged[:1], tagged[1:]
        if self.type not in (ED25519, COSIGNATURE) or len(self.public) != 32:
            raise Refused(f'a key of type 0x{self.type.hex()}')
        if hashlib.sha256(self.name + b'\n' + tagged).digest()[:4] != self.id:
            raise Refused(f'the key id of {vkey!r} is not that of its key')

    def verify(self, text, signature):
        """The time that a cosignature names, or None for a plain signature."""
        time, message = None, text
        if self.type == COSIGNATURE:
            if len(signature) != 8 + 64:
                raise Refused('a cosignature of another length')
            (time,), signature = struct.unpack('>Q', signature[:8]), signature[8:]
            if time > 2 ** 63 - 1:
                raise Refused('a time past 2^63 - 1')
            message = b'cosignature/v1\ntime %d\n' % time + text
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature as error:
            raise Refused(f'{self.name!r} did not sign this') from error
        return time


class Note:
    """The text, with its last newline, and [(key name, key id, signature)]."""

    def __init__(self, data):
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise Refused('a note is UTF-8') from error
        if any(c < 0x20 and c != 0x0a for c in data):
            raise Refused('a control character in a note')
        at = data.rfind(b'\n\n')
        if at < 0 or not data.endswith(b'\n'):
            raise Refused('no signatures, or the last line does not end')
        self.text, self.signatures = data[:at + 1], []
        lines = data[at + 2:].split(b'\n')[:-1]
        for line in lines:
            parts = line.split(b' ')
            if len(parts) != 3 or parts[0] != '\u2014'.encode() or not is_key_name(parts[1]):
                raise Refused(f'not a signature line: {line!r}')
            signature = decode_base64(parts[2])
            if len(signature) <= 4:
                raise Refused('an empty signature')
            self.signatures.append((parts[1], signature[:4], signature[4:]))
        if not lines:
            raise Refused('no signatures')

    def verify(self, keys):
        """{key: time} of those that signed. One bad line of a known key refuses the note."""
        signed = {}
        for name, key_id, signature in self.signatures:
            for key in keys:
                if (key.name, key.id) == (name, key_id):
                    signed[key] = key.verify(self.text, signature)
        return signed


# --- tlog-checkpoint ---

class Checkpoint:
    def __init__(self, text):
        lines = text.split(b'\n')
        if len(lines) < 4 or lines[-1] != b'' or b'' in lines[:-1]:
            raise Refused('a checkpoint has three lines or more, none of them empty')
        self.origin, self.size, self.root = lines[0], decode_decimal(lines[1]), decode_hash(lines[2])
        self.extensions = lines[3:-1]


# --- tlog-policy ---

class Policy:
    def __init__(self, data):
        if any(c < 0x20 and c not in b'\t\n' or c == 0x7f for c in data):
            raise Refused('a control character in a policy')
        if data and not data.endswith(b'\n'):
            raise Refused('the last line does not end')
        self.logs, self.witnesses, self.groups = [], {}, {}
        self.quorum = None
        self._members = set()
        readers = {b'log': self._log, b'witness': self._witness, b'group': self._group,
                   b'quorum': self._quorum}
        for line in data.split(b'\n')[:-1]:
            items = line.replace(b'\t', b' ').split(b' ')
            items = [item for item in items if item]
            if not items or items[0].startswith(b'#'):
                continue
            if items[0] not in readers:
                raise Refused(f'what is {items[0]!r}?')
            readers[items[0]](items[1:])
        if self.quorum is None:
            raise Refused('no quorum line')

    @staticmethod
    def _key(vkey, signature_type, others):
        key = VerifierKey(vkey)
        if key.type != signature_type:
            raise Refused(f'a key of type 0x{key.type.hex()} in the wrong place')
        if any(key.public == other.public for other in others):
            raise Refused('a key twice')
        return key

    def _log(self, items):
        if not 1 <= len(items) <= 2:
            raise Refused('log <vkey> [<url>]')
        self.logs.append(self._key(items[0], ED25519, self.logs))

    def _new_name(self, name):
        if name == b'none' or name in self.witnesses or name in self.groups:
            raise Refused(f'the name {name!r} is taken')

    def _witness(self, items):
        if not 2 <= len(items) <= 3:
            raise Refused('witness <name> <vkey> [<url>]')
        self._new_name(items[0])
        self.witnesses[items[0]] = self._key(items[1], COSIGNATURE, self.witnesses.values())

    def _defined(self, name):
        if name not in self.witnesses and name not in self.groups:
            raise Refused(f'{name!r} is not defined before this line')

    def _group(self, items):
        if len(items) < 3:
            raise Refused('group <name> all|any|<k> <name>...')
        name, rule, members = items[0], items[1], items[2:]
        self._new_name(name)
        for member in members:
            self._defined(member)
            if member in self._members:
                raise Refused(f'{member!r} is a member twice')
            self._members.add(member)
        words = {b'all': len(members), b'any': 1}
        k = words[rule] if rule in words else decode_decimal(rule)
        if not 1 <= k <= len(members):
            raise Refused(f'{k} of {len(members)} members')
        self.groups[name] = (k, members)

    def _quorum(self, items):
        if self.quorum is not None or len(items) != 1:
            raise Refused('one line: quorum <name>')
        if items[0] != b'none':
            self._defined(items[0])
        self.quorum = items[0]

    def _witnessed(self, name, signed):
        if name in self.witnesses:
            return self.witnesses[name] in signed
        k, members = self.groups[name]
        return sum(self._witnessed(member, signed) for member in members) >= k

    def check(self, data):
        """The checkpoint of a note (bytes) that satisfies the policy, and {witness: time}."""
        note = Note(data)
        checkpoint = Checkpoint(note.text)
        logs = [log for log in self.logs if log.name == checkpoint.origin]
        signed = note.verify(logs + list(self.witnesses.values()))
        if not any(log in signed for log in logs):
            raise Refused('signed by no log of the policy')
        if self.quorum != b'none' and not self._witnessed(self.quorum, signed):
            raise Refused('no quorum of witnesses')
        return checkpoint, {name: signed[key] for name, key in self.witnesses.items()
                            if key in signed}


# --- RFC 6962, RFC 9162 ---

def leaf_hash(entry):
    return hashlib.sha256(b'\0' + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b'\1' + left + right).digest()


def verify_inclusion(leaf, index, size, path, root):
    """RFC 9162 section 2.1.3.2; `leaf` is a leaf's hash."""
    if index >= size:
        raise Refused('the index is beyond the tree')
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            raise Refused('the path is too long')
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise Refused('the path is too short')
    if r != root:
        raise Refused('the path leads to another root')


def verify_consistency(first, second, first_root, second_root, path):
    """RFC 9162 section 2.1.4.2."""
    if not 0 < first <= second:
        raise Refused('sizes out of order')
    if first == second:
        if path or first_root != second_root:
            raise Refused('one size and two roots, or a path for nothing')
        return
    if first & (first - 1) == 0:
        path = [first_root, *path]
    if not path:
        raise Refused('the path is empty')
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            raise Refused('the path is too long')
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise Refused('the path is too short')
    if (fr, sr) != (first_root, second_root):
        raise Refused('the path leads to other roots')


# --- tlog-proof ---

class Proof:
    def __init__(self, data):
        lines = data.split(b'\n')
        if lines[0] != b'c2sp.org/tlog-proof@v1':
            raise Refused('not a proof')
        at, self.extra, self.path = 1, None, []
        if lines[at].startswith(b'extra '):
            self.extra, at = decode_base64(lines[at][len(b'extra '):]), at + 1
        if at >= len(lines) or not lines[at].startswith(b'index '):
            raise Refused('no index')
        self.index, at = decode_decimal(lines[at][len(b'index '):]), at + 1
        while at < len(lines) and lines[at] != b'':
            self.path.append(decode_hash(lines[at]))
            at += 1
        self.note = b'\n'.join(lines[at + 1:])

    def verify(self, policy, entry):
        """That `entry` is in the log at this index, by a checkpoint that satisfies the policy."""
        checkpoint, witnesses = policy.check(self.note)
        verify_inclusion(leaf_hash(entry), self.index, checkpoint.size, self.path, checkpoint.root)
        return checkpoint, witnesses


# --- tlog-witness: the body of add-checkpoint ---

class Growth:
    """Old size, consistency proof, and a checkpoint."""

    def __init__(self, data):
        lines = data.split(b'\n')
        if not lines[0].startswith(b'old '):
            raise Refused('no old size')
        self.old_size, at, self.path = decode_decimal(lines[0][len(b'old '):]), 1, []
        while at < len(lines) and lines[at] != b'':
            self.path.append(decode_hash(lines[at]))
            at += 1
        self.note = b'\n'.join(lines[at + 1:])
        if len(self.path) > 63:
            raise Refused('more than 63 hashes')

    def verify(self, policy, old):
        """That the log of `old` (a Checkpoint) has grown into this one. The new Checkpoint."""
        checkpoint, _ = policy.check(self.note)
        if (checkpoint.origin, self.old_size) != (old.origin, old.size):
            raise Refused('from another size, or of another log')
        verify_consistency(old.size, checkpoint.size, old.root, checkpoint.root, self.path)
        return checkpoint
