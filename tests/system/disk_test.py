#!/usr/bin/env python3
"""A full disk and a damaged one: clear refusals, nothing lost, nothing guessed."""
import glob
import os
import re
import shutil
import subprocess
import time

import doozer_system
from doozer_system import program

KIB = 1024
MIB = 1024 * KIB
SMALL = ['--value-bytes-max', '64KiB', '--segment-bytes', '256KiB', '--disk-reserve-bytes', '1MiB']


class FullDisk(doozer_system.SystemTest):

    def setUp(self):
        super().setUp()
        self.mount = os.path.join(self.directory, 'mount')
        os.makedirs(self.mount)
        mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=24m', 'doozer', self.mount],
                                 capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest('no tmpfs can be mounted here: ' + mounted.stderr.strip())
        self.addCleanup(subprocess.run, ['umount', '--lazy', self.mount], check=False)
        self.ballast = os.path.join(self.mount, 'ballast')
        with open(self.ballast, 'wb') as f:
            os.posix_fallocate(f.fileno(), 0, 16 * MIB)

    def full_server(self):
        """A server that has just refused a SET for lack of space; self.files is what it took."""
        server = self.server(*SMALL, data=os.path.join(self.mount, 'data')).start()
        self.files = {}
        with server.client() as c:
            for i in range(2_000):
                path, value = '/f/%d' % i, os.urandom(32 * KIB)
                revision = c.rev()
                answer = c.set(path, value)
                if answer.err is not None:
                    break
                self.files[path] = (value, answer.rev)
            self.assertEqual(answer.err, 'OTHER', 'the disk never filled up')
            self.assertRegex(answer.detail, '(?i)space|full')
            self.assertEqual(c.rev(), revision, 'a refused write takes no revision')
            self.assertEqual(self.ok(c.get(path)).rev, 0)
        self.assertGreater(len(self.files), 20)
        return server

    def check_files(self, c):
        for path, (value, rev) in self.files.items():
            answer = self.ok(c.get(path))
            self.assertEqual((answer.rev, answer.value), (rev, value), path)

    def delete_some(self, c, count):
        for path in list(self.files)[:count]:
            self.ok(c.delete(path))
            del self.files[path]

    def assert_writable(self, server):
        deadline = time.monotonic() + 15
        with server.client() as c:
            while c.set('/after', b'x' * 32 * KIB).err is not None:
                self.assertLess(time.monotonic(), deadline, 'it does not recover by itself')
                time.sleep(0.1)

    def test_a_full_disk_refuses_sets_takes_dels_and_recovers_when_there_is_space(self):
        server = self.full_server()
        with server.client() as c:
            self.check_files(c)
            self.delete_some(c, 20)
            self.check_files(c)
        self.assertTrue(server.running(), server.log())
        os.unlink(self.ballast)
        self.assert_writable(server)
        server.restart()
        with server.client() as c:
            self.check_files(c)
            self.assertEqual(self.ok(c.get('/after')).value, b'x' * 32 * KIB)

    def test_a_server_killed_on_a_full_disk_starts_again_and_lost_nothing(self):
        server = self.full_server()
        for _ in range(3):
            server.kill9()
            server.start()
            with server.client() as c:
                self.check_files(c)
                self.delete_some(c, 5)
        os.unlink(self.ballast)
        self.assert_writable(server)

    def test_a_new_server_without_room_refuses_to_start_or_refuses_sets(self):
        with open(os.path.join(self.mount, 'rest'), 'wb') as f:
            os.posix_fallocate(f.fileno(), 0, 24 * MIB - 16 * MIB - 300 * KIB)
        server = self.server(*SMALL, data=os.path.join(self.mount, 'data')).spawn()
        if server.log_has(r'"event":\s*"(serving|cannot_start)"', 20) is None:
            self.fail(server.log())
        if server.events('serving'):
            with server.client() as c:
                answer = c.set('/x', b'x' * 32 * KIB)
                self.assertEqual(answer.err, 'OTHER')
                self.assertRegex(answer.detail, '(?i)space')
        else:
            self.assertEqual(server.process.wait(10), 1)
            self.assertRegex(server.log(), '(?i)space')


class FailingSync(doozer_system.SystemTest):

    def setUp(self):
        super().setUp()
        self.injected = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=fdatasync', '-e']
        tried = shutil.which('strace') and subprocess.run(
            [*self.injected, 'inject=fdatasync:error=EIO:when=1000', 'true'], capture_output=True)
        if not tried or tried.returncode != 0:
            self.skipTest('strace cannot inject faults here')

    def test_a_failed_sync_stops_the_server_and_what_it_had_acknowledged_is_there(self):
        server = self.server(*SMALL)
        server.wrapper = [*self.injected, 'inject=fdatasync:error=EIO:when=60+']
        server.start()
        acknowledged, refused = {}, 0
        with server.client() as c:
            try:
                for i in range(5_000):
                    path = '/s/%d' % i
                    answer = c.set(path, 'v%d' % i)
                    if answer.err is None:
                        acknowledged[path] = (b'v%d' % i, answer.rev)
                    else:
                        refused += 1
            except doozer_system.Closed:
                pass  # an unknown write of an old client
        self.assertEqual(server.process.wait(20), 1, server.log())
        self.assertRegex(server.log(), '"level":"error"')
        self.assertGreater(len(acknowledged), 5)
        self.assertLessEqual(refused, 10)
        server.wrapper = []
        server.start()
        with server.client() as c:
            for path, (value, rev) in acknowledged.items():
                answer = self.ok(c.get(path))
                self.assertEqual((answer.value, answer.rev), (value, rev), path)
            self.ok(c.set('/after', 'x'))


