"""`sealmq sim`: what it prints, and that processes that share the seeds come to the same."""
import json

import sealmq_testlib as lib

SEEDS = 24


def run(*arguments):
    return lib.run_sealmq('sim', *arguments, limit_s=240)


def totals(*arguments):
    result = run('--seeds', str(SEEDS), '--json', *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def test_processes_that_share_the_seeds_come_to_the_same():
    alone, shared = totals(), totals('--jobs', '3')
    for timed in ('seconds', 'simulated_hours_per_minute'):
        assert alone.pop(timed) >= 0
        assert shared.pop(timed) >= 0
    assert alone == shared
    assert alone['held'] is True
    assert alone['seeds'] == SEEDS
    assert alone['marks']['a client takes a receipt'] > 0
    assert alone['marks_missed'] == sum(1 for n in alone['marks'].values() if n == 0)


def test_marks_that_were_not_met_fail_only_where_they_must_be():
    few = run('--seeds', '1')
    assert few.returncode == 0
    assert 'which so few seeds need not' in few.stdout
    must = run('--seeds', '1', '--marks')
    assert must.returncode == 1
    assert 'marks were not met\n' in must.stdout


def test_what_is_no_number_is_refused():
    for option, value in (('--jobs', '0'), ('--jobs', '65'), ('--nodes', '8'), ('--seeds', '1x')):
        result = run(option, value)
        assert result.returncode == 2
        assert value in result.stderr
