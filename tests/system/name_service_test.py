#!/usr/bin/env python3
"""Servers that find each other through another Doozer, as in the original (-b, DOOZER_BOOT_URI)."""
import os
import shutil

import doozer_cluster
import doozer_system
from doozer_cluster import wait_until


class NameService(doozer_cluster.ClusterTest):

    def setUp(self):
        super().setUp()
        self.names = self.server().start()
        self.uri = 'doozer:?ca=%s&cn=mine' % self.names.address

    def joining(self, *args, uri=None, **options):
        return self.server('-b', uri or self.uri, '--slots', '3', *args, **options)

    def told(self, names=None, secret=None):
        """What the name service knows: address by identity, and who was first."""
        with (names or self.names).client() as c:
            if secret:
                self.ok(c.call('ACCESS', value=secret))
            entries = {path.rsplit('/', 1)[1]: value.decode()
                       for path, value, _ in c.walk('/ctl/ns/mine/*')}
            first = c.get('/ctl/boot/mine')
            return entries, (first.value or b'').decode()

    def wait_published(self, servers, **options):
        wanted = {self.identity(server): server.address for server in servers}
        wait_until('all members are published', lambda: self.told(**options)[0] == wanted)

    def test_three_that_start_at_once_are_one_cluster(self):
        servers = [self.joining() for _ in range(3)]
        for server in servers:
            server.spawn()
        for server in servers:
            server.wait_ready()
        self.wait_members(servers)
        self.wait_published(servers)
        self.assertEqual(len({self.status(server)['cluster'] for server in servers}), 1)
        first = self.told()[1]
        founders = [server for server in servers if server.events('booted')]
        self.assertEqual([self.identity(server) for server in founders], [first])
        with servers[0].client() as c:
            self.assertEqual(self.ok(c.get('/ctl/name')).value, b'mine')
        for server in servers:
            self.assertFalse(os.path.exists(os.path.join(server.data, 'candidate')))

        with self.subTest('a client finds them'):
            done = self.run_doozer('-a', 'doozer:?cn=mine', '-b', self.uri, 'set', '/x', '0', 'v')
            self.assertEqual(done.returncode, 0, done)

        with self.subTest('a restart needs neither the name service nor the flag'):
            self.names.kill9()
            servers[0].kill9()
            servers[0].start()
            servers[1].kill9()
            servers[1].args = []
            servers[1].start()
            self.wait_members(servers)
            self.assertTrue(self.writable(servers[0]))

        with self.subTest('an entry that was lost is told again at a restart'):
            self.names.start()
            with self.names.client() as c:
                self.ok(c.call('DEL', path='/ctl/ns/mine/' + self.identity(servers[0]), rev=-1))
            servers[0].kill9()
            servers[0].start()
            self.wait_published(servers)

        with self.subTest('an emptied directory attaches, it never boots'):
            before = self.identity(servers[2])
            servers[2].kill9()
            shutil.rmtree(servers[2].data)
            servers[2].start()
            self.assertNotEqual(self.identity(servers[2]), before)
            self.assertEqual(self.status(servers[2])['cluster'], self.status(servers[0])['cluster'])

    def test_the_second_attaches_to_the_first(self):
        first = self.joining(environment={'DOOZER_BOOT_URI': self.uri})
        first.args = ['--slots', '1']
        first.start()
        second = self.joining().start()
        self.assertEqual(self.status(first)['cluster'], self.status(second)['cluster'])
        self.wait_published([first])  # as in the original, members are told of
        with second.client() as c:
            self.ok(c.set('/written', 'at the standby'))

    def test_a_name_service_that_is_not_there_is_waited_for(self):
        self.names.kill9()
        server = self.joining().spawn()
        self.log_names(server, 'name_service_unreachable', self.names.address, seconds=30)
        self.assertTrue(self.no_data(server))
        self.names.start()
        server.wait_ready()
        self.assertTrue(self.writable(server))

    def test_who_was_chosen_and_crashed_boots_and_who_was_emptied_does_not(self):
        identity = 'A' * 15 + 'B'
        with self.names.client() as c:
            self.ok(c.set('/ctl/boot/mine', identity, rev=0))
        emptied = self.joining().spawn()
        self.log_names(emptied, 'asking_name_service', 'mine')
        chosen = self.joining()
        os.makedirs(chosen.data)
        with open(os.path.join(chosen.data, 'candidate'), 'w') as f:
            f.write(identity)
        chosen.start()
        self.assertEqual(self.identity(chosen), identity)
        emptied.wait_ready()  # it has found the other meanwhile
        self.assertEqual(self.status(emptied)['cluster'], self.status(chosen)['cluster'])
        self.assertEqual(emptied.events('booted'), [])

    def test_a_secret_of_the_name_service_stands_in_the_uri(self):
        names = self.server(environment={'DOOZER_RWSECRET': 'hush'}).start()
        uri = 'doozer:?ca=%s&cn=mine' % names.address
        server = self.joining(uri=uri).spawn()
        self.log_names(server, 'name_service_unreachable', 'permission denied')
        self.assertTrue(self.no_data(server))
        self.assertEqual(server.stop(), 0)
        server = self.joining(uri=uri + '&sk=hush').start()
        self.wait_published([server], names=names, secret='hush')
        self.assertNotIn('hush', server.log())

    def test_what_cannot_be_meant_is_refused_at_once(self):
        for words in (['-b', 'doozer:?cn=mine'], ['-b', 'doozer:?ca=127.0.0.1:1&what=x'],
                      ['-b', self.uri, '--cluster', 'theirs'], ['-b', self.uri, '--boot'],
                      ['-b', 'doozer:?ca=127.0.0.1:1', '--cluster', 'a/b']):
            for more in ([], ['--check-config']):
                with self.subTest(words + more):
                    done = self.run_doozerd(*words, *more, '--data-dir', 'never')
                    self.assertEqual(done.returncode, 2, done)
                    self.assertFalse(os.path.exists(os.path.join(self.directory, 'never')))


if __name__ == '__main__':
    doozer_system.main()
