#!/usr/bin/python3
"""Writes the seeds of fuzz_pbft_cluster into corpus/pbft_cluster. See there for the form."""
import random
from pathlib import Path

OUT = Path(__file__).parent / 'corpus' / 'pbft_cluster'
DELIVER, CHANGE, LIE, ASK, TICK, RAW = 0, 3, 4, 5, 6, 7


def agree(made, steps, lies=0, changes=0, ticks=0, asks=4):
    """Mostly deliveries; of a hundred actions so many of the others."""
    out = []
    for at in range(steps):
        if at % (steps // asks) == 0:
            out.append((ASK, made.randrange(4), 0))
        draw = made.randrange(100)
        if draw < lies:
            out.append((LIE + 8 * made.choice((0, 0, 0, 1, 2)), made.randrange(256),
                        made.randrange(256)))
        elif draw < lies + changes:
            out.append((CHANGE, made.randrange(256), made.randrange(256)))
        elif draw < lies + changes + ticks:
            out.append((TICK, made.randrange(4), made.randrange(120)))
        else:
            out.append((DELIVER, made.randrange(256) if lies + ticks else 0, 0))
    return out


SEEDS = {'agree': agree(random.Random(1), 300)}
for n in range(4):
    SEEDS[f'lies-{n}'] = agree(random.Random(10 + n), 300, lies=15, ticks=5)
    SEEDS[f'changes-{n}'] = agree(random.Random(20 + n), 300, changes=15, ticks=5)
    SEEDS[f'slow-{n}'] = agree(random.Random(30 + n), 300, lies=10, changes=5, ticks=35)
SEEDS['raw'] = [(RAW + 8 * node, kind, size) for node in range(4) for kind in range(12)
                for size in (0, 2, 3, 40, 115, 116, 255)]

OUT.mkdir(parents=True, exist_ok=True)
for name, steps in SEEDS.items():
    (OUT / name).write_bytes(bytes(byte for step in steps for byte in step))
