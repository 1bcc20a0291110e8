"""A network of nodes for tests: the files that `sealmq init` makes, and the nodes as processes.

Network     made once, often for a whole module; its nodes are started, killed, and asked
"""
import json
import re
import signal
import socket
import sqlite3
from pathlib import Path

import pygateway
import sealmq_testlib as lib

LETTERS = 'abcdefghijklmnopqrstuvwxyz'


def free_ports(count):
    """The first of that many free ports in a row: `sealmq init` counts upwards."""
    for _ in range(200):
        first = lib.free_port()
        probes = []
        try:
            for port in range(first, first + count):
                probes.append(socket.socket())
                probes[-1].bind((lib.HOST, port))
            return first
        except (OSError, OverflowError):
            continue
        finally:
            for probe in probes:
                probe.close()
    raise OSError(f'no {count} free ports in a row')


class Network:
    def __init__(self, folder, nodes=4, name='plant', anchor_interval_ms=500, config='', hosts=None,
                 ids=None, programs=None, difficulty=0):
        """`config` are lines for each node's configuration; `hosts` are sealmq_hosts.Hosts on which
        the nodes run, one each; by letter `ids` replace node/LETTER and `programs` sealmq."""
        self.folder, self.letters = Path(folder) / 'network', LETTERS[:nodes]
        self.hosts, self.ids, self.programs = hosts, ids or {}, programs or {}
        self._port = 1883 if hosts else free_ports(nodes)
        places = [word for letter in self.letters if hosts
                  for word in ('--host', hosts.address(letter))]
        places += [word for letter, node in self.ids.items() for word in ('--id', f'{letter}={node}')]
        result = lib.run_sealmq('init', '-d', self.folder, '-n', nodes, '--network', name, '--port',
                                self._port, '--anchor-interval', anchor_interval_ms,
                                '--difficulty', difficulty, *places)
        assert result.returncode == 0, result.stderr
        self.genesis = pygateway.Genesis(self.folder / 'genesis.json')
        self.processes = lib.Processes(Path(folder) / 'processes')
        self.nodes = {}  # those that were started, by letter
        self._starts = 0
        self.joined = {}  # ports of nodes that are not in the genesis
        for letter in self.letters:
            with open(self.config_path(letter), 'a') as file:
                file.write(config)

    def close(self):
        self.processes.close()

    # ---- files ----

    def config_path(self, letter):
        return self.folder / f'node-{letter}/node.yaml'

    def data(self, letter):
        return self.folder / f'node-{letter}/data'

    def node_id(self, letter):
        return self.ids.get(letter, f'node/{letter}')

    def port(self, letter):
        if letter in self.joined:
            return self.joined[letter]
        return self._port if self.hosts else self._port + self.letters.index(letter)

    def address(self, letter):
        return self.hosts.address(letter) if self.hosts else lib.HOST

    @property
    def policy(self):
        return self.folder / 'policy'

    # ---- processes ----

    def start(self, letters=None, wait=True, arguments=('-v',), wrapper=(), env=None):
        """Starts nodes (all), each with its own log; with `wait`, until they listen."""
        for letter in letters or self.letters:
            self._starts += 1
            place = self.hosts.wrapper(letter) if self.hosts else []
            program = self.programs.get(letter) or lib.program()
            self.nodes[letter] = self.processes.start(
                [*place, *wrapper, program, 'node', '-c', self.config_path(letter), *arguments],
                name=f'node-{letter}-{self._starts}', env=env)
        for letter in (letters or self.letters) if wait else ():
            lib.wait_for_port(self.port(letter), self.nodes[letter], host=self.address(letter))

    def kill(self, letter):
        self.nodes[letter].kill()

    def stop(self, letters=None):
        """SIGTERM to all, then their exit statuses in order."""
        letters = letters or self.letters
        for letter in letters:
            if self.nodes[letter].returncode is None:
                self.nodes[letter].signal(signal.SIGTERM)
        return [self.nodes[letter].wait() for letter in letters]

    def log(self, letter):
        return self.nodes[letter].stderr

    def wait_for_log(self, letter, pattern, limit_s=15.0):
        return self.nodes[letter].wait_for_output(pattern, limit_s)

    # ---- validators ----

    def add_node(self, letter):
        """A node that is not in the genesis: admitted, started, and following."""
        folder, port = self.folder / f'node-{letter}', free_ports(1)
        self.joined[letter] = port
        self.validator('init', self.node_id(letter), folder)
        self.config_path(letter).write_text(
            f'id: {self.node_id(letter)}\ngenesis: ../genesis.json\nkey: node.key\ndata: data\n'
            f'listeners:\n  - address: {lib.HOST}\n    port: {port}\n')
        self.validator('admit', folder / 'node.key')
        self.start([letter])

    def url(self, letter):
        return f'mqtt://{self.address(letter)}:{self.port(letter)}'

    def validator(self, *arguments, node='a'):
        """sealmq validator ..., by way of a node that is in the genesis."""
        result = self.sealmq('validator', '--node', self.node_id(node), *arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    # ---- questions ----

    def sealmq(self, command, *arguments, **options):
        return lib.run_sealmq(command, '-d', self.folder, *arguments, **options)

    def offline(self, letter, command, *arguments, **options):
        """A subcommand that reads a node's data folder."""
        return self.sealmq(command, '--data', self.data(letter), *arguments, **options)

    def status(self, letter='a'):
        place = ['--url', self.url(letter)] if letter in self.joined else []
        result = self.sealmq('status', '--node', self.node_id(letter), *place, '--json')
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def chain(self, letter='a'):
        return self.status(letter)['chain']

    def wait_for_height(self, height, letters=None, limit_s=20.0):
        """Until these nodes (all) have a block of that height."""
        heights = {}

        def reached():
            for letter in letters or self.letters:
                if heights.get(letter, -1) < height:
                    heights[letter] = self.chain(letter)['height']
            return min(heights.values()) >= height
        lib.wait_until(reached, lambda: f'height {height}, but it is {heights}', limit_s, 0.05)

    def wait_for_company(self, letters=None, limit_s=20.0):
        """Until each of these nodes is connected to each of the others of them."""
        letters = letters or self.letters
        ids = {self.node_id(letter) for letter in letters}

        def connected():
            return all(ids - {self.node_id(letter)} <=
                       {peer['id'] for peer in self.chain(letter)['peers'] if peer['connected']}
                       for letter in letters)
        lib.wait_until(connected, f'links among {sorted(ids)}', limit_s, 0.05)

    def devices(self, letter='a'):
        """{id: its entry} of all that are registered or wait."""
        result = self.sealmq('device', '--node', self.node_id(letter), 'list', '--json')
        assert result.returncode == 0, result.stderr
        return {device['id']: device for device in json.loads(result.stdout)['devices']}

    def rows(self, letter, query, *values):
        """Reads a node's history while it runs."""
        uri = f'file:{self.data(letter)}/history.db?mode=ro'
        connection = sqlite3.connect(uri, uri=True, timeout=10)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    # ---- gateways ----

    def identity(self, client_id):
        return pygateway.Identity(client_id, self.genesis)

    def connect(self, identity, letter='a', **options):
        return pygateway.PyGateway(identity, self.port(letter), self.node_id(letter),
                                   host=self.address(letter), **options)

    def register(self, client_id, letter='a'):
        """A new identity, announced and approved; returns it once every running node knows it."""
        identity = self.identity(client_id)
        with self.connect(identity, letter) as applicant:
            applicant.announce()
        result = self.sealmq('device', '--node', self.node_id(letter), 'approve', client_id,
                             '--fingerprint', identity.fingerprint)
        assert result.returncode == 0, result.stderr
        height = int(re.search(r'since block (\d+)', result.stdout)[1])
        self.wait_for_height(height, [letter for letter, process in self.nodes.items()
                                      if process.returncode is None])
        return identity

    def gateway(self, client_id, letter='a', **options):
        """A registered gateway, connected and with a session key."""
        gateway = self.connect(self.register(client_id, letter), letter, **options)
        gateway.agree()
        return gateway
