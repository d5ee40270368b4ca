#!/usr/bin/env python3
"""How long three servers take no write when something happens to one of them. Prints a line for
each kind of event, and what is promised.

    bench/failover.py                              # all of them, 20 times each: about five minutes
    bench/failover.py kill term -n 5               # some

Each server runs in a network namespace of its own (as root, or who may make user namespaces) with
its defaults, its data below build/, or DOOZER_BENCH_DIR. What is measured and how:
tests/system/failover.py, docs/failover.md.
"""
import argparse
import os
import statistics
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                'tests', 'system'))
import doozer_net  # noqa: E402
import failover    # noqa: E402

PROMISED_MS = {'kill': 50, 'term': 10, 'vanish': 1000}


def verdict(median, promised, idle):
    if median < promised:
        return 'kept'
    # A disk or a machine that is busy with other things interrupts writes by itself.
    return 'not to be told: as long when nothing happens' if idle >= promised else 'NOT KEPT'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('events', nargs='*', help='of %s' % ', '.join(failover.EVENTS))
    parser.add_argument('-n', '--runs', type=int, default=20)
    options = parser.parse_args()
    unknown = set(options.events) - set(failover.EVENTS)
    if unknown:
        parser.error('there is no %s' % ', '.join(sorted(unknown)))
    try:
        doozer_net.prepare()
    except unittest.SkipTest as e:
        sys.exit('bench/failover.py: %s' % e)
    print(failover.HEAD)
    told = failover.measure('doozer', options.events or list(failover.EVENTS), options.runs)
    medians = {event: 1000 * statistics.median(r.elsewhere for r in rounds)
               for event, rounds in told.items()}
    for event in [e for e in PROMISED_MS if e in medians]:
        print('%s: %.1f ms, promised: less than %d: %s' % (
            failover.EVENTS[event][0], medians[event], PROMISED_MS[event],
            verdict(medians[event], PROMISED_MS[event], medians.get('nothing', 0))))
    if sum(r.lost for r in told.get('term', [])):
        print('SIGTERM of the leader: writes were lost: NOT KEPT')


if __name__ == '__main__':
    main()
