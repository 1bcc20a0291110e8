#!/usr/bin/python3
"""SealMQ's main job, shown live: four nodes, a gateway, blocks, an audit, a lie that is found, a node
that dies, a proof that anyone can check. ./quickstart builds the program and then runs this.

Everything happens on 127.0.0.1, in one folder; every process started here is ended here, whatever
happens (unless --keep). Exit status 0 only when all of it held."""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NETWORK = 'plant'
GATEWAY = 'plant-a/gw1'
VIEWER, VIEWER_PASSWORD = 'viewer', 'look-but-do-not-touch'
NODES = 'abcd'
HOME = 'b'      # the gateway's own node; the first primary is another one
ANCHOR_MS = 2000


class Failure(Exception):
    """What did not hold, in words for a person."""


class Screen:
    """Plain lines for a pipe; colour and a line that renews itself for a terminal."""

    def __init__(self):
        self.is_terminal = sys.stdout.isatty() and os.environ.get('TERM', 'dumb') != 'dumb'
        self.start = time.monotonic()
        self.has_live_line = False
        self.lock = threading.Lock()

    def paint(self, code, text):
        return f'\033[{code}m{text}\033[0m' if self.is_terminal else text

    def _write(self, text):
        with self.lock:
            if self.has_live_line:
                sys.stdout.write('\r\033[K')
                self.has_live_line = False
            sys.stdout.write(text + '\n')
            sys.stdout.flush()

    def step(self, number, title):
        self._write('\n' + self.paint('1;36', f'{number}  {title}'))

    def say(self, text):
        self._write('   ' + text)

    def good(self, text):
        self._write('   ' + self.paint('32', 'ok ') + text)

    def bad(self, text):
        self._write('   ' + self.paint('1;31', 'NO ') + text)

    def quote(self, text):
        for line in text.rstrip().splitlines():
            self._write('   ' + self.paint('2', '| ' + line))

    def live(self, text):
        if not self.is_terminal:
            return
        with self.lock:
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write('\r\033[K' + ('   ' + text)[:width])
            sys.stdout.flush()
            self.has_live_line = True


