"""What a node answers to operators, and publishes of itself (docs/spec/queries.md)."""
import json
import re
from pathlib import Path

import pytest

import pygateway
from sealmq_testlib import MqttClient, MqttError

QUERY, REPLY = 'chain/plant/query', 'chain/plant/reply/admin/ops'
PAGE = Path(__file__).resolve().parents[2] / 'docs/spec/queries.md'


@pytest.fixture(scope='module')
def member(network):
    """Registered before any operator connects: `sealmq device` takes the operator's place."""
    return network.register('plant-q/gw1')


@pytest.fixture
def operator(network, member):
    identity = pygateway.Identity.from_file(network.folder / 'admin.key', network.genesis)
    with MqttClient(network.port('a'), identity.id, identity.id, identity.token('node/a'),
                    v5=True) as client:
        yield client


def ask(operator, payload, **properties):
    payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    operator.publish(QUERY, payload, 1, **properties)
    return operator.next_message()


def test_answers_come_on_the_response_topic_with_the_correlation_data(operator):
    operator.subscribe('my/answers', 1)
    answer = ask(operator, {'query': 'request-number'}, ResponseTopic='my/answers',
                 CorrelationData=b'\0one\xff')
    assert (answer.topic, answer.properties.CorrelationData) == ('my/answers', b'\0one\xff')
    assert json.loads(answer.payload)['number'] >= 1


def test_without_a_response_topic_answers_come_on_the_reply_topic(operator):
    answer = ask(operator, {'query': 'devices'})
    assert answer.topic == REPLY
    assert isinstance(json.loads(answer.payload)['devices'], list)


def test_nobody_else_gets_the_answer(network, member, operator):
    with MqttClient(network.port('a'), member.id, member.id, member.token('node/a')) as other:
        with pytest.raises(MqttError):
            other.subscribe(REPLY, 1)
        with pytest.raises(MqttError):
            other.subscribe(QUERY, 1)
        other.subscribe('verified/#', 1)
        ask(operator, {'query': 'status'}, ResponseTopic='verified/plant-q/answer')
        other.expect_nothing(0.2)


@pytest.mark.parametrize('payload, error', [
    ({'query': 'moon'}, 'UNSUPPORTED'), ({'question': 'status'}, 'PARSE'), ([], 'PARSE'),
    (b'', 'PARSE'), (b'{"query":', 'PARSE'), (b'{"query":"status"}x', 'PARSE'),
    (b'{"query":"status"}' + b' ' * 2000, 'LIMIT'), ({'query': 7}, 'PARSE')])
def test_what_cannot_be_answered_is_refused_with_a_reason(network, operator, payload, error):
    answer = json.loads(ask(operator, payload).payload)
    assert answer['error'] == error and answer['words']
    network.wait_for_log('a', 'refused a query of admin/ops: ')


def names_in(value, prefix=''):
    for name, inner in value.items():
        yield prefix + name
        if isinstance(inner, dict):
            yield from names_in(inner, f'{prefix}{name}.')


def test_every_member_of_the_status_is_described(operator):
    status = json.loads(ask(operator, {'query': 'status'}).payload)
    described = set(re.findall(r'`\.?([a-z_.]+)`', PAGE.read_text()))
    for name in names_in(status):
        if name not in ('chain', 'history', 'devices', 'mqtt'):
            assert name in described or name.split('.')[-1] in described, name


def test_a_request_that_is_refused_is_answered_in_words(operator):
    answer = json.loads(ask_request(operator, b'no request'))
    assert answer['request'] == 0 and answer['words']


def ask_request(operator, payload):
    operator.publish('chain/plant/request', payload, 1)
    return operator.next_on(REPLY).payload


def test_the_newest_checkpoint_is_retained(network, operator):
    operator.subscribe('chain/plant/head', 1)
    message = operator.next_on('chain/plant/head')
    text, lines = message.payload.decode().split('\n\n')
    origin, size, root = text.split('\n')[:3]
    assert message.retain and origin == 'sealmq/plant' and len(root) == 44
    assert int(size) >= 2
    assert sum(line.startswith('\u2014 sealmq/plant/node/') for line in lines.splitlines()) >= 3
