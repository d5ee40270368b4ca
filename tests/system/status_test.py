#!/usr/bin/env python3
"""`doozer status` at a real cluster: the table, the JSON, and the watch."""
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

import doozer_cluster
import doozer_system
from doozer_cluster import wait_until

NO_CONNECTION = 3
INTERRUPTED = 130
REDRAW = b'\x1b[H\x1b[J'


class Status(doozer_cluster.ClusterTest):

    def doozer(self, server, *words, status=0):
        done = self.run_doozer('-a', server.address, 'status', *words)
        self.assertEqual(done.returncode, status, done)
        return done.stdout

    def watch(self, server, *words, **options):
        command = [doozer_system.program('doozer'), '-a', server.address, 'status', '--watch',
                   *words]
        options.setdefault('stdout', subprocess.PIPE)
        process = subprocess.Popen(command, stderr=subprocess.PIPE,
                                   env=doozer_system.clean_environment(TERM='xterm'), **options)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_the_table_names_every_server_its_state_and_its_slot(self):
        servers = self.cluster()
        leader = self.leader(servers)
        wait_until('the leader has heard of all', lambda: all(
            'revision' in s and s['version'] for s in self.status(leader)['servers']))
        told = json.loads(self.doozer(leader, '-o', 'json'))
        table = self.doozer(leader)
        self.assertRegex(table, r'leader %s at %s\n' % (told['leader'], re.escape(leader.address)))
        for server in told['servers']:
            self.assertRegex(table, r'%s +%s +%s +\S+ +\d+ +\d+ +(this one|direct) ' % (
                re.escape(server['address']), server['identity'], server['state']))
        for slot in told['slots']:
            self.assertRegex(table, r'%s +%s +\S+ +yes\n' % (slot['path'], slot['holder']))
        self.assertEqual(sorted(s['holder'] for s in told['slots']),
                         sorted(told['configuration']['voters']))
        for word in ('disk', 'memory', 'loop', 'clients', 'data'):
            self.assertRegex(table, r'\n%s +\S' % word)

    def test_a_dead_member_is_told_of(self):
        servers = self.cluster()
        leader = self.leader(servers)
        dead = [server for server in servers if server is not leader][0]
        dead.kill9()
        line = r'\n%s +\S+ +unreachable +\S+ +\S+ +\d+ +down +- +(\d+ms|\d+s)' % re.escape(
            dead.address)
        wait_until('the table says so', lambda: re.search(line, self.doozer(leader)))

    def test_memory_and_disk_are_those_of_the_process(self):
        server = self.server().start()
        status = self.status(server)
        rss = server.rss_bytes()
        memory = status['memory']
        self.assertGreater(memory['rss_bytes'], 1 << 20)
        self.assertGreaterEqual(memory['rss_bytes_max'], memory['rss_bytes'])
        self.assertLess(abs(rss - memory['rss_bytes']), 8 << 20)
        free = os.statvfs(server.data)
        self.assertLess(abs(status['disk']['free_bytes'] - free.f_bavail * free.f_frsize), 1 << 30)
        self.assertGreater(status['disk']['log_bytes'], 0)
        self.assertFalse(status['disk']['full'])

    def test_watch_prints_a_block_a_second_and_ends_by_count(self):
        server = self.server().start()
        began = time.monotonic()
        out = self.doozer(server, '--watch', '--count', '3')
        self.assertGreater(time.monotonic() - began, 1.9)
        self.assertEqual(out.count('cluster  '), 3)
        self.assertNotIn('\x1b', out)
        lines = self.doozer(server, '--watch', '-n', '2', '-o', 'json').splitlines()
        self.assertEqual([json.loads(line)['identity'] for line in lines],
                         [self.identity(server)] * 2)

    def test_watch_redraws_a_terminal_and_ends_by_ctrl_c(self):
        server = self.server().start()
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 50, 120, 0, 0))
        process = self.watch(server, stdout=theirs)
        os.close(theirs)
        seen = b''

        def redrawn():
            nonlocal seen
            seen += os.read(ours, 1 << 16)
            return seen.count(REDRAW) >= 2

        wait_until('it was drawn twice', redrawn)
        self.assertIn(b'cluster', seen.split(REDRAW)[1])
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(10), INTERRUPTED)

    def test_watch_outlives_the_server_and_sees_it_again(self):
        server = self.server().start()
        process = self.watch(server, '-o', 'json', '--timeout', '500ms')
        self.assertIn(b'"identity"', process.stdout.readline())
        server.kill9()
        self.assertNotEqual(process.stderr.readline(), b'')
        self.assertIsNone(process.poll())
        server.start()
        self.assertIn(b'"identity"', process.stdout.readline())
        process.kill()
        process.stdout.close()

    def test_nobody_there_is_exit_status_3(self):
        server = self.server().start()
        self.assertEqual(server.stop(), 0)
        for words in ([], ['--watch']):
            self.doozer(server, '--timeout', '500ms', *words, status=NO_CONNECTION)


if __name__ == '__main__':
    doozer_system.main()
