"""SCRAM-SHA-256 (RFC 5802, RFC 7677), the client's side, for MQTT 5 conversations. Written from the
RFCs with hashlib alone, and shares nothing with the server.

Each step can be bent: messages are attributes and arguments that a test may change.
"""
import base64
import hashlib
import hmac
import secrets

METHOD = 'SCRAM-SHA-256'


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Scram:
    def __init__(self, user, password, header='n,,', nonce=None):
        self.password, self.header = password, header
        self.nonce = nonce or secrets.token_urlsafe(18)
        self.bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={self.nonce}"
        self.first = header + self.bare
        self.server_signature = None

    def take(self, server_first):
        """Reads server-first."""
        self.server_first = server_first.decode()
        fields = dict(part.split('=', 1) for part in self.server_first.split(','))
        assert list(fields) == ['r', 's', 'i'], server_first
        self.both, self.iterations = fields['r'], int(fields['i'])
        self.salt = base64.b64decode(fields['s'], validate=True)
        assert self.both.startswith(self.nonce) and len(self.both) >= len(self.nonce) + 24
        return self

    def final(self, both=None, header=None):
        """client-final; `both` and `header` in the place of what is right."""
        binding = base64.b64encode((header or self.header).encode()).decode()
        without_proof = f'c={binding},r={both or self.both}'
        signed = f'{self.bare},{self.server_first},{without_proof}'
        salted = hashlib.pbkdf2_hmac('sha256', self.password.encode(), self.salt, self.iterations)
        key = _hmac(salted, 'Client Key')
        signature = _hmac(hashlib.sha256(key).digest(), signed)
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        self.server_signature = _hmac(_hmac(salted, 'Server Key'), signed)
        return f'{without_proof},p={proof}'

    def check(self, server_final):
        """The server knows the password's verifier, too."""
        assert server_final.startswith(b'v='), server_final
        assert base64.b64decode(server_final[2:], validate=True) == self.server_signature
