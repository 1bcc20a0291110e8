"""Hosts of a test's own: network namespaces on a bridge that is in a namespace itself, so that
nothing of it is seen outside. Needs root, ip, tc and nft.

Hosts    a host for each letter, 10.77.0.11 and so on; cuts, losses and rates between them
Relay    passes connections on to a node, later
"""
import contextlib
import ctypes
import itertools
import json
import os
import shutil
import socket
import subprocess
import threading
import time

CLONE_NEWNET = 0x40000000
PREFIX = '10.77.0'
HUB = f'{PREFIX}.1'
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


def why_not():
    """What is missing for Hosts; None."""
    if os.geteuid() != 0:
        return 'network namespaces need root'
    for program in ('ip', 'tc', 'nft'):
        if shutil.which(program) is None:
            return f'{program} is not installed'
    name = f'smq{os.getpid()}try'
    if subprocess.run(['ip', 'netns', 'add', name], capture_output=True).returncode != 0:
        return 'this machine does not let us make network namespaces'
    subprocess.run(['ip', 'netns', 'del', name], check=True)
    return None


def _run(*words, **options):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True,
                          **options)


def _enter(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), 'setns')


class Hosts:

    def __init__(self, letters):
        """One host for each of the letters."""
        self.letters = letters
        self._prefix = f'smq{os.getpid()}x{next(_numbers)}'
        self._hub = f'{self._prefix}hub'
        self._cuts = set()    # (from, to)
        self._losses = {}     # letter: percent
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self):
        _run('ip', 'netns', 'add', self._hub)
        self._in(self._hub, 'ip', 'link', 'set', 'lo', 'up')
        self._in(self._hub, 'ip', 'link', 'add', 'hub', 'type', 'bridge')
        self._in(self._hub, 'ip', 'address', 'add', f'{HUB}/24', 'dev', 'hub')
        self._in(self._hub, 'ip', 'link', 'set', 'hub', 'up')
        for letter in self.letters:
            name = self.namespace(letter)
            _run('ip', 'netns', 'add', name)
            _run('ip', '-n', name, 'link', 'set', 'lo', 'up')
            _run('ip', '-n', name, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name',
                 f'to-{letter}', 'netns', self._hub)
            _run('ip', '-n', name, 'address', 'add', f'{self.address(letter)}/24', 'dev', 'eth0')
            _run('ip', '-n', name, 'link', 'set', 'eth0', 'up')
            _run('ip', '-n', self._hub, 'link', 'set', f'to-{letter}', 'master', 'hub', 'up')

    def close(self):
        for name in [self.namespace(letter) for letter in self.letters] + [self._hub]:
            subprocess.run(['ip', 'netns', 'del', name], capture_output=True)

    def namespace(self, letter):
        return f'{self._prefix}{letter}'

    def address(self, letter):
        return f'{PREFIX}.{11 + self.letters.index(letter)}'

    def wrapper(self, letter):
        """What stands before a command that is to run on the host."""
        return ['ip', 'netns', 'exec', self.namespace(letter)]

    def _in(self, namespace, *words, **options):
        return _run('ip', 'netns', 'exec', namespace, *words, **options)

    # ---- where this thread is ----

    @contextlib.contextmanager
    def inside(self, letter=None):
        """This thread, and what it starts, is on the host; without a letter, in the hub's
        namespace, from which all hosts are reached."""
        home = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        name = self._hub if letter is None else self.namespace(letter)
        try:
            with open(f'/run/netns/{name}') as namespace:
                _enter(namespace.fileno())
            yield self
        finally:
            _enter(home)
            os.close(home)

    # ---- weather ----

    def cut(self, sender, receiver):
        """Nothing that `sender` sends reaches `receiver`; the other way stays open."""
        self._cuts.add((sender, receiver))
        self._apply(receiver)

    def isolate(self, letters):
        """These reach nobody but each other, and nobody reaches them."""
        for inside in letters:
            for outside in self.letters:
                if outside not in letters:
                    self._cuts |= {(inside, outside), (outside, inside)}
        for letter in self.letters:
            self._apply(letter)

    def lose(self, letter, percent):
        """So much of what is sent to that host is lost, from wherever."""
        self._losses[letter] = percent
        self._apply(letter)

    def limit_rate(self, letter, rate):
        """How much the host can send: '1mbit'."""
        self._in(self.namespace(letter), 'tc', 'qdisc', 'replace', 'dev', 'eth0', 'root', 'tbf',
                 'rate', rate, 'burst', '16kb', 'latency', '200ms')

    def heal(self):
        self._cuts.clear()
        self._losses.clear()
        for letter in self.letters:
            self._apply(letter)
            subprocess.run([*self.wrapper(letter), 'tc', 'qdisc', 'del', 'dev', 'eth0', 'root'],
                           capture_output=True)

    def _apply(self, letter):
        rules = [f'ip saddr {self.address(sender)} drop' for sender, receiver in self._cuts
                 if receiver == letter]
        if letter in self._losses:
            rules.append(f'numgen random mod 100 < {self._losses[letter]} drop')
        text = ('table ip faults\ndelete table ip faults\ntable ip faults {\n'
                'chain input { type filter hook input priority 0; policy accept;\n' +
                ''.join(f'{rule}\n' for rule in rules) + '}\n}\n')
        self._in(self.namespace(letter), 'nft', '-f', '-', input=text)

    def counts(self, letter):
        """Bytes that the host has (sent, received)."""
        link = json.loads(_run('ip', '-n', self.namespace(letter), '-s', '-j', 'link', 'show',
                               'eth0').stdout)[0]['stats64']
        return link['tx']['bytes'], link['rx']['bytes']


class Relay:
    """Takes connections at (address, port) of this thread's namespace, and passes on what comes, in
    both directions, `delay_s` later."""

    def __init__(self, address, port, to, delay_s=0.0):
        self.to, self.delay_s = to, delay_s
        self._listener = socket.create_server((address, port))
        self._is_over = False
        self._sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._is_over = True
        for made in [self._listener, *self._sockets]:
            try:
                made.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            made.close()

    def _accept(self):
        while not self._is_over:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.to, timeout=5)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            self._sockets += [near, far]
            for source, target in ((near, far), (far, near)):
                pieces, more = [], threading.Condition()
                threading.Thread(target=self._read, args=(source, pieces, more),
                                 daemon=True).start()
                threading.Thread(target=self._write, args=(target, pieces, more),
                                 daemon=True).start()

    def _read(self, source, pieces, more):
        data = b'more'
        while data:
            try:
                data = source.recv(65536)
            except OSError:
                data = b''
            with more:
                pieces.append((time.monotonic() + self.delay_s, data))
                more.notify()
                more.wait_for(lambda: len(pieces) < 1000)

    def _write(self, target, pieces, more):
        data = b'more'
        while data:
            with more:
                more.wait_for(lambda: pieces)
                due, data = pieces.pop(0)
                more.notify()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                target.sendall(data)
            except OSError:
                data = b''
        try:
            target.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
