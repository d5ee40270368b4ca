#!/usr/bin/env python3
"""doozer-inspect on directories of real servers: what it may write, what it says and how it exits."""
import json
import os
import shutil
import subprocess
import time

import doozer_system
from doozer_system import program

GOOD, DAMAGED, USAGE = 0, 1, 2


class Inspect(doozer_system.SystemTest):

    def setUp(self):
        super().setUp()
        program('doozer-inspect')
        self.doozerd = self.server().start()
        with self.doozerd.client() as c:
            for i in range(20):
                self.ok(c.set('/d/%d' % i, 'v'))

    def inspect(self, *args, status=GOOD):
        done = subprocess.run([program('doozer-inspect'), *args], capture_output=True, text=True,
                              timeout=60, cwd=self.directory, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, status, done)
        return done

    def names(self, directory):
        return sorted(os.path.join(at, name) for at, folders, files in os.walk(directory)
                      for name in folders + files)

    def test_salvage_writes_nothing_into_the_directory_that_it_reads(self):
        self.doozerd.stop()
        data = self.doozerd.data
        os.symlink(data, os.path.join(self.directory, 'link'))
        before = self.names(data)
        for within in (data, data + '/', os.path.join(data, 'new'), 'link/new'):
            for write in ([], ['--write']):
                told = self.inspect('salvage', *write, data, within, status=USAGE).stderr
                self.assertIn('which is only read', told)
        self.assertEqual(self.names(data), before)
        # What only begins like it is another one.
        self.inspect('salvage', '--write', data, data + '.new/')
        self.assertTrue(os.path.exists(data + '.new/identity'))

    def test_salvage_makes_no_folder_but_the_new_directory(self):
        self.doozerd.stop()
        told = self.inspect('salvage', '--write', self.doozerd.data, 'none/new', status=USAGE).stderr
        self.assertIn('there is no folder', told)
        self.assertFalse(os.path.exists(os.path.join(self.directory, 'none')))
        self.inspect('salvage', '--write', self.doozerd.data, 'new')

    def test_a_running_server_is_warned_of(self):
        for args in ([self.doozerd.data], ['salvage', self.doozerd.data, 'new']):
            done = subprocess.run([program('doozer-inspect'), *args], capture_output=True, text=True,
                                  timeout=60, cwd=self.directory)
            self.assertIn('warning: a server runs on ' + self.doozerd.data, done.stderr)
        self.doozerd.stop()
        for args in ([self.doozerd.data], ['salvage', self.doozerd.data, 'new']):
            self.assertEqual(self.inspect(*args).stderr, '')

    def test_a_dry_run_of_salvage_counts_what_write_leaves(self):
        self.doozerd.stop()
        told = [json.loads(self.inspect('salvage', '-o', 'json', *write, self.doozerd.data,
                                        'new').stdout) for write in ([], ['--write'])]
        self.assertEqual([t.pop('written') for t in told], [False, True])
        self.assertEqual(told[0], told[1])
        state = json.loads(self.inspect('-o', 'json', 'new').stdout)
        self.assertEqual((state['files'], state['revision']), (told[0]['files'], told[0]['revision']))

    def test_salvage_takes_a_snapshot_whose_log_is_gone(self):
        server = self.server('--snapshot-log-bytes', '64KiB').start()
        snapshots = os.path.join(server.data, 'snap')
        deadline = time.monotonic() + 20
        with server.client() as c:
            while not any(n.endswith('.snap') for n in os.listdir(snapshots)):
                self.assertLess(time.monotonic(), deadline, 'no snapshot was made')
                self.ok(c.set('/kept', b'v' * 10_000))
        server.stop()
        shutil.rmtree(os.path.join(server.data, 'log'))
        self.assertIn('directory "log" is missing', self.inspect(server.data, status=DAMAGED).stdout)
        self.inspect('salvage', '--write', server.data, 'new', status=DAMAGED)
        saved = self.server(data=os.path.join(self.directory, 'new')).start()
        with saved.client() as c:
            self.assertEqual(len(self.ok(c.get('/kept')).value), 10_000)

    def test_a_file_is_called_what_it_was_asked_by(self):
        self.doozerd.stop()
        log = os.path.join(self.doozerd.data, 'log')
        copy = os.path.join(self.directory, 'g.wal')
        shutil.copy(os.path.join(log, sorted(os.listdir(log))[0]), copy)
        self.assertRegex(self.inspect('g.wal').stdout, r'\Ag\.wal ')
        with open(copy, 'r+b') as file:
            file.seek(600)
            file.write(b'\xff' * 64)
        damaged = self.inspect('g.wal', '--records', status=DAMAGED).stdout
        self.assertIn('g.wal at offset', damaged)
        self.assertNotRegex(damaged, r'log/0+1\.wal')

    def test_what_is_no_file_is_refused_with_the_reason(self):
        os.mkfifo(os.path.join(self.directory, 'fifo.wal'))
        self.assertIn('neither a file nor a directory',
                      self.inspect('fifo.wal', status=USAGE).stderr)
        self.assertIn('No such file or directory', self.inspect('none.wal', status=USAGE).stderr)
        self.assertIn('Not a directory', self.inspect('fifo.wal/x', status=USAGE).stderr)


if __name__ == '__main__':
    doozer_system.main()
