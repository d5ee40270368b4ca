#!/usr/bin/env python3
"""Two of three members are lost for ever: the third becomes a cluster of its own, and grows again."""
import os
import re
import shutil
import subprocess

import doozer_cluster
import doozer_system
from doozer_cluster import LINEARIZABLE, Load, wait_until

RAISE = 1_000_000


class RecoverAlone(doozer_cluster.ClusterTest):

    def recover(self, server, *words, status=0):
        done = self.run_doozerd('--data-dir', server.data, '--recover-alone', *words)
        self.assertEqual(done.returncode, status, done)
        return done.stdout if status == 0 else done.stderr

    def files_of(self, directory):
        found = {}
        for folder, _, names in os.walk(directory):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, 'rb') as f:
                    found[os.path.relpath(path, directory)] = f.read()
        return found

    def lost_but_one(self):
        """A survivor that is stopped, the others dead with their directories, what was written."""
        servers = self.cluster()
        with Load(self, servers, roam=False) as load:
            load.go_on(50)
        survivor, lost = servers[2], servers[:2]
        with survivor.client() as c:  # it has all of it
            self.ok(c.call('REV', mode=LINEARIZABLE))
        before = self.status(survivor)
        for server in lost:
            server.kill9()
        survivor.kill9()
        return survivor, lost, load.acknowledged(), before

    def test_the_survivor_goes_on_alone_and_grows_again(self):
        survivor, lost, acknowledged, before = self.lost_but_one()

        untouched = self.files_of(survivor.data)
        told = self.recover(survivor)
        self.assertEqual({k: v for k, v in self.files_of(survivor.data).items() if k != 'lock'},
                         {k: v for k, v in untouched.items() if k != 'lock'}, 'a dry run')
        self.assertIn('server %s of cluster %s, a member' % (before['identity'], before['cluster']),
                      told)
        for server in before['servers']:
            if server['identity'] != before['identity']:
                self.assertIn('given up: member %s at %s\n' % (server['identity'],
                                                              server['address']), told)
        self.assertIn('nothing was written', told)

        done = self.recover(survivor, '--yes')
        cluster = re.search(r'done: a new cluster (\w{16}) of this server alone', done).group(1)
        following = int(re.search(r'the next revision is (\d+)', done).group(1))
        self.assertGreater(following, before['revision'] + RAISE)

        survivor.start()  # with the flags that it always had: the addresses of the dead, too
        self.check_kept([survivor], acknowledged)
        status = self.status(survivor)
        self.assertEqual((status['cluster'], len(status['configuration']['voters'])), (cluster, 1))
        self.assertNotEqual(status['identity'], before['identity'])
        with survivor.client() as c:
            self.assertGreaterEqual(self.ok(c.set('/after', 'x')).rev, following)
            slots = [value for _, value, _ in c.walk('/ctl/cal/*')]
        self.assertEqual(sorted(slots), [b'', b'', status['identity'].encode()])

        fresh = [self.server('-a', survivor.address).start() for _ in range(2)]
        self.wait_members([survivor, *fresh])
        self.check_kept(fresh, acknowledged)
        survivor.kill9()
        wait_until('the two go on without it', lambda: self.writable(fresh[0]))

        with self.subTest('a server of the old cluster comes back'):
            survivor.start()
            lost[0].spawn()
            self.log_names(survivor, 'peer_refuse', before['cluster'], cluster)
            self.log_names(lost[0], 'peer_refuse', before['cluster'], cluster)
            self.assertTrue(self.writable(survivor))
            self.assertTrue(survivor.running())
            self.assertEqual(len(self.status(survivor)['servers']), 3)
            if lost[0].running():
                self.assertFalse(self.writable(lost[0]))

    def test_it_is_refused_while_a_server_runs_and_where_it_is_not_needed(self):
        alone = self.server().start()
        self.assertIn('in use by another server', self.recover(alone, '--yes', status=1))
        self.assertEqual(alone.stop(), 0)
        self.assertIn('the only member of its cluster', self.recover(alone, '--yes', status=1))
        alone.start()
        nowhere = self.server()
        self.recover(nowhere, '--yes', status=1)
        self.assertFalse(os.path.exists(nowhere.data))

    def test_two_survivors_that_both_recover_are_two_clusters(self):
        servers = self.cluster()
        for server in servers:
            server.kill9()
        for server in servers[:2]:
            self.recover(server, '--yes')
        first, second = [server.start() for server in servers[:2]]
        clusters = {self.status(server)['cluster'] for server in (first, second)}
        self.assertEqual(len(clusters), 2)
        self.log_names(first, 'peer_refuse', *clusters)
        for server in (first, second):
            self.assertTrue(self.writable(server))

    def test_what_salvage_makes_of_a_members_directory_grows_again(self):
        survivor, _, acknowledged, _ = self.lost_but_one()
        target = survivor.data + '.new'
        self.addCleanup(shutil.rmtree, target, True)
        done = subprocess.run([doozer_system.program('doozer-inspect'), 'salvage', '--write',
                               survivor.data, target], capture_output=True, text=True, timeout=60)
        self.assertIn(done.returncode, (0, 1), done)
        saved = self.server(data=target).start()
        self.check_kept([saved], acknowledged)
        fresh = [self.server('-a', saved.address).start() for _ in range(2)]
        self.wait_members([saved, *fresh])


if __name__ == '__main__':
    doozer_system.main()
