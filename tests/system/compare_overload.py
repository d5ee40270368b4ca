#!/usr/bin/env python3
"""Twice as many writes as three servers can do, sent without waiting: Doozer, etcd and ZooKeeper,
side by side.

    tests/system/compare_overload.py                       # all, about three minutes
    tests/system/compare_overload.py etcd -s 60

First it is measured how many writes a second are done while 1,024 are on their way; then twice as
many are begun each second. Printed are: how long those took that were done (from when they should
have begun), how many were refused, and lost (no answer, or an unknown outcome), how long another
client waits for a write, and whether the leader changed. Every system has its defaults. Not a test:
what it prints is told in docs/failover.md. Where etcd and ZooKeeper come from: compare_failover.py.
"""
import argparse
import socket
import threading
import time

import doozer_net
import failover
import open_loop
from compare_partitions import SYSTEMS

CONNECTIONS = 48
IN_FLIGHT_EACH = 21
PORTS = {'doozer': 8046, 'etcd': 2379, 'zookeeper': 2181}
DRAIN_SECONDS = 15
WARM_UP_SECONDS = 8  # Java compiles while it runs


class Bystander(threading.Thread):
    """A client of its own at each server in turn: writes, and asks who leads."""

    def __init__(self, system):
        super().__init__(daemon=True)
        self.system = system
        self.longest_write = 0.0
        self.failed = self.tried = 0
        self.terms = set()
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.1):
            number = self.tried % failover.COUNT
            self.tried += 1
            begun = time.monotonic()
            if self.system.tries(self.system.write, number):
                self.longest_write = max(self.longest_write, time.monotonic() - begun)
            else:
                self.failed += 1
            told = self.system.tries(self.system.leader, number)
            if told and told[0]:
                self.terms.add(told[0])


def makers(trial, name):
    def maker(number):
        def make():
            with trial.net.spaces[number]:
                return socket.create_connection((trial.net.address(number), PORTS[name]), 10)
        return make
    return [maker(n % failover.COUNT) for n in range(CONNECTIONS)]


def quantile(values, part):
    return 1000 * values[min(len(values) - 1, int(part * len(values)))] if values else 0


def compare(name, seconds):
    with failover.Trial(name) as trial:
        wire = open_loop.WIRES[name]
        if name == 'zookeeper':  # it only writes to what was created
            fill = open_loop.Load(makers(trial, name)[:1], lambda: wire(wire.CREATE))
            for _ in range(open_loop.KEYS):
                fill.connections[0].begin(time.monotonic())
            fill.drain(DRAIN_SECONDS)
            fill.close()
        load = open_loop.Load(makers(trial, name), wire)
        load.closed(IN_FLIGHT_EACH, WARM_UP_SECONDS)
        most = load.closed(0, 5)  # those that are on their way go on
        load.drain(DRAIN_SECONDS)
        bystander = Bystander(trial.system)
        bystander.start()
        time.sleep(0.5)
        tally = load.open(2 * most, seconds)
        done = tally.counts['done']
        waiting = load.drain(DRAIN_SECONDS)
        bystander.ended.set()
        bystander.join()
        load.close()
        took = sorted(tally.latencies)
        print('%-10s %6d/s | %6d/s | %6d/s | %6.0f %7.0f %7.0f ms | %5.1f %% | %5.1f %% | '
              '%6.0f ms, %d of %d failed | %d | %.0f ms' % (
                  name, most, tally.counts['began'] / seconds, done / seconds, quantile(took, 0.5),
                  quantile(took, 0.99), quantile(took, 1),
                  100 * tally.counts['refused'] / tally.counts['began'],
                  100 * (tally.counts['lost'] + waiting) / tally.counts['began'],
                  1000 * bystander.longest_write, bystander.failed, bystander.tried,
                  max(0, len(bystander.terms) - 1), 1000 * load.latest), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', help='of %s' % ', '.join(SYSTEMS))
    parser.add_argument('-s', '--seconds', type=float, default=30)
    options = parser.parse_args()
    unknown = set(options.names) - set(SYSTEMS)
    if unknown:
        parser.error('there is no %s' % ', '.join(sorted(unknown)))
    doozer_net.prepare()
    print('system     at most  | begun    | done     | took: median, p99, longest | refused | lost '
          '| longest write of another client | new terms | begun late')
    for name in options.names or SYSTEMS:
        compare(name, options.seconds)


if __name__ == '__main__':
    main()
