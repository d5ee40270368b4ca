#!/usr/bin/env python3
"""Starting and stopping: what is answered, what is kept, what is refused, with which exit code."""
import os
import shutil
import signal
import socket
import subprocess
import time

import doozer_system
from doozer_system import Closed


class Stop(doozer_system.SystemTest):

    def test_sigterm_answers_everything_in_flight_and_exits_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number.name):
                server = self.server().start()
                clients = [server.client() for _ in range(4)]
                sent = []
                for i, c in enumerate(clients):
                    requests = [c.request('SET', path='/f/%d/%d' % (i, n), value='%d' % n, rev=-1)
                                for n in range(300)]
                    c.raw(b''.join(data for data, _ in requests))
                    sent.append([tag for _, tag in requests])
                server.signal(number)
                acknowledged = []
                for i, (c, tags) in enumerate(zip(clients, sent)):
                    for n, tag in enumerate(tags):
                        answer = c.wait(tag)  # Closed here would be an answer lost
                        if answer.err is None:
                            acknowledged.append(('/f/%d/%d' % (i, n), answer.rev))
                        else:
                            self.assertEqual(answer.err, 'READONLY')
                            self.assertIn('the server is stopping', answer.detail)
                    self.assertTrue(c.closed_by_server())
                    c.close()
                self.assertEqual(server.process.wait(10), 0)
                server.start()
                with server.client() as c:
                    for path, rev in acknowledged:
                        self.assertEqual(self.ok(c.get(path)).rev, rev)

    def test_a_graceful_stop_does_not_wait_for_idle_clients(self):
        server = self.server().start()
        idle = [server.client() for _ in range(50)]
        for c in idle:
            c.send('WAIT', path='/never', rev=1 << 40)
        begun = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - begun, 20)
        for c in idle:
            self.assertTrue(c.closed_by_server())
            c.close()

    def test_a_client_that_reads_nothing_does_not_hold_a_graceful_stop(self):
        server = self.server().start()
        with server.client() as c, server.client(receive_buffer=4096) as deaf:
            self.ok(c.set('/big', b'b' * (1 << 20)))
            for _ in range(50):
                deaf.send('GET', path='/big')
            self.ok(c.call('REV'))
            begun = time.monotonic()
            self.assertEqual(server.stop(), 0)
            self.assertLess(time.monotonic() - begun, 10)
        self.assertIsNotNone(server.log_has('the server stops and the client does not take'))

    def test_new_connections_are_refused_while_stopping(self):
        server = self.server().start()
        with server.client():
            server.signal(signal.SIGTERM)
            refused = False
            while server.running():
                try:
                    with server.client(timeout=1) as late:
                        late.call('REV')
                except (OSError, Closed, TimeoutError):
                    refused = True
                time.sleep(0.02)
        self.assertTrue(refused)

    def test_a_second_signal_ends_at_once(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number.name):
                server = self.server().start()
                with server.client() as c:
                    self.ok(c.set('/kept', 'x'))
                    begun = time.monotonic()
                    server.signal(number)
                    time.sleep(0.05)
                    server.signal(number)
                    code = server.process.wait(10)
                    self.assertLess(time.monotonic() - begun, 5)
                self.assertIn(code, (-number, 128 + number))
                server.start()
                with server.client() as c:
                    self.assertEqual(self.ok(c.get('/kept')).value, b'x')

    def test_a_signal_while_the_log_is_read_ends_at_once_and_loses_nothing(self):
        # Every read of the recovery takes a second.
        slow = ['strace', '-D', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=pread64', '-e',
                'inject=pread64:delay_enter=1000000']
        tried = shutil.which('strace') and subprocess.run([*slow, 'true'], capture_output=True)
        if not tried or tried.returncode != 0:
            self.skipTest('strace cannot delay calls here')
        server = self.server().start()
        with server.client() as c:
            rev = self.ok(c.set('/kept', 'x')).rev
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number.name):
                server.kill9()
                os.truncate(server.log_path, 0)
                server.wrapper = slow
                server.spawn()
                while self.lock_holder(server) != str(server.pid):
                    self.assertTrue(server.running())
                    time.sleep(0.01)
                server.signal(number)
                self.assertEqual(server.process.wait(10), 0)
                self.assertEqual([e['signal'] for e in server.events('stopped_while_starting')],
                                 [number])
                self.assertEqual(server.events('recovered'), [])
                server.wrapper = []
                server.start()
                with server.client() as c:
                    self.assertEqual(self.ok(c.get('/kept')).rev, rev)

    def lock_holder(self, server):
        with open(os.path.join(server.data, 'lock'), encoding='ascii') as f:
            return f.read().strip()

    def test_a_restart_keeps_files_revision_history_and_identity(self):
        server = self.server().start()
        with server.client() as c:
            identity = c.call('SELF').value
            self.assertRegex(identity.decode(), '^[A-Z2-7]{16}$')
            for i in range(50):
                self.ok(c.set('/k/%d' % (i % 5), 'v%d' % i))
            self.ok(c.delete('/k/0'))
            self.ok(c.call('NOP'))
            first = self.ok(c.get('/k/1', rev=c.rev() - 20))
            before = (c.rev(), c.walk('/**'))
            history = c.events(1, before[0])
        for end in ('stop', 'kill9'):
            getattr(server, end)()
            server.start()
            with server.client() as c:
                self.assertEqual(c.call('SELF').value, identity)
                self.assertEqual((c.rev(), c.walk('/**')), before, end)
                self.assertEqual(self.bare(c.events(1, len(history))), self.bare(history))
                self.assertEqual(self.ok(c.get('/k/1', rev=len(history) - 20)).value, first.value)
                self.assertEqual(self.ok(c.set('/k/1', 'new')).rev, before[0] + 1)
                before = (c.rev(), c.walk('/**'))

    def bare(self, events):
        return [{k: v for k, v in e.items() if k != 'tag'} for e in events]

    def test_systemd_is_told_ready_and_stopping(self):
        path = os.path.join(self.directory, 'notify')
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(10)
            server = self.server(environment={'NOTIFY_SOCKET': path}).spawn()
            self.assertIn(b'READY=1', notify.recv(4096).split(b'\n'))
            with server.client() as c:  # ready means that it serves
                self.ok(c.call('REV'))
            server.signal(signal.SIGTERM)
            self.assertIn(b'STOPPING=1', notify.recv(4096).split(b'\n'))
            self.assertEqual(server.process.wait(10), 0)

    def test_an_abstract_notify_socket_works_too(self):
        name = 'doozer-test-%d' % os.getpid()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind('\0' + name)
            notify.settimeout(10)
            self.server(environment={'NOTIFY_SOCKET': '@' + name}).spawn()
            self.assertIn(b'READY=1', notify.recv(4096).split(b'\n'))