def free_ports(count):
    """Ports that nobody listens on, all held until all are known."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(('127.0.0.1', 0))
        return [s.getsockname()[1] for s in sockets]


def consecutive_ports(count):
    """The first of `count` ports in a row that nobody listens on."""
    for _ in range(200):
        first = free_ports(1)[0]
        if first + count > 65535:
            continue
        try:
            with contextlib.ExitStack() as stack:
                for i in range(count):
                    s = stack.enter_context(socket.socket())
                    s.bind(('127.0.0.1', first + i))
            return first
        except OSError:
            continue
    raise Failure('no free ports on 127.0.0.1')


class Job:
    def __init__(self, options):
        self.options = options
        self.screen = Screen()
        self.program = options.program
        self.folder = options.folder
        self.processes = {}
        self.first_port = self.device_port = None
        self.newest = {}
        self.is_publishing = True
        self.summary = {'nodes': 0, 'reports': 0, 'history_rows': 0, 'blocks': 0, 'records': 0,
                        'receipts': 0, 'audit_verified': False, 'tampered_found': False,
                        'survived_node_loss': False, 'caught_up': False, 'proof_verified': False,
                        'seconds': 0}

    # ---- processes ----

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def run(self, *arguments, expect=(0,)):
        """Runs sealmq to its end; returns exit status and what it printed."""
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True,
                              timeout=60, cwd=self.folder)
        if done.returncode not in expect:
            raise Failure(f'`sealmq {" ".join(arguments)}` ended with {done.returncode}:\n'
                          + done.stderr + done.stdout)
        return done.returncode, done.stdout

    def ask(self, *arguments, expect=(0,)):
        """The same, with a JSON answer."""
        status, out = self.run(*arguments, '--json', expect=expect)
        return status, json.loads(out)

    def start(self, name, argv, **options):
        log = open(self.path(name + '.log'), 'ab')
        with log:
            process = subprocess.Popen(argv, cwd=self.folder, stdout=options.pop('stdout', log),
                                       stderr=log, start_new_session=True, **options)
        self.processes[name] = process
        return process

    def start_node(self, letter):
        self.start(f'node-{letter}', [self.program, 'node', '-c', f'node-{letter}/node.yaml'],
                   stdin=subprocess.DEVNULL)

    def end_all(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 15
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            if process.poll() is None:
                process.kill()
                process.wait()

    def check_alive(self, *names):
        for name in names:
            process = self.processes[name]
            if process.poll() is not None:
                with open(self.path(name + '.log'), errors='replace') as log:
                    tail = ''.join(log.readlines()[-15:])
                raise Failure(f'{name} ended by itself with {process.returncode}:\n{tail}')

    def wait(self, what, condition, limit_s=30, show=None):
        deadline = time.monotonic() + limit_s
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise Failure(f'after {limit_s} s still not: {what}')
            if show:
                show()
            time.sleep(0.3)

    # ---- what nodes and gateway say ----

    def status(self, letter):
        """A node's status, or None when it does not answer."""
        done = subprocess.run([self.program, 'status', '--json', '--node', f'node/{letter}'],
                              capture_output=True, text=True, timeout=60, cwd=self.folder)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def gateway_status(self):
        try:
            with open(self.path('gateway', 'status.json')) as file:
                return json.load(file)
        except (OSError, ValueError):
            return {}

    def height(self, letter):
        status = self.status(letter)
        return status['chain']['height'] if status else -1

    def show_live(self, letter=HOME):
        status = self.status(letter)
        if status:
            reading = '   '.join(f'{name} {value}' for name, value in
                                 list(self.newest.items())[-3:])
            self.screen.live(f'block {status["chain"]["height"]}, '
                             f'{status["chain"]["records"]} records, '
                             f'{status["history"]["reports"]} reports, '
                             f'{status["history"]["rows"]} rows   {reading}')

    # ---- clients ----

    def watch_verified(self):
        """An ordinary MQTT client that reads what the node has verified."""
        process = self.start(
            'viewer', ['mosquitto_sub', '-h', '127.0.0.1', '-p', str(self.port(HOME)), '-u',
                       VIEWER, '-P', VIEWER_PASSWORD, '-t', 'verified/#', '-q', '1'],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)

        def read():
            for line in process.stdout:
                with contextlib.suppress(ValueError, KeyError):
                    for device in json.loads(line)['devices']:
                        for service in device['services']:
                            for item in service['data']:
                                name = f'{device["deviceId"]}.{item["name"]}'
                                self.newest.pop(name, None)
                                self.newest[name] = item['val'] + item['unit']

        threading.Thread(target=read, daemon=True).start()

    def publish_as_device(self):
        """A device without a key: mosquitto_pub, a line a message."""
        pump = self.start('pump', ['mosquitto_pub', '-h', '127.0.0.1', '-p',
                                   str(self.device_port), '-i', 'pump-1', '-q', '1', '-l', '-t',
                                   'pump-1/temperature'], stdin=subprocess.PIPE)
        valve = self.start('valve', ['mosquitto_pub', '-h', '127.0.0.1', '-p',
                                     str(self.device_port), '-i', 'valve-7', '-q', '1', '-l',
                                     '-t', 'valve-7'], stdin=subprocess.PIPE)

        def publish():
            n = 0
            while self.is_publishing:
                n += 1
                try:
                    pump.stdin.write(f'{60 + (n % 17) / 4}\n'.encode())
                    pump.stdin.flush()
                    reading = {'open': n % 10 < 5, 'flow': 12.5 + n % 4}
                    valve.stdin.write((json.dumps(reading) + '\n').encode())
                    valve.stdin.flush()
                except OSError:
                    return
                time.sleep(0.5)

        threading.Thread(target=publish, daemon=True).start()

    def port(self, letter):
        return self.first_port + NODES.index(letter)

    # ---- the story ----

    def make_network(self):
        self.screen.step(1, 'A network of four nodes, each an MQTT broker that keeps a chain')
        self.first_port = consecutive_ports(len(NODES))
        _, out = self.run('init', '-d', '.', '--network', NETWORK, '--port',
                          str(self.first_port), '--anchor-interval', str(ANCHOR_MS))
        self.screen.quote(out)
        self.run('passwd', 'passwords', VIEWER, '-b', VIEWER_PASSWORD)
        for letter in NODES:
            with open(self.path(f'node-{letter}', 'node.yaml'), 'a') as file:
                file.write('passwords: ../passwords\n')
            self.start_node(letter)
        self.wait('all four nodes answer and see each other', self.all_connected)
        self.summary['nodes'] = len(NODES)
        self.screen.good('four processes, each connected to the three others')

    def all_connected(self):
        self.check_alive(*[f'node-{letter}' for letter in NODES])
        statuses = [self.status(letter) for letter in NODES]
        return all(s and all(p['connected'] for p in s['chain']['peers']) for s in statuses)

    def start_gateway(self):
        self.screen.step(2, "A gateway with its own key: this machine's readings, and two devices'")
        os.mkdir(self.path('gateway'))
        self.device_port = free_ports(1)[0]
        self.run('keygen', '-o', 'gateway/gateway.key', GATEWAY)
        others = [letter for letter in NODES if letter != HOME]
        nodes = ''.join(f'  - id: node/{letter}\n    url: mqtt://127.0.0.1:{self.port(letter)}\n'
                        for letter in [HOME, *others])
        with open(self.path('gateway', 'gateway.yaml'), 'w') as file:
            file.write(f'id: {GATEWAY}\nkey: gateway.key\ngenesis: ../genesis.json\n'
                       f'policy: ../policy\ndata: data\nstatus: status.json\n'
                       f'nodes:\n{nodes}'
                       f'report_topic: 500001/400001/300002/RealTime\n'
                       f'report_interval: 1000\nanchor_interval: {ANCHOR_MS}\n'
                       f'sources:\n  - type: system\n    interval: 1000\n'
                       f'  - type: mqtt\n    address: 127.0.0.1\n    port: {self.device_port}\n'
                       f'    anonymous: true\n'
                       f'policies:\n  - pattern: "pump-1/*/*"\n    change: "0.5"\n'
                       f'  - pattern: "valve-7/*/open"\n    change: "0"\n'
                       f'  - pattern: "*/*/*"\n    periodic: 5000\n')
        self.start('gateway', [self.program, 'gateway', '-c', 'gateway/gateway.yaml'],
                   stdin=subprocess.DEVNULL)
        self.wait('the gateway announces itself', self.is_pending)
        _, out = self.run('device', 'list', '--node', f'node/{HOME}')
        self.screen.quote(out)
        _, out = self.run('device', 'approve', '--node', f'node/{HOME}', GATEWAY)
        self.screen.quote(out)
        self.wait('the gateway has agreed on a key with its node',
                  lambda: self.gateway_status().get('state') == 'ready')
        self.screen.good('approved on the chain, session key agreed')

    def is_pending(self):
        self.check_alive('gateway')
        _, answer = self.ask('device', 'list', '--node', f'node/{HOME}')
        return any(d['id'] == GATEWAY for d in answer['devices'])

    def watch(self, seconds):
        self.screen.step(3, 'Readings flow: sealed to the node, verified, stored, republished')
        self.publish_as_device()
        self.watch_verified()
        end = time.monotonic() + seconds
        told = 0
        while time.monotonic() < end:
            self.check_alive('gateway', 'viewer', *[f'node-{letter}' for letter in NODES])
            self.show_live()
            if self.newest and time.monotonic() > end - seconds + 4 * (told + 1):
                told += 1
                shown = list(self.newest.items())[-4:]
                self.screen.say('verified   ' + '   '.join(f'{n} {v}' for n, v in shown))
            time.sleep(0.3)
        if not self.newest:
            raise Failure('mosquitto_sub saw no verified reading')
        if 'pump-1.temperature' not in self.newest:
            raise Failure("the pump's readings did not arrive")
        status = self.status(HOME)
        gateway = self.gateway_status()
        if gateway.get('receipts', 0) == 0:
            raise Failure('the gateway has no receipt')
        self.screen.good(f'mosquitto_sub sees {len(self.newest)} live items; '
                         f'{status["history"]["rows"]} rows stored, '
                         f'{status["chain"]["records"]} of them written to the chain in '
                         f'{status["chain"]["height"]} blocks; {gateway["receipts"]} receipts')
        _, out = self.run('block', '--data', f'node-{HOME}/data')
        lines = out.splitlines()
        self.screen.quote('\n'.join(lines[:12] + (['...'] if len(lines) > 12 else [])))

    def audit(self, expect):
        return self.ask('audit', '--data', f'node-{HOME}/data', '--node', f'node/{HOME}',
                        expect=expect)[1]

    def audit_all(self):
        self.screen.step(4, 'An audit: does the database hold what was signed?')
        first = self.audit((0,))
        rows = sum(first['rows'].values())
        self.screen.say(f'{rows} rows: {first["rows"]["verified"]} verified, '
                        f'{first["rows"]["unanchored"]} so new that the chain does not cover them '
                        f'yet')
        second = self.wait('the chain covers those rows, too',
                           lambda: (lambda a: a if a['rows']['verified'] >= rows else None)(
                               self.audit((0,))), show=self.show_live)
        self.summary['audit_verified'] = True
        self.screen.good(f'a moment later {second["rows"]["verified"]} rows are verified against '
                         f'{second["blocks"]} blocks, and nothing is wrong')

    def tamper(self):
        self.screen.step(5, "A lie: one value is changed in the database, behind the node's back")
        path = self.path(f'node-{HOME}', 'data', 'history.db')
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as db:
            row = db.execute(
                "SELECT r.time_us, r.gateway, r.n, r.row, r.val FROM rows r JOIN items i ON "
                "i.id = r.item WHERE i.device = 'pump-1' AND i.name = 'temperature' "
                "ORDER BY r.n LIMIT 1").fetchone()
            key, value = row[:4], row[4]
            where = 'WHERE time_us = ? AND gateway = ? AND n = ? AND row = ?'
            lie = 21.5 if value != 21.5 else 22.5
            with db:
                db.execute(f'UPDATE rows SET val = ? {where}', (lie, *key))
            self.screen.say(f'report {key[2]}, row {key[3]}: pump-1 temperature {value} -> {lie}')
            result = self.audit((1,))
            _, out = self.run('audit', '--data', f'node-{HOME}/data', '--node', f'node/{HOME}',
                              expect=(1,))
            self.screen.quote(out)
            with db:
                db.execute(f'UPDATE rows SET val = ? {where}', (value, *key))
        named = [(f['verdict'], f['gateway'], f['report'], f['row'], f['located'],
                  [row['row'] for row in f['rows']]) for f in result['findings']]
        if named != [('modified', GATEWAY, key[2], key[3], [key[3]], [key[3]])]:
            raise Failure(f'the audit did not name row {key[3]} of report {key[2]} alone: '
                          f'{result["findings"]}')
        line = f'modified: report {key[2]} of {GATEWAY}, row {key[3]}'
        if line not in out.splitlines():
            raise Failure(f'the audit did not print "{line}"')
        self.summary['tampered_found'] = True
        self.audit((0,))
        self.screen.good(f'it named that one row ("{line}"); put back, and the audit is clean again')

    def lose_node(self):
        status = self.status(HOME)
        victim = status['chain']['primary'][-1]
        if victim == HOME:
            victim = 'd'
        role = 'the primary' if status['chain']['primary'].endswith(victim) else 'a node'
        self.screen.step(6, f'node/{victim}, {role}, is killed (SIGKILL)')
        before = self.height(HOME)
        self.processes[f'node-{victim}'].kill()
        self.processes[f'node-{victim}'].wait()
        self.wait('three new blocks without it', lambda: self.height(HOME) >= before + 3,
                  limit_s=40, show=self.show_live)
        self.check_alive('gateway')
        self.summary['survived_node_loss'] = True
        status = self.status(HOME)
        self.screen.good(f'blocks go on: {before} -> {status["chain"]["height"]}, view '
                         f'{status["chain"]["view"]}, primary {status["chain"]["primary"]}')
        self.start_node(victim)
        target = self.height(HOME)
        self.wait('it has caught up', lambda: self.height(victim) >= target, limit_s=40,
                  show=self.show_live)
        mine, other = [self.ask('block', '--data', f'node-{letter}/data', str(target))[1]['hash']
                       for letter in (HOME, victim)]
        if mine != other:
            raise Failure(f'block {target} differs between node/{HOME} and node/{victim}')
        self.summary['caught_up'] = True
        self.screen.good(f'node/{victim} is back, and has the same block {target} as the others')

    def prove(self):
        self.screen.step(7, 'A proof: one reading in one file, checked offline')
        self.run('proof', '--data', f'node-{HOME}/data', '-o', 'reading.tlog-proof', 'record',
                 'newest')
        _, out = self.run('verify', '--policy', 'policy', 'reading.tlog-proof')
        self.screen.quote(out)
        with open(self.path('reading.tlog-proof'), 'rb') as file:
            proof = bytearray(file.read())
        middle = len(proof) // 2
        proof[middle] = ord('A') if proof[middle] != ord('A') else ord('B')
        with open(self.path('forged.tlog-proof'), 'wb') as file:
            file.write(proof)
        _, out = self.run('verify', '--policy', 'policy', 'forged.tlog-proof', expect=(1,))
        self.screen.quote(out)
        self.summary['proof_verified'] = True
        self.screen.good(f'{len(proof)} bytes prove it; with one byte changed they prove nothing')

    def sum_up(self):
        status = self.status(HOME)
        self.summary['reports'] = status['history']['reports']
        self.summary['history_rows'] = status['history']['rows']
        self.summary['blocks'] = status['chain']['height']
        self.summary['records'] = status['chain']['records']
        self.summary['receipts'] = self.gateway_status().get('receipts', 0)

    def tell_next(self):
        s = self.summary
        self.screen.step(8, 'All of it held' if self.held() else 'NOT all of it held')
        self.screen.say(f'{s["nodes"]} nodes, {s["reports"]} reports with {s["history_rows"]} rows, '
                        f'{s["blocks"]} blocks with {s["records"]} records, {s["receipts"]} '
                        f'receipts, {s["seconds"]} s')
        self.screen.say('')
        if self.options.keep:
            pids = ' '.join(str(p.pid) for p in self.processes.values() if p.poll() is None)
            self.screen.say(f'It goes on running in {self.folder}. Try, from there:')
            self.screen.say(f'  {self.program} status --all')
            self.screen.say(f'  mosquitto_sub -p {self.port(HOME)} -u {VIEWER} '
                            f"-P '{VIEWER_PASSWORD}' -t 'verified/#' -v")
            self.screen.say(f'  mosquitto_pub -p {self.device_port} -t boiler/pressure -m 2.31')
            self.screen.say(f'  {self.program} audit --data node-{HOME}/data --node node/{HOME}')
            self.screen.say(f'and end it with: kill {pids}')
        else:
            self.screen.say('What to try next:')
            self.screen.say('  ./quickstart --keep                  the same, and it stays up')
            self.screen.say('  build/sealmq init -d plant           a network of your own')
            self.screen.say('  build/sealmq broker -p 1883          a plain MQTT server, no ledger')
            self.screen.say('  build/sealmq sim --seeds 100         its consensus, with faults')

    def held(self):
        return all(bool(value) for key, value in self.summary.items() if key != 'seconds')

    def story(self):
        started = time.monotonic()
        self.make_network()
        self.start_gateway()
        self.watch(self.options.watch)
        self.audit_all()
        self.tamper()
        self.lose_node()
        self.prove()
        self.sum_up()
        self.summary['seconds'] = round(time.monotonic() - started, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--keep', action='store_true', help='leave it running')
    parser.add_argument('--json', metavar='FILE', help='write the summary there')
    parser.add_argument('--program', default=os.environ.get(
        'SEALMQ_BIN', os.path.join(ROOT, 'build', 'sealmq')))
    parser.add_argument('--folder', default=os.path.join(ROOT, '.quickstart'))
    parser.add_argument('--watch', type=float, default=12, help='seconds of step 3')
    options = parser.parse_args()
    options.program = os.path.abspath(options.program)
    options.folder = os.path.abspath(options.folder)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    if os.path.exists(options.folder) and os.listdir(options.folder):
        # Only what an earlier run has made is removed.
        if not os.path.exists(os.path.join(options.folder, '.sealmq-demo')):
            print(f'{options.folder} is not empty, and not from an earlier run', file=sys.stderr)
            return 1
        shutil.rmtree(options.folder)
    os.makedirs(options.folder, exist_ok=True)
    open(os.path.join(options.folder, '.sealmq-demo'), 'w').close()

    job = Job(options)
    status = 1
    try:
        job.story()
        status = 0 if job.held() else 1
        job.tell_next()
    except Failure as failure:
        job.screen.bad(str(failure))
        job.screen.say(f'The logs are in {job.folder}.')
    except KeyboardInterrupt:
        job.screen.bad('interrupted')
    finally:
        job.is_publishing = False
        keeps = options.keep and status == 0
        if not keeps:
            job.end_all()
        if options.json:
            with open(options.json, 'w') as file:
                json.dump(job.summary, file, indent=2)
                file.write('\n')
        if status == 0 and not options.keep:
            shutil.rmtree(options.folder, ignore_errors=True)
    return status


if __name__ == '__main__':
    sys.exit(main())
