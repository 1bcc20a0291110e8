"""What integration tests are written with: the real program as processes, and MQTT clients.

Processes      starts programs, keeps what they print, ends every one of them by its process id
MqttClient     a paho client whose calls wait for the answer, and that keeps what arrives
RawConnection  a TCP connection for bytes that no client would send
run_sealmq     one call of the program that ends by itself
free_port, wait_for_port, wait_until

Everything listens on 127.0.0.1. Nothing waits for a fixed time: wait for what must come, with a
limit. Limits are long, because a sanitized build on a busy machine is slow, and cost nothing when
all is well; SEALMQ_TEST_PATIENCE (default 1) multiplies them.
"""
import collections
import ctypes
import os
import queue
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST = '127.0.0.1'
PATIENCE = float(os.environ.get('SEALMQ_TEST_PATIENCE', '1'))
# What a program prints when it is broken, however it ends.
BROKEN = re.compile(r'ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|'
                    r'runtime error: |assertion failed: |Sanitizer:DEADLYSIGNAL')
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def program():
    """The program under test, from SEALMQ_BIN or where `make` puts it."""
    path = Path(os.environ.get('SEALMQ_BIN') or
                Path(__file__).resolve().parents[2] / 'build/sealmq')
    if not path.is_file():
        raise FileNotFoundError(f'{path} is missing: run make, or set SEALMQ_BIN')
    return path.resolve()


_ports_given = collections.deque(maxlen=500)


def free_port():
    """A TCP port of the loopback interface that nothing listens on; not given twice in a row."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        if port not in _ports_given:
            _ports_given.append(port)
            return port


def wait_until(condition, what, limit_s=15.0, step_s=0.02):
    """Returns the first true value of condition(); TimeoutError names `what` when none comes.
    `what` may be a function, called when the time is over."""
    end = time.monotonic() + limit_s * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f'waited {limit_s * PATIENCE:.0f} s for '
                               f'{what() if callable(what) else what}')
        time.sleep(step_s)


def port_is_open(port, host=HOST):
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False


def wait_for_port(port, process=None, limit_s=20.0, host=HOST):
    """Until somebody listens on the port; fails at once when `process` has ended."""
    def ready():
        if process is not None and process.returncode is not None:
            raise RuntimeError(f'{process.name} ended with {process.returncode} before it '
                               f'listened on {port}:\n{process.output_tail()}')
        return port_is_open(port, host)
    wait_until(ready, f'a listener on port {port}', limit_s)


def run_sealmq(*arguments, limit_s=60, **options):
    """Runs the program to its end. Returns subprocess.CompletedProcess with text in .stdout and
    .stderr; the exit status is for the caller to judge. A sanitizer's report fails the test."""
    result = subprocess.run([str(program()), *map(str, arguments)], capture_output=True, text=True,
                            timeout=limit_s * PATIENCE, stdin=subprocess.DEVNULL,
                            errors='backslashreplace', **options)
    if BROKEN.search(result.stderr) or result.returncode < 0:
        raise AssertionError(f'sealmq {arguments} broke ({result.returncode}):\n{result.stderr}')
    return result


class Process:
    """A running program. Standard output and error go to files, so it never waits for a reader."""

    def __init__(self, name, argv, folder, cwd=None, env=None):
        self.name, self.argv = name, [str(word) for word in argv]
        self.stdout_path, self.stderr_path = folder / f'{name}.out', folder / f'{name}.err'
        with open(self.stdout_path, 'ab') as out, open(self.stderr_path, 'ab') as err:
            self._popen = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd,
                env=dict(os.environ, **(env or {})), preexec_fn=_die_with_the_tests)
        self._signals_sent = set()

    @property
    def pid(self):
        return self._popen.pid

    @property
    def returncode(self):
        """None while it runs; negative: the signal that ended it."""
        return self._popen.poll()

    @property
    def stdout(self):
        return self.stdout_path.read_text(errors='backslashreplace')

    @property
    def stderr(self):
        return self.stderr_path.read_text(errors='backslashreplace')

    def output_tail(self, lines=40):
        text = (self.stdout + self.stderr).splitlines()
        return '\n'.join(text[-lines:])

    def wait_for_output(self, pattern, limit_s=15.0):
        """The first match of the regular expression in what it has printed; fails at once when
        the process has ended without printing it."""
        expression = re.compile(pattern, re.MULTILINE)

        def found():
            ended = self.returncode is not None
            match = expression.search(self.stdout) or expression.search(self.stderr)
            if match is None and ended:
                raise RuntimeError(f'{self.name} ended with {self.returncode} without printing '
                                   f'{pattern!r}:\n{self.output_tail()}')
            return match
        return wait_until(found, lambda: f'{pattern!r} from {self.name}:\n{self.output_tail()}',
                          limit_s)

    def signal(self, number):
        self._signals_sent.add(number)
        self._popen.send_signal(number)

    def wait(self, limit_s=20.0):
        """Its exit status, once it has ended by itself."""
        try:
            return self._popen.wait(limit_s * PATIENCE)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f'{self.name} did not end:\n{self.output_tail()}') from None

    def stop(self, limit_s=20.0):
        """Asks it to end (SIGTERM) and returns the exit status. One that does not end is killed,
        and that is a TimeoutError."""
        if self.returncode is None:
            self.signal(signal.SIGTERM)
        try:
            return self.wait(limit_s)
        except TimeoutError:
            self.kill()
            raise

    def kill(self):
        """Ends it as a power cut would (SIGKILL)."""
        if self.returncode is None:
            self.signal(signal.SIGKILL)
        self._popen.wait()

    def check(self):
        """Raises when it crashed, or printed a broken assertion or a sanitizer's report."""
        broken = BROKEN.search(self.stderr)
        code = self.returncode
        crashed = code is not None and code < 0 and -code not in self._signals_sent
        if broken or crashed:
            raise AssertionError(f'{self.name} (status {code}) broke:\n' +
                                 (self.stderr[broken.start():] if broken else self.output_tail()))


