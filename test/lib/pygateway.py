"""A gateway in Python, written from the format descriptions alone (docs/spec, and the comments of
src/device/*.h, src/ledger/{row,request}.h, src/crypto/{sign,token}.h), so that the node is tested
against something that shares no code with it. It can do every step wrongly, on purpose.

Genesis     what a network is: its name, its hash, its nodes and their keys
Identity    an id with its Ed25519 key: tokens, announcements, signatures
Session     the keys that a gateway and a node agreed on
Row         one data item of a report
DataRequest, DescribeRequest   block write requests
PyGateway   a connection to one node, as a gateway
"""
import base64
import calendar
import collections
import ctypes
import ctypes.util
import hashlib
import hmac
import json
import queue
import secrets
import struct
import time
from pathlib import Path

import nacl.bindings
import nacl.exceptions
import nacl.signing

import sealmq_testlib as lib

DICTIONARY = Path(__file__).resolve().parents[2] / 'src/device/report_dictionary.txt'
DATATYPES = {'int': 1, 'double': 2, 'bool': 3, 'string': 4}
FLAG_ZSTD = 1
# Reason codes of sealed answers (src/device/reply.h).
OK, STORED_BEFORE = 0, 1
SIGNATURE, MALFORMED, COUNT, TYPE, LIMIT, CONFLICT, UNKNOWN, REVOKED, REPLAY, UNSUPPORTED = \
    range(16, 26)
BUSY, STORAGE, KEY, STALE = range(64, 68)


def b64(data):
    return base64.b64encode(data).decode()


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def text_of(value):
    return value.encode() if isinstance(value, str) else value


def str8(value):
    data = text_of(value)
    return struct.pack('>B', len(data)) + data


def str16(value):
    data = text_of(value)
    return struct.pack('>H', len(data)) + data


def str32(value):
    return struct.pack('>I', len(value)) + value


def sha256(data):
    return hashlib.sha256(data).digest()


def hkdf(salt, key, info, size=32):
    """RFC 5869 with SHA-256."""
    secret = hmac.digest(salt, key, 'sha256')
    out, block, counter = b'', b'', 1
    while len(out) < size:
        block = hmac.digest(secret, block + info + bytes([counter]), 'sha256')
        out, counter = out + block, counter + 1
    return out[:size]


def merkle_root(leaves):
    """RFC 6962, of leaves that are not hashed yet."""
    if not leaves:
        return sha256(b'')
    if len(leaves) == 1:
        return sha256(b'\0' + leaves[0])
    cut = 1
    while cut * 2 < len(leaves):
        cut *= 2
    return sha256(b'\1' + merkle_root(leaves[:cut]) + merkle_root(leaves[cut:]))


