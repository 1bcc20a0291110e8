"""MQTT clients that others have written, all driven in one way.

    client = clients.start('mqttjs', 'wss', 5, 'id', filters=[('a/#', 1)])
    client.publish('a/b', b'payload', qos=2)
    client.next_message()                  # Received

KINDS says which there are and over which transports. Paho for C and Python and MQTT.js are small
programs in test/clients: told `name=value` in their arguments, then lines

    subscribe FILTER QOS
    publish TOPIC QOS RETAIN PAYLOAD RESPONSE-TOPIC CORRELATION KEY=VALUE

on standard input (bytes in hexadecimal digits, "-" for none; its end means DISCONNECT), they answer

    connected SESSION-PRESENT | refused CODE | subscribed QOS | published | failed ...
    message QOS RETAIN TOPIC PAYLOAD RESPONSE-TOPIC CORRELATION KEY=VALUE

Mosquitto's clients are what Debian has: mosquitto_sub for what comes, a mosquitto_pub for each
message that goes.
"""
import collections
import ctypes.util
import os
import queue
import re
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import sealmq_testlib as lib

PROGRAMS = Path(__file__).resolve().parents[1] / 'clients'
NODE_MODULES = '/usr/share/nodejs'  # where Debian's packages are, which not every node looks into
KINDS = {
    'mosquitto': ['tcp', 'tls', 'unix'],
    'paho_c': ['tcp', 'tls', 'ws', 'wss'],
    'paho_python': ['tcp', 'tls', 'ws', 'wss'],
    'mqttjs': ['tcp', 'tls', 'ws', 'wss'],
}

Received = collections.namedtuple('Received', 'qos retain topic payload response correlation pair')


class Refused(Exception):
    """The server refused the connection; .code is its return or reason code, or None where the
    client does not tell it."""

    def __init__(self, code):
        super().__init__(f'refused with {code}')
        self.code = code


def missing(kind):
    """What is not installed for this kind of client, as words for people; None when all is."""
    if kind == 'mosquitto' and shutil.which('mosquitto_sub') is None:
        return 'mosquitto_sub is not installed (Debian: mosquitto-clients)'
    if kind == 'paho_c' and ctypes.util.find_library('paho-mqtt3as') is None:
        return 'Paho for C is not installed (Debian: libpaho-mqtt-dev)'
    if kind == 'mqttjs':
        if shutil.which('node') is None:
            return 'node is not installed (Debian: nodejs)'
        found = subprocess.run(['node', '-e', 'require("mqtt")'], capture_output=True,
                               env=dict(os.environ, NODE_PATH=NODE_MODULES))
        if found.returncode != 0:
            return 'MQTT.js is not installed (Debian: node-mqtt)'
    return None


def compile_paho_c(folder):
    """The program of Paho for C, compiled into the folder."""
    made = folder / 'paho_c'
    subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-o', made, PROGRAMS / 'paho_c.c',
                    '-lpaho-mqtt3as'], check=True)
    return made