def _die_with_the_tests():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Processes:
    """Every process of one test. close() ends those that still run, the newest first, and raises
    when one of them was broken."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._all = []

    def start(self, argv, name=None, port=None, cwd=None, env=None):
        """Starts a program; with `port`, returns once it listens there."""
        name = name or f'{Path(str(argv[0])).name}-{len(self._all) + 1}'
        process = Process(name, argv, self.folder, cwd, env)
        self._all.append(process)
        if port is not None:
            wait_for_port(port, process)
        return process

    def sealmq(self, *arguments, name=None, port=None, cwd=None, env=None):
        """Starts `sealmq <arguments>`."""
        name = name or f'{arguments[0]}-{len(self._all) + 1}'
        return self.start([program(), *arguments], name, port, cwd, env)

    def broker(self, *arguments, port=None, anonymous=True):
        """Starts `sealmq broker` on a free port; returns (process, port)."""
        port = port or free_port()
        options = ['--allow-anonymous'] if anonymous else []
        return self.sealmq('broker', '-p', port, *options, *arguments, port=port), port

    def close(self):
        problems = []
        for process in reversed(self._all):
            try:
                process.stop()
            except (TimeoutError, OSError) as problem:
                problems.append(str(problem))
        for process in self._all:
            try:
                process.check()
            except AssertionError as problem:
                problems.append(str(problem))
        self._all.clear()
        if problems:
            raise AssertionError('\n'.join(problems))


Message = collections.namedtuple('Message', 'topic payload qos retain properties')


class MqttError(Exception):
    """The server refused; .code is the return or reason code as a number, .words the Reason
    String that came with it."""

    def __init__(self, what, code, properties=None):
        self.code = int_code(code)
        self.words = getattr(properties, 'ReasonString', '')
        super().__init__(f'{what}: {code} ({self.code}) {self.words}')


def int_code(code):
    return code.value if isinstance(code, paho.ReasonCodes) else int(code)


class MqttClient:
    """A paho client. v5 for MQTT 5, else 3.1.1; calls wait for the server's answer and raise
    MqttError with its code. Use it in a with statement, or call close()."""

    def __init__(self, port, client_id='', user=None, password=None, v5=False, clean=True,
                 keep_alive_s=60, will=None, properties=None, host=HOST, limit_s=15.0, tls=None,
                 websocket=False):
        """`will` is (topic, payload, qos, retain); `properties` are those of CONNECT, by name;
        `tls` is an ssl.SSLContext."""
        self.v5, self.limit_s = v5, limit_s * PATIENCE
        self._connack, self._acks = queue.Queue(), queue.Queue()
        self._arrived = queue.Queue()
        self.disconnect_code = None
        self.was_disconnected = False
        options = {} if v5 else {'clean_session': clean}
        self.paho = paho.Client(client_id, protocol=paho.MQTTv5 if v5 else paho.MQTTv311,
                                transport='websockets' if websocket else 'tcp', **options)
        if tls is not None:
            self.paho.tls_set_context(tls)
        if user is not None:
            self.paho.username_pw_set(user, password)
        if will is not None:
            self.paho.will_set(*will)
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_message = self._on_message
        self.paho.on_subscribe = lambda _c, _u, mid, codes, *_: self._acks.put((mid, codes))
        self.paho.on_unsubscribe = lambda _c, _u, mid, *more: self._acks.put(
            (mid, more[1] if v5 else []))
        connect_options = {'clean_start': clean} if v5 else {}
        if properties:
            connect_options['properties'] = mqtt_properties(PacketTypes.CONNECT, **properties)
        self.paho.connect(host, port, keep_alive_s, **connect_options)
        self.paho.loop_start()
        try:
            self.connack_flags, code, self.connack_properties = \
                self._connack.get(timeout=self.limit_s)
        except queue.Empty:
            self._end_loop()
            raise TimeoutError(f'no CONNACK from port {port}') from None
        if int_code(code) != 0:
            self._end_loop()
            raise MqttError('CONNECT refused', code, self.connack_properties)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _on_connect(self, _client, _user, flags, code, properties=None):
        self._connack.put((flags, code, properties))

    def _on_disconnect(self, client, _user, code, properties=None):
        self.disconnect_code = int_code(code)
        self.was_disconnected = True
        client.disconnect()  # or paho would connect again

    def _on_message(self, _client, _user, message):
        self._arrived.put(Message(message.topic, message.payload, message.qos, message.retain,
                                  getattr(message, 'properties', None)))

    @property
    def session_present(self):
        return bool(self.connack_flags['session present'])

    def subscribe(self, topic_filter, qos=0, options=None):
        """Returns the granted QoS; raises MqttError when it was refused."""
        status, mid = self.paho.subscribe(topic_filter, options=options) if options is not None \
            else self.paho.subscribe(topic_filter, qos)
        code = int_code(self._answer(status, mid, 'SUBACK')[0])
        if code >= 0x80:
            raise MqttError(f'SUBSCRIBE {topic_filter} refused', code)
        return code

    def unsubscribe(self, topic_filter):
        return self._answer(*self.paho.unsubscribe(topic_filter), 'UNSUBACK')

    def _answer(self, status, mid, what):
        if status != paho.MQTT_ERR_SUCCESS:
            raise ConnectionError(f'not sent, {what} will not come: {paho.error_string(status)}')
        end = time.monotonic() + self.limit_s
        while True:
            try:
                acked, codes = self._acks.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f'no {what}') from None
            if acked == mid:
                return codes

    def publish(self, topic, payload=b'', qos=0, retain=False, **properties):
        """Waits until QoS 0 is written and QoS 1 acknowledged. Properties by their names in paho,
        say ResponseTopic='x'."""
        options = {'properties': mqtt_properties(PacketTypes.PUBLISH, **properties)} \
            if properties else {}
        sent = self.paho.publish(topic, payload, qos, retain, **options)
        if sent.rc != paho.MQTT_ERR_SUCCESS:
            raise ConnectionError(f'PUBLISH {topic}: {paho.error_string(sent.rc)}')
        sent.wait_for_publish(self.limit_s)
        if not sent.is_published():
            raise TimeoutError(f'PUBLISH {topic} was not acknowledged')

    def next_message(self, limit_s=None):
        """The next message in the order of arrival."""
        try:
            return self._arrived.get(timeout=self.limit_s if limit_s is None else
                                     limit_s * PATIENCE)
        except queue.Empty:
            raise TimeoutError('no message came') from None

    def next_on(self, topic, limit_s=None):
        """The next message on a topic; what comes before it on others is dropped."""
        end = time.monotonic() + (self.limit_s if limit_s is None else limit_s * PATIENCE)
        while True:
            try:
                message = self._arrived.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f'no message came on {topic}') from None
            if message.topic == topic:
                return message

    def expect_nothing(self, quiet_s=0.5):
        """Raises when a message arrives within that time."""
        try:
            message = self._arrived.get(timeout=quiet_s)
        except queue.Empty:
            return
        raise AssertionError(f'unexpected message: {message}')

    def wait_for_disconnect(self, limit_s=15.0):
        """The code with which the connection ended (the server's DISCONNECT in MQTT 5)."""
        wait_until(lambda: self.was_disconnected, 'the end of the connection', limit_s)
        return self.disconnect_code

    def cut(self):
        """Breaks the connection without DISCONNECT, so that the server publishes the will."""
        self.paho.on_disconnect = None
        connection = self.paho.socket()
        self.paho._reconnect_on_failure = False
        if connection is not None:
            connection.shutdown(socket.SHUT_RDWR)
        self._end_loop()

    def close(self):
        """Sends DISCONNECT and waits for the client's thread. May be called again."""
        self.paho.disconnect()
        self._end_loop()

    def _end_loop(self):
        self.paho.loop_stop()


def mqtt_properties(packet_type, **values):
    """Properties of one MQTT 5 packet, by paho's names (ResponseTopic, MessageExpiryInterval)."""
    properties = Properties(packet_type)
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


class RawConnection:
    """Bytes to and from a port, for what no client would send."""

    def __init__(self, port, host=HOST, limit_s=15.0):
        self.socket = socket.create_connection((host, port), timeout=limit_s * PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, count):
        """Exactly that many bytes; fewer only when the peer closed."""
        data = b''
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                break
            data += part
        return data

    def receive_packet(self):
        """One MQTT packet as (first byte, body); None when the peer closed instead."""
        first = self.receive(1)
        if not first:
            return None
        length, shift = 0, 0
        while True:
            byte = self.receive(1)
            if not byte:
                return None
            length |= (byte[0] & 0x7f) << shift
            shift += 7
            if not byte[0] & 0x80:
                break
        return first[0], self.receive(length)

    def receive_all(self):
        """Everything until the peer closes; a reset counts as a close."""
        data = b''
        try:
            while part := self.socket.recv(65536):
                data += part
        except ConnectionResetError:
            pass
        return data
