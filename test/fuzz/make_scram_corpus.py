#!/usr/bin/env python3
"""Writes the inputs of fuzz_scram to corpus/scram."""
import base64
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / 'corpus' / 'scram'
PROOF = base64.b64encode(bytes(range(32))).decode()
KEYS = f'$MTIzNDU2Nzg5MDEyMzQ1Ng==${PROOF}:{PROOF}'.replace('$', ':', 1)


def conversation(first, final):
    return bytes([len(first)]) + first.encode() + final.encode()


INPUTS = {
    'plain': conversation('n,,n=user,r=abc', f'c=biws,r=abcserver,p={PROOF}'),
    'escaped': conversation('y,a=a=2Cb,n=a=2Cb,r=abc,x=1', f'c=eSxhPWE9MkNiLA==,r=abcserver,x=y,p={PROOF}'),
    'binding': conversation('p=tls-unique,,n=user,r=abc', 'c=biws'),
    'extension': conversation('n,,m=1,n=user,r=abc', ''),
    'nonce': conversation('n,,n=user,r=abc', f'c=biws,r=abc,p={PROOF}'),
    'cut': conversation('n,,n=user,r=abc', 'c=biws,r=abcserver'),
    'verifier': f'SCRAM-SHA-256$4096{KEYS}'.encode(),
    'verifier-cut': f'SCRAM-SHA-256$4096{KEYS}'.encode()[:-3],
    'verifier-count': f'SCRAM-SHA-256$4{KEYS}'.encode(),
}

if __name__ == '__main__':
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, data in INPUTS.items():
        (FOLDER / name).write_bytes(data)