class Damage(doozer_system.SystemTest):

    def filled_server(self, *args):
        """A stopped server whose log holds needles."""
        server = self.server(*SMALL, *args).start()
        self.files = {}
        with server.client() as c:
            for i in range(300):
                path, value = '/d/%d' % i, ('needle-%04d-' % i).encode() * 200
                self.files[path] = (value, self.ok(c.set(path, value)).rev)
            self.identity = c.call('SELF').value
        self.assertEqual(server.stop(), 0)
        return server

    def find(self, server, needle):
        """(file, offset) of the first segment that holds it."""
        for name in sorted(glob.glob(os.path.join(server.data, 'log', '*.wal'))):
            with open(name, 'rb') as f:
                at = f.read().find(needle)
            if at >= 0:
                return name, at
        self.fail('the log does not hold %r' % needle)

    def start_refused(self, server):
        """What it says when it does not start."""
        mark = len(server.log())
        server.spawn()
        self.assertEqual(server.process.wait(20), 1, server.log())
        return server.log()[mark:]

    def assert_names_damage(self, told, name, at, before):
        self.assertIn(os.path.basename(name), told)
        self.assertIn('doozer-inspect salvage', told)
        offsets = [int(n) for n in re.findall(r'(?:offset|byte)[ =:"]*(\d+)', told)]
        self.assertTrue(any(at - before <= n <= at for n in offsets), (at, told))

    def test_a_flipped_bit_in_the_log_is_refused_naming_file_and_offset_and_salvaged(self):
        server = self.filled_server()
        name, at = self.find(server, b'needle-0150-')
        with open(name, 'r+b') as f:
            f.seek(at + 100)
            byte = f.read(1)[0]
            f.seek(at + 100)
            f.write(bytes([byte ^ 0x10]))
        before = self.content(server)
        told = self.start_refused(server)
        self.assert_names_damage(told, name, at, 64 * KIB)
        self.assertTrue(self.content(server) == before, 'a refused start changes nothing')
        self.salvage_and_check(server, 150)

    def test_a_truncated_log_is_refused_naming_file_and_offset_and_salvaged(self):
        server = self.filled_server()
        name, at = self.find(server, b'needle-0200-')
        os.truncate(name, at + 50)
        told = self.start_refused(server)
        self.assert_names_damage(told, name, at + 50, 64 * KIB)
        self.salvage_and_check(server, 200)

    def content(self, server):
        out = {}
        for directory, _, names in os.walk(server.data):
            for name in set(names) - {'lock'}:  # which names the process that looked
                path = os.path.join(directory, name)
                with open(path, 'rb') as f:
                    out[path] = f.read()
        return out

    def salvage_and_check(self, server, damaged):
        """Everything before the damage is kept, and the server that starts from it works."""
        out = os.path.join(self.directory, 'salvaged')
        done = subprocess.run([program('doozer-inspect'), 'salvage', '--write', server.data, out],
                              capture_output=True, text=True, timeout=60)
        self.assertIn(done.returncode, (0, 1), done)
        saved = self.server(*SMALL, data=out).start()
        with saved.client() as c:
            for i in range(damaged):
                path = '/d/%d' % i
                self.assertEqual(self.ok(c.get(path)).value, self.files[path][0], path)
            self.assertGreater(self.ok(c.set('/new', 'x')).rev,
                               max(rev for _, rev in self.files.values()), 'a revision used twice')

    def test_a_missing_part_of_the_directory_is_refused_and_never_booted_anew(self):
        for missing in ('log', 'identity', 'incarnation', 'snap'):
            with self.subTest(missing):
                server = self.filled_server()
                path = os.path.join(server.data, missing)
                if os.path.isdir(path):
                    shutil.rmtree(path)
                else:
                    os.unlink(path)
                told = self.start_refused(server)
                self.assertIn(missing, told)
                self.assertIn('doozer-inspect salvage ' + server.data, told)

    def test_a_segment_of_another_server_is_refused(self):
        server, other = self.filled_server(), self.filled_server()
        mine, _ = self.find(server, b'needle-0150-')
        shutil.copy(os.path.join(other.data, 'log', os.path.basename(mine)), mine)
        self.assertIn(os.path.basename(mine), self.start_refused(server))

    def test_a_damaged_snapshot_is_told_and_loses_nothing(self):
        server = self.filled_server('--snapshot-log-bytes', '64KiB')
        snapshots = sorted(glob.glob(os.path.join(server.data, 'snap', '*.snap')))
        self.assertTrue(snapshots, 'no snapshot was taken')
        newest = snapshots[-1]
        with open(newest, 'r+b') as f:
            f.seek(os.path.getsize(newest) // 2)
            byte = f.read(1)[0]
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte ^ 1]))
        server.spawn()
        self.assertIsNotNone(server.log_has(os.path.basename(newest), timeout=15), server.log())
        try:
            server.wait_ready()
        except AssertionError:  # it ended
            self.assertEqual(server.process.returncode, 1)
            return
        with server.client() as c:  # from an older snapshot and the log
            for path, (value, rev) in self.files.items():
                answer = self.ok(c.get(path))
                self.assertEqual((answer.rev, answer.value), (rev, value))

    def test_leftovers_of_a_crash_are_cleaned_away(self):
        server = self.filled_server()
        leftover = os.path.join(server.data, 'snap', 'ffffffffffffffff.snap.tmp')
        os.makedirs(os.path.dirname(leftover), exist_ok=True)
        with open(leftover, 'w') as f:
            f.write('half')
        server.start()
        self.assertFalse(os.path.exists(leftover))


if __name__ == '__main__':
    doozer_system.main()
