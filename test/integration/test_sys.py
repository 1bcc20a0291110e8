"""The $SYS tree, against what Mosquitto publishes there."""
import re
import shutil
import subprocess

import pytest

import sealmq_testlib as lib
from sealmq_testlib import MqttClient

MOSQUITTO = shutil.which('mosquitto') or '/usr/sbin/mosquitto'
FORMS = [r'\d+', r'\d+\.\d\d', r'\d+ seconds', r'\w+ version [\w.+~-]+']


def form_of(value):
    return next(form for form in FORMS if re.fullmatch(form, value))


def sys_tree(port):
    """Names and values of the $SYS tree, by mosquitto_sub: the retained ones, and nothing else."""
    seen = {}

    def is_whole():
        result = subprocess.run(['mosquitto_sub', '-p', str(port), '-t', '$SYS/#', '-W', '1', '-F',
                                 '%r %t\t%p'], capture_output=True, text=True, check=False)
        for line in result.stdout.splitlines():
            topic, value = line.split(' ', 1)[1].split('\t')
            if line.startswith('1 '):
                seen[topic] = value
        return '$SYS/broker/load/bytes/sent/15min' in seen
    lib.wait_until(is_whole, 'the $SYS tree', limit_s=60)
    return seen


def test_every_name_of_mosquitto_is_there_in_the_same_form(processes):
    _process, ours = processes.broker('--workers', 2, '--sys-interval', 1)
    theirs = lib.free_port()
    config = processes.folder / 'mosquitto.conf'
    config.write_text(f'listener {theirs} 127.0.0.1\nallow_anonymous true\nsys_interval 1\n')
    processes.start([MOSQUITTO, '-c', config], name='mosquitto', port=theirs)
    expected, found = sys_tree(theirs), sys_tree(ours)
    assert len(expected) > 40
    assert sorted(set(expected) - set(found)) == []
    for topic, value in expected.items():
        assert form_of(found[topic]) == form_of(value), topic


def test_numbers_follow_what_clients_do(processes):
    _process, port = processes.broker('--sys-interval', 1)
    with MqttClient(port, 'watcher') as watcher, MqttClient(port, 'b') as other:
        watcher.subscribe('$SYS/broker/clients/connected')
        watcher.subscribe('$SYS/broker/publish/messages/received')
        for _ in range(7):
            other.publish('x', b'1', qos=1)
        wanted = {'$SYS/broker/clients/connected': b'2',
                  '$SYS/broker/publish/messages/received': b'7'}
        while wanted:
            message = watcher.next_message(limit_s=30)
            if wanted.get(message.topic) == message.payload:
                del wanted[message.topic]


def test_wildcards_do_not_match_it_and_nobody_writes_it(processes):
    _process, port = processes.broker('--sys-interval', 1)
    with MqttClient(port, 'all', v5=True) as everything, MqttClient(port, 'uptime') as watcher:
        everything.subscribe('#')
        everything.subscribe('+/broker/uptime')
        watcher.subscribe('$SYS/broker/uptime')
        everything.publish('$SYS/broker/uptime', b'forged', qos=1, retain=True)
        everything.publish('$SYS/forged', b'forged', qos=1, retain=True)
        assert [watcher.next_message(limit_s=30).payload != b'forged' for _ in range(3)] == [True] * 3
        everything.publish('x', b'last', qos=1)
        assert everything.next_message().payload == b'last'
        watcher.subscribe('$SYS/forged')
        watcher.unsubscribe('$SYS/broker/uptime')
        while True:  # what was under way
            try:
                assert watcher.next_message(limit_s=1.5).topic == '$SYS/broker/uptime'
            except TimeoutError:
                break


def test_an_interval_of_nothing_publishes_nothing(processes):
    _process, port = processes.broker('--sys-interval', 0)
    with MqttClient(port, 'a') as client:
        client.subscribe('$SYS/#')
        client.expect_nothing(2)


def test_with_an_acl_it_is_read_by_whom_a_line_allows(processes):
    acl = processes.folder / 'acl'
    acl.write_text('topic readwrite home/#\n')
    _process, port = processes.broker('--sys-interval', 1, '--acl', acl)
    with MqttClient(port, 'a', v5=True) as client:
        with pytest.raises(lib.MqttError):
            client.subscribe('$SYS/#')
