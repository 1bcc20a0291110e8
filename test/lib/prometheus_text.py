"""A strict reader of Prometheus' text format 0.0.4.

It takes only what our server should write: HELP, then TYPE, then the samples of the family, each
family once, names and labels in their form, counters that end in _total, no series twice.
"""
import math
import re

NAME = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*')
LABEL = re.compile(r'[a-zA-Z_][a-zA-Z0-9_]*')
NUMBER = re.compile(r'[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?')
TYPES = ('counter', 'gauge', 'histogram', 'summary', 'untyped')


class MetricsError(Exception):
    pass


class Family:
    def __init__(self, name, words):
        self.name, self.help, self.type = name, words, None
        self.samples = {}  # (name, ((label, value), ...)) -> number

    def value(self, **labels):
        return self.samples[(self.name, tuple(sorted(labels.items())))]


def _labels(text, line):
    """The labels in `text`, which begins after '{'; returns them and what follows '}'."""
    labels = {}
    while not text.startswith('}'):
        match = LABEL.match(text)
        if not match or text[match.end():match.end() + 2] != '="':
            raise MetricsError(f'no label: {line}')
        value, at = '', match.end() + 2
        while at < len(text) and text[at] != '"':
            if text[at] == '\\':
                at += 1
                if text[at:at + 1] not in ('\\', '"', 'n'):
                    raise MetricsError(f'unknown escape: {line}')
                value += '\n' if text[at] == 'n' else text[at]
            else:
                value += text[at]
            at += 1
        if at >= len(text):
            raise MetricsError(f'label without end: {line}')
        if match.group() in labels:
            raise MetricsError(f'label twice: {line}')
        labels[match.group()] = value
        text = text[at + 1:]
        if text.startswith(','):
            text = text[1:]
        elif not text.startswith('}'):
            raise MetricsError(f'labels without end: {line}')
    return labels, text[1:]


def _sample(family, line):
    match = NAME.match(line)
    if not match or family is None or family.type is None:
        raise MetricsError(f'a sample before its HELP and TYPE: {line}')
    name, rest = match.group(), line[match.end():]
    labels = {}
    if rest.startswith('{'):
        labels, rest = _labels(rest[1:], line)
    if name != family.name:
        raise MetricsError(f'a sample of another family than {family.name}: {line}')
    if not rest.startswith(' ') or not NUMBER.fullmatch(rest[1:]):
        raise MetricsError(f'no number: {line}')
    value = float(rest[1:])
    if family.type == 'counter' and (value < 0 or math.isnan(value)):
        raise MetricsError(f'a counter below zero: {line}')
    key = (name, tuple(sorted(labels.items())))
    if key in family.samples:
        raise MetricsError(f'a series twice: {line}')
    family.samples[key] = value


def parse(data):
    """Families by name, from bytes; MetricsError when anything is not as it should be."""
    text = data.decode('utf-8')
    if not text.endswith('\n'):
        raise MetricsError('the last line has no end')
    families, family = {}, None
    for line in text[:-1].split('\n'):
        words = line.split(' ', 3)
        if line.startswith('# HELP '):
            if len(words) < 4 or not NAME.fullmatch(words[2]) or words[2] in families:
                raise MetricsError(f'not a new family with words: {line}')
            if family is not None and not family.samples:
                raise MetricsError(f'a family without samples: {family.name}')
            family = families[words[2]] = Family(words[2], words[3])
        elif line.startswith('# TYPE '):
            if family is None or family.type or words[2] != family.name or words[3] not in TYPES:
                raise MetricsError(f'no type for the family: {line}')
            family.type = words[3]
            if (family.type == 'counter') != family.name.endswith('_total'):
                raise MetricsError(f'counters, and only they, end in _total: {line}')
        else:
            _sample(family, line)
    if family is None or not family.samples:
        raise MetricsError('nothing at the end')
    return families
