#!/usr/bin/env python3
"""Overload: twice as many writes as three servers can do, sent without waiting for answers; small
ones, of which too many would be late, and large ones, of which too many bytes would be."""
import json
import os
import subprocess
import time

import doozer_cluster
import doozer_system

SECONDS = int(os.environ.get('DOOZER_OVERLOAD_SECONDS', '10'))
# A write waits half a second behind others; a machine that is busy with other things gets ten times
# as long.
LATE_SECONDS = 5
STATUS_SECONDS = 5


class Overload(doozer_cluster.ClusterTest):

    def load(self, server, *more, seconds):
        return subprocess.Popen(
            [doozer_system.program('doozer-load'), '-a', server.address, '--op', 'set', '-c', '64',
             '--json', '--seconds', str(seconds), *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def result(self, load):
        out, err = load.communicate(timeout=SECONDS + 60)
        self.assertEqual(load.returncode, 0, err)
        return json.loads(out)

    def test_twice_the_load_is_refused_in_part_and_deposes_nobody(self):
        self.overload('--keys', '10000', '--value-bytes', '256', outstanding='1024')

    def test_twice_the_load_of_large_values_too(self):
        self.overload('--keys', '50', '--value-bytes', '65536', outstanding='64')

    def overload(self, *what, outstanding):
        servers = self.cluster()
        leader = self.leader(servers)
        most = self.result(self.load(leader, *what, '-n', outstanding, seconds=4))['per_second']
        term = self.status(leader)['term']
        load = self.load(leader, *what, '--rate', str(max(2, 2 * most)), seconds=SECONDS)
        slowest = latest = 0.0
        while load.poll() is None:
            # Of a client of its own: the load itself may be late where it is slower than the servers.
            begun = time.monotonic()
            with leader.client() as c:
                c.set('/probe', 'x', mode=doozer_cluster.TELL_MORE)
            latest = max(latest, time.monotonic() - begun)
            for server in servers:
                begun = time.monotonic()
                self.status(server)
                slowest = max(slowest, time.monotonic() - begun)
            time.sleep(0.2)
        told = self.result(load)
        print('%d writes/s at most; at twice that %d/s done, %d refused, %d unknown, median %.0f ms, '
              'p99 %.0f ms, longest %.0f ms; another client waits %.0f ms at most, for status %.0f ms' %
              (most, told['per_second'], told['errors'], told['unknown'], told['p50_us'] / 1e3,
               told['p99_us'] / 1e3, told['max_us'] / 1e3, latest * 1e3, slowest * 1e3))
        self.assertLess(latest, LATE_SECONDS)
        self.assertLess(slowest, STATUS_SECONDS)
        self.assertGreater(told['per_second'], most / 20)
        self.assertGreater(told['errors'], 0)
        # A machine that is busy with other things may starve all three for seconds.
        self.assertLess(told['unknown'], max(20, told['per_second'] * SECONDS / 4))
        # A disk that takes a second for one sync is handed over from, whatever the load.
        if not any(server.events('slow_log') for server in servers):
            for server in servers:
                self.assertEqual(self.status(server)['term'], term, 'an election')
        doozer_cluster.wait_until('it takes writes', lambda: self.writable(leader))


if __name__ == '__main__':
    doozer_system.main()