def event_time(microseconds):
    """20200706T144831Z, with a fraction where there is one."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    text = time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))
    return text + (f'.{fraction:06d}'.rstrip('0') if fraction else '') + 'Z'


def event_time_us(text):
    """The other way, for whole seconds."""
    return calendar.timegm(time.strptime(text, '%Y%m%dT%H%M%SZ')) * 1_000_000


class Zstd:
    """libzstd with the raw-content dictionary, through ctypes: it is there wherever SealMQ is."""

    def __init__(self):
        self._lib = ctypes.CDLL(ctypes.util.find_library('zstd') or 'libzstd.so.1')
        for name, result in (('ZSTD_createDCtx', ctypes.c_void_p),
                             ('ZSTD_createCCtx', ctypes.c_void_p),
                             ('ZSTD_decompress_usingDict', ctypes.c_size_t),
                             ('ZSTD_compress_usingDict', ctypes.c_size_t),
                             ('ZSTD_compressBound', ctypes.c_size_t)):
            getattr(self._lib, name).restype = result
        self._in = ctypes.c_void_p(self._lib.ZSTD_createDCtx())
        self._out = ctypes.c_void_p(self._lib.ZSTD_createCCtx())
        self._dictionary = DICTIONARY.read_bytes()

    def _call(self, function, context, room, data, *more):
        place = ctypes.create_string_buffer(max(room, 1))
        size = ctypes.c_size_t
        n = function(context, place, size(room), data, size(len(data)), self._dictionary,
                     size(len(self._dictionary)), *more)
        if self._lib.ZSTD_isError(size(n)):
            raise ValueError('zstd refuses')
        return place.raw[:n]

    def compress(self, data):
        room = self._lib.ZSTD_compressBound(ctypes.c_size_t(len(data)))
        return self._call(self._lib.ZSTD_compress_usingDict, self._out, room, data, 1)

    def decompress(self, data, room=16 * 1024 * 1024):
        return self._call(self._lib.ZSTD_decompress_usingDict, self._in, room, data)


class Genesis:
    def __init__(self, path):
        value = json.loads(Path(path).read_text())
        self.network = value['network']
        nodes = sorted(value['validators'], key=lambda v: v['id'])
        self.node_keys = {v['id']: base64.b64decode(v['key']) for v in nodes}
        self.urls = {v['id']: v['url'] for v in nodes}
        self.hash = sha256(self._canonical(value, nodes))

    def _canonical(self, value, nodes):
        admins, parameters = value['admins'], value['parameters']
        out = b'sealmq/genesis/1\0' + str8(self.network)
        out += struct.pack('>q', event_time_us(value['created'])) + bytes([len(nodes)])
        for node in nodes:
            out += str8(node['id'])
            for key in ('key', 'logKey', 'cosignerKey'):
                out += base64.b64decode(node[key])
            out += str8(node['url'])
        keys = sorted(admins['keys'], key=lambda admin: admin['id'])
        out += bytes([admins['threshold'], len(keys)])
        for admin in keys:
            out += str8(admin['id']) + base64.b64decode(admin['key'])
        return out + struct.pack('>BI', parameters['difficulty'], parameters['anchorIntervalMs'])


class Identity:
    """An id and its key. Token claims can be replaced one by one."""

    def __init__(self, client_id, genesis, seed=None):
        self.id, self.genesis = client_id, genesis
        self.seed = seed or secrets.token_bytes(32)
        self._key = nacl.signing.SigningKey(self.seed)
        self.public_key = bytes(self._key.verify_key)

    @classmethod
    def from_file(cls, path, genesis):
        """A secret key file of `sealmq keygen`."""
        members = dict(line.split(': ') for line in Path(path).read_text().splitlines()[1:])
        return cls(members['id'], genesis, base64.b64decode(members['seed']))

    def write_file(self, path):
        Path(path).write_text(f'sealmq-secret-key-1\nid: {self.id}\nseed: {b64(self.seed)}\n')
        Path(path).chmod(0o600)
        return path

    @property
    def fingerprint(self):
        return 'SHA256:' + base64.b64encode(sha256(self.public_key)).rstrip(b'=').decode()

    def sign_raw(self, message):
        return self._key.sign(message).signature

    def sign(self, label, message, genesis_hash=None):
        return self.sign_raw(label + b'\0' + (genesis_hash or self.genesis.hash) + message)

    def token(self, node='*', with_key=False, signer=None, **claims):
        """A log-in token; `claims` replace or, with None, remove those of an honest one."""
        now = int(time.time())
        body = {'iss': self.id, 'aud': f'{self.genesis.network}:{node}', 'iat': now,
                'exp': now + 60, 'jti': secrets.token_urlsafe(18)}
        if with_key:
            body['key'] = b64url(self.public_key)
        body.update(claims)
        body = {name: value for name, value in body.items() if value is not None}
        words = ({'alg': 'EdDSA', 'typ': 'JWT'}, body)
        text = '.'.join(b64url(json.dumps(word).encode()) for word in words)
        return text + '.' + b64url((signer or self).sign_raw(text.encode()))

    def announcement(self, signer=None, **changes):
        message = str8(self.id) + self.public_key
        value = {'id': self.id, 'key': b64(self.public_key),
                 'sign': b64((signer or self).sign(b'sealmq/announce/1', message))}
        return json.dumps({**value, **changes})


class Session:
    """The keys of one agreement, with the counters of both directions."""

    def __init__(self, key_id, expires_s, up, down):
        self.key_id, self.expires_s, self.up, self.down = key_id, expires_s, up, down
        self.sent, self._received = 0, set()
        self.zstd = Zstd()

    def seal(self, topic, plain, counter=None, compress=False, key_id=None, flags=None):
        """An envelope; what is given replaces what is right."""
        self.sent = self.sent + 1 if counter is None else self.sent
        counter = self.sent if counter is None else counter
        flags = (FLAG_ZSTD if compress else 0) if flags is None else flags
        header = struct.pack('>BBIQ', 1, flags, self.key_id if key_id is None else key_id, counter)
        body = self.zstd.compress(plain) if compress else plain
        return header + nacl.bindings.crypto_aead_chacha20poly1305_ietf_encrypt(
            body, header + topic.encode(), b'\0' * 4 + struct.pack('>Q', counter), self.up)

    def open(self, topic, envelope):
        """Plain text of an envelope from the node, which must not repeat a counter."""
        version, flags, key_id, counter = struct.unpack('>BBIQ', envelope[:14])
        assert (version, key_id) == (1, self.key_id), 'sealed under another key'
        plain = nacl.bindings.crypto_aead_chacha20poly1305_ietf_decrypt(
            envelope[14:], envelope[:14] + topic.encode(),
            b'\0' * 4 + struct.pack('>Q', counter), self.down)
        assert counter not in self._received, 'the node repeats a counter'
        self._received.add(counter)
        return self.zstd.decompress(plain) if flags & FLAG_ZSTD else plain


class Row(collections.namedtuple('Row', 'device service name datatype value unit time_us')):
    __slots__ = ()

    def leaf(self):
        return (str8(self.device) + str8(self.service) + str8(self.name) +
                bytes([DATATYPES.get(self.datatype, 0)]) + str8(self.unit) +
                struct.pack('>q', self.time_us) + str16(self.value))


def reading(value='21.5', name='temperature', datatype='double', unit='C', device='D1',
            service='CS', time_us=None):
    """A row with a time of now."""
    return Row(device, service, name, datatype, value, unit,
               time_us if time_us is not None else int(time.time()) * 1_000_000)


def report_json(rows):
    """As plain Python, to be damaged at will before json.dumps()."""
    return {'devices': [{'deviceId': row.device, 'services': [{
        'code': 200, 'count': 1, 'msg': 'information reported successfully', 'topic': '',
        'serviceId': row.service, 'eventtime': event_time(row.time_us),
        'data': [{'name': row.name, 'datatype': row.datatype, 'val': row.value, 'unit': row.unit,
                  'comment': ''}]}]} for row in rows]}


def report_hash(gateway, topic, n, rows):
    head = (b'sealmq-report-1\0' + str8(gateway) + str16(topic) + struct.pack('>Q', n) +
            struct.pack('>I', len(rows)))
    return merkle_root([head] + [row.leaf() for row in rows])


class DescribeRequest:
    def __init__(self, sender, number, items):
        """`items` are (num, device, service, name, datatype, unit), in order of num."""
        self.sender, self.number, self.items = sender, number, items

    def head(self):
        out = b'\1\2' + str8(self.sender) + struct.pack('>QH', self.number, len(self.items))
        for num, device, service, name, datatype, unit in self.items:
            out += struct.pack('>I', num) + str8(device) + str8(service) + str8(name)
            out += bytes([DATATYPES[datatype]]) + str8(unit)
        return out

    def json(self, signature, topic):
        names = ('num', 'deviceId', 'serviceId', 'name', 'datatype', 'unit')
        return {'devices': [], 'request': self.number, 'sender': self.sender,
                'sign': b64(signature), 'topic': topic,
                'items': [dict(zip(names, item)) for item in self.items]}


class DataRequest:
    def __init__(self, sender, number, records, start, leaves):
        """`records` are (device, num, time_us, value); `leaves` (n, 'a' or 'd' or 'p', node, report
        hash), one for each number from `start` on."""
        self.sender, self.number, self.start, self.leaves = sender, number, start, leaves
        self.records = [(device, f'{sender}/{device}/{num}/{event_time(time_us)}/{value}')
                        for device, num, time_us, value in records]

    def _interval_root(self):
        status = {'a': 1, 'd': 2, 'p': 3}
        return merkle_root([struct.pack('>QB', n, status[letter]) + str8(node) + report
                            for n, letter, node, report in self.leaves])

    @property
    def end(self):
        return self.start + sum(leaf[0] >= self.start for leaf in self.leaves) - 1

    def head(self):
        return (b'\1\1' + str8(self.sender) +
                struct.pack('>QI', self.number, len(self.records)) +
                merkle_root([text.encode() for _device, text in self.records]) +
                struct.pack('>QQI', self.start, self.end, len(self.leaves)) +
                self._interval_root())

    def json(self, signature, topic):
        sign = b64(signature)
        devices = [{'deviceId': device, 'services': [{
            'code': 200, 'count': 1, 'msg': 'information reported successfully', 'topic': topic,
            'serviceId': 'CS', 'sign': sign, 'data': [text],
            'eventtime': event_time(int(time.time()) * 1_000_000)}]}
            for device, text in self.records]
        interval = {'from': self.start, 'to': self.end, 'root': b64(self._interval_root()),
                    'leaves': [[n, letter, node, b64(report)]
                               for n, letter, node, report in self.leaves]}
        return {'devices': devices, 'request': self.number, 'interval': interval,
                'sender': self.sender, 'sign': sign, 'topic': topic}


Reply = collections.namedtuple('Reply', 'level n report code words')
Receipt = collections.namedtuple('Receipt', 'request code words proof')


class AgreementRefused(Exception):
    def __init__(self, number, code):
        super().__init__(f'key agreement {number} refused: {code}')
        self.number, self.code = number, code


class PyGateway:
    """A gateway's connection to one node. What arrives is sorted: answers to the key agreement,
    hints, replies to reports, receipts; each has a queue that the calls below wait on."""

    def __init__(self, identity, port, node, v5=True, user=None, password=None, subscribe=True,
                 limit_s=15.0, host=lib.HOST):
        self.identity, self.genesis, self.node = identity, identity.genesis, node
        self.id, self.session, self.limit_s = identity.id, None, limit_s
        self._handshake = 0
        self._mail = {kind: queue.Queue() for kind in ('key', 'hint', 'reply', 'receipt')}
        password = password or identity.token(node, with_key=True)
        self.mqtt = lib.MqttClient(port, self.id, user or self.id, password, v5=v5, host=host)
        self.mqtt.paho.on_message = self._sort
        self.chain = f'chain/{self.genesis.network}'
        if subscribe:
            self.mqtt.subscribe(f'{self.id}/#', 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.mqtt.close()

    def _sort(self, _client, _user, message):
        below = message.topic[len(self.id) + 1:]
        if message.topic == f'{self.chain}/reply/{self.id}':
            kind = 'receipt'
        elif below in ('key/success', 'key/fail'):
            kind = 'key'
        elif below in ('unauth', 'forbidden'):
            kind = 'hint'
        else:
            kind = 'reply'
        self._mail[kind].put((message.topic, below, message.payload))

    def _next(self, kind, limit_s=None):
        try:
            limit_s = self.limit_s if limit_s is None else limit_s
            return self._mail[kind].get(timeout=limit_s * lib.PATIENCE)
        except queue.Empty:
            raise TimeoutError(f'no {kind} came for {self.id}') from None

    def next_hint(self, limit_s=None):
        """('unauth' or 'forbidden', its JSON)."""
        _topic, below, payload = self._next('hint', limit_s)
        return below, json.loads(payload)

    def expect_no(self, kind, quiet_s=0.3):
        try:
            what = self._mail[kind].get(timeout=quiet_s)
        except queue.Empty:
            return
        raise AssertionError(f'unexpected {kind}: {what}')

    def announce(self, **changes):
        self.mqtt.publish(f'{self.chain}/announce', self.identity.announcement(**changes), 1)

    # ---- key agreement ----

    def send_hello(self, number=None, signer=None, node=None, cut=None, secret=None):
        """Publishes a hello, and returns it with the secret behind it."""
        self._handshake = self._handshake + 1 if number is None else number
        secret = secret or secrets.token_bytes(32)
        fields = struct.pack('>BQ', 1, self._handshake) + \
            nacl.bindings.crypto_scalarmult_base(secret)
        parties = str8(self.id) + str8(node or self.node)
        hello = fields + (signer or self.identity).sign(b'sealmq/key/1', fields + parties)
        self.mqtt.publish(f'{self.id}/key', hello[:cut], 1)
        return hello, secret

    def finish_hello(self, hello, secret):
        """Waits for the answer and makes the session; AgreementRefused when it is a refusal."""
        _topic, below, answer = self._next('key')
        if below == 'key/fail':
            _version, number, code = struct.unpack('>BQH', answer)
            raise AgreementRefused(number, code)
        fields, signature = answer[:45], answer[45:]
        signed = (b'sealmq/key-answer/1\0' + self.genesis.hash + fields + hello + str8(self.id) +
                  str8(self.node))
        nacl.signing.VerifyKey(self.genesis.node_keys[self.node]).verify(signed, signature)
        _version, key_id, expires_s = struct.unpack('>BIQ', fields[:13])
        shared = nacl.bindings.crypto_scalarmult(secret, fields[13:])
        salt = sha256(hello + answer)
        return Session(key_id, expires_s, hkdf(salt, shared, b'sealmq/session/1/up'),
                       hkdf(salt, shared, b'sealmq/session/1/down'))

    def agree(self, **wrong):
        self.session = self.finish_hello(*self.send_hello(**wrong))
        return self.session

    # ---- reports ----

    def sealed_report(self, n, rows, topic='RealTime', value=None, signer=None, compress=False,
                      counter=None, key_id=None, hashed=None, session=None):
        """The envelope of a report. `value` replaces its JSON, `hashed` the rows that are signed."""
        digest = report_hash(self.id, topic, n, rows if hashed is None else hashed)
        sign = (signer or self.identity).sign(b'sealmq/report/1', digest)
        value = report_json(rows) if value is None else value
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        return (session or self.session).seal(
            f'{self.id}/{topic}', struct.pack('>Q', n) + sign + text, counter, compress, key_id)

    def send_report(self, n, rows, topic='RealTime', **wrong):
        self.mqtt.publish(f'{self.id}/{topic}', self.sealed_report(n, rows, topic, **wrong), 1)

    def next_reply(self, limit_s=None, session=None):
        """The next sealed answer to a report; topic and content must agree."""
        topic, below, payload = self._next('reply', limit_s)
        plain = (session or self.session).open(topic, payload)
        version, kind, n = struct.unpack('>BBQ', plain[:10])
        code, size = struct.unpack('>HH', plain[42:46])
        level = below.rsplit('/', 1)[1]
        assert version == 1 and len(plain) == 46 + size
        assert {'datas': 1, 'success': 2, 'error': 3}[level] == kind
        return Reply(level, n, plain[10:42], code, plain[46:].decode())

    def report(self, n, rows, topic='RealTime', **wrong):
        """Sends one and returns its answer."""
        self.send_report(n, rows, topic, **wrong)
        return self.next_reply()

    # ---- requests ----

    def send_request(self, request, signer=None, value=None, counter=None):
        """Signs, seals and publishes; `value` replaces the JSON."""
        signature = (signer or self.identity).sign(b'sealmq/request/1', request.head())
        value = request.json(signature, f'{self.chain}/reply/{self.id}') if value is None else value
        topic = f'{self.chain}/request'
        self.mqtt.publish(topic, self.session.seal(topic, json.dumps(value).encode(), counter), 1)

    def next_receipt(self, limit_s=None):
        topic, _below, payload = self._next('receipt', limit_s)
        plain = self.session.open(topic, payload)
        _version, kind, number, code, size = struct.unpack('>BBQHH', plain[:14])
        assert kind in (4, 5)
        return Receipt(number, code, plain[14:14 + size].decode(), plain[14 + size:])

    def request(self, request, **wrong):
        self.send_request(request, **wrong)
        return self.next_receipt()
