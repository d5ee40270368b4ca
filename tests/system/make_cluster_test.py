#!/usr/bin/env python3
"""tools/cluster, which is behind `make cluster`: three servers that become one cluster, end together
by one Ctrl-C, and go on with their data the next time."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import doozer_system
from doozer_cluster import wait_until
from doozer_system import Client, program

SCRIPT = os.path.join(doozer_system.TOP, 'tools', 'cluster')


def three_free_ports():
    """The first of three in a row that nobody uses."""
    while True:
        first = doozer_system.free_port()
        sockets = [socket.socket() for _ in range(3)]
        try:
            for n, s in enumerate(sockets):
                s.bind(('127.0.0.1', first + n))
            return first
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()


class MakeCluster(doozer_system.SystemTest):

    def setUp(self):
        super().setUp()
        self.port = three_free_ports()
        self.data = os.path.join(self.directory, 'a cluster')
        programs = os.path.join(self.directory, 'programs')
        os.makedirs(programs)
        for name in ('doozer', 'doozerd'):
            os.symlink(program(name), os.path.join(programs, name))
        self.environment = doozer_system.clean_environment(PORT=str(self.port), DATA=self.data,
                                                           BIN=programs)
        self.script = None
        self.pids = []
        self.addCleanup(self.end)

    def end(self):
        if self.script is not None and self.script.poll() is None:
            os.killpg(self.script.pid, signal.SIGINT)
            try:
                self.script.wait(doozer_system.STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.script.kill()
                self.script.wait()
        if self.script is not None:
            self.script.stdout.close()

    def start(self, **more):
        """Starts it as the one job of a terminal; gives what it said once all are members."""
        self.script = subprocess.Popen([SCRIPT], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True,
                                       env={**self.environment, **more}, start_new_session=True)
        said = ''
        for line in self.script.stdout:
            said += line
            if 'Ctrl-C' in line or 'not all members' in line:
                break
        self.assertIn('all members of one cluster', said)
        self.pids = [int(pid) for pid in re.findall(r'process (\d+)', said)]
        self.assertEqual(len(self.pids), 3)
        return said

    def client(self, number):
        return Client('127.0.0.1:%d' % (self.port + number))

    def ctrl_c(self):
        os.killpg(self.script.pid, signal.SIGINT)
        said, _ = self.script.communicate(timeout=doozer_system.STOP_SECONDS)
        for pid in self.pids:
            self.assertRaises(ProcessLookupError, os.kill, pid, 0)
        return said

    def test_it_forms_a_cluster_ends_it_and_goes_on_with_the_data(self):
        said = self.start()
        shown = re.search(r'printf hello .*\n.* get /greeting', said).group()
        ran = subprocess.run(['bash', '-eu', '-c', shown], capture_output=True, text=True,
                             timeout=30)
        self.assertEqual((ran.returncode, ran.stderr), (0, ''))
        self.assertTrue(ran.stdout.endswith('hello'), ran.stdout)
        self.assertIn('all have stopped', self.ctrl_c())
        self.assertEqual(self.script.returncode, 0)
        for n in range(3):
            with open(os.path.join(self.data, '%d.log' % (n + 1))) as log:
                last = log.read().splitlines()[-1]
            self.assertIn('"event":"stopped"', last, 'in good order')
        self.start()
        for n in range(3):
            with self.client(n) as c:
                self.assertEqual(self.ok(c.get('/greeting', mode=1)).value, b'hello')
        os.kill(self.pids[0], signal.SIGKILL)  # as the reader is told to
        with self.client(1) as c:
            wait_until('a write passes', lambda: c.set('/more', 'x').err is None)
        again = re.search(r'^  (\S*doozerd --listen .*)$', said, re.M).group(1)
        self.assertEqual(again.count(' -a '), 2, 'emptied, it would boot a cluster of its own')
        log = open(os.path.join(self.directory, 'again.log'), 'w', encoding='utf-8')
        self.addCleanup(log.close)
        restarted = []

        def restart():
            restarted.append(subprocess.Popen(['bash', '-c', 'exec ' + again], stderr=log))
            self.addCleanup(restarted[-1].wait)
            self.addCleanup(restarted[-1].kill)

        restart()

        def it_has_the_write():
            # On a machine that is busy the one that was killed may still hold its directory.
            if restarted[-1].poll() is not None:
                restart()
            try:
                with self.client(0) as c:
                    return c.get('/more', mode=1).value == b'x'
            except (OSError, doozer_system.Closed):
                return False

        try:
            wait_until('the first is there again', it_has_the_write)
        except AssertionError:
            with open(log.name, encoding='utf-8') as told:
                print(told.read()[-4000:])
            raise
        restarted[-1].terminate()
        self.ctrl_c()
        self.assertEqual(self.script.returncode, 0)

    def test_a_member_that_is_gone_is_no_member_and_who_waits_for_its_slot_is_told_of(self):
        self.start()
        self.ctrl_c()
        shutil.rmtree(os.path.join(self.data, '2'))
        said = self.start(TIMEOUT='10')
        self.assertRegex(said, r'waits as a standby .* silent for 10 s: at \d\d:\d\d:\d\d')
        with self.client(0) as c:
            servers = json.loads(self.ok(c.call('STATUS')).value)['servers']
        members = [s['address'] for s in servers if s['role'] == 'member' and s['reachable']]
        self.assertEqual(sorted(members), ['127.0.0.1:%d' % (self.port + n) for n in range(3)])

    def test_a_taken_port_is_told_and_the_others_are_not_left_behind(self):
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind(('127.0.0.1', self.port + 1))
        taken.listen()
        self.script = subprocess.Popen([SCRIPT], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True, env=self.environment,
                                       start_new_session=True)
        for line in self.script.stdout:
            if 'cannot_start' in line:
                self.assertIn('127.0.0.1:%d' % (self.port + 1), line)
                break
        else:
            self.fail('it said nothing')
        os.killpg(self.script.pid, signal.SIGINT)
        said, _ = self.script.communicate(timeout=doozer_system.STOP_SECONDS)
        self.assertEqual(self.script.returncode, 1, said)


if __name__ == '__main__':
    doozer_system.main()
