"""Eclipse Paho for Python as a driven client; test/lib/mqtt_clients.py says what it is told and
what it answers."""
import sys

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

SESSION_EXPIRY_S = 3600


def say(*words):
    print(*words, flush=True)


def from_word(word):
    return b'' if word == '-' else bytes.fromhex(word)


def to_word(data):
    return data.hex() if data else '-'


def number(code):
    return code.value if isinstance(code, paho.ReasonCodes) else int(code)


def on_connect(client, _user, flags, code, _properties=None):
    if number(code) != 0:
        say('refused', number(code))
        client.disconnect()
    else:
        say('connected', int(flags['session present']))


def on_message(_client, _user, message):
    properties = getattr(message, 'properties', None)
    pairs = getattr(properties, 'UserProperty', None) or [('-', '-')]
    say('message', message.qos, int(message.retain), message.topic, to_word(message.payload),
        getattr(properties, 'ResponseTopic', '-'),
        to_word(getattr(properties, 'CorrelationData', b'')), '='.join(pairs[0]))


def main():
    given = dict(word.split('=', 1) for word in sys.argv[1:])
    is_5, is_clean = given['version'] == '5', given['clean'] == '1'
    is_websocket = given['transport'] in ('ws', 'wss')
    client = paho.Client(given['id'], protocol=paho.MQTTv5 if is_5 else paho.MQTTv311,
                         transport='websockets' if is_websocket else 'tcp',
                         **({} if is_5 else {'clean_session': is_clean}))
    if given['transport'] in ('tls', 'wss'):
        client.tls_set(given['ca'])
    if 'user' in given:
        client.username_pw_set(given['user'], given['password'])
    if 'will_topic' in given:
        client.will_set(given['will_topic'], from_word(given['will_payload']), 1)
    client.on_connect, client.on_message = on_connect, on_message
    client.on_subscribe = lambda _c, _u, _mid, codes, *_: say('subscribed', number(codes[0]))
    client.on_publish = lambda *_: say('published')
    client.reconnect_delay_set(1, 1)
    options = {}
    if is_5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 0 if is_clean else SESSION_EXPIRY_S
        options = {'clean_start': is_clean, 'properties': properties}
    client.connect(given['host'], int(given['port']), 60, **options)
    client.loop_start()
    for line in sys.stdin:
        command, *words = line.split()
        if command == 'subscribe':
            client.subscribe(words[0], int(words[1]))
            continue
        topic, qos, retain, payload, response, correlation, pair = words
        options = {}
        if response != '-':
            properties = Properties(PacketTypes.PUBLISH)
            properties.ResponseTopic = response
            properties.CorrelationData = from_word(correlation)
            properties.UserProperty = tuple(pair.split('='))
            options = {'properties': properties}
        client.publish(topic, from_word(payload), int(qos), retain == '1', **options)
    client.disconnect()
    client.loop_stop()


main()
