#!/usr/bin/env python3
"""TLS, with certificates made on the spot: who is trusted, who is not, and the reload by SIGHUP."""
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import unittest

import doozer_system
from doozer_system import Client

CA_CONFIG = """
[ca]
default_ca = all
[all]
database = {dir}/index.txt
serial = {dir}/serial
new_certs_dir = {dir}
certificate = {dir}/ca.pem
private_key = {dir}/ca.key
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
"""


class Authority:
    """A certificate authority in a directory of its own."""

    def __init__(self, directory, name):
        self.directory = os.path.join(directory, name)
        os.makedirs(self.directory)
        self.pem = os.path.join(self.directory, 'ca.pem')
        self.config = os.path.join(self.directory, 'ca.cnf')
        with open(self.config, 'w') as f:
            f.write(CA_CONFIG.format(dir=self.directory))
        open(os.path.join(self.directory, 'index.txt'), 'w').close()
        with open(os.path.join(self.directory, 'serial'), 'w') as f:
            f.write('1000\n')
        openssl('req', '-x509', *self.new_key('ca'), '-out', self.pem, '-days', '2', '-subj',
                '/CN=' + name)

    def new_key(self, name):
        return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout',
                os.path.join(self.directory, name + '.key')]

    def certify(self, name, alternative='DNS:localhost,IP:127.0.0.1', first='-1d', last='+1d'):
        """Gives the paths of a certificate and its key."""
        request = os.path.join(self.directory, name + '.csr')
        out = os.path.join(self.directory, name + '.pem')
        openssl('req', *self.new_key(name), '-out', request, '-subj', '/CN=' + name, '-addext',
                'subjectAltName=' + alternative)
        openssl('ca', '-batch', '-config', self.config, '-in', request, '-out', out, '-notext',
                '-startdate', day(first), '-enddate', day(last))
        return out, os.path.join(self.directory, name + '.key')


def day(offset):
    return time.strftime('%Y%m%d%H%M%SZ', time.gmtime(time.time() + 86400 * int(offset[:-1])))


