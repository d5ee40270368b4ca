#!/usr/bin/env python3
"""Bad disks in a cluster: full ones, that somebody else fills up, and one that answers no sync."""
import os
import shutil
import subprocess
import time

import chaos_world
import doozer_cluster
import doozer_system
from doozer_cluster import LINEARIZABLE, TELL_MORE, UNKNOWN, wait_until

KIB = 1024
SMALL = ['--segment-bytes', '4MiB', '--disk-reserve-bytes', '4MiB', '--snapshot-log-bytes', '4MiB']
# The disk is looked at each second; a machine that is busy with other things gets far longer.
NOTICED_SECONDS = 10
SETTLED_SECONDS = 40
# A sync that takes a second is late; the rest is for such a machine.
STUCK_SECONDS = 30
AT_ONCE_SECONDS = 1.5


class FullDisks(doozer_cluster.ClusterTest):

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest('a tmpfs of its own needs root')

    def give_disk(self, server):
        """A file system of its own, that others may fill."""
        server.mount = os.path.join(server.directory, 'disk')
        os.makedirs(server.mount)
        mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64m', 'doozer', server.mount],
                                 capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest('no tmpfs can be mounted here: ' + mounted.stderr.strip())
        self.addCleanup(subprocess.run, ['umount', '--lazy', server.mount], check=False)
        server.data = os.path.join(server.mount, 'data')

    def fill(self, server):
        """Up to the last byte."""
        with open(os.path.join(server.mount, 'of-others'), 'ab', buffering=0) as f:
            try:
                while True:
                    f.write(bytes(64 * KIB))
            except OSError:
                pass
        self.assertLess(shutil.disk_usage(server.mount).free, 64 * KIB)

    def make_room(self, server):
        os.remove(os.path.join(server.mount, 'of-others'))

    def says_full(self, server):
        return self.status(server)['disk']['full']

    def full_again(self, server):
        """A start gives back what was prepared, and a snapshot the log behind it."""
        self.fill(server)
        return self.says_full(server)

    def set_for(self, server, seconds):
        """SETs one after the other; how many were done, refused, and are unknown."""
        done = refused = 0
        unknown = []
        end = time.monotonic() + seconds
        with server.client() as c:
            while time.monotonic() < end and not unknown:
                number = done + refused
                answer = c.set('/big/%d' % (number % 50), 'x' * 20_000, mode=TELL_MORE)
                if answer.err is None:
                    done += 1
                    time.sleep(0.002)  # or a fast machine fills the disk of its own server
                elif answer.get('outcome') == UNKNOWN:
                    unknown.append((number, answer))
                else:
                    self.assertRegex(answer.detail, 'room on its disk|disk full')
                    refused += 1
                    time.sleep(0.02)
        return done, refused, unknown

    def delete(self, server, count):
        with server.client() as c:
            for n in range(count):
                answer = c.call('DEL', path='/big/%d' % n, rev=-1, mode=TELL_MORE)
                self.assertIsNone(answer.err, answer)

    def test_followers_that_others_fill_up_say_so_and_recover(self):
        servers = self.servers_of(3, *SMALL)
        for server in servers:
            self.give_disk(server)
            server.spawn()
        for server in servers:
            server.wait_ready()
        self.wait_members(servers)
        leader = self.leader(servers)
        followers = [server for server in servers if server is not leader]
        self.set_for(leader, 0.5)
        for server in followers:
            self.fill(server)
        done, refused, unknown = self.set_for(leader, NOTICED_SECONDS)
        print('%d more writes done, then %d refused' % (done, refused))
        self.assertEqual(unknown, [])
        self.assertGreater(refused, 0)
        for server in followers:
            self.assertTrue(self.says_full(server))
        self.assertFalse(self.says_full(leader))
        self.delete(leader, 5)

        # Killed, they come back on disks that are as full as before.
        for server in followers:
            server.kill9()
            self.fill(server)
            server.start()
        self.wait_members(servers)
        wait_until('they say so again', lambda: all(map(self.full_again, followers)),
                   SETTLED_SECONDS)
        self.delete(self.leader(servers), 5)

        for server in followers:
            self.make_room(server)
        for server in servers:
            wait_until('it takes writes again', lambda: self.writable(server), SETTLED_SECONDS)


class StuckDisk(doozer_cluster.ClusterTest):

    def test_a_server_whose_disk_is_stuck_says_so_at_once_and_the_others_serve(self):
        library = chaos_world.build_library('slow_sync', self.directory)
        servers = self.servers_of(3)
        syncs = {}
        for server in servers:
            syncs[server] = chaos_world.SyncControl(os.path.join(server.directory, 'sync'))
            server.environment.update(LD_PRELOAD=library, SLOW_SYNC_CONTROL=syncs[server].path)
            server.spawn()
        for server in servers:
            server.wait_ready()
        self.wait_members(servers)
        stuck = self.leader(servers)
        others = [server for server in servers if server is not stuck]
        syncs[stuck].tell(delay_ms=600_000)
        try:
            self.check_stuck(stuck, others)
        finally:
            syncs[stuck].tell()
        wait_until('it takes writes again', lambda: self.writable(stuck), STUCK_SECONDS)

    def check_stuck(self, stuck, others):
        for server in others:
            wait_until('the others serve', lambda: self.writable(server), STUCK_SECONDS)
        wait_until('it has handed over, and says why', lambda: self.status(stuck)['state'] == 'slow disk',
                   STUCK_SECONDS)
        for _ in range(20):
            begun = time.monotonic()
            with stuck.client() as c:
                answer = c.set('/stuck', 'x', mode=TELL_MORE)
            self.assertEqual(answer.err, 'READONLY', 'nothing happened')
            self.assertIn('disk', answer.detail)
            self.assertNotEqual(answer.get('outcome'), UNKNOWN)
            self.assertLess(time.monotonic() - begun, AT_ONCE_SECONDS)
        with stuck.client() as c:
            self.ok(c.get('/writable'))  # of its own state it reads on
            answer = c.get('/writable', mode=LINEARIZABLE)
            if answer.err is not None:  # what it lacks it may have heard already
                self.assertIn('disk', answer.detail)
        told = subprocess.run([doozer_system.program('doozer'), '-a', stuck.address, 'status'],
                              capture_output=True, text=True, timeout=30)
        self.assertRegex(told.stdout, r'(?m)^writes +refused: .*disk')
        self.assertIn('slow disk', told.stdout)


if __name__ == '__main__':
    doozer_system.main()
