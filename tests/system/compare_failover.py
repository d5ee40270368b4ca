#!/usr/bin/env python3
"""How long writes are interrupted when the leader dies, is stopped, pauses or vanishes: Doozer,
etcd and ZooKeeper, side by side.

    tests/system/compare_failover.py                       # all, 5 times each: a quarter of an hour
    tests/system/compare_failover.py etcd kill -n 20       # some, by name

Every system has its defaults. What is measured and how: failover.py. Not a test: what it prints is
told in docs/failover.md. etcd and ZooKeeper come from Debian (etcd-server, zookeeper); OTHERS_ROOT
names another root than / in which they were unpacked, DOOZER_BENCH_DIR where the data goes.
"""
import argparse

import doozer_net
import failover
from compare_partitions import SYSTEMS


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', help='systems and events: %s' % ', '.join(
        [*SYSTEMS, *failover.EVENTS]))
    parser.add_argument('-n', '--runs', type=int, default=5)
    options = parser.parse_args()
    unknown = set(options.names) - {*SYSTEMS, *failover.EVENTS}
    if unknown:
        parser.error('there is no %s' % ', '.join(sorted(unknown)))
    doozer_net.prepare()
    print(failover.HEAD)
    events = [e for e in failover.EVENTS if e in options.names] or list(failover.EVENTS)
    for name in [s for s in SYSTEMS if s in options.names] or SYSTEMS:
        failover.measure(name, events, options.runs)


if __name__ == '__main__':
    main()