class Start(doozer_system.SystemTest):

    def test_a_second_server_on_the_same_directory_is_refused_and_names_the_first(self):
        server = self.server().start()
        second = self.run_doozerd('--listen', '127.0.0.1:%d' % doozer_system.free_port(),
                                  '--data-dir', server.data)
        self.assertEqual(second.returncode, 1, second)
        told = second.stdout + second.stderr
        self.assertIn(str(server.pid), told)
        self.assertIn(server.data, told)
        with server.client() as c:
            self.ok(c.set('/x', 'y'))
        server.kill9()
        server.start()  # a lock that its holder left behind does not bar the way

    def test_an_address_in_use_is_told(self):
        server = self.server().start()
        second = self.run_doozerd('--listen', server.address, '--data-dir',
                                  os.path.join(self.directory, 'other'))
        self.assertEqual(second.returncode, 1, second)
        self.assertIn(server.address, second.stdout + second.stderr)
        self.assertIn('--listen names another address', second.stdout + second.stderr)

    def test_an_empty_directory_boots_on_loopback_only(self):
        server = self.server(host='0.0.0.0')
        refused = self.run_doozerd('--listen', '0.0.0.0:%d' % server.port, '--data-dir',
                                   server.data)
        self.assertIn(refused.returncode, (1, 2), refused)
        self.assertIn('--boot', refused.stdout + refused.stderr)
        self.assertFalse(os.path.exists(os.path.join(server.data, 'identity')))
        server.start('--boot')
        with server.client() as c:
            self.ok(c.set('/x', 'y'))
        self.assertEqual(server.stop(), 0)
        server.start()  # the directory holds a cluster now: no --boot needed
        with server.client() as c:
            self.assertEqual(self.ok(c.get('/x')).value, b'y')
        other = self.server(host='127.7.7.7')
        other.start()  # all of 127/8 is loopback

    def test_an_empty_directory_with_attach_waits_and_never_boots(self):
        server = self.server('--attach', '127.0.0.1:1').spawn()
        self.assertIsNotNone(server.log_has('waiting_for_cluster.*127.0.0.1:1', timeout=20))
        self.assertEqual(server.stop(), 0)
        self.assertFalse(os.path.exists(os.path.join(server.data, 'identity')))

    def test_a_refused_start_leaves_nothing_behind(self):
        port = doozer_system.free_port()
        anywhere = ['--listen', '0.0.0.0:%d' % port]
        here = ['--listen', '127.0.0.1:%d' % port]
        empty = os.path.join(self.directory, 'empty')
        for words in (anywhere, here + ['--boot-uri', 'doozer:?cn=x'],
                      here + ['--tls-cert', 'gone.pem', '--tls-key', 'gone.pem']):
            for parent in ('', 'new/parents/'):
                with self.subTest(' '.join(words) + ' ' + parent):
                    done = self.run_doozerd(*words, '--data-dir', parent + 'data')
                    self.assertIn(done.returncode, (1, 2), done)
                    self.assertEqual(os.listdir(self.directory), [])
            os.mkdir(empty)
            done = self.run_doozerd(*words, '--data-dir', empty)
            self.assertIn(done.returncode, (1, 2), done)
            self.assertEqual(os.listdir(empty), [])
            os.rmdir(empty)

    def test_a_new_cluster_writes_its_files_in_order(self):
        server = self.server('--cluster', 'mine', '--slots', '2').start()
        with server.client() as c:
            identity = c.call('SELF').value.decode()
            node = '/ctl/node/%s/' % identity
            paths = [e['path'] for e in c.events(1, c.rev())]
            self.assertEqual([p for p in paths if p != '/ctl/cal/1'],
                             ['/ctl/name', node + 'addr', node + 'hostname', node + 'version',
                              '/ctl/cal/0', '/ctl/ns/mine/' + identity, node + 'writable'])
            self.assertIn('/ctl/cal/1', paths)
            self.assertEqual(c.get('/ctl/name').value, b'mine')
            self.assertEqual(c.get('/ctl/cal/0').value.decode(), identity)
            self.assertEqual(c.get(node + 'addr').value.decode(), server.address)
            revision = c.rev()
        server.restart()
        with server.client() as c:
            self.assertEqual(c.rev(), revision, 'a restart writes only what changed')
            time.sleep(1.5)
            self.assertEqual(c.rev(), revision, 'nothing is written in the background')

    def test_secrets(self):
        server = self.server(environment={'DOOZER_RWSECRET': 'write', 'DOOZER_ROSECRET': 'read'})
        server.start()
        with server.client() as c:
            for answer in (c.get('/x'), c.set('/x', 'y'), c.call('NOP')):
                self.assertEqual((answer.err, answer.detail), ('OTHER', 'permission denied'))
            self.assertEqual(c.call('ACCESS', value='wrong').err, 'OTHER')
            self.ok(c.call('REV'))
            self.ok(c.call('ACCESS', value='read'))
            self.ok(c.get('/x'))
            self.assertEqual(c.set('/x', 'y').err, 'OTHER')
            self.ok(c.call('ACCESS', value='write'))
            self.ok(c.set('/x', 'y'))
        for secret in ('write', 'read'):
            self.assertNotIn('"%s"' % secret, server.log())
        refused = self.run_doozerd('--check-config', DOOZER_ROSECRET='hush')
        self.assertEqual(refused.returncode, 2)
        self.assertNotIn('hush', refused.stdout + refused.stderr)


