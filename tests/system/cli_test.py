#!/usr/bin/env python3
"""The command line `doozer` against a real server: what it prints, and how it exits."""
import json
import os
import pty
import signal
import socket
import stat
import subprocess
import threading
import time

import doozer_system
from doozer_system import program

REFUSED, USAGE, NO_CONNECTION, UNKNOWN, INTERRUPTED = 1, 2, 3, 4, 130


class CommandLine(doozer_system.SystemTest):

    def setUp(self):
        super().setUp()
        program('doozer')
        self.doozerd = self.server().start()

    def doozer(self, *args, stdin=b'', status=0, **environment):
        """Runs it to its end with bytes for text; checks the exit status, gives standard output."""
        environment.setdefault('DOOZER_URI', self.doozerd.address)
        ran = subprocess.run([program('doozer'), *args], input=stdin, capture_output=True,
                             timeout=30, cwd=self.directory,
                             env=doozer_system.clean_environment(**environment))
        self.assertEqual(ran.returncode, status, '%r: %s %s' % (args, ran.stdout, ran.stderr))
        self.errors = ran.stderr.decode()
        if status:
            self.assertTrue(self.errors.startswith(('doozer: ', '{')), self.errors)
        else:
            self.assertEqual(self.errors, '')
        return ran.stdout

    def start(self, *args):
        child = subprocess.Popen([program('doozer'), *args], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, cwd=self.directory,
                                 env=doozer_system.clean_environment(
                                     DOOZER_URI=self.doozerd.address))
        self.addCleanup(lambda: (child.kill(), child.communicate()))
        return child

    def raw(self):
        client = self.doozerd.client()
        self.addCleanup(client.close)
        return client

    # --- the original's commands and what they print

    def test_the_originals_commands_print_what_they_always_did(self):
        first = int(self.doozer('set', '/a/x', '0', stdin=b'one\n'))
        self.assertEqual(self.doozer('get', '/a/x'), b'one\n')
        self.assertEqual(self.doozer('stat', '/a/x'), b'%d 4\n' % first)
        self.assertEqual(self.doozer('stat', '/a'), b'd 1\n')
        self.assertEqual(int(self.doozer('add', '/a/y', stdin=b'')), first + 1)
        self.assertEqual(self.doozer('rev'), b'%d\n' % (first + 1))
        self.assertEqual(self.doozer('touch', '/a/x'), b'')
        self.assertEqual(self.doozer('stat', '/a/x'), b'%d 4\n' % (first + 2))
        self.assertEqual(self.doozer('nop'), b'')
        self.assertEqual(self.doozer('rev'), b'%d\n' % (first + 3))
        self.assertEqual(self.doozer('find', '/a'), b'/a\n/a/x\n/a/y\n')
        self.assertEqual(self.doozer('walk', '/a/*'),
                         b'/a/x %d 4\none\n\n/a/y %d 0\n\n' % (first + 2, first + 1))
        self.assertEqual(self.doozer('del', '/a/x', '-1'), b'')
        self.assertEqual(self.doozer('-r', str(first), 'wait', '/a/x'),
                         b'/a/x %d set 4\none\n\n' % first)
        self.assertEqual(self.doozer('-r', str(first + 3), 'wait', '/a/x'),
                         b'/a/x %d del 0\n\n' % (first + 4))
        self.assertEqual(self.doozer('-r', str(first + 3), 'wait', '/**'),
                         b'/ %d nop 0\n\n' % (first + 3))
        self.assertRegex(self.doozer('self'), rb'\A[A-Z2-7]{16}\Z')

    def test_values_are_bytes(self):
        value = bytes(range(256)) * 10
        self.doozer('set', '/bytes', '0', stdin=value)
        self.assertEqual(self.doozer('get', '/bytes'), value)

    def test_a_value_comes_from_an_argument_a_file_or_standard_input(self):
        with open(os.path.join(self.directory, 'value'), 'wb') as f:
            f.write(b'from a file')
        self.doozer('set', '/v', '0', 'from an argument')
        self.assertEqual(self.doozer('get', '/v'), b'from an argument')
        self.doozer('set', '/v', '-1', '-f', 'value')
        self.assertEqual(self.doozer('get', '/v'), b'from a file')
        self.doozer('set', '/v', '-1', '-f', '-', stdin=b'from standard input')
        self.assertEqual(self.doozer('get', '/v'), b'from standard input')
        self.doozer('set', '/v', '-1', '-f', 'nowhere', status=REFUSED)
        self.assertIn('nowhere', self.errors)

    # --- exit statuses

    def test_a_refused_write_exits_1_and_changes_nothing(self):
        rev = int(self.doozer('set', '/x', '0', 'a'))
        for args in (['set', '/x', '0', 'b'], ['add', '/x', 'b'], ['del', '/x', str(rev - 1)],
                     ['set', '/x/below', '0', 'b'], ['set', '/', '0', 'b'], ['set', '//', '0', 'b']):
            self.doozer(*args, status=REFUSED)
        self.assertEqual(self.doozer('get', '/x'), b'a')
        self.assertEqual(int(self.doozer('rev')), rev)

    def test_an_error_names_the_command_that_was_typed_and_the_path_once(self):
        self.doozer('set', '/d/x', '0', 'a')
        for args, path in ((['add', '/d/x', 'b'], '/d/x'), (['touch', '/d'], '/d'),
                           (['set', '/d/x', '0', 'b'], '/d/x'), (['del', '/d/x', '1'], '/d/x')):
            self.doozer(*args, status=REFUSED)
            first = self.errors.splitlines()[0]
            self.assertTrue(first.startswith('doozer: %s: path "%s"' % (args[0], path)), first)
            self.assertEqual(first.count(path), 1, first)

    def test_what_is_missing_exits_1_and_prints_nothing(self):
        for args in (['get', '/none'], ['stat', '/none'], ['ls', '/none'], ['find', '/none'],
                     ['tree', '/none'], ['export', '/none']):
            self.assertEqual(self.doozer(*args, status=REFUSED), b'')
            self.assertIn('/none', self.errors)

    def test_a_wrong_command_line_exits_2(self):
        for args in ([], ['frob'], ['get'], ['get', '/a', '/b'], ['set', '/a', 'x'],
                     ['--frob', 'rev'], ['-a', 'doozer:?what=1', 'rev'], ['completion', 'csh']):
            self.assertEqual(self.doozer(*args, status=USAGE), b'')

    def test_no_server_exits_3_and_says_where_it_looked(self):
        port = doozer_system.free_port()
        self.doozer('-a', '127.0.0.1:%d' % port, 'set', '/a', '0', 'x', status=NO_CONNECTION)
        self.assertEqual(self.errors.count(str(port)), 1, self.errors)
        # What has no address, or answers and is no Doozer server, is no server either.
        self.doozer('-a', 'nobody.invalid:1', 'get', '/a', status=NO_CONNECTION)
        self.assertIn('nobody.invalid:1', self.errors)
        listener = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(listener.close)

        def greet():
            client, _ = listener.accept()
            with client:
                client.sendall(b'SSH-2.0-OpenSSH_9.2\r\n')
                client.recv(1)

        threading.Thread(target=greet, daemon=True).start()
        self.doozer('-a', '127.0.0.1:%d' % listener.getsockname()[1], 'rev', status=NO_CONNECTION)

    def test_closed_standard_files_are_never_mistaken_for_others(self):
        told = subprocess.run(['sh', '-c', '%s rev >&-; echo $?; %s set /n 0 <&-; echo $?' % (
            program('doozer'), program('doozer'))], capture_output=True, text=True, timeout=30,
            env=doozer_system.clean_environment(DOOZER_URI=self.doozerd.address))
        self.assertEqual(told.stdout, '1\n1\n', told.stderr)
        self.assertEqual(told.stderr.count('Bad file descriptor'), 2, told.stderr)

    def test_values_over_a_mebibyte_are_sent_if_both_sides_are_told_so(self):
        server = self.server('--value-bytes-max', '4MiB').start()
        value = b'v' * (2 << 20)
        self.doozer('-a', server.address, 'set', '/big', '0', stdin=value, status=REFUSED)
        self.assertIn('--value-bytes-max', self.errors)
        self.doozer('-a', server.address, 'set', '/big', '0', '--value-bytes-max', '4MiB',
                    stdin=value)
        self.assertEqual(self.doozer('-a', server.address, 'get', '/big'), value)

    def test_a_limit_of_the_command_is_told_by_its_option_and_not_by_the_librarys_name(self):
        for args in (['set', '/big', '0'], ['add', '/big']):
            self.doozer(*args, stdin=b'v' * (2 << 20), status=REFUSED)
            self.assertIn('1MiB are allowed without --value-bytes-max', self.errors)
        self.doozer('get', '/' + 'x' * 5000, status=REFUSED)
        self.assertIn('4096 are allowed', self.errors)
        self.assertNotRegex(self.errors, r'Options::|kPathBytesMax')

    def test_a_write_whose_answer_never_came_exits_4(self):
        # Between them stands one that lets everything pass until a write has gone through.
        listener = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(listener.close)

        def carry():
            client, _ = listener.accept()
            host, port = self.doozerd.address.split(':')
            server = socket.create_connection((host, int(port)))
            with client, server:
                while True:
                    asked = client.recv(65536)
                    server.sendall(asked)
                    answered = server.recv(65536)
                    if not asked or b'/swallowed' in asked:
                        return
                    client.sendall(answered)

        carrier = threading.Thread(target=carry, daemon=True)
        carrier.start()
        address = '127.0.0.1:%d' % listener.getsockname()[1]
        self.doozer('-a', address, 'set', '/swallowed', '0', 'x', status=UNKNOWN)
        self.assertIn('may have happened', self.errors)
        carrier.join(10)
        self.assertEqual(self.doozer('get', '/swallowed'), b'x')

    def test_a_server_that_says_nothing_exits_3(self):
        self.doozerd.signal(signal.SIGSTOP)
        try:
            self.doozer('--timeout', '300ms', 'set', '/a', '0', 'x', status=NO_CONNECTION)
        finally:
            self.doozerd.signal(signal.SIGCONT)

    def test_wait_gives_up_after_its_time(self):
        begun = time.monotonic()
        self.doozer('wait', '/never', '--timeout', '300ms', status=REFUSED)
        self.assertLess(time.monotonic() - begun, 10)
        self.assertIn('within 300ms', self.errors)

    def test_a_read_of_a_revision_to_come_that_gives_up_tells_the_limit_and_the_revision(self):
        self.doozer('get', '/a', '--rev', '99999', '--timeout', '300ms', status=REFUSED)
        self.assertIn('whether 99999 is one', self.errors)
        self.assertIn('longer than 300ms', self.errors)

    # --- watch

    def test_watch_prints_each_change_from_now_on_and_ctrl_c_is_quiet(self):
        self.doozer('set', '/w/old', '0', 'before')
        child = self.start('watch', '/w/**')
        time.sleep(0.5)
        first = int(self.doozer('set', '/w/a', '0', '1'))
        self.doozer('del', '/w/a', '-1')
        expected = b'/w/a %d set 1\n1\n/w/a %d del 0\n\n' % (first, first + 1)
        seen = b''
        while len(seen) < len(expected):
            seen += os.read(child.stdout.fileno(), 4096)
        self.assertEqual(seen, expected)
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(10), INTERRUPTED)
        self.assertEqual(child.stderr.read(), b'')

    def test_watch_from_a_revision_leaves_none_out_over_a_restart(self):
        first = int(self.doozer('set', '/w', '0', '0'))
        child = self.start('-r', str(first), 'watch', '/w', '--count', '20', '-o', 'json')
        for i in range(1, 20):
            self.doozer('set', '/w', '-1', str(i))
            if i == 10:
                self.doozerd.restart()
        out, _ = child.communicate(timeout=30)
        events = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([e['value'] for e in events], [str(i) for i in range(20)])
        self.assertEqual(child.returncode, 0)

    def test_watch_runs_a_command_for_each_event(self):
        first = int(self.doozer('set', '/w', '0', 'one'))
        self.doozer('set', '/w', '-1', 'two')
        self.doozer('del', '/w', '-1')
        script = 'echo "$DOOZER_PATH $DOOZER_REV $DOOZER_FLAG $(cat)"'
        out = self.doozer('-r', str(first), 'watch', '/w', '--count', '3', '--exec', script)
        self.assertEqual(out, b'/w %d set one\n/w %d set two\n/w %d del \n' %
                         (first, first + 1, first + 2))

    def test_a_command_that_reads_nothing_or_fails_does_not_end_the_watch(self):
        first = int(self.doozer('set', '/w', '0', stdin=b'x' * 500000))
        self.doozer('set', '/w', '-1', 'y')
        child = self.start('-r', str(first), 'watch', '/w', '-n', '2', '--exec', 'exit 3')
        _, errors = child.communicate(timeout=30)
        self.assertEqual(child.returncode, 0)
        self.assertEqual(errors.count(b'exited with status 3'), 2)

    # --- trees

    def fill(self):
        for path in ('/t/a/x', '/t/a/y', '/t/a-b', '/t/c.d/e/f'):
            self.doozer('set', path, '0', path)

    def test_ls_find_and_tree(self):
        self.fill()
        self.assertEqual(self.doozer('ls', '/t'), b'a\na-b\nc.d\n')
        self.assertRegex(self.doozer('ls', '-l', '/t'), rb'\A *d 2  a\n *\d+ 6  a-b\n *d 1  c.d\n\Z')
        self.assertEqual(self.doozer('find', '/t').decode().split(),
                         ['/t', '/t/a', '/t/a/x', '/t/a/y', '/t/a-b', '/t/c.d', '/t/c.d/e',
                          '/t/c.d/e/f'])
        self.assertEqual(self.doozer('find', '/t/a/x'), b'/t/a/x\n')
        self.assertTrue(self.doozer('find', '/').startswith(b'/\n/ctl\n'))
        drawn = self.doozer('tree', '/t').decode()
        self.assertIn('├── a\n│   ├── x\n│   └── y\n├── a-b\n└── c.d\n    └── e\n        └── f\n',
                      drawn)
        self.assertTrue(drawn.endswith('3 directories, 4 files\n'))

    def test_reads_at_a_revision_see_the_past(self):
        self.fill()
        before = self.doozer('rev').decode().strip()
        self.doozer('set', '/t/new', '0', 'x')
        self.doozer('del', '/t/a-b', '-1')
        self.assertEqual(self.doozer('-r', before, 'ls', '/t'), b'a\na-b\nc.d\n')
        self.assertEqual(self.doozer('-r', before, 'get', '/t/a-b'), b'/t/a-b')
        self.assertIn(b'/t/a-b\n', self.doozer('-r', before, 'find', '/t'))
        self.doozer('-r', before, 'get', '/t/new', status=REFUSED)

    def test_json_is_json(self):
        self.fill()
        rev = json.loads(self.doozer('-o', 'json', 'set', '/j', '0', stdin=b'\xff\x00'))['rev']
        self.assertEqual(json.loads(self.doozer('get', '/j', '-o', 'json')),
                         {'path': '/j', 'rev': rev, 'value_base64': '/wA='})
        self.assertEqual(json.loads(self.doozer('rev', '-o', 'json')), {'rev': rev})
        self.assertEqual(json.loads(self.doozer('ls', '/t', '-o', 'json'))['names'],
                         ['a', 'a-b', 'c.d'])
        self.assertEqual(len(json.loads(self.doozer('ls', '-l', '/t', '-o', 'json'))['entries']), 3)
        self.assertEqual(json.loads(self.doozer('stat', '/t', '-o', 'json')),
                         {'path': '/t', 'type': 'directory', 'entries': 3})
        self.assertEqual(len(json.loads(self.doozer('find', '/t', '-o', 'json'))['paths']), 8)
        self.doozer('get', '/none', '-o', 'json', status=REFUSED)
        self.assertEqual(json.loads(self.errors)['error']['code'], 'not_found')
        for args in (['get', '-o', 'json'], ['--output=json', 'frob'], ['completion', 'csh', '-o=json']):
            self.doozer(*args, status=USAGE)
            self.assertEqual(json.loads(self.errors)['error']['code'], 'bad_argument')

    # --- export and import

    def test_export_and_import_keep_every_byte(self):
        values = {'/e/%d' % i: bytes([i, 0, 255 - i]) * i for i in range(256)}
        client = self.raw()
        for tag in [client.send('SET', path=p, value=v, rev=0) for p, v in values.items()]:
            self.ok(client.wait(tag))
        self.doozer('export', '/e', '-f', 'tree.jsonl')
        self.assertEqual([n for n in os.listdir(self.directory) if 'part' in n], [])
        everything = self.doozer('export')
        for path in values:
            client.send('DEL', path=path, rev=-1)
        self.doozer('nop')
        self.assertRegex(self.doozer('import', 'tree.jsonl'), rb'created 256, unchanged 0')
        walked = {path: value for path, value, _ in client.walk('/e/**')}
        self.assertEqual(walked, values)
        self.assertRegex(self.doozer('import', stdin=everything),
                         rb'created 0, unchanged 256, replaced 0, conflicts 0, skipped under /ctl \d')

    def test_an_export_to_a_fifo_or_a_link_leaves_it_what_it_is(self):
        self.fill()
        archive = self.doozer('export', '/t')
        fifo, link, kept = (os.path.join(self.directory, name) for name in ('fifo', 'link', 'kept'))
        os.mkfifo(fifo)
        with open(kept, 'w'):
            os.symlink('kept', link)
        os.chmod(kept, 0o644)
        with open(os.open(fifo, os.O_RDWR | os.O_NONBLOCK), 'rb') as both_ends:
            self.doozer('export', '/t', '-f', fifo)
            got = os.read(both_ends.fileno(), 1 << 16)
        self.assertEqual(got, archive)
        self.assertTrue(stat.S_ISFIFO(os.stat(fifo).st_mode))
        self.doozer('export', '/t', '-f', link)
        self.assertTrue(os.path.islink(link))
        with open(kept, 'rb') as file:
            self.assertEqual(file.read(), archive)
        self.assertEqual(stat.S_IMODE(os.stat(kept).st_mode), 0o644)

    def test_import_tells_conflicts_and_leaves_them_alone(self):
        self.fill()
        archive = self.doozer('export', '/t')
        self.doozer('set', '/t/a/x', '-1', 'changed')
        self.doozer('del', '/t/a/y', '-1')
        dry = self.doozer('import', '--dry-run', stdin=archive, status=REFUSED)
        self.assertEqual(dry, b'dry run: created 1, unchanged 2, replaced 0, conflicts 1, '
                              b'skipped under /ctl 0\n')
        out = self.doozer('import', stdin=archive, status=REFUSED)
        self.assertTrue(out.startswith(b'created 1, unchanged 2, replaced 0, conflicts 1'), out)
        self.assertIn('/t/a/x', self.errors)
        self.assertEqual(self.doozer('get', '/t/a/x'), b'changed')
        self.assertEqual(self.doozer('import', '--below', '/t/c.d', stdin=archive),
                         b'created 0, unchanged 1, replaced 0, conflicts 0, skipped under /ctl 0\n')
        self.assertIn(b'replaced 1', self.doozer('import', '--overwrite', stdin=archive))
        self.assertEqual(self.doozer('get', '/t/a/x'), b'/t/a/x')

    def test_what_is_too_large_to_send_is_no_conflict_if_it_is_there(self):
        server = self.server('--value-bytes-max', '4MiB').start()
        value = b'v' * (2 << 20)
        at = ['-a', server.address]
        wide = ['--value-bytes-max', '4MiB']
        self.doozer(*at, 'set', '/t/big', '0', *wide, stdin=value)
        self.doozer(*at, 'set', '/t/x', '0', 'x')
        archive = self.doozer(*at, 'export', '/t')
        self.assertTrue(self.doozer(*at, 'import', stdin=archive).startswith(
            b'created 0, unchanged 2, replaced 0, conflicts 0'))
        self.doozer(*at, 'del', '/t/big', '-1')
        for dry in ([], ['--dry-run']):
            out = self.doozer(*at, 'import', *dry, stdin=archive, status=REFUSED)
            self.assertIn(b'created 0, unchanged 1, replaced 0, conflicts 1', out)
            self.assertIn('conflict: /t/big: has 2097152 bytes, and values over 1MiB are sent only '
                          'with --value-bytes-max', self.errors)
        self.assertIn(b'created 1', self.doozer(*at, 'import', *wide, stdin=archive))
        self.assertEqual(self.doozer(*at, 'get', '/t/big'), value)

    def test_an_import_that_breaks_off_says_that_something_was_written(self):
        client = self.raw()
        paths = ['/i/%03d' % i for i in range(200)]
        for tag in [client.send('SET', path=path, value='x', rev=-1) for path in paths]:
            self.ok(client.wait(tag))
        archive = self.doozer('export', '/i')
        for tag in [client.send('DEL', path=path, rev=-1) for path in paths]:
            self.ok(client.wait(tag))
        out = self.doozer('-a', self.read_only_after(100), 'import', stdin=archive, status=REFUSED)
        self.assertIn(b'created 100,', out)
        self.assertIn('the server is stopping', self.errors)
        self.assertIn('What the tally counts was written and stays', self.errors)
        self.assertIn(b'created 100, unchanged 100', self.doozer('import', stdin=archive))
        # Where nothing was, nothing is said of it.
        self.doozer('-a', self.read_only_after(0), 'set', '/x', '-1', 'v', status=REFUSED)
        self.assertIn('Ask another server', self.errors)

    def read_only_after(self, writes):
        """The address of one who carries requests to the server, and ends as a stopping one does."""
        listener = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(listener.close)
        detail = b'the server is stopping; the write was given to no log'

        def frame_of(file):
            head = file.read(4)
            return head + file.read(int.from_bytes(head, 'big'))

        def carry():
            left = writes
            host, port = self.doozerd.address.split(':')
            client, _ = listener.accept()
            with client, socket.create_connection((host, int(port))) as server:
                asked, answered = client.makefile('rb'), server.makefile('rb')
                while len(request := frame_of(asked)) > 4:
                    fields = doozer_system.decode_response(request[4:])
                    left -= fields['flags'] == doozer_system.VERBS['SET']
                    if left >= 0:
                        server.sendall(request)
                        client.sendall(frame_of(answered))
                    else:
                        varint = doozer_system.varint  # tag, err_code READONLY, err_detail
                        body = (varint(1 << 3) + varint(fields['tag']) + varint(100 << 3) + varint(3) +
                                varint(101 << 3 | 2) + varint(len(detail)) + detail)
                        client.sendall(doozer_system.frame(body))

        threading.Thread(target=carry, daemon=True).start()
        return '127.0.0.1:%d' % listener.getsockname()[1]

    def test_an_import_of_a_part_that_is_not_there_is_refused(self):
        self.fill()
        archive = self.doozer('export', '/t')
        self.doozer('import', '--below', '/zz', stdin=archive, status=REFUSED)
        self.assertIn('the export has no file at or below /zz', self.errors)

    def test_a_newer_export_is_no_matter_of_an_old_server(self):
        self.doozer('import', stdin=b'{"doozer_export":2,"path":"/","rev":1}\n', status=REFUSED)
        self.assertNotIn('server', self.errors)
        self.assertIn('version that wrote it', self.errors)

    def test_a_damaged_export_writes_nothing(self):
        self.fill()
        archive = self.doozer('export', '/t')
        for path in ('/t/a/x', '/t/a/y', '/t/a-b', '/t/c.d/e/f'):
            self.doozer('del', path, '-1')
        for damaged in (archive[:-1], archive[:len(archive) // 2], archive.replace(b'a-b', b'a-c')):
            self.doozer('import', stdin=damaged, status=REFUSED)
        self.doozer('stat', '/t', status=REFUSED)

    # --- the rest

    def test_secrets_come_by_uri_or_environment(self):
        secured = self.server(environment={'DOOZER_RWSECRET': 'k&%', 'DOOZER_ROSECRET': 'r'}).start()
        self.doozer('-a', secured.address, 'get', '/ctl/name', status=REFUSED)
        self.doozer('-a', secured.address, 'set', '/x', '0', 'v', DOOZER_SECRET='k&%')
        uri = 'doozer:?ca=%s&sk=k%%26%%25' % secured.address
        self.assertEqual(self.doozer('get', '/x', DOOZER_URI=uri), b'v')
        self.doozer('-a', secured.address, 'get', '/x', status=REFUSED, DOOZER_SECRET='wrong')
        self.assertNotIn('wrong', self.errors)
        self.doozer('-a', secured.address, 'set', '/x', '-1', 'v', status=REFUSED, DOOZER_SECRET='r')

    def test_status_tells_of_the_server(self):
        status = json.loads(self.doozer('status', '-o', 'json'))
        self.assertIsInstance(status, dict)
        self.assertIn(status['identity'].encode(), self.doozer('status'))

    def test_a_reader_that_has_gone_ends_it_quietly(self):
        self.doozer('set', '/big', '0', stdin=b'x' * 900000)
        child = self.start('get', '/big')
        child.stdout.close()
        self.assertEqual(child.wait(30), -signal.SIGPIPE)
        self.assertEqual(child.stderr.read(), b'')

    def test_a_write_whose_result_cannot_be_printed_is_told_as_done(self):
        # Standard output is open for reading only.
        with open(os.path.join(self.directory, 'deaf'), 'w+b'):
            pass
        for args in (['set', '/b', '-1', 'v'], ['add', '/c', 'v'], ['-o', 'json', 'touch', '/b'],
                     ['-o', 'json', 'del', '/c', '-1']):
            with open(os.path.join(self.directory, 'deaf'), 'rb') as deaf:
                ran = subprocess.run([program('doozer'), *args], stdout=deaf,
                                     stderr=subprocess.PIPE, timeout=30,
                                     env=doozer_system.clean_environment(
                                         DOOZER_URI=self.doozerd.address))
            self.assertEqual(ran.returncode, REFUSED)
            self.assertIn(b'cannot write to standard output', ran.stderr)
            self.assertIn(b'; the write was done', ran.stderr)
            if 'del' not in args:
                self.assertIn(b'at revision %d' % self.raw().rev(), ran.stderr)

    def test_a_full_disk_behind_standard_output_is_told(self):
        with open('/dev/full', 'wb') as full:
            ran = subprocess.run([program('doozer'), 'rev'], stdout=full, stderr=subprocess.PIPE,
                                 env=doozer_system.clean_environment(
                                     DOOZER_URI=self.doozerd.address), timeout=30)
        self.assertEqual(ran.returncode, REFUSED)
        self.assertIn(b'No space left', ran.stderr)

    def test_colours_come_only_on_a_terminal_and_only_if_wanted(self):
        self.doozer('set', '/c', '0', 'x')

        def on_terminal(**environment):
            leader, follower = pty.openpty()
            subprocess.run([program('doozer'), 'walk', '/c'], stdout=follower, timeout=30,
                           env=doozer_system.clean_environment(
                               DOOZER_URI=self.doozerd.address, TERM='xterm', **environment))
            os.close(follower)
            shown = os.read(leader, 4096)
            os.close(leader)
            return shown

        self.assertNotIn(b'\x1b', self.doozer('walk', '/c'))
        self.assertIn(b'\x1b[1m', on_terminal())
        self.assertNotIn(b'\x1b', on_terminal(NO_COLOR='1'))

    def test_help_version_completion_and_man_need_no_server(self):
        nowhere = {'DOOZER_URI': '127.0.0.1:1'}
        self.assertIn(b'Exit status:', self.doozer('help', **nowhere))
        self.assertEqual(self.doozer('help', 'set', **nowhere), self.doozer('set', '-h', **nowhere))
        self.assertRegex(self.doozer('--version', **nowhere), rb'\Adoozer \d')
        self.assertTrue(self.doozer('man', **nowhere).startswith(b'.\\"'))
        script = self.doozer('completion', 'bash', **nowhere).decode()
        ask = 'COMP_WORDS=(doozer %s); COMP_CWORD=%d; _doozer; echo "${COMPREPLY[@]}"'
        for words, count, answer in (('wa', 1, 'wait walk watch'), ('watch --ex', 2, '--exec'),
                                     ('-o j', 2, 'json'), ('completion f', 2, 'fish')):
            ran = subprocess.run(['bash', '-c', script + ask % (words, count)], text=True,
                                 capture_output=True, timeout=30)
            self.assertEqual(ran.stdout.strip(), answer, ran.stderr)


if __name__ == '__main__':
    doozer_system.main()
