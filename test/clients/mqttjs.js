// MQTT.js as a driven client; test/lib/mqtt_clients.py says what it is told and what it answers.
'use strict';
const fs = require('fs');
const readline = require('readline');
const mqtt = require('mqtt');

const SCHEMES = {tcp: 'mqtt', tls: 'mqtts', ws: 'ws', wss: 'wss'};
const SESSION_EXPIRY_S = 3600;

const say = (...words) => process.stdout.write(words.join(' ') + '\n');
const fromWord = (word) => (word === '-' ? Buffer.alloc(0) : Buffer.from(word, 'hex'));
const toWord = (data) => (data && data.length ? data.toString('hex') : '-');

const given = Object.fromEntries(process.argv.slice(2).map((word) => {
  const at = word.indexOf('=');
  return [word.slice(0, at), word.slice(at + 1)];
}));
const is5 = given.version === '5';
const isClean = given.clean === '1';
const isWebSocket = given.transport === 'ws' || given.transport === 'wss';

const options = {
  clientId: given.id,
  protocolVersion: is5 ? 5 : 4,
  clean: isClean,
  reconnectPeriod: 1000,
};
if (given.ca) options.ca = fs.readFileSync(given.ca);
if (given.user) Object.assign(options, {username: given.user, password: given.password});
if (given.will_topic) {
  options.will = {topic: given.will_topic, payload: fromWord(given.will_payload), qos: 1};
}
if (is5) options.properties = {sessionExpiryInterval: isClean ? 0 : SESSION_EXPIRY_S};

const client = mqtt.connect(
    `${SCHEMES[given.transport]}://${given.host}:${given.port}${isWebSocket ? '/mqtt' : ''}`, options);

client.on('connect', (connack) => say('connected', connack.sessionPresent ? 1 : 0));
client.on('error', (problem) => {
  if (typeof problem.code === 'number') {
    say('refused', problem.code);
    client.end(true);
  }
});
client.on('message', (topic, payload, packet) => {
  const properties = packet.properties || {};
  const pairs = Object.entries(properties.userProperties || {});
  say('message', packet.qos, packet.retain ? 1 : 0, topic, toWord(payload),
      properties.responseTopic || '-', toWord(properties.correlationData),
      pairs.length ? pairs[0].join('=') : '-=-');
});

const input = readline.createInterface({input: process.stdin});
input.on('line', (line) => {
  const [command, ...words] = line.split(' ');
  if (command === 'subscribe') {
    client.subscribe(words[0], {qos: Number(words[1])}, (problem, granted) => {
      say('subscribed', problem ? 128 : granted[0].qos);
    });
    return;
  }
  const [topic, qos, retain, payload, response, correlation, pair] = words;
  const how = {qos: Number(qos), retain: retain === '1'};
  if (response !== '-') {
    const [key, value] = pair.split('=');
    how.properties = {
      responseTopic: response,
      correlationData: fromWord(correlation),
      userProperties: {[key]: value},
    };
  }
  client.publish(topic, fromWord(payload), how, (problem) => say(problem ? 'failed' : 'published'));
});
input.on('close', () => client.end(false, () => process.exit(0)));