class Configuration(doozer_system.SystemTest):

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, 'w') as f:
            f.write(text)
        return path

    def test_print_config_tells_each_value_and_its_source(self):
        path = self.write('d.toml', '\nslots = 3\nhistory = 4\n')
        done = self.run_doozerd('--config', path, '-hist', '5', '--print-config',
                                DOOZERD_CLUSTER='x')
        self.assertEqual(done.returncode, 0, done)
        for expected in (r'slots = 3 +# %s:2' % path, r'history = 5 +# flag --history',
                         r'cluster = "x" +# environment DOOZERD_CLUSTER',
                         r'listen = "127.0.0.1:8046" +# default'):
            self.assertRegex(done.stdout, '(?m)^' + expected + '$')
        self.assertEqual(os.listdir(self.directory), ['d.toml'], 'nothing is touched')

    def test_what_print_config_prints_is_a_good_file(self):
        printed = self.run_doozerd('--print-config', '-hist', '5').stdout
        path = self.write('again.toml', printed)
        again = self.run_doozerd('--config', path, '--print-config')
        self.assertEqual(again.returncode, 0, again)
        self.assertRegex(again.stdout, r'(?m)^history = 5 ')

    def test_check_config(self):
        good = self.run_doozerd('--check-config', '--config', self.write('good.toml', 'slots = 1'))
        self.assertEqual((good.returncode, good.stderr), (0, ''))
        bad = self.run_doozerd('--check-config', '--config',
                               self.write('bad.toml', 'slots = 0\nlisen = "x"\n'))
        self.assertEqual(bad.returncode, 2)
        self.assertRegex(bad.stderr, r'bad\.toml:1: slots "0": must be at least 1')
        self.assertRegex(bad.stderr, r'bad\.toml:2: "lisen": unknown setting.*"listen"')

    def test_the_packaged_example_is_a_good_file(self):
        example = os.path.join(doozer_system.TOP, 'packaging', 'doozerd.toml')
        done = self.run_doozerd('--check-config', '--config', example)
        self.assertEqual((done.returncode, done.stderr), (0, ''), done)

    def test_usage_errors_exit_2_and_touch_nothing(self):
        for words in (['--nonsense'], ['--timeout', '5s'], ['start'], ['--tls-cert', 'x'],
                      ['--config', 'gone.toml'], ['--listen']):
            with self.subTest(' '.join(words)):
                done = self.run_doozerd(*words)
                self.assertEqual(done.returncode, 2, done)
                self.assertNotEqual(done.stderr, '')
                self.assertEqual(done.stdout, '')
        self.assertEqual(os.listdir(self.directory), [])

    def test_help_and_version(self):
        helped = self.run_doozerd('--help')
        self.assertEqual((helped.returncode, helped.stderr), (0, ''))
        self.assertIn('--data-dir', helped.stdout)
        version = self.run_doozerd('-v')
        self.assertEqual(version.returncode, 0)
        self.assertRegex(version.stdout, r'^doozerd \d+\.\d+\.\d+\n$')

    def test_the_originals_words_start_a_server(self):
        server = self.server('-hist', '100', '-timeout=60', '-pulse', '1', '-fill', '0.1', '-c', 'x')
        server.start()
        with server.client() as c:
            self.assertEqual(c.get('/ctl/name').value, b'x')
        self.assertIsNotNone(server.log_has('pulse'))

    def test_unknown_names_in_the_environment_only_warn(self):
        server = self.server(environment={'DOOZERD_NONSENSE': '1'}).start()
        self.assertIsNotNone(server.log_has('DOOZERD_NONSENSE'))


if __name__ == '__main__':
    doozer_system.main()