def address_beyond_loopback():
    """An address of this machine that others could reach, or None. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(('192.0.2.1', 9))
        except OSError:
            return None
        here = s.getsockname()[0]
        return None if here.startswith('127.') else here


def openssl(*args):
    done = subprocess.run(['openssl', *args], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError('openssl %s: %s' % (' '.join(args), done.stderr))


@unittest.skipIf(shutil.which('openssl') is None, 'no openssl command')
class Tls(doozer_system.SystemTest):

    def setUp(self):
        super().setUp()
        self.authority = Authority(self.directory, 'good')
        self.context = ssl.create_default_context(cafile=self.authority.pem)

    def tls_server(self, pair, *args):
        """A server that speaks TLS with copies of the two files."""
        server = self.server(*args)
        self.cert = os.path.join(server.directory, 'server.pem')
        self.key = os.path.join(server.directory, 'server.key')
        self.install(pair)
        server.args += ['--tls-cert', self.cert, '--tls-key', self.key]
        server.spawn()
        self.assertIsNotNone(server.log_has(r'"event":\s*"serving"', 15), server.log())
        return server

    def install(self, pair):
        shutil.copy(pair[0], self.cert)
        shutil.copy(pair[1], self.key)

    def connect(self, server, context=None, **options):
        return Client(server.address, tls=context or self.context, **options)

    def doozer(self, server, *args, ca=None, stdin='x', host='localhost'):
        trust = ['--tls-ca', ca or self.authority.pem]
        return self.run_doozer('-a', '%s:%d' % (host, server.port), *trust, *args, stdin=stdin)

    def test_a_certificate_of_another_authority_joins_no_cluster(self):
        here = address_beyond_loopback()
        if here is None:
            self.skipTest('this machine has no address beyond loopback')
        servers = [self.server('--boot', host=here)]
        servers.append(self.server('-a', servers[0].address, host=here))
        authorities = [self.authority, Authority(self.directory, 'other')]
        for server, authority in zip(servers, authorities):
            pair = authority.certify('at-%d' % server.port, 'IP:' + here)
            server.args += ['--tls-cert', pair[0], '--tls-key', pair[1],
                            '--peer-ca', self.authority.pem]
            server.spawn()
        self.assertIsNotNone(servers[0].log_has(r'"event":\s*"serving"', 15))
        self.assertIsNotNone(servers[1].log_has('waiting_for_cluster.*(certificate|unknown ca)', 15))
        self.assertFalse(os.path.exists(os.path.join(servers[1].data, 'identity')))

    def test_servers_prove_themselves_by_certificates_which_are_renewed_while_they_run(self):
        here = address_beyond_loopback()
        if here is None:
            self.skipTest('this machine has no address beyond loopback')
        authority = Authority(self.directory, 'peers')
        trust = os.path.join(self.directory, 'peers.pem')
        shutil.copy(authority.pem, trust)
        servers = [self.server('--boot', '--slots', '3', host=here)]
        for _ in range(2):
            servers.append(self.server('-a', servers[0].address, host=here))
        for server in servers:
            self.cert = os.path.join(server.directory, 'server.pem')
            self.key = os.path.join(server.directory, 'server.key')
            self.install(authority.certify('at-%d' % server.port,
                                           'DNS:localhost,IP:' + here))
            server.args += ['--tls-cert', self.cert, '--tls-key', self.key, '--peer-ca', trust]
            server.spawn()
        for server in servers:
            self.assertIsNotNone(server.log_has(r'"event":\s*"serving"', 15), server.log())
        # Clients have no certificate, and are served.
        context = ssl.create_default_context(cafile=trust)
        for server in servers:
            with self.connect(server, context) as c:
                self.ok(c.set('/at/%d' % server.port, b'x'))
        voters = r'"event":\s*"cluster_changed".*"voters":\s*3.*"joint":\s*false'
        for server in servers:
            self.assertIsNotNone(server.log_has(voters, 15), server.log())
        # Another authority takes over: first it is trusted too, then it signs, on each in turn.
        renewed = Authority(self.directory, 'renewed')
        with open(trust, 'a') as f, open(renewed.pem) as more:
            f.write(more.read())
        for server in servers:
            server.process.send_signal(signal.SIGHUP)
            self.assertIsNotNone(server.log_has('certificate_reloaded', 10))
        last = servers[2]
        self.cert = os.path.join(last.directory, 'server.pem')
        self.key = os.path.join(last.directory, 'server.key')
        self.install(renewed.certify('renewed', 'DNS:localhost,IP:' + here))
        last.stop()
        last.spawn()
        deadline = time.monotonic() + 15
        while len(last.events('serving')) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(len(last.events('serving')), 2, last.log())
        with self.connect(last, ssl.create_default_context(cafile=trust)) as c:
            self.ok(c.set('/renewed', b'x'))
        for server in servers:
            self.assertEqual(server.stop(), 0)

    def test_what_cannot_start_is_no_good_configuration(self):
        cert, key = self.authority.certify('one')
        _, other_key = self.authority.certify('other')
        nothing = os.path.join(self.directory, 'nothing.pem')
        open(nothing, 'w').close()
        for pair, code, words in (((cert, key), 0, ''), ((cert, other_key), 2, 'TLS key'),
                                  ((nothing, key), 2, 'TLS certificate'),
                                  ((cert, nothing), 2, 'TLS key'),
                                  ((cert, nothing + '.pem'), 2, '--tls-key: file')):
            done = self.run_doozerd('--check-config', '--tls-cert', pair[0], '--tls-key', pair[1])
            self.assertEqual(done.returncode, code, done)
            self.assertIn(words, done.stderr)

    def test_tls_before_1_3_is_refused(self):
        server = self.tls_server(self.authority.certify('server'))
        old = ssl.create_default_context(cafile=self.authority.pem)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with self.assertRaises(ssl.SSLError):
            self.connect(server, old).close()

    def test_a_good_certificate_serves_client_and_command_line(self):
        server = self.tls_server(self.authority.certify('server'))
        with self.connect(server) as c:
            self.assertEqual(c.sock.version(), 'TLSv1.3')
            self.ok(c.set('/x', b'y' * 500_000))
            self.assertEqual(len(self.ok(c.get('/x')).value), 500_000)
            tags, data = [], b''
            for i in range(300):
                request, tag = c.request('SET', path='/p', value='%d' % i, rev=-1)
                data += request
                tags.append(tag)
            c.raw(data)
            for tag in tags:
                self.ok(c.wait(tag))
        done = self.doozer(server, 'set', '/cli', '0', stdin='value')
        self.assertEqual(done.returncode, 0, done)
        for host in ('localhost', '127.0.0.1'):
            done = self.doozer(server, 'get', '/cli', host=host)
            self.assertEqual((done.returncode, done.stdout), (0, 'value'), done)
        self.assertEqual(server.stop(), 0)

    def test_a_wrong_name_an_expired_and_an_unknown_authority_fail(self):
        other = Authority(self.directory, 'other')
        cases = {
            'name': self.authority.certify('wrong', alternative='DNS:example.org'),
            'expired': self.authority.certify('old', first='-3d', last='-1d'),
            'unknown authority': other.certify('foreign'),
        }
        for what, pair in cases.items():
            with self.subTest(what):
                server = self.tls_server(pair)
                done = self.doozer(server, '--timeout', '5s', 'get', '/x')
                self.assertEqual(done.returncode, 3, done)
                self.assertEqual(done.stdout, '')
                self.assertRegex(done.stderr, '(?i)certificate')
                done = self.doozer(server, '--timeout', '5s', 'set', '/x', '-1')
                self.assertEqual(done.returncode, 3, done)
                with self.assertRaises(ssl.SSLError):
                    self.connect(server)
                # The server itself is well.
                trusting = ssl._create_unverified_context()
                with self.connect(server, trusting) as c:
                    self.assertEqual(self.ok(c.get('/x')).rev, 0)
                server.stop()

    def test_a_server_without_tls_is_not_taken_for_one_with(self):
        server = self.server().start()
        done = self.doozer(server, '--timeout', '3s', 'get', '/x')
        self.assertEqual(done.returncode, 3, done)

    def test_plain_text_and_garbage_at_a_tls_port_harm_nobody(self):
        server = self.tls_server(self.authority.certify('server'))
        with self.connect(server) as good:
            for _ in range(20):
                with server.client() as c:
                    c.send('REV')
                    self.assertTrue(c.closed_by_server())
            self.ok(good.call('REV'))
        done = self.run_doozer('-a', server.address, '--timeout', '3s', 'get', '/x')
        self.assertEqual(done.returncode, 3, done)

    def test_who_does_not_finish_the_handshake_is_cut(self):
        server = self.tls_server(self.authority.certify('server'))
        silent = [server.client() for _ in range(5)]
        with self.connect(server) as c:
            self.ok(c.call('REV'))
        for c in silent:
            self.assertTrue(c.closed_by_server(timeout=15))
            c.close()

    def test_sighup_reads_the_certificate_again_and_connections_go_on(self):
        server = self.tls_server(self.authority.certify('first'))
        with self.connect(server) as old:
            before = old.sock.getpeercert(True)
            self.install(self.authority.certify('second'))
            with self.connect(server) as c:
                self.assertEqual(c.sock.getpeercert(True), before, 'not before it is told to')
            server.signal(signal.SIGHUP)
            self.assertIsNotNone(server.log_has('certificate_reloaded'), server.log())
            with self.connect(server) as c:
                self.assertNotEqual(c.sock.getpeercert(True), before)
                self.ok(c.call('REV'))
            self.ok(old.set('/old', 'still here'))
            # A bad file is told, and the certificate in use stays.
            with open(self.cert, 'w') as f:
                f.write('rubbish')
            server.signal(signal.SIGHUP)
            self.assertIsNotNone(server.log_has('certificate_not_reloaded'), server.log())
            with self.connect(server) as c:
                self.ok(c.call('REV'))

    def test_sighup_without_tls_changes_nothing(self):
        server = self.server().start()
        with server.client() as c:
            server.signal(signal.SIGHUP)
            time.sleep(0.2)
            self.ok(c.call('REV'))

    def test_a_key_that_does_not_fit_and_a_missing_file_are_told_at_the_start(self):
        good, _ = self.authority.certify('one')
        _, key = self.authority.certify('two')
        for cert, key_file, names in ((good, key, 'key'), (good, '/none/such', '/none/such')):
            done = self.run_doozerd('--listen', '127.0.0.1:%d' % doozer_system.free_port(),
                                    '--tls-cert', cert, '--tls-key', key_file, '--data-dir',
                                    os.path.join(self.directory, 'data'))
            self.assertIn(done.returncode, (1, 2), done)
            self.assertIn(names, done.stdout + done.stderr)


if __name__ == '__main__':
    doozer_system.main()