class Client:
    """What all kinds have: a process, and the lines that it prints, sorted by their first word."""

    def __init__(self, name, argv, limit_s, env=None):
        self.name, self.limit_s = name, limit_s * lib.PATIENCE
        self._answers = queue.Queue()
        self._messages = queue.Queue()
        self._others = []
        self._process = subprocess.Popen(
            [str(word) for word in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors='backslashreplace',
            env=dict(os.environ, **(env or {})), preexec_fn=lib._die_with_the_tests)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            for event in self.events_of(line.rstrip('\n')):
                if event[0] == 'message':
                    self._messages.put(event[1:])
                else:
                    self._answers.put(event)
        self._answers.put(('ended', self._process.wait()))

    def events_of(self, line):
        words = tuple(line.split(' '))
        if words[0] in ('connected', 'refused', 'subscribed', 'published', 'message', 'failed'):
            return [words]
        self._others.append(line)
        return []

    def expect(self, word):
        """The rest of the next answer that begins with the word; others are dropped."""
        while True:
            try:
                event = self._answers.get(timeout=self.limit_s)
            except queue.Empty:
                raise TimeoutError(f'{self.name}: no "{word}"; {self._others[-20:]}') from None
            if event[0] == word:
                return event[1:]
            if event[0] == 'refused':
                raise Refused(event[1])
            if event[0] in ('failed', 'ended'):
                raise AssertionError(f'{self.name}: {event} before "{word}"; {self._others[-20:]}')

    def next_message(self):
        try:
            qos, retain, topic, payload, response, correlation, pair = \
                self._messages.get(timeout=self.limit_s)
        except queue.Empty:
            raise TimeoutError(f'{self.name}: no message came; {self._others[-20:]}') from None
        return Received(int(qos), retain == '1', topic, from_word(payload), response,
                        from_word(correlation), pair)

    def messages_so_far(self):
        return self._messages.qsize()

    def kill(self):
        """Ends it without DISCONNECT."""
        self._process.kill()
        self._join()

    def _join(self):
        self._process.stdin.close()
        self._process.wait(self.limit_s)
        self._reader.join(self.limit_s)
        self._process.stdout.close()


def from_word(word):
    return b'' if word == '-' else bytes.fromhex(word)


class Program(Client):
    """One of test/clients."""

    def __init__(self, site, argv, transport, version, client_id, *, filters=(), clean=True,
                 user=None, will=None, limit_s=20, env=None):
        given = {'transport': transport, 'version': version, 'id': client_id,
                 'clean': int(clean), 'host': 'localhost', 'port': site.port[transport]}
        if transport in ('tls', 'wss'):
            given['ca'] = site.authority
        if user:
            given['user'], given['password'] = user
        if will:
            given['will_topic'], given['will_payload'] = will[0], will[1].hex()
        super().__init__(client_id, argv + [f'{name}={value}' for name, value in given.items()],
                         limit_s, env)
        self.session_present = self.expect('connected') == ('1',)
        for topic_filter, qos in filters:
            self._tell('subscribe', topic_filter, qos)
            assert self.expect('subscribed') == (str(qos),)

    def _tell(self, *words):
        self._process.stdin.write(' '.join(map(str, words)) + '\n')
        self._process.stdin.flush()

    def publish(self, topic, payload, qos=0, retain=False, response='-', correlation=b'',
                pair='-=-'):
        """Until QoS 0 is written, and more acknowledged."""
        self._tell('publish', topic, qos, int(retain), payload.hex() or '-', response,
                   correlation.hex() or '-', pair)
        self.expect('published')

    def wait_for_connection(self):
        """Until it has come back by itself."""
        self.expect('connected')

    def close(self):
        """With DISCONNECT."""
        try:
            self._process.stdin.close()
            self._process.wait(self.limit_s)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
        self._join()


class Mosquitto(Client):
    """mosquitto_sub, if there are filters or a will, and mosquitto_pub."""
    FORMAT = 'message %q %r %t -%x %R %D %P'

    def __init__(self, site, _argv, transport, version, client_id, *, filters=(), clean=True,
                 user=None, will=None, limit_s=20):
        self._options = ['-V', 'mqttv5' if version == 5 else 'mqttv311']
        if transport == 'unix':
            self._options += ['--unix', site.socket]
        else:
            self._options += ['-h', 'localhost', '-p', site.port[transport]]
        if transport == 'tls':
            self._options += ['--cafile', site.authority]
        if user:
            self._options += ['-u', user[0], '-P', user[1]]
        self._folder = site.folder
        options = ['-i', client_id, '-F', self.FORMAT]
        if not clean:
            options += ['-c'] + (['-x', 3600] if version == 5 else [])
        if will:
            options += ['--will-topic', will[0], '--will-payload', will[1].decode(),
                        '--will-qos', 1]
        for topic_filter, qos in filters or [('nothing/comes/here', 0)]:
            options += ['-t', topic_filter, '-q', qos]
        super().__init__(client_id, ['stdbuf', '-oL', 'mosquitto_sub', '-d', *self._options,
                                     *options], limit_s)
        self.session_present = None  # mosquitto_sub does not tell
        self.expect('connected')
        self.expect('subscribed')

    def events_of(self, line):
        if line.startswith('message '):
            _, qos, retain, topic, payload, *rest = line.split(' ', 5)
            response, correlation, pair = (rest[0].split(' ') + [''] * 3)[:3] if rest else [''] * 3
            return [('message', qos, retain, topic, payload[1:] or '-', response or '-',
                     correlation.encode().hex() or '-', pair.replace(':', '=') or '-=-')]
        if line.endswith('received CONNACK (0)'):
            return [('connected',)]
        if line.startswith('Subscribed '):
            return [('subscribed', line)]
        refused = re.search(r'received CONNACK \((\d+)\)', line)
        if refused:
            return [('refused', refused[1])]
        return super().events_of(line)

    def publish(self, topic, payload, qos=0, retain=False, response=None, correlation=b'',
                pair=None):
        path = self._folder / f'payload-{self.name}'
        path.write_bytes(payload)
        argv = ['mosquitto_pub', *self._options, '-t', topic, '-q', qos, '-f', path]
        if retain:
            argv += ['-r']
        if response:
            key, value = pair.split('=')
            argv += ['-D', 'publish', 'response-topic', response,
                     '-D', 'publish', 'correlation-data', correlation.decode(),
                     '-D', 'publish', 'user-property', key, value]
        sent = subprocess.run(list(map(str, argv)), capture_output=True, text=True,
                              timeout=self.limit_s)
        assert sent.returncode == 0, sent.stderr

    def wait_for_connection(self):
        self.expect('connected')
        self.expect('subscribed')

    def close(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._join()


class Clients:
    """Starts clients for one site, which says .port, .socket, .authority and .folder, and ends
    those that are left over."""

    def __init__(self, site):
        self._site, self._all, self._argv = site, [], {}

    def _argv_of(self, kind):
        if kind not in self._argv:
            self._argv[kind] = {
                'mosquitto': lambda: [],
                'paho_c': lambda: [compile_paho_c(self._site.folder)],
                'paho_python': lambda: ['/usr/bin/python3', PROGRAMS / 'paho_python.py'],
                'mqttjs': lambda: ['env', f'NODE_PATH={NODE_MODULES}', 'node',
                                   PROGRAMS / 'mqttjs.js'],
            }[kind]()
        return self._argv[kind]

    def start(self, kind, transport, version, client_id, **options):
        made = (Mosquitto if kind == 'mosquitto' else Program)(
            self._site, self._argv_of(kind), transport, version, client_id, **options)
        self._all.append(made)
        return made

    def close(self):
        for client in self._all:
            client.close()
        self._all.clear()
